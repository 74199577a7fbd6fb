"""Messages between two processes over pipes."""

import os
import pickle
import select
import struct
from typing import Any

_SIZE = struct.Struct("=Q")


class Channel:
    """One end: what is sent here arrives at the other end, whole and in order."""

    def __init__(self, reading: int, writing: int) -> None:
        self.reading = reading
        self._writing = writing

    def send(self, message: object) -> None:
        """OSError when the other end is gone."""
        body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        left = memoryview(_SIZE.pack(len(body)) + body)
        while left:
            left = left[os.write(self._writing, left) :]

    def receive(self) -> Any:
        """EOFError when the other end is gone."""
        (size,) = _SIZE.unpack(self._read(_SIZE.size))
        return pickle.loads(self._read(size))  # noqa: S301  from our own process

    def _read(self, size: int) -> bytes:
        data = os.read(self.reading, size)
        if len(data) == size:
            return data
        parts = [data]
        left = size - len(data)
        while left:
            data = os.read(self.reading, min(left, 1 << 20))
            if not data:
                raise EOFError
            parts.append(data)
            left -= len(data)
        return b"".join(parts)

    def ready(self) -> bool:
        """Whether a message waits."""
        return bool(select.select([self.reading], [], [], 0)[0])

    def close(self) -> None:
        """The other end then finds that this one is gone."""
        os.close(self.reading)
        os.close(self._writing)


def channels() -> tuple[Channel, Channel]:
    """Two ends of one connection."""
    one, other = os.pipe(), os.pipe()
    return Channel(one[0], other[1]), Channel(other[0], one[1])
