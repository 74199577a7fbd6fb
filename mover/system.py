"""System calls that Python has no name for."""

import ctypes
import os

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t)
_libc.syscall.restype = ctypes.c_long
_OPENAT2 = 437  # on every architecture that containers run on
_NO_SYMLINKS, _BENEATH = 0x04, 0x08


class _How(ctypes.Structure):
    """struct open_how of openat2(2)."""

    _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64)]


def sync_file_system(fd: int) -> None:
    """Writes back the file system of a handle; OSError when that failed, which a lost write does only here."""
    if _libc.syncfs(fd) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def open_beneath(directory: int, path: bytes, flags: int) -> int:
    """Opens a path of several names below a directory handle, following no link anywhere; -1 where that was not possible.

    It needs Linux 5.6, and a container that lets the call through.
    """
    how = _How(flags, 0, _NO_SYMLINKS | _BENEATH)
    return int(_libc.syscall(_OPENAT2, directory, path, ctypes.byref(how), ctypes.sizeof(how)))
