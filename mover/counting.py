"""Counts a tree ahead of the work on it, so that progress has totals: a process of its own, of low priority, that only looks.

What it finds is shown and never relied on. It is started once a run has taken a while and no earlier pass left totals.
"""

import contextlib
import os
import select
import signal
import stat
import struct
import time
from collections.abc import Callable, Iterator

from mover.tree import DIRECTORY, LEFT_OUT_OF_ROOT, STATE_NAME

_FOUND = struct.Struct("=QQ?")  # bytes, names that are no directories, whether that is all
_EVERY_S = 0.3
_DEEPEST = 300  # each level takes two handles
_NICE = 10


class Counting:
    """The counting process, seen from the run. `bytes` and `files` so far; `complete` once all was seen."""

    def __init__(self, root: int) -> None:
        self.bytes = 0
        self.files = 0
        self.complete = False
        self._reading, writing = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                _keep_only(root, writing)
                os.nice(_NICE)
                _count(root, lambda *found: _say(writing, *found))
            finally:
                os._exit(0)
        os.close(writing)

    def look(self) -> None:
        """Takes what was counted since the last look."""
        if not self._pid:
            return
        while select.select([self._reading], [], [], 0)[0]:
            data = os.read(self._reading, _FOUND.size)
            if not data:
                self.close()
                return
            self.bytes, self.files, self.complete = _FOUND.unpack(data)

    def close(self) -> None:
        """Ends it."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            os.close(self._reading)
            self._pid = 0


def _keep_only(*handles: int) -> None:
    """Closes what was inherited: a worker must see that the coordinator is gone, and another mover that the lock is free."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in handles:
            with contextlib.suppress(OSError):
                os.close(int(name))


def _say(pipe: int, *found: object) -> None:
    try:
        os.write(pipe, _FOUND.pack(*found))
    except OSError:
        os._exit(0)  # the run is gone


def _count(root: int, say: Callable[[int, int, bool], None]) -> None:
    total = files = 0
    said_s = time.monotonic()
    for is_file, size in _entries(root):
        files += is_file
        total += size
        if time.monotonic() - said_s >= _EVERY_S:
            said_s = time.monotonic()
            say(total, files, False)
    say(total, files, True)


def _entries(root: int) -> Iterator[tuple[bool, int]]:
    """For each entry whether it is one that a run counts, and its size. Depth first, holding no more than the way down."""
    levels = [_Level(os.open(".", DIRECTORY, dir_fd=root))]
    left_out = {*LEFT_OUT_OF_ROOT, STATE_NAME}
    while levels:
        level = levels[-1]
        entry = next(level.scan, None)
        if entry is None:
            levels.pop().close()
            continue
        with contextlib.suppress(OSError):
            if entry.is_dir(follow_symlinks=False):
                if len(levels) == 1 and entry.name in left_out:
                    continue
                if len(levels) >= _DEEPEST:
                    os._exit(0)  # too deep to be counted so: the total stays open
                levels.append(_Level(os.open(entry.name, DIRECTORY, dir_fd=level.fd)))
                yield False, 0
                continue
            if entry.is_symlink():
                yield True, 0
                continue
            st = os.stat(entry.name, dir_fd=level.fd, follow_symlinks=False)
            yield not stat.S_ISSOCK(st.st_mode), st.st_size if stat.S_ISREG(st.st_mode) else 0


class _Level:
    """A directory on the way down."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.scan = os.scandir(b"/proc/self/fd/%d" % fd)

    def close(self) -> None:
        self.scan.close()
        os.close(self.fd)
