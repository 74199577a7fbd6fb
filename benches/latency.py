"""A block device that waits: an image file behind a small FUSE server that delays each read and write, used through a loop device.

    python -m benches.latency IMAGE MOUNTPOINT DELAY_SECONDS

serves MOUNTPOINT/image until it is unmounted. Needs root, /dev/fuse and loop devices. Where a C compiler is there, delay.c does the same with less effort.
Requests are answered by many threads, so that what is asked at the same time waits at the same time, as on network storage.
"""

import contextlib
import ctypes
import errno
import os
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benches.building import built

_IN = struct.Struct("<IIQQIIIHH")
_OUT = struct.Struct("<IiQ")
_ATTRIBUTES = struct.Struct("<QQQQQQIIIIIIIIII")
_LOOKUP, _GETATTR, _SETATTR, _OPEN, _READ, _WRITE, _STATFS, _RELEASE, _FSYNC = 1, 3, 4, 14, 15, 16, 17, 18, 20
_FLUSH, _INIT, _FORGET, _BATCH_FORGET, _FALLOCATE = 25, 26, 2, 42, 43
_ROOT, _IMAGE = 1, 2
_DIRECT_IO = 1
_ASYNC_READ, _BIG_WRITES, _ASYNC_DIO, _MAX_PAGES = 1, 1 << 5, 1 << 15, 1 << 22
_THREADS = 48
_BUFFER = (1 << 20) + 4096


class Server:
    """Answers the kernel's requests for one directory with one file in it."""

    def __init__(self, image: str, device: int, delay_s: float) -> None:
        self.image = os.open(image, os.O_RDWR)
        self.size = os.fstat(self.image).st_size
        self.device = device
        self.delay_s = delay_s

    def serve(self) -> None:
        while True:
            try:
                request = os.read(self.device, _BUFFER)
            except OSError as error:
                if error.errno in (errno.EINTR, errno.ENOENT, errno.EAGAIN):
                    continue
                return  # unmounted
            _, opcode, unique, node, *_ = _IN.unpack_from(request)
            if opcode in (_FORGET, _BATCH_FORGET):
                continue
            number, body = self._answer(opcode, node, request[_IN.size :])
            with contextlib.suppress(OSError):
                os.write(self.device, _OUT.pack(_OUT.size + len(body), -number, unique) + body)

    def _answer(self, opcode: int, node: int, body: bytes) -> tuple[int, bytes]:
        if opcode == _READ:
            _, offset, size = struct.unpack_from("<QQI", body)
            time.sleep(self.delay_s)
            return 0, os.pread(self.image, size, offset)
        if opcode == _WRITE:
            _, offset, size = struct.unpack_from("<QQI", body)
            time.sleep(self.delay_s)
            return 0, struct.pack("<II", os.pwrite(self.image, memoryview(body)[40 : 40 + size], offset), 0)
        if opcode == _INIT:
            flags = struct.unpack_from("<IIII", body)[3] & (
                _ASYNC_READ | _BIG_WRITES | _ASYNC_DIO | _MAX_PAGES
            )
            return 0, struct.pack(
                "<IIIIHHIIHHI7I", 7, 31, 1 << 20, flags, 64, 48, 1 << 20, 1, 256, 0, 0, *[0] * 7
            )
        if opcode == _LOOKUP:
            if node != _ROOT or body.rstrip(b"\0") != b"image":
                return errno.ENOENT, b""
            return 0, struct.pack("<QQQQII", _IMAGE, 0, 3600, 3600, 0, 0) + self._attributes(_IMAGE)
        if opcode in (_GETATTR, _SETATTR):
            return 0, struct.pack("<QII", 3600, 0, 0) + self._attributes(node)
        if opcode == _OPEN:
            return 0, struct.pack("<QII", 0, _DIRECT_IO, 0)
        if opcode in (_FLUSH, _RELEASE, _FSYNC):
            return 0, b""
        if opcode == _STATFS:
            return 0, struct.pack("<QQQQQIIII24x", 1 << 20, 1 << 20, 1 << 20, 10, 10, 4096, 255, 4096, 0)
        return errno.ENOSYS, b""

    def _attributes(self, node: int) -> bytes:
        mode, size = (0o40755, 4096) if node == _ROOT else (0o100600, self.size)
        return _ATTRIBUTES.pack(node, size, size // 512, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def main(image: str, mountpoint: str, delay_s: float) -> None:
    """Mounts and serves."""
    device = os.open("/dev/fuse", os.O_RDWR)
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
    if libc.mount(b"holdfast-latency", mountpoint.encode(), b"fuse", 0, options):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), mountpoint)
    server = Server(image, device, delay_s)
    threads = [threading.Thread(target=server.serve, daemon=True) for _ in range(_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@contextlib.contextmanager
def slow_disk(
    base: Path, size: int, delay_s: float, tools: Path
) -> Iterator[tuple[Path, Callable[[], None]]]:
    """A mounted ext4 on a device that delays each read and write, and what empties its caches (by mounting it again).

    OSError or CalledProcessError where that cannot be.
    """
    image, front, disk = base / "image", base / "front", base / "disk"
    front.mkdir()
    disk.mkdir()
    with image.open("wb") as file:
        file.truncate(size)
    _run("mkfs.ext4", "-q", "-F", "-i", "8192", "-E", "lazy_itable_init=0,lazy_journal_init=0", image)
    served = [str(image), str(front), str(delay_s)]
    # In Python the server is what everything waits for as soon as many requests come at once.
    program = built("delay", tools)
    server = subprocess.Popen(
        [program or sys.executable, *([] if program else ["-m", "benches.latency"]), *served]
    )
    loop = ""
    try:
        _wait_for(front / "image")
        loop = _run("losetup", "--find", "--show", "--direct-io=on", front / "image")
        _run("mount", "-o", "noatime", loop, disk)

        def chill() -> None:
            _run("umount", disk)
            _run("mount", "-o", "noatime", loop, disk)

        try:
            yield disk, chill
        finally:
            _run("umount", disk)
    finally:
        if loop:
            _run("losetup", "-d", loop)
        subprocess.run(["umount", "-l", str(front)], check=False, capture_output=True)
        server.terminate()
        server.wait(10)


def _run(*command: object) -> str:
    return subprocess.run(
        [str(part) for part in command], check=True, capture_output=True, text=True
    ).stdout.strip()


def _wait_for(path: Path) -> None:
    deadline_s = time.monotonic() + 5
    while not path.exists():
        if time.monotonic() > deadline_s:
            raise OSError(errno.ENODEV, "the delaying file system did not come up", str(path))
        time.sleep(0.02)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
