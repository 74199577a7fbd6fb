"""The Git side from a shell, without Django or a cluster: prints a unified diff, or why there is none.

Exit codes: 0 with the diff on stdout (empty where Git already says so); 1 refused, the reason on stderr; 2 bad usage.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gitops.add import add, claim_text
from gitops.change import Change, Tree, resolve
from gitops.errors import GitOpsError, Refusal
from gitops.exempt import EXEMPT, exempt
from gitops.fit import naming
from gitops.flux import options_in
from gitops.locate import locate
from gitops.protect import HOW, protect, protect_helm_release
from gitops.remove import remove
from gitops.values import CLAIM, FluxPath, ObjectRef


@dataclass(frozen=True)
class Request:
    """One parsed command line."""

    flux: FluxPath
    ref: ObjectRef
    root: Path
    write: bool
    run: Callable[[Tree], Change]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code."""
    try:
        request = requested(arguments)
        return _show(request.run(Tree.of(request.root)), request.root if request.write else None)
    except GitOpsError as error:
        print(_explained(error), file=sys.stderr)
        return 1


def requested(arguments: Sequence[str] | None = None) -> Request:
    """Parse a command line. Exits with code 2 on bad usage."""
    parser = _parser()
    options = parser.parse_args(arguments)
    root = Path(options.repo)
    if not root.is_dir():
        parser.error(f"{options.repo} is not a directory")
    if not options.name:
        parser.error("--claim, or --kind with --name, is needed")
    if getattr(options, "file", None) and not Path(options.file).is_file():
        parser.error(f"{options.file} is not a file")
    command = _COMMANDS[options.command]
    return Request(
        _flux(options, Tree.of(root)), _ref(options), root, options.write, lambda tree: command(options, tree)
    )


def _show(change: Change, root: Path | None) -> int:
    sys.stdout.buffer.write(change.diff.encode())
    sys.stdout.flush()
    for note in change.notes:
        print(f"note: {note}", file=sys.stderr)
    if not change.edits and change.summary:
        print("Git already says so; there is nothing to change.", file=sys.stderr)
    if root is not None:
        _write(change, root)
    return 0


def _write(change: Change, root: Path) -> None:
    for each in change.edits:
        path = root / each.path
        if each.after is None:
            path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(each.after)


def _explained(error: GitOpsError) -> str:
    reason = f" ({error.reason})" if isinstance(error, Refusal) else ""
    lines = [f"refused{reason}: {error.what}", error.safe, error.next_step]
    if isinstance(error, Refusal) and error.by_hand:
        lines += ["", error.by_hand]
    return "\n".join(line for line in lines if line or lines.index(line) > 2)


def _remove(options: argparse.Namespace, tree: Tree) -> Change:
    return remove(tree, _flux(options, tree), _ref(options))


def _exempt(options: argparse.Namespace, tree: Tree) -> Change:
    return exempt(tree, _flux(options, tree), _ref(options), options.value)


def _protect(options: argparse.Namespace, tree: Tree) -> Change:
    return protect(tree, _flux(options, tree), _ref(options), options.how)


def _protect_release(options: argparse.Namespace, tree: Tree) -> Change:
    return protect_helm_release(tree, _flux(options, tree), _ref(options), options.only)


def _add(options: argparse.Namespace, tree: Tree) -> Change:
    if options.file:
        text = Path(options.file).read_text(encoding="utf-8")
    else:
        names = naming(tree, _flux(options, tree), resolve("", options.directory or options.path.lstrip("/")))
        text = claim_text(
            name=names.written(options.name),
            namespace="" if names.namespace else options.namespace,
            size=options.size,
            storage_class=options.storage_class,
            access_modes=options.access_mode or ["ReadWriteOnce"],
        )
    return add(
        tree, _flux(options, tree), _ref(options), text,
        directory=options.directory, file_name=options.file_name, append_to=options.append_to,
    )  # fmt: skip


def _locate(options: argparse.Namespace, tree: Tree) -> Change:
    found = locate(tree, _flux(options, tree), _ref(options))
    print(f"{found.path}: document {found.document + 1}, bytes {found.start}-{found.end}")
    for level in found.chain:
        print(f"  listed by {level or '(Flux itself: there is no kustomization file)'}")
    for stamp in found.stamps:
        print(f"  {stamp.file} sets {stamp.key}: {stamp.value} ({stamp.stage})")
    for user in found.shared_with:
        print(f"  also used by {user}")
    return Change((), "")


_COMMANDS: dict[str, Callable[[argparse.Namespace, Tree], Change]] = {
    "remove": _remove,
    "add": _add,
    "exempt": _exempt,
    "protect": _protect,
    "protect-release": _protect_release,
    "locate": _locate,
}


def _ref(options: argparse.Namespace) -> ObjectRef:
    return ObjectRef(options.kind, options.namespace, options.name)


def _flux(options: argparse.Namespace, tree: Tree) -> FluxPath:
    """The path with the options that were given, or else those that the repository itself states for it."""
    said = options_in(tree, options.path) or FluxPath(options.path)
    return replace(
        said,
        target_namespace=options.target_namespace or said.target_namespace,
        substitute={**said.substitute, **dict(options.set or [])},
        components=tuple(options.component or said.components),
        source="",
    )


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text} is not NAME=VALUE")
    return name, value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m gitops", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("remove", "take an object out of Git"),
        ("add", "declare a claim, or an object from a file"),
        ("exempt", "let Flux prune one claim"),
        ("protect", "keep Flux from pruning one claim"),
        ("protect-release", "make a HelmRelease keep the claims of its chart"),
        ("locate", "say which document declares an object"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        _common(command)
        if name == "exempt":
            command.add_argument(
                "--value", default=EXEMPT, help="value of the prune annotation (default %(default)s)"
            )
        if name == "protect":
            command.add_argument("--how", choices=HOW, default="auto", help="where the annotation is set")
        if name == "protect-release":
            command.add_argument("--only", default="", metavar="CLAIM", help="keep this claim alone")
        if name == "add":
            _add_options(command)
    return parser


def _common(command: argparse.ArgumentParser) -> None:
    command.add_argument("--repo", required=True, help="a working copy of the repository")
    command.add_argument("--path", required=True, help="spec.path of the Flux Kustomization")
    command.add_argument("--namespace", required=True, help="live namespace of the object")
    command.add_argument("--claim", "--name", dest="name", default="", help="live name of the object")
    command.add_argument("--kind", default=CLAIM, help="kind of the object (default %(default)s)")
    command.add_argument(
        "--target-namespace", default="", help="spec.targetNamespace of the Flux Kustomization"
    )
    command.add_argument("--component", action="append", help="an entry of spec.components")
    command.add_argument(
        "--set", action="append", type=_variable, metavar="NAME=VALUE", help="a spec.postBuild variable"
    )
    command.add_argument("--write", action="store_true", help="write the files as well (default: only show)")


def _add_options(command: argparse.ArgumentParser) -> None:
    source = command.add_mutually_exclusive_group(required=True)
    source.add_argument("--file", help="a manifest to add")
    source.add_argument("--size", help="size of a new claim, such as 10Gi")
    command.add_argument("--class", dest="storage_class", default="", help="storage class of a new claim")
    command.add_argument("--access-mode", action="append", help="access mode of a new claim; may be repeated")
    command.add_argument("--directory", help="where the new file goes (default: the path)")
    command.add_argument("--file-name", help="name of the new file")
    command.add_argument("--append-to", help="append to this file instead of making one")
