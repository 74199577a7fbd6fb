"""The command line. Exit codes and options are described in docs/reference/mover.md."""

import os
import signal
import sys
import time
from collections.abc import Sequence
from types import FrameType
from typing import Any

from mover import run
from mover.errors import UsageError
from mover.limits import Limits
from mover.options import parsed, usage
from mover.progress import Progress
from mover.result import write

DONE, DIFFERENT, BAD_USAGE, COULD_NOT, TERMINATED = 0, 1, 2, 3, 143
_EXIT = {"done": DONE, "equal": DONE, "different": DIFFERENT, "failed": COULD_NOT}


def _request(command: str, options: dict[str, Any]) -> run.Request:
    granularity = options["hole_granularity"]
    if granularity < 512 or granularity & (granularity - 1):
        raise UsageError("--hole-granularity must be a power of two, at least 512")
    if command == "copy" and options["verify"] and options["pass"] == "warm":  # noqa: S105
        raise UsageError("--verify goes with --pass final: what still changes cannot be proven")
    if command == "copy" and options["adopt"] and not options["staging_mark"]:
        raise UsageError("--adopt goes with --staging-mark")
    limits = Limits(
        *(
            options[name]
            for name in ("bandwidth", "iops", "cpu", "memory", "processes", "threads", "read_ahead")
        )
    )
    limits.check()
    return run.Request(
        command=command,
        source=options["tree"] if command == "digest" else options["source"],
        destination=options.get("destination"),
        pass_name=options.get("pass"),
        mark=options.get("staging_mark", ""),
        adopt=options.get("adopt", False),
        verify=options.get("verify", False),
        full=options.get("full", False),
        keep_state=options.get("keep_state", False),
        accepted=frozenset(options["accept"]),
        hole_granularity=granularity,
        limits=limits,
    )


def _terminated(number: int, frame: FrameType | None) -> None:
    raise SystemExit(TERMINATED)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; the exit code."""
    try:
        found = parsed(sys.argv[1:] if arguments is None else arguments)
        if found is None:
            sys.stdout.write(usage())
            return DONE
        options: dict[str, Any] = found[1]
        request = _request(found[0], options)
    except UsageError as error:
        sys.stderr.write(f"{usage()}\n{error}\n")
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
    for path, summary in ((options["result"], False), (options["summary"], True)):
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
