"""The command line. Exit codes and options are described in docs/reference/mover.md."""

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from types import FrameType

from mover import run
from mover.attributes import CLASSES
from mover.errors import UsageError
from mover.limits import Limits, parse_size
from mover.progress import Progress
from mover.result import write

DONE, DIFFERENT, BAD_USAGE, COULD_NOT, TERMINATED = 0, 1, 2, 3, 143
_EXIT = {"done": DONE, "equal": DONE, "different": DIFFERENT, "failed": COULD_NOT}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m mover", description="Copies a tree and proves the copy.")
    commands = parser.add_subparsers(dest="command", required=True)
    copy = commands.add_parser("copy", help="copy a tree into a destination that is empty or marked as ours")
    verify = commands.add_parser("verify", help="prove that two trees are equal, or say where they differ")
    digest = commands.add_parser("digest", help="the digests of one tree")
    for command in (copy, verify):
        command.add_argument("--source", required=True, metavar="DIR")
        command.add_argument("--destination", required=True, metavar="DIR")
    digest.add_argument("--tree", required=True, metavar="DIR")
    copy.add_argument("--pass", dest="pass_name", choices=("warm", "final"), default="final")
    copy.add_argument("--staging-mark", default="", metavar="TOKEN")
    copy.add_argument(
        "--verify", action="store_true", help="read the destination back afterwards and compare"
    )
    copy.add_argument("--full", action="store_true", help="trust no listing of an earlier pass")
    verify.add_argument(
        "--keep-state", action="store_true", help="leave the mover's listing in the destination"
    )
    for command in (copy, verify, digest):
        _common(command)
    return parser


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--accept", action="append", default=[], choices=sorted(CLASSES), metavar="CLASS")
    parser.add_argument("--hole-granularity", type=parse_size, default=4096, metavar="BYTES")
    parser.add_argument("--result", metavar="FILE")
    parser.add_argument("--summary", metavar="FILE")
    parser.add_argument("--processes", type=int, default=0, metavar="N")
    parser.add_argument("--threads", type=int, default=0, metavar="N")
    parser.add_argument("--bandwidth", type=parse_size, default=0, metavar="BYTES")
    parser.add_argument("--iops", type=int, default=0, metavar="N")
    parser.add_argument("--cpu", type=float, default=0.0, metavar="N")
    parser.add_argument("--memory", type=parse_size, default=256 << 20, metavar="BYTES")


def _request(options: argparse.Namespace) -> run.Request:
    granularity = options.hole_granularity
    if granularity < 512 or granularity & (granularity - 1):
        raise UsageError("--hole-granularity must be a power of two, at least 512")
    if options.command == "copy" and options.verify and options.pass_name == "warm":  # noqa: S105
        raise UsageError("--verify goes with --pass final: what still changes cannot be proven")
    limits = Limits(
        options.bandwidth, options.iops, options.cpu, options.memory, options.processes, options.threads
    )
    limits.check()
    source = options.tree if options.command == "digest" else options.source
    return run.Request(
        command=options.command,
        source=source,
        destination=getattr(options, "destination", None),
        pass_name=getattr(options, "pass_name", None),
        mark=getattr(options, "staging_mark", ""),
        verify=getattr(options, "verify", False),
        full=getattr(options, "full", False),
        keep_state=getattr(options, "keep_state", False),
        accepted=frozenset(options.accept),
        hole_granularity=granularity,
        limits=limits,
    )


def _terminated(number: int, frame: FrameType | None) -> None:
    raise SystemExit(TERMINATED)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        request = _request(options)
    except UsageError as error:
        parser.print_usage(sys.stderr)
        sys.stderr.write(f"{error}\n")
        return BAD_USAGE
    # As the first process of a container, a signal without a handler would be ignored.
    signal.signal(signal.SIGTERM, _terminated)
    started_s = time.monotonic()
    progress = Progress(request.command)
    try:
        result = run.run(request, progress, started_s)
    except KeyboardInterrupt:
        return 130
    outcome = _EXIT[str(result["outcome"])]
    for path, summary in ((options.result, False), (options.summary, True)):
        if path:
            try:
                write(path, result, summary=summary)
            except OSError as error:
                sys.stderr.write(f"cannot write {path}: {error.strerror}\n")
                outcome = outcome or COULD_NOT
    progress.emit({"t": "result", **result})
    for problem in _lines(result):
        sys.stderr.write(problem + os.linesep)
    return outcome


def _lines(result: dict[str, object]) -> list[str]:
    """The first errors and differences for a person who reads the log."""
    lines = []
    errors = result["errors"]
    if isinstance(errors, list):
        lines += [f"error: {error['path']}: {error['reason']}" for error in errors[:20]]
    found = result["differences"]
    if isinstance(found, list):
        lines += [f"different ({d['class']}): {d['path']}" for d in found[:20]]
    return lines
