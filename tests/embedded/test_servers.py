"""The embedded PostgreSQL serves wherever it is started, and keeps what was committed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from embedded import postgres
from embedded.errors import CannotStart
from embedded.postgres import APP, OWNER, Postgres


@contextmanager
def _running(data: Path, *, durable: bool = False) -> Iterator[Postgres]:
    server = Postgres(data, log=data.parent / "postgres.log", durable=durable)
    try:
        server.start()
        yield server
    finally:
        server.end()


def _keep_a_row(server: Postgres) -> None:
    with psycopg.connect(server.url(OWNER)) as connection:
        connection.execute("CREATE TABLE kept (what text)")
        connection.execute("INSERT INTO kept VALUES ('a row')")


def _row(server: Postgres) -> str:
    with psycopg.connect(server.url(APP)) as connection:
        return str(connection.execute("SELECT what FROM kept").fetchone()[0])


def test_what_was_committed_outlives_a_kill(tmp_path: Path) -> None:
    with _running(tmp_path / "pg", durable=True) as server:
        _keep_a_row(server)
        server.process.kill()
        server.process.wait()
        server.start()
        assert _row(server) == "a row"


def test_a_path_too_long_for_a_socket_is_no_obstacle(tmp_path: Path) -> None:
    with _running(tmp_path / ("long" * 30) / "pg") as server:
        _keep_a_row(server)
        assert _row(server) == "a row"
        assert server.sockets.stat().st_mode & 0o077 == 0
        short = server.sockets
    short.rmdir()


def test_a_socket_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    server = Postgres(tmp_path / ("long" * 30) / "pg", log=tmp_path / "log")
    server.sockets.symlink_to(tmp_path)
    try:
        with pytest.raises(CannotStart, match="is not ours alone"):
            server.start()
    finally:
        server.sockets.unlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root drops its rights")
def test_root_without_user_namespaces_drops_its_rights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "identity", lambda: "drop")
    with _running(tmp_path / "pg") as server:
        _keep_a_row(server)
        assert _row(server) == "a row"
        status = Path(f"/proc/{server.process.pid}/status").read_text()
        assert "Uid:\t65534\t65534\t65534\t65534" in status


def test_the_application_cannot_change_the_schema(tmp_path: Path) -> None:
    with _running(tmp_path / "pg") as server:
        _keep_a_row(server)
        for statement in (
            "DROP TABLE kept",
            "TRUNCATE kept",
            "CREATE TABLE mine (id int)",
            "ALTER TABLE kept ADD more int",
        ):
            with (
                psycopg.connect(server.url(APP)) as connection,
                pytest.raises(psycopg.errors.InsufficientPrivilege),
            ):
                connection.execute(statement.encode())
