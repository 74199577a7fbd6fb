"""One PostgreSQL and one Redis for a whole test run, shared by its parallel processes.

`plan()` decides addresses and passwords before anything runs, so that Django's settings can load at once. The first test that needs
a server calls `ensure()`, which starts a keeper process; the keeper ends both servers when the run ends, however it ends.
"""

import atexit
import contextlib
import fcntl
import json
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from embedded.postgres import APP, OWNER, Postgres
from embedded.processes import free_port, tail
from embedded.redis import Redis
from tests.support.waiting import until

PLACE = "HOLDFAST_TEST_SERVICES"


def plan() -> Path:
    """Makes the run's directory and writes its plan; names the servers in the environment of this process and its children."""
    _remove_what_killed_runs_left()
    # A socket's path is limited to 107 bytes, so a long TMPDIR does not do.
    place = Path(tempfile.mkdtemp(prefix="hf-test-", dir="/tmp" if len(tempfile.gettempdir()) > 50 else None))
    for role in ("postgres", OWNER, APP):
        postgres(place).password(role)
    plan = {"owner_pid": os.getpid(), "redis_port": free_port(), "redis_password": secrets.token_urlsafe(12)}
    (place / "plan.json").write_text(json.dumps(plan))
    os.environ[PLACE] = str(place)
    atexit.register(_discard_unused, place, os.getpid())
    return place


def _remove_what_killed_runs_left() -> None:
    """A run that was killed before it started a keeper leaves its plan behind."""
    for plan_file in Path(tempfile.gettempdir()).glob("hf-test-*/plan.json"):
        with contextlib.suppress(OSError, ValueError):
            left = not (plan_file.parent / "keeper.log").exists()
            if left and not _runs(json.loads(plan_file.read_text())["owner_pid"]):
                shutil.rmtree(plan_file.parent, ignore_errors=True)


def _discard_unused(place: Path, owner_pid: int) -> None:
    """Without a keeper nobody else removes the directory."""
    if os.getpid() == owner_pid and not (place / "keeper.log").exists():
        shutil.rmtree(place, ignore_errors=True)


def postgres(place: Path) -> Postgres:
    return Postgres(place / "pg", log=place / "postgres.log", durable=False)


def redis(place: Path) -> Redis:
    plan = json.loads((place / "plan.json").read_text())
    return Redis(
        place / "redis", log=place / "redis.log", password=plan["redis_password"], port=plan["redis_port"]
    )


def process_number() -> int:
    """0 for the only or first test process, 1 for xdist's gw1, and so on."""
    return int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


def settle_environment(place: Path, database: int) -> None:
    """What Django's settings read. Parallel test process number `database` has its own Redis database."""
    os.environ["HOLDFAST_DATABASE_URL"] = postgres(place).url(OWNER)
    os.environ["HOLDFAST_REDIS_URL"] = redis(place).url(database)
    os.environ["HOLDFAST_DATA"] = str(place / f"data-{database}")
    os.environ["HOLDFAST_SECRET_KEY"] = "only-for-tests"
    (place / "static").mkdir(exist_ok=True)
    os.environ["HOLDFAST_STATIC_ROOT"] = str(place / "static")


def ensure() -> Path:
    """Starts both servers unless they run; returns the run's directory."""
    place = Path(os.environ[PLACE])
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "ready").exists():
            _start_keeper(place)
    return place


def _start_keeper(place: Path) -> None:
    log = place / "keeper.log"
    with log.open("ab") as output:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "tests.support.services", str(place)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd=Path(__file__).parents[2],
        )
    until(
        lambda: (place / "ready").exists() or keeper.poll() is not None,
        timeout_s=90,
        what="PostgreSQL and Redis",
    )
    if keeper.poll() is not None:
        raise RuntimeError(f"the test servers did not start:\n{tail(log, 40)}")


def keep(place: Path) -> None:
    """Runs both servers until the test run has ended, then removes everything."""
    owner_pid = json.loads((place / "plan.json").read_text())["owner_pid"]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    servers: list[Postgres | Redis] = [postgres(place), redis(place)]
    try:
        for server in servers:
            server.start()
        (place / "ready").touch()
        _wait_for_end_of(owner_pid)
    finally:
        for server in servers:
            server.end()
        shutil.rmtree(place, ignore_errors=True)


def _wait_for_end_of(pid: int) -> None:
    if hasattr(os, "pidfd_open"):
        try:
            select.select([os.pidfd_open(pid)], [], [])
        except ProcessLookupError:
            return
        return
    until(lambda: not _runs(pid), timeout_s=float("inf"), every_s=0.5)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it runs, and is somebody else's
    return True


if __name__ == "__main__":
    keep(Path(sys.argv[1]))
