"""`python -m embedded demo|reset`: what `make demo` and `make demo-reset` call."""

import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from embedded.children import adopt_orphans, end_orphans
from embedded.demo import DEFAULT_PORT, ROOT, Demo, is_free
from embedded.errors import CannotStart
from embedded.place import Place, RunsAlready
from embedded.processes import end_with_parent


class _Stop(BaseException):
    """Somebody asked us to end: Ctrl-C, SIGTERM, a closed terminal, or our parent's end."""


def say(text: str) -> None:
    print(text, flush=True)


def main(arguments: list[str]) -> int:
    doors = {"demo": demo, "reset": reset}
    if len(arguments) != 1 or arguments[0] not in doors:
        say(f"usage: python -m embedded {'|'.join(doors)}")
        return 2
    try:
        return doors[arguments[0]]()
    except CannotStart as error:
        say(f"holdfast: {error}")
        return 1


def reset() -> int:
    place = _place()
    try:
        removed = place.remove()
    except RunsAlready as error:
        raise CannotStart(f"{error} End it with Ctrl-C first; nothing was removed.") from None
    say(f"Removed {place.root}." if removed else f"There is nothing in {place.root}.")
    return 0


def demo() -> int:
    place = _place()
    place.prepare()
    try:
        place.take()
    except RunsAlready as error:
        say(str(error))
        return 0
    port = _port()
    if not is_free(port):
        raise CannotStart(
            f"Port {port} is taken: choose another with HOLDFAST_PORT, as in `HOLDFAST_PORT=8080 make demo`."
        )
    _listen_for_the_end()
    end_with_parent()
    adopt_orphans()
    running = Demo(place, port, say, time.sleep, scenario=os.environ.get("HOLDFAST_SCENARIO", "demo"))
    return _run(running)


def _run(running: Demo) -> int:
    started = time.monotonic()
    try:
        say("Starting PostgreSQL, Redis, the sandbox cluster, the worker, the watcher and the pages ...")
        running.start()
        _greet(running, time.monotonic() - started)
        while True:
            time.sleep(0.25)
            running.children.look_after()
    except _Stop:
        say("\nEnding ...")
        return 0
    finally:
        _ignore_further_signals()
        running.end()
        end_orphans()
        say("Ended. The next start continues here.")


def _greet(running: Demo, took_s: float) -> None:
    say(f"\nHoldfast is ready after {took_s:.0f} s:  {running.url}\n")
    for role, sign_in in running.sign_ins.items():
        if isinstance(sign_in, dict):
            say(f"  {role:<10} {sign_in['username']:<12} {sign_in['password']}")
    say(f"\nkubectl --kubeconfig {running.root / 'kubeconfig'} get pvc -A")
    if not running.seeded:
        say(
            f"The sandbox cluster is not complete: the end of {running.log('sandbox')} says what is missing. "
            "Nothing is broken by it; Ctrl-C and `make demo` again goes on from there."
        )
    say(f"Logs: {running.root / 'logs'}. Ctrl-C ends everything; `make demo-reset` forgets everything.")


def _place() -> Place:
    return Place(Path(os.environ.get("HOLDFAST_DATA") or ROOT / ".holdfast").expanduser().absolute())


def _port() -> int:
    wanted = os.environ.get("HOLDFAST_PORT") or str(DEFAULT_PORT)
    if not wanted.isdecimal() or not 1 <= int(wanted) <= 65535:
        raise CannotStart(f"HOLDFAST_PORT is {wanted!r}: use a number from 1 to 65535.")
    return int(wanted)


_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _listen_for_the_end() -> None:
    def stop(number: int, frame: FrameType | None) -> None:
        _ignore_further_signals()
        raise _Stop

    for number in _SIGNALS:
        if (
            signal.getsignal(number) is not signal.SIG_IGN or number is signal.SIGTERM
        ):  # nohup keeps SIGHUP ignored
            signal.signal(number, stop)


def _ignore_further_signals() -> None:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
