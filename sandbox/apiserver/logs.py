"""Container logs: files that the node's agent writes, one line an entry, each with a timestamp in front."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sandbox.apiserver.call import Call
from sandbox.apiserver.errors import bad_request

Json = dict[str, Any]

_POLL_S = 0.15
_CHUNK_BYTES = 256 * 1024


def container_of(pod: Json, wanted: str) -> str:
    """The container whose log is asked for. StatusError 400 when it must be named or does not exist."""
    spec = pod.get("spec") or {}
    names = [one["name"] for one in spec.get("containers") or ()]
    all_names = names + [one["name"] for one in spec.get("initContainers") or ()]
    pod_name = pod["metadata"]["name"]
    if wanted:
        if wanted not in all_names:
            raise bad_request(f"container {wanted} is not valid for pod {pod_name}")
        return wanted
    if len(names) != 1:
        listed = " ".join(names)
        raise bad_request(f"a container name must be specified for pod {pod_name}, choose one of: [{listed}]")
    return str(names[0])


def check_started(pod: Json, container: str) -> None:
    """StatusError 400 while the container has never run, as the node's agent answers."""
    status = pod.get("status") or {}
    name = pod["metadata"]["name"]
    for one in (status.get("containerStatuses") or []) + (status.get("initContainerStatuses") or []):
        if one.get("name") == container:
            waiting = (one.get("state") or {}).get("waiting")
            if waiting and not one.get("lastState", {}).get("terminated"):
                why = waiting.get("reason", "ContainerCreating")
                raise bad_request(f'container "{container}" in pod "{name}" is waiting to start: {why}')
            return
    if status.get("phase") in (None, "Pending"):
        raise bad_request(f'container "{container}" in pod "{name}" is waiting to start: ContainerCreating')


class LogReader:
    """Reads one log file with the options of a request."""

    def __init__(self, path: Path, call: Call) -> None:
        self._path = path
        self._timestamps = call.flag("timestamps")
        self._tail = _integer(call, "tailLines")
        self._limit_bytes = _integer(call, "limitBytes")
        self._since = _since(call)
        self.follow = call.flag("follow")

    async def stream(self, finished: Callable[[], bool]) -> AsyncIterator[bytes]:
        """The log's bytes; with follow, until the container has finished and all is read."""
        left = self._limit_bytes
        async for line in self._lines(finished):
            shown = self._shown(line)
            if left is not None:
                shown = shown[:left]
                left -= len(shown)
            if shown:
                yield shown
            if left == 0:
                return

    async def _lines(self, finished: Callable[[], bool]) -> AsyncIterator[bytes]:
        position = 0
        if self._path.exists():
            with self._path.open("rb") as file:
                for line in self._present(file):
                    yield line
                position = file.tell()
        if not self.follow:
            return
        rest = b""
        while True:
            last_round = finished()
            chunk = self._read_from(position)
            position += len(chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield line + b"\n"
            if last_round and not chunk:
                if rest:
                    yield rest
                return
            if not chunk:
                await asyncio.sleep(_POLL_S)

    def _present(self, file: Any) -> Iterator[bytes]:
        lines = (line for line in file if self._recent(line))
        return iter(deque(lines, self._tail)) if self._tail is not None else lines

    def _read_from(self, position: int) -> bytes:
        if not self._path.exists():
            return b""
        with self._path.open("rb") as file:
            file.seek(position)
            return file.read(_CHUNK_BYTES)

    def _recent(self, line: bytes) -> bool:
        if self._since is None:
            return True
        stamp = line.partition(b" ")[0].decode(errors="replace")
        return (_moment(stamp) or self._since) >= self._since

    def _shown(self, line: bytes) -> bytes:
        return line if self._timestamps else line.partition(b" ")[2]


def _integer(call: Call, name: str) -> int | None:
    text = call.query.get(name)
    if not text:
        return None
    if not text.lstrip("-").isdigit() or int(text) < 0:
        raise bad_request(f"{name} must be a non-negative integer")
    return int(text)


def _since(call: Call) -> datetime | None:
    if seconds := _integer(call, "sinceSeconds"):
        return datetime.now(UTC) - timedelta(seconds=seconds)
    text = call.query.get("sinceTime")
    if not text:
        return None
    moment = _moment(text)
    if moment is None:
        raise bad_request(f"sinceTime is not a time: {text}")
    return moment


def _moment(text: str) -> datetime | None:
    """An RFC 3339 time; nanoseconds are cut to microseconds."""
    head, dot, tail = text.partition(".")
    if dot:
        fraction = tail.rstrip("Z").partition("+")[0].partition("-")[0]
        text = f"{head}.{fraction[:6]}{tail[len(fraction) :]}"
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
