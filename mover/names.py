"""Paths as text: reversible, because a file name is any bytes and JSON is UTF-8."""

import re

_ESCAPED = re.compile(rb"\\(\\|x[0-9a-f]{2})")


def shown(path: bytes) -> str:
    """A path as text: UTF-8 stays, `\\` becomes `\\\\`, each byte that is not UTF-8 becomes `\\xNN`. The root is `.`."""
    return path.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace") or "."


def parsed(text: str) -> bytes:
    """The path that `shown` rendered."""
    if text == ".":
        return b""

    def byte(match: re.Match[bytes]) -> bytes:
        token = match.group(1)
        return b"\\" if token == b"\\" else bytes([int(token[1:], 16)])

    return _ESCAPED.sub(byte, text.encode())


def joined(directory: bytes, name: bytes) -> bytes:
    """The path of `name` in `directory`; both relative to the root, which is empty."""
    return directory + b"/" + name if directory else name
