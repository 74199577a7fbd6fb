"""What can go wrong, as the result tells it: a path, a reason, what is safe, what to do next."""

import errno

OUT_OF_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
VANISHED = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ESTALE})


class MoverError(Exception):
    """The run cannot go on (exit 3)."""

    def __init__(self, reason: str, *, path: bytes = b"", next_step: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.path = path
        self.next_step = next_step


class UsageError(Exception):
    """The command line asks for something impossible (exit 2)."""


class Changed(Exception):
    """A file changed while it was read, or is no longer what the listing of its directory said."""


def reason_of(error: BaseException) -> str:
    """One sentence for an error, with the symbol of the system's error number."""
    if isinstance(error, OSError) and error.errno:
        return f"{errno.errorcode.get(error.errno, error.errno)}: {error.strerror or error}"
    return str(error) or type(error).__name__
