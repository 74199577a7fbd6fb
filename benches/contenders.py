"""Who copies in the mover's benchmark: each takes a source and an empty destination, and raises where it failed."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benches.building import built

REPOSITORY = Path(__file__).resolve().parents[1]
Contender = Callable[[Path, Path], None]
VERIFIED = "mover, verified from disk"
RAW = "raw copier in C"


def environment() -> dict[str, str]:
    """Compiled modules are kept, as in the image."""
    return {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": ""}


def run(*command: object, allowed: tuple[int, ...] = (0,)) -> None:
    """Runs a program to its end; what it prints is not wanted."""
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, check=False, env=environment()
    )
    if done.returncode not in allowed:
        raise RuntimeError(
            f"{command}: exit {done.returncode}\n{done.stderr[-2000:].decode(errors='replace')}"
        )


def dropped(tree: Path) -> None:
    """Writes the tree back and drops its pages, and no others: the rest of the machine has work to do as well."""
    os.sync()
    for directory, _, names in os.walk(tree):
        for name in names:
            path = os.path.join(directory, name)
            if os.path.isfile(path) and not os.path.islink(path):
                fd = os.open(path, os.O_RDONLY)
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(fd)


def warmed(tree: Path) -> None:
    """Reads the tree, so that the first contender finds its source in memory as the others do."""
    for directory, _, names in os.walk(tree):
        for name in names:
            path = os.path.join(directory, name)
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb", buffering=0) as file:
                    while file.read(1 << 20):
                        pass


class Contenders:
    """All that are installed, by their labels. `chill` has the caches forget a tree before it is read again."""

    def __init__(self, tools: Path, *, waits: bool = False, chill: Callable[[Path], None] = dropped) -> None:
        self.chill = chill
        self.all: dict[str, Contender] = {
            "cp -a": cp,
            "cp -a, cold diff -r": self.cp_diff,
            "the pattern's script": script,
        }
        if shutil.which("rsync"):
            self.all |= {"rsync -aHAX": rsync, "rsync, cold rsync -c": self.rsync_checked}
        else:
            print("SKIPPED: rsync is not installed; nothing is compared with it")
        raw = built("raw_copy", tools)
        if raw is not None:
            processes = 32 if waits else os.cpu_count() or 1
            self.all[RAW] = lambda source, destination: run(raw, source, destination, processes)
        self.all |= {"mover": mover, VERIFIED: mover_verified}

    def cp_diff(self, source: Path, destination: Path) -> None:
        cp(source, destination)
        self.chill(destination)
        run("diff", "-r", source, destination, allowed=(0, 1, 2))

    def rsync_checked(self, source: Path, destination: Path) -> None:
        rsync(source, destination)
        self.chill(destination)
        run("rsync", "-naicHAX", "--delete", f"{source}/", f"{destination}/")


def cp(source: Path, destination: Path) -> None:
    run("cp", "-a", "--reflink=never", f"{source}/.", destination)


def script(source: Path, destination: Path) -> None:
    text = f"cp -rv {source}/* {destination}/ || true; diff -r {source} {destination}"
    run("sh", "-c", text, allowed=(0, 1, 2))


def rsync(source: Path, destination: Path) -> None:
    run("rsync", "-aHAX", "--numeric-ids", f"{source}/", f"{destination}/")


def mover_command(*more: object) -> list[str]:
    return [sys.executable, "-m", "mover", *map(str, more)]


def mover(source: Path, destination: Path, *more: str) -> None:
    places = ("--source", source, "--destination", destination, "--staging-mark", "bench")
    run(*mover_command("copy", *places, *more))


def mover_verified(source: Path, destination: Path) -> None:
    mover(source, destination, "--verify")
