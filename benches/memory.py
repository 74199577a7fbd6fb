"""How much memory many entries take: all processes of a run together, shared pages counted once (PSS)."""

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

from benches.contenders import environment, mover_command

ENTRIES, WIDE = 5_000_000, 1_000_000
LARGE_BYTES = 300 << 30


def pss_mib(group: int) -> float:
    """Of all processes of a group, now."""
    total = 0
    for process in os.listdir("/proc"):
        try:
            if process.isdigit() and os.getpgid(int(process)) == group:
                with open(f"/proc/{process}/smaps_rollup") as file:
                    total += sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
        except OSError:
            continue  # it has ended
    return total / 1024


def watched(*command: object) -> dict[str, float]:
    """Runs the mover; its peak, its seconds and what it found."""
    running = subprocess.Popen(
        mover_command(*command),
        env=environment(),
        stdout=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    peak = 0.0
    ended = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(0.1):
            peak = max(peak, pss_mib(running.pid))

    watching = threading.Thread(target=watch)
    watching.start()
    output, _ = running.communicate()
    ended.set()
    watching.join()
    result = json.loads(output.splitlines()[-1])
    if running.returncode:
        raise RuntimeError(f"{command}: exit {running.returncode}: {result['errors'][:3]}")
    return {
        "peak_mib": round(peak, 1),
        "seconds": result["seconds"],
        "entries": result["scanned_files"] + result["counts"]["directories"],
    }


def _many(root: Path, entries: int) -> None:
    """Empty files, 1,000 a directory, each with a name of its own."""
    for number in range(max(1, entries // 1000)):
        place = root / f"{number % 100:02}" / f"{number:05}"
        place.mkdir(parents=True)
        fill(place, 999)


def fill(place: Path, files: int) -> None:
    """Empty files in one directory."""
    handle = os.open(place, os.O_RDONLY)
    for name in range(files):
        os.close(os.open(b"entry-%07d" % name, os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=handle))
    os.close(handle)


def large(root: Path, size: int) -> None:
    """A file that is nearly all hole."""
    with (root / "large").open("wb") as file:
        file.truncate(size)
        for island in range(64):
            file.seek(size // 64 * island)
            file.write(b"island" * 1000)


def measure(scale: float, base: Path) -> dict[str, dict[str, float]]:
    """Copy with read back, a further pass, and a verify of both sides, of each tree."""
    trees: dict[str, Callable[[Path], None]] = {
        f"{round(ENTRIES * scale):,} entries": lambda root: _many(root, round(ENTRIES * scale)),
        f"{round(WIDE * scale):,} names in one directory": lambda root: fill(root, round(WIDE * scale)),
        f"a sparse file of {LARGE_BYTES >> 30} GiB": lambda root: large(root, LARGE_BYTES),
    }
    found: dict[str, dict[str, float]] = {}
    for name, build in trees.items():
        source, destination = base / "memory-source", base / "memory-destination"
        source.mkdir()
        destination.mkdir()
        build(source)
        places = ("--source", source, "--destination", destination)
        runs = {
            "copy, read back": ("copy", "--verify", *places, "--staging-mark", "m"),
            "a further pass": ("copy", *places, "--staging-mark", "m"),
            "verify": ("verify", *places),
        }
        print(f"\n{name}: memory of all processes together", flush=True)
        for label, command in runs.items():
            found[f"{name}, {label}"] = seen = watched(*command)
            print(
                f"  {label:28} {seen['peak_mib']:8.1f} MiB   {seen['seconds']:8.1f} s   {seen['entries']:,} entries",
                flush=True,
            )
        shutil.rmtree(source)
        shutil.rmtree(destination)
    return found
