"""Is a verified copy quicker than what others take?  python -m benches mover [--scale 0.1] [--repeat 3] [--sets small,big]

Builds each data set, runs every contender on it in turn, round after round, and prints medians and ratios to the verified copy of the mover. Every run
ends with the destination written back (sync), so that none wins by leaving its work to the kernel. Then the small files once
more on a device that delays each read and write, where root, /dev/fuse and loop devices are there; skipped loudly otherwise.
Last, how much memory many entries take. `--data DIR` keeps the data sets for the next run.
"""

import argparse
import contextlib
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benches import memory
from benches.contenders import VERIFIED, Contenders, warmed
from benches.latency import slow_disk
from benches.trees import SETS, change

RESULTS = Path("bench-results/mover.json")
DELAY_S = 0.0005
DELTA = ("rsync -aHAX", "mover")


class Bench:
    """One run: where it works, how often, who takes part."""

    def __init__(self, options: argparse.Namespace, base: Path) -> None:
        self.scale: float = options.scale
        self.repeat: int = options.repeat
        self.only: list[str] = options.only.split(";") if options.only else []
        self.cold: bool = options.cold
        self.base = base
        self.data: Path = options.data or base
        self.tools = base / "tools"
        self.tools.mkdir()

    def source(self, name: str, build: Callable[[Path, float], None], place: Path | None = None) -> Path:
        """A data set, built where it is not there yet. A set that was not finished has no other name."""
        source = (place or self.data) / f"{name}-{self.scale:g}"
        if not source.exists():
            building = source.with_suffix(".building")
            shutil.rmtree(building, ignore_errors=True)
            building.mkdir(parents=True)
            build(building, self.scale)
            building.rename(source)
        return source

    def measure(
        self, name: str, source: Path, contenders: Contenders, place: Path, *, remounts: bool = False
    ) -> dict[str, list[float]]:
        """Seconds of each contender, in rounds, so that a noisy minute hits all of them."""
        cold = self.cold or remounts
        seconds: dict[str, list[float]] = {}
        for _ in range(self.repeat):
            if not cold:
                warmed(source)
            for label, contender in contenders.all.items():
                if self.only and label not in self.only:
                    continue
                destination = place / "destination"
                destination.mkdir()
                if cold:
                    contenders.chill(source)
                os.sync()
                began = time.monotonic()
                contender(source, destination)
                os.sync()
                seconds.setdefault(label, []).append(round(time.monotonic() - began, 3))
                print(f"    {name}, {label}: {seconds[label][-1]} s", file=sys.stderr, flush=True)
                self.put_away(destination, at_once=remounts or name == "big")
        show(f"{name}, cold source" if cold else name, seconds)
        return seconds

    def put_away(self, destination: Path, *, at_once: bool) -> None:
        """Many files are removed only after all is measured: for minutes ext4 looks for inodes slowly where some were just freed.

        Mounting again, as before each cold run, ends that; and a few big files free few inodes.
        """
        if at_once:
            shutil.rmtree(destination)
        else:
            used = self.base / "used"
            used.mkdir(exist_ok=True)
            destination.rename(used / str(len(os.listdir(used))))

    def delta(self) -> dict[str, list[float]]:
        """A further pass after 1 % of the files changed."""
        seconds: dict[str, list[float]] = {}
        everyone = Contenders(self.tools).all
        source = self.base / "changing"
        source.mkdir()
        SETS["small"](source, self.scale)
        chosen = [label for label in DELTA if label in everyone]
        for label in chosen:
            (self.base / label).mkdir()
            everyone[label](source, self.base / label)
        time.sleep(2.1)  # the mover trusts no file that changed within the last two seconds before a pass
        for label in chosen:
            everyone[label](source, self.base / label)
        for _ in range(self.repeat):
            change(source, 0.01)
            for label in chosen:
                os.sync()
                began = time.monotonic()
                everyone[label](source, self.base / label)
                os.sync()
                seconds.setdefault(label, []).append(round(time.monotonic() - began, 3))
        show(f"1 % of {round(200_000 * self.scale)} small files changed", seconds)
        return seconds

    def latency(self) -> dict[str, list[float]] | None:
        """The small files on a device that delays."""
        size = (256 << 20) + round(200_000 * self.scale) * 3 * 8192
        place = self.base / "latency"
        place.mkdir()
        try:
            with slow_disk(place, size, DELAY_S, self.tools) as (disk, remount):
                source = self.source("small", SETS["small"], disk)
                contenders = Contenders(self.tools, waits=True, chill=lambda tree: remount())
                name = f"{round(200_000 * self.scale)} small files, {DELAY_S * 1000} ms a read and write"
                return self.measure(name, source, contenders, disk, remounts=True)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"\nSKIPPED: storage with latency cannot be simulated here ({error})")
            return None

    def start(self) -> dict[str, list[float]]:
        """Three files: what starting costs."""

        def build(root: Path, scale: float) -> None:
            for number in range(3):
                (root / f"{number}").write_text(str(number))

        return self.measure("three files", self.source("three", build), Contenders(self.tools), self.base)

    def run(self, name: str) -> object:
        """One set."""
        if name in SETS:
            source = self.source(name, SETS[name])
            return self.measure(name, source, Contenders(self.tools), self.base)
        if name == "memory":
            return memory.measure(self.scale, self.base)
        return {"delta": self.delta, "latency": self.latency, "start": self.start}[name]()


def show(name: str, seconds: dict[str, list[float]]) -> None:
    """Medians, and how many times the verified copy's; without one the last contender's."""
    print(f"\n{name}", flush=True)
    verified = statistics.median(seconds.get(VERIFIED, seconds[next(reversed(seconds))]))
    for label, values in seconds.items():
        median = statistics.median(values)
        spread = f"{min(values):.2f} to {max(values):.2f}"
        print(f"  {label:28} {median:8.2f} s   ({spread})   {median / verified:6.2f} ×", flush=True)


def main(arguments: Sequence[str]) -> int:
    """Runs the whole benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benches mover")
    parser.add_argument("--scale", type=float, default=0.02)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--sets", default="start,small,big,mixed,deep,delta,latency,memory")
    parser.add_argument("--only", help="labels of contenders, joined by ;")
    parser.add_argument(
        "--where", type=Path, help="a directory on the disk to measure; default: the temporary directory"
    )
    parser.add_argument(
        "--cold", action="store_true", help="drop what is cached of the source's content before each run"
    )
    parser.add_argument("--data", type=Path, help="keeps the data sets here for the next run; the same disk")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unmounts and removes what was built
    machine = f"{platform.machine()}, {os.cpu_count()} processors, Linux {platform.release()}, Python {platform.python_version()}"
    load = os.getloadavg()
    print(f"scale {options.scale}, {options.repeat} rounds, medians; {machine}; load {load[0]:.1f}")
    results: dict[str, object] = {"machine": machine, "scale": options.scale, "load": load}
    with contextlib.suppress(OSError, ValueError):
        results = json.loads(RESULTS.read_text()) | results  # of the sets that are not measured now
    with tempfile.TemporaryDirectory(dir=options.where, prefix="holdfast-bench-") as place:
        bench = Bench(options, Path(place))
        for name in options.sets.split(","):
            results[f"{name}, cold source" if options.cold else name] = bench.run(name)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1))
    return 0
