"""Runs one command from start to result."""

import os
import sqlite3
import time
from collections.abc import Callable
from typing import NamedTuple

from mover import keeping
from mover.attributes import Rules
from mover.compare import Comparing
from mover.copy import CopyPass
from mover.copying import Copying
from mover.counting import Counting
from mover.errors import MoverError, reason_of
from mover.limits import Brake, Limits
from mover.listing_database import Listing, totals_of
from mover.names import shown
from mover.pace import Pace
from mover.pool import ALONE_S, Pool, Source
from mover.progress import Progress
from mover.protocol import Problem
from mover.result import Facts, result_of
from mover.state import State, WriteBack, claim, existing, finish_removal
from mover.system import sync_file_system
from mover.tally import SideTally, Tally
from mover.tree import DIRECTORY, STATE_NAME, Tree
from mover.verify import Verification

# A file whose ctime is this close to the start of the pass, or later, may change again within the clock's tick.
RACY_NS = 2 * 10**9


class Request(NamedTuple):
    """One command line."""

    command: str
    source: str
    destination: str | None
    pass_name: str | None
    mark: str
    adopt: bool
    verify: bool
    full: bool
    keep_state: bool
    accepted: frozenset[str]
    hole_granularity: int
    limits: Limits


class Run:
    """One run: its request, what it found so far, its progress."""

    def __init__(self, request: Request, progress: Progress) -> None:
        self.request = request
        self.progress = progress
        self.tally = Tally()
        self.rules = Rules(request.accepted, request.hole_granularity)
        self.lost: dict[str, str] = {}
        self.outcome = "failed"
        self.read_from_disk = False
        self.state_removed = False
        self.two_sides = False
        self._window, self._ahead = 1, request.limits.read_ahead == "on"

    def pace(self) -> Pace:
        """The pace within the limits."""
        limits = self.request.limits
        by_memory = max(1, (limits.memory - (64 << 20)) // (40 << 20))
        processes = limits.processes or min(by_memory, Pace(cpus=limits.cpu).processes)
        return Pace(processes, limits.threads, limits.cpu, self._window, ahead=self._ahead)

    def counting(self) -> Callable[[], Counting] | None:
        """What counts the source for the progress; it would use processors and operations that are limited."""
        limits = self.request.limits
        if limits.cpu or limits.iops:
            return None
        source = self.request.source

        def start() -> Counting:
            fd = os.open(source, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                return Counting(fd)
            finally:
                os.close(fd)

        return start

    def work(self, job: Comparing | Copying, source: Source) -> None:
        """Has a job done by worker processes."""
        pace = self.pace()
        job.brake = Brake(self.request.limits, pace.processes)
        at_once = job.brake.active or self.request.limits.processes
        pool = Pool(job, pace, alone_s=0 if at_once else ALONE_S)
        try:
            pool.run(source)
        finally:
            pool.close()
        self._window, self._ahead = pace.window, pace.ahead  # what the copy found is where the proof begins


def run(request: Request, progress: Progress, started_s: float) -> dict[str, object]:
    """The result of a request."""
    current = Run(request, progress)
    try:
        progress.count = current.counting()
        if request.command == "copy":
            _copy(current)
        elif request.command == "verify":
            _verify(current)
        else:
            _digest(current)
    except MoverError as error:
        current.tally.stop(error)
        current.outcome = "failed"
    except OSError as error:
        current.tally.problems_total += 1
        path = os.fsencode(error.filename) if isinstance(error.filename, str | bytes) else b""
        current.tally.problems.insert(0, Problem(path, reason_of(error), error.errno or 0))
        current.outcome = "failed"
    except Exception:  # noqa: BLE001  a defect must not end with exit 1, which says that differences were found
        current.tally.problems_total += 1
        import traceback

        current.tally.problems.insert(0, Problem(b"", f"a defect of the mover: {traceback.format_exc()}", 0))
        current.outcome = "failed"
    progress.end()
    return result_of(_facts(current, time.monotonic() - started_s), current.tally)


def _facts(current: Run, seconds: float) -> Facts:
    rules = current.rules
    invisible = set(rules.left_out)
    if current.request.command != "copy" or current.two_sides:
        invisible |= {name for name in current.lost if name == "xattr:trusted"}
    return Facts(
        command=current.request.command,
        pass_name=current.request.pass_name,
        outcome=current.outcome,
        seconds=seconds,
        rules={"left_out": sorted(rules.left_out), "hole_granularity": rules.hole_granularity},
        not_kept=keeping.not_kept(
            current.lost,
            current.tally.unkept,
            whole=not (current.tally.unchanged_files or current.tally.resumed_ranges),
        ),
        not_compared=sorted(invisible),
        two_sides=current.two_sides,
        phase_seconds=current.progress.phase_seconds,
        read_from_disk=current.read_from_disk,
        state_removed=current.state_removed,
    )


def _open(path: str, what: str) -> Tree:
    try:
        return Tree(path)
    except OSError as error:
        raise MoverError(f"the {what} {path} cannot be opened: {reason_of(error)}") from error


def _trees(request: Request) -> tuple[Tree, Tree]:
    source, destination = _open(request.source, "source"), _open(request.destination or "", "destination")
    for inner, outer in ((source, destination), (destination, source)):
        if _holds(outer, inner):
            raise MoverError("source and destination are one directory, or one lies in the other")
    return source, destination


def _holds(outer: Tree, inner: Tree) -> bool:
    """Whether `inner` is `outer` or lies in it, found by climbing to the root of the file systems."""
    wanted = os.fstat(outer.fd)
    fd = os.open(".", DIRECTORY, dir_fd=inner.fd)
    try:
        while True:
            st = os.fstat(fd)
            if os.path.samestat(st, wanted):
                return True
            above = os.open("..", DIRECTORY, dir_fd=fd)
            os.close(fd)
            fd = above
            if os.path.samestat(os.fstat(fd), st):
                return False
    finally:
        os.close(fd)


# -- copy --------------------------------------------------------------------------------------------------------------


def _copy(current: Run) -> None:
    request = current.request
    source, destination = _trees(request)
    state = claim(destination, request.mark, adopt=request.adopt)
    try:
        current.lost = keeping.limits(state.fd)
        _pass(current, source, destination, state)
        if request.verify and current.outcome == "done":
            _verify_copy(current, source, destination, state)
    except sqlite3.Error as error:
        raise _listing_failed(error, state) from error
    finally:
        state.close()


def _listing_failed(error: sqlite3.Error, state: State) -> MoverError:
    """What is wrong with the listing. A damaged one is forgotten: it only saves work."""
    if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL:
        next_step = "The destination is full. Make it larger, then run again: what is there is continued."
    elif isinstance(error, sqlite3.OperationalError):
        next_step = "Mend the cause, then run again."
    else:
        _distrust(state)
        next_step = "It is damaged and was removed. Run again: every file is then copied anew."
    return MoverError(
        f"the listing in the destination cannot be kept: {error}", path=STATE_NAME, next_step=next_step
    )


def _pass(current: Run, source: Tree, destination: Tree, state: State) -> None:
    request = current.request
    final = request.pass_name == "final"  # noqa: S105
    started_ns = time.time_ns()
    # After this, a write through a memory map changes the ctime again, so that the next pass sees it. And some file systems have told
    # of holes where data was not written back yet.
    sync_file_system(source.fd)
    rules = current.rules.header() + ",".join(sorted(current.lost)).encode()
    listing = Listing(
        state, current.progress.tick, trust=not request.full, racy_ns=started_ns - RACY_NS, rules=rules
    )
    current.progress.begin("copy", listing.totals())
    one_pass = CopyPass(current.rules, listing, current.tally, current.progress)
    job = Copying(
        source,
        destination,
        current.rules,
        frozenset(current.lost),
        final=final,
        delete=final and bool(request.mark),
        racy_ns=started_ns - RACY_NS,
    )
    try:
        current.work(job, one_pass)
        one_pass.conclude()
        current.progress.begin("write-back")
        if current.tally.problems_total:
            listing.abandon()
            return
        side = current.tally.sides[0]
        listing.finish(side.files + side.symlinks + side.fifos + side.devices, side.bytes)
    except (MoverError, OSError):
        listing.abandon()  # not when the run is ended by a signal: writing back may take longer than the grace that is left
        raise
    current.outcome = "done"


def _verify_copy(current: Run, source: Tree, destination: Tree, state: State) -> None:
    """Reads the destination back; the source too, where this pass did not read all of it or something differs."""
    copied = current.tally.sides[0]
    if not current.tally.unchanged_files and not current.tally.resumed_ranges:
        names = copied.files + copied.symlinks + copied.fifos + copied.devices
        current.progress.begin("verify-destination", (copied.bytes, names))
        back = Tally()
        _compare(current, (destination,), back, current.progress, drop=(True,))
        made = back.sides[0]
        current.tally.fail(back.problems)
        same = (made.content_digest, made.metadata_digest) == (copied.content_digest, copied.metadata_digest)
        if same and not current.tally.problems_total:
            current.tally.sides = (copied, made)
            current.two_sides = current.read_from_disk = True
            current.outcome = "equal"
            return
    current.tally.sides = (SideTally(), SideTally())
    _prove(current, source, destination, state)


# -- verify and digest -------------------------------------------------------------------------------------------------


def _compare(
    current: Run, trees: tuple[Tree, ...], tally: Tally, progress: Progress, drop: tuple[bool, ...]
) -> None:
    verification = Verification(len(trees), current.rules, tally, progress)
    current.work(Comparing(trees, current.rules, drop), verification)
    verification.conclude()


def _prove(current: Run, source: Tree, destination: Tree, state: State | None) -> None:
    current.two_sides = True
    current.progress.begin("write-back")
    WriteBack(destination.fd).settle(current.progress.tick)
    current.progress.begin("verify", (None, None) if state is None else totals_of(state))
    _compare(current, (source, destination), current.tally, current.progress, drop=(False, True))
    current.read_from_disk = True
    if current.tally.problems_total:
        current.outcome = "failed"
    elif current.tally.differences_total:
        current.outcome = "different"
        if state is not None:
            _distrust(state)
    else:
        one, other = current.tally.sides
        current.outcome = "equal"
        if (one.content_digest, one.metadata_digest) != (other.content_digest, other.metadata_digest):
            raise MoverError(
                "no difference was found, and yet the digests differ: a defect of the mover, trust nothing"
            )


def _distrust(state: State) -> None:
    try:
        state.distrust()
    except OSError as error:
        # A destination that is mounted read-only: the next pass then finds the damage by the ctime, or needs --full.
        del error


def _verify(current: Run) -> None:
    source, destination = _trees(current.request)
    current.lost = keeping.invisible()
    try:
        finish_removal(destination)
    except OSError as error:
        raise MoverError(
            f"an interrupted removal of the mover's state cannot be completed: {reason_of(error)}"
        ) from error
    state = existing(destination)
    try:
        _prove(current, source, destination, state)
        if state is not None and current.outcome == "equal" and not current.request.keep_state:
            try:
                state.remove()
            except OSError as error:
                path = shown(STATE_NAME)
                raise MoverError(
                    f"the state cannot be removed: {reason_of(error)}",
                    path=STATE_NAME,
                    next_step=f"Mount the destination writable, or verify with --keep-state and remove {path}.",
                ) from error
            current.state_removed = True
    finally:
        if state is not None:
            state.close()


def _digest(current: Run) -> None:
    tree = _open(current.request.source, "tree")
    current.lost = keeping.invisible()
    _compare(current, (tree,), current.tally, current.progress, drop=(False,))
    current.outcome = "failed" if current.tally.problems_total else "done"
