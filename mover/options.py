"""Reads the command line. Written out here, since argparse takes as long to import as a small tree takes to copy."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from mover.attributes import CLASSES
from mover.errors import UsageError
from mover.limits import parse_size

_ALL = ("copy", "verify", "digest")
_TWO = ("copy", "verify")
Value = str | int | float | bool | list[str] | None


class Option(NamedTuple):
    """One option. Without `takes` it is a switch; with `choices` only those are taken."""

    name: str
    commands: tuple[str, ...]
    takes: str
    default: Value
    about: str
    read: Callable[[str], Value] = str
    choices: tuple[str, ...] = ()
    required: bool = False
    repeatable: bool = False

    @property
    def key(self) -> str:
        """The name in the dictionary of `parsed`."""
        return self.name[2:].replace("-", "_")


COMMANDS = {
    "copy": "copy a tree into a destination that is empty or marked as ours",
    "verify": "prove that two trees are equal, or say where they differ",
    "digest": "the digests of one tree",
}
OPTIONS = (
    Option("--source", _TWO, "DIR", None, "the tree that is copied", required=True),
    Option("--destination", _TWO, "DIR", None, "where the copy is", required=True),
    Option("--tree", ("digest",), "DIR", None, "the tree", required=True),
    Option(
        "--pass", ("copy",), "PASS", "final", "warm: the source is in use; final", choices=("warm", "final")
    ),
    Option("--staging-mark", ("copy",), "TOKEN", "", "marks an empty destination as ours"),
    Option("--adopt", ("copy",), "", False, "take a destination whose mark a proof has removed"),
    Option("--verify", ("copy",), "", False, "read the destination back afterwards and compare"),
    Option("--full", ("copy",), "", False, "trust no listing of an earlier pass"),
    Option("--keep-state", ("verify",), "", False, "leave the mover's listing in the destination"),
    Option(
        *("--accept", _ALL, "CLASS", None, "leave a class out of the comparison"),
        choices=tuple(sorted(CLASSES)),
        repeatable=True,
    ),
    Option("--hole-granularity", _ALL, "BYTES", 4096, "the unit in which holes are compared", parse_size),
    Option("--result", _ALL, "FILE", None, "write the result as JSON"),
    Option("--summary", _ALL, "FILE", None, "write its summary of at most 4096 bytes"),
    Option("--processes", _ALL, "N", 0, "worker processes", int),
    Option("--threads", _ALL, "N", 0, "threads of each", int),
    Option(
        *(
            "--read-ahead",
            _ALL,
            "WHEN",
            "auto",
            "ask for files before they are read: on, off, or where storage waits",
        ),
        choices=("auto", "on", "off"),
    ),
    Option("--bandwidth", _ALL, "BYTES", 0, "bytes a second at most", parse_size),
    Option("--iops", _ALL, "N", 0, "operations a second at most", int),
    Option("--cpu", _ALL, "N", 0.0, "processors at most", float),
    Option("--memory", _ALL, "BYTES", 256 << 20, "memory at most", parse_size),
)


def usage() -> str:
    """What `--help` prints."""
    lines = ["usage: python -m mover {copy,verify,digest} OPTIONS", ""]
    lines += [f"  {name:8} {about}" for name, about in COMMANDS.items()]
    for option in OPTIONS:
        of = "" if option.commands == _ALL else f" ({', '.join(option.commands)})"
        lines.append(f"  {option.name + ' ' + option.takes:26} {option.about}{of}")
    return "\n".join(lines) + "\n"


def parsed(arguments: Sequence[str]) -> tuple[str, dict[str, Value]] | None:
    """The command and its options by name; None where help is asked for; UsageError for what cannot be."""
    if "-h" in arguments or "--help" in arguments:
        return None
    if not arguments or arguments[0] not in COMMANDS:
        raise UsageError("the first argument is one of " + ", ".join(COMMANDS))
    command = arguments[0]
    known = {option.name: option for option in OPTIONS if command in option.commands}
    found: dict[str, Value] = {
        option.key: [] if option.repeatable else option.default for option in known.values()
    }
    given = set()
    rest = iter(arguments[1:])
    for argument in rest:
        name, has_value, text = argument.partition("=")
        option = known.get(name)
        if option is None or (has_value and not option.takes):
            raise UsageError(f"{command} takes no {argument}")
        value: Value = True
        if option.takes:
            value = _read(option, text if has_value else next(rest, None))
        given.add(name)
        held = found[option.key]
        if isinstance(held, list):
            held.append(str(value))
        else:
            found[option.key] = value
    missing = [name for name, option in known.items() if option.required and name not in given]
    if missing:
        raise UsageError(f"{command} needs {' and '.join(missing)}")
    return command, found


def _read(option: Option, text: str | None) -> Value:
    if text is None:
        raise UsageError(f"{option.name} needs a value: {option.takes}")
    if option.choices and text not in option.choices:
        raise UsageError(f"{option.name} is one of {', '.join(option.choices)}")
    try:
        return option.read(text)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{option.name} {text}: not a value for {option.takes}") from error
