"""Asks storage for the content of many small files before the first of them is read.

On storage that waits, one thread then keeps as many requests in flight as a hundred threads would, without their switching. On a
disk that does not wait these calls are only a cost, so a worker begins once `mover.pace` has found that the processors wait.
"""

import contextlib
import os
import stat
import threading

from mover.limits import Brake
from mover.reading import SMALL_BYTES, open_unseen

BATCH_FILES, BATCH_BYTES = 128, 8 << 20
# Handles that are left to everything else in a worker: directories, files being read and written, pipes.
_OTHER_HANDLES = 512
_MOST_HANDLES = 1 << 16

Found = tuple[os.stat_result, int]


class Handles:
    """How many files a process may have open ahead, shared by its threads. None until `raise_to_limit`."""

    def __init__(self) -> None:
        self._left = 0
        self._lock = threading.Lock()
        self.active = False

    def raise_to_limit(self) -> None:
        """Takes what the system allows; nothing where that is little."""
        if self.active:
            return
        import resource  # only storage that waits needs it

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = _MOST_HANDLES if hard == resource.RLIM_INFINITY else min(hard, _MOST_HANDLES)
        if soft == resource.RLIM_INFINITY or soft >= most:
            soft = most
        else:
            # Refused where the hard limit is above what the system allows: then the soft one has to do.
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
                soft = most
        self._left = max(0, soft - _OTHER_HANDLES)
        self.active = True

    def take(self, wanted: int) -> int:
        """Up to `wanted` handles; as many must be given back."""
        with self._lock:
            taken = min(wanted, self._left)
            self._left -= taken
        return taken

    def give_back(self, taken: int) -> None:
        """Returns what was taken."""
        with self._lock:
            self._left += taken


class Ahead:
    """One batch of names of a directory, looked at and asked for. Their handles stay open until `close`."""

    def __init__(self, handles: Handles) -> None:
        self._handles = handles
        self._taken = handles.take(BATCH_FILES)
        self._found: dict[bytes, Found] = {}
        self._open: list[int] = []
        self._bytes = 0

    @property
    def full(self) -> bool:
        """Whether what was asked for should be read before more is asked for."""
        return self._bytes >= BATCH_BYTES or len(self._open) >= self._taken

    def look(self, directory: int, name: bytes) -> os.stat_result | None:
        """The status of a name, kept for `get`; None where there is none, which whoever reads it finds again."""
        try:
            st = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except OSError:
            return None
        self._found[name] = (st, -1)
        return st

    def ask(self, directory: int, name: bytes, st: os.stat_result, *, drop: bool = False) -> None:
        """Has the content of a small file of one name read in; `drop`: from the disk. An error is left to whoever reads it."""
        size = st.st_size
        if not 0 < size <= SMALL_BYTES or st.st_nlink != 1 or not stat.S_ISREG(st.st_mode):
            return
        try:
            fd = open_unseen(name, directory)
            self._open.append(fd)
            if drop:
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            os.posix_fadvise(fd, 0, size, os.POSIX_FADV_WILLNEED)
        except OSError:
            return
        self._bytes += size
        self._found[name] = (st, fd)

    def get(self, name: bytes) -> Found | None:
        """Status and handle of a name; the handle is -1 where its content was not asked for, and is closed by `close`."""
        return self._found.get(name)

    def close(self) -> None:
        """Ends the batch."""
        for fd in self._open:
            with contextlib.suppress(
                OSError
            ):  # some file systems tell of errors here that concern nobody who only read
                os.close(fd)
        self._handles.give_back(self._taken)


class LooksAhead:
    """A job of the workers that can ask for content before it is read."""

    def __init__(self) -> None:
        self.brake = Brake()
        self.handles = Handles()

    def noted(self) -> dict[str, int]:
        """See mover.pool.Runs."""
        return {}

    def look_ahead(self) -> None:
        """From now on, unless reads have to come one by one."""
        if not self.brake.one_by_one:
            self.handles.raise_to_limit()
