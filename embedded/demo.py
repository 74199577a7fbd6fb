"""The whole of Holdfast on one machine: what runs, with which settings, in which order."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from embedded.children import Child, Children
from embedded.errors import CannotStart
from embedded.place import Place
from embedded.postgres import APP, OWNER, Postgres
from embedded.processes import command, free_port, spawn, tail
from embedded.redis import Redis

ROOT = Path(__file__).parents[1]
CLUSTER_NAME = "demo-east"
DEFAULT_PORT = 8000


@dataclass
class Demo:
    """One demo in its place. Ends nothing by itself: `end()` does."""

    place: Place
    port: int
    say: Callable[[str], None]
    tick: Callable[[float], None]
    scenario: str = "demo"
    children: Children = field(init=False)
    environment: dict[str, str] = field(default_factory=dict)
    sign_ins: Mapping[str, object] = field(default_factory=dict)
    seeded: bool = True
    _sandbox_log_starts_at: int = 0

    def __post_init__(self) -> None:
        self.children = Children(self.say)

    @property
    def root(self) -> Path:
        return self.place.root

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def log(self, name: str) -> Path:
        return self.root / "logs" / f"{name}.log"

    def start(self) -> None:
        """Starts everything and returns when the pages answer; `CannotStart` with one sentence when that cannot be."""
        _shorten_logs(self.root / "logs")
        self.environment = self._settings()
        self._start_postgres()
        self._start_redis()
        self._start_sandbox()
        # What follows overlaps with the sandbox's seeding, which takes longest.
        self._prepare("schema", owner=True)
        self._start("worker", _celery("worker", "--loglevel=INFO", "--without-gossip", "--without-mingle"))
        self.sign_ins = self._seed()
        self._start("web", _web(self.port))
        self._start(
            "beat", _celery("beat", "--loglevel=INFO", f"--schedule={self.root / 'beat'}", "--pidfile=")
        )
        self._wait("the sandbox cluster", "sandbox", self._sandbox_is_ready)
        self._start("watcher", _manage("watcher"))
        self._wait("the pages", "web", self._pages_answer)
        self._write_demo()

    def end(self) -> None:
        """Ends what serves people first and PostgreSQL last."""
        with contextlib.suppress(FileNotFoundError):
            (self.root / "demo.json").unlink()
        servers = ["postgres", "redis"]
        self.children.end([c.name for c in self.children.members if c.name not in servers], patience_s=6)
        self.children.end(patience_s=3)

    def _settings(self) -> dict[str, str]:
        kubeconfig = str(self.root / "kubeconfig")
        ours = {
            "HOLDFAST_DEMO": "1",
            "HOLDFAST_DATA": str(self.root),
            "HOLDFAST_SECRET_KEY": self.place.secret("session"),
            "HOLDFAST_STATIC_ROOT": str(self.root / "static"),
            "HOLDFAST_KUBECONFIG": kubeconfig,
            "HOLDFAST_CLUSTER_NAME": CLUSTER_NAME,
            "HOLDFAST_WORKER_CONTEXT": "holdfast-worker",
            "HOLDFAST_WATCHER_CONTEXT": "holdfast-watcher",
            "HOLDFAST_PROBER_CONTEXT": "holdfast-prober",
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
        }
        return {**os.environ, **ours}

    def _start_postgres(self) -> None:
        if self.environment.get("HOLDFAST_DATABASE_URL"):
            self.environment.setdefault(
                "HOLDFAST_DATABASE_OWNER_URL", self.environment["HOLDFAST_DATABASE_URL"]
            )
            return
        server = Postgres(self.root / "postgres", log=self.log("postgres"))
        child = Child("postgres", server.spawn, self.log("postgres"), last_signal=Postgres.LAST_SIGNAL)
        server.start()
        self.children.add(child, running=server.process)
        self.environment["HOLDFAST_DATABASE_URL"] = server.url(APP)
        self.environment["HOLDFAST_DATABASE_OWNER_URL"] = server.url(OWNER)

    def _start_redis(self) -> None:
        if self.environment.get("HOLDFAST_REDIS_URL"):
            return
        server = Redis(self.root / "redis", log=self.log("redis"), password=self.place.secret("redis"))
        server.start()
        self.children.add(Child("redis", server.spawn, self.log("redis")), running=server.process)
        self.environment["HOLDFAST_REDIS_URL"] = server.url()

    def _start_sandbox(self) -> None:
        data = self.root / "sandbox"
        log = self.log("sandbox")
        self._sandbox_log_starts_at = log.stat().st_size if log.exists() else 0
        arguments = [
            "--data",
            str(data),
            "--port",
            str(self._sandbox_port()),
            "--kubeconfig",
            str(self.root / "kubeconfig"),
        ]
        self._start("sandbox", [sys.executable, "-m", "sandbox", *arguments, "--scenario", self.scenario])

    def _sandbox_port(self) -> int:
        """The port of last time when it is free, so that a kubeconfig that somebody copied goes on working."""
        kept = self.root / "sandbox.port"
        with contextlib.suppress(OSError, ValueError):
            port = int(kept.read_text())
            if is_free(port):
                return port
        port = free_port()
        kept.write_text(str(port))
        return port

    def _start(self, name: str, arguments: list[str]) -> None:
        log = self.log(name)
        environment = dict(self.environment)
        if name != "web":
            environment.pop("HOLDFAST_PORT", None)
        environment.pop(
            "HOLDFAST_DATABASE_OWNER_URL", None
        )  # nobody who serves may change the schema or the trail
        self.children.add(Child(name, lambda: spawn(arguments, log=log, env=environment, cwd=ROOT), log))

    def _prepare(self, part: str, *, owner: bool = False) -> str:
        """Runs one part of embedded/prepare.py, as the schema's owner or as the application; returns what it printed."""
        environment = dict(self.environment)
        if owner:
            environment["HOLDFAST_DATABASE_URL"] = environment["HOLDFAST_DATABASE_OWNER_URL"]
        log = self.log("prepare")
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as errors:
            process = subprocess.Popen(
                command([sys.executable, "-m", "embedded.prepare", part]),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment,
                cwd=ROOT,
                start_new_session=True,
            )
            printed = process.communicate()[0]
        if process.returncode != 0:
            raise CannotStart(f"Preparing the {part} failed; the end of {log}:\n{tail(log)}")
        return printed.decode()

    def _seed(self) -> Mapping[str, object]:
        """The demo's people, by role, as `manage.py demo_seed` prints them in its last line."""
        lines = self._prepare("pages").strip().splitlines()
        found = json.loads(lines[-1]) if lines else {}
        return found if isinstance(found, dict) else {}

    def _wait(self, what: str, name: str, answers: Callable[[], bool], timeout_s: float = 120) -> None:
        """Looks after the children until `answers`; gives up when the child keeps ending or time is up."""
        child = next(child for child in self.children.members if child.name == name)
        waited_s = 0.0
        while not answers():
            if waited_s > timeout_s or child.exits_in_a_row >= 3:
                raise CannotStart(f"{what} did not come up; the end of {child.log}:\n{tail(child.log)}")
            self.tick(0.2)
            waited_s += 0.2
            self.children.look_after()

    def _sandbox_is_ready(self) -> bool:
        """It says so itself, by one line of JSON, once its scenario is there, or is given up."""
        with self.log("sandbox").open("rb") as log:
            log.seek(self._sandbox_log_starts_at)
            said = next((line for line in log if line.startswith(b'{"url"') and line.endswith(b"\n")), b"")
        self.seeded = bool(said) and bool(json.loads(said)["seeded"])
        return bool(said)

    def _pages_answer(self) -> bool:
        return _status(f"{self.url}healthz") == 200

    def _write_demo(self) -> None:
        repository = self.root / "sandbox" / "git" / "fleet.git"
        self.place.write_demo(
            {
                "url": self.url,
                "sign_ins": self.sign_ins,
                "cluster": CLUSTER_NAME,
                "kubeconfig": str(self.root / "kubeconfig"),
                "database_url": self.environment["HOLDFAST_DATABASE_URL"],
                "redis_url": self.environment["HOLDFAST_REDIS_URL"],
                "git_repository": str(repository),
                "logs": str(self.root / "logs"),
                "pid": os.getpid(),
            }
        )


def _manage(*arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / "manage.py"), *arguments]


def _celery(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "celery", "-A", "worker.app", *arguments]


def _web(port: int) -> list[str]:
    options = {
        "--bind": f"127.0.0.1:{port}",
        "--worker-class": "gthread",
        "--workers": "2",
        "--threads": "8",
        "--graceful-timeout": "3",
        "--access-logfile": "-",
    }
    flat = [part for option in options.items() for part in option]
    return [sys.executable, "-m", "gunicorn", "config.wsgi:application", "--preload", *flat]


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _status(url: str) -> int:
    """The HTTP status that answers, 0 when nobody does."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own loopback addresses
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def _shorten_logs(logs: Path, limit_bytes: int = 5_000_000) -> None:
    """Logs grow from start to start; one that is large makes room, and the one before it stays."""
    for log in logs.glob("*.log"):
        if log.stat().st_size > limit_bytes:
            log.replace(log.with_suffix(".log.1"))
