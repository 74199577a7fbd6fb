"""Container logs as the node keeps them: each line after its RFC 3339 time in nanoseconds."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

_CHUNK_BYTES = 65_536


def log_path(data: Path, pod_uid: str, container: str) -> Path:
    return data / "logs" / pod_uid / f"{container}.log"


def line_prefix() -> bytes:
    nanoseconds = time.time_ns()
    moment = datetime.fromtimestamp(nanoseconds // 1_000_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{nanoseconds % 1_000_000_000:09d}Z ".encode()


def pump(source: IO[bytes], path: Path) -> None:
    """Copies lines from a pipe into a log until its end. A line without an end is written at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rest = b""
    with path.open("ab", buffering=0) as log:
        while chunk := os.read(source.fileno(), _CHUNK_BYTES):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > _CHUNK_BYTES:
                lines.append(rest)
                rest = b""
            if lines:
                prefix = line_prefix()
                log.write(b"".join(prefix + line + b"\n" for line in lines))
        if rest:
            log.write(line_prefix() + rest + b"\n")


def tail(path: Path, limit_bytes: int, limit_lines: int) -> str:
    """The end of a log without its times."""
    if not path.exists():
        return ""
    with path.open("rb") as log:
        size = log.seek(0, os.SEEK_END)
        log.seek(max(0, size - limit_bytes * 2 - limit_lines * 32))
        lines = log.read().split(b"\n")[-limit_lines - 1 :]
    text = b"\n".join(line.partition(b" ")[2] for line in lines)
    return text[-limit_bytes:].decode(errors="replace")
