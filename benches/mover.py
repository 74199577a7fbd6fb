"""Is a verified copy quicker than what others take?  python -m benches mover [--scale 0.1] [--repeat 3] [--sets small,big]

Builds each data set, runs every contender on it in turn, round after round, and prints medians and ratios to the first contender. Every run
ends with the destination written back (sync), so that none wins by leaving its work to the kernel. Then the small files once
more on a device that delays each read and write, where root, /dev/fuse and loop devices are there; skipped loudly otherwise.
"""

import argparse
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

from benches.latency import slow_disk
from benches.trees import SETS, change

RESULTS = Path("bench-results/mover.json")
REPOSITORY = Path(__file__).resolve().parents[1]
DELAY_S = 0.0005
Contender = Callable[[Path, Path], None]


def run(*command: object, allowed: tuple[int, ...] = (0,)) -> None:
    """Runs a program to its end; what it prints is not wanted."""
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, check=False, env=_environment()
    )
    if done.returncode not in allowed:
        raise RuntimeError(
            f"{command}: exit {done.returncode}\n{done.stderr[-2000:].decode(errors='replace')}"
        )


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(REPOSITORY)}


def written_back(tree: Path) -> None:
    """Writes the tree back and drops its pages, and no others: the rest of the machine has work to do as well."""
    os.sync()
    for directory, _, names in os.walk(tree):
        for name in names:
            path = os.path.join(directory, name)
            if os.path.isfile(path) and not os.path.islink(path):
                fd = os.open(path, os.O_RDONLY)
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(fd)


# What makes the caches forget a tree before it is read again; on the delaying device that is mounting it anew.
CHILL: Callable[[Path], None] = written_back


def cp(source: Path, destination: Path) -> None:
    run("cp", "-a", "--reflink=never", f"{source}/.", destination)


def cp_diff(source: Path, destination: Path) -> None:
    cp(source, destination)
    CHILL(destination)
    run("diff", "-r", source, destination, allowed=(0, 1, 2))


def script(source: Path, destination: Path) -> None:
    run(
        "sh",
        "-c",
        f"cp -rv {source}/* {destination}/ || true; diff -r {source} {destination}",
        allowed=(0, 1, 2),
    )


def rsync(source: Path, destination: Path) -> None:
    run("rsync", "-aHAX", "--numeric-ids", f"{source}/", f"{destination}/")


def rsync_checked(source: Path, destination: Path) -> None:
    rsync(source, destination)
    CHILL(destination)
    run("rsync", "-naicHAX", "--delete", f"{source}/", f"{destination}/")


def ours(source: Path, destination: Path) -> None:
    run(
        sys.executable,
        "-m",
        "mover",
        "copy",
        "--source",
        source,
        "--destination",
        destination,
        "--staging-mark",
        "bench",
    )


def ours_verified(source: Path, destination: Path) -> None:
    run(
        *(sys.executable, "-m", "mover", "copy", "--verify", "--staging-mark", "bench"),
        *("--source", source, "--destination", destination),
    )


def contenders() -> dict[str, Contender]:
    """All that are installed."""
    found: dict[str, Contender] = {
        "cp -a": cp,
        "cp -a, cold diff -r": cp_diff,
        "the pattern's script": script,
    }
    if shutil.which("rsync"):
        found |= {"rsync": rsync, "rsync, cold rsync -c": rsync_checked}
    else:
        print("SKIPPED: rsync is not installed; nothing is compared with it")
    return found | {"mover": ours, "mover, verified from disk": ours_verified}


def measure(
    name: str, source: Path, base: Path, repeat: int, *, chill: bool, which: Sequence[str] = ()
) -> dict[str, list[float]]:
    """Seconds of each contender, in rounds, so that a noisy minute hits all of them."""
    seconds: dict[str, list[float]] = {}
    for _ in range(repeat):
        for label, contender in contenders().items():
            if which and label not in which:
                continue
            destination = base / "destination"
            destination.mkdir()
            if chill:
                CHILL(source)
            os.sync()
            began = time.monotonic()
            contender(source, destination)
            os.sync()
            seconds.setdefault(label, []).append(time.monotonic() - began)
            shutil.rmtree(destination)
    show(name, seconds)
    return seconds


def measure_delta(source: Path, base: Path, repeat: int) -> dict[str, list[float]]:
    """A second pass after 1 % of the files changed."""
    seconds: dict[str, list[float]] = {}
    chosen = {label: c for label, c in contenders().items() if label in ("rsync", "mover")}
    for label, contender in chosen.items():
        (base / label).mkdir()
        contender(source, base / label)
    time.sleep(2.1)  # the mover trusts no file that changed within the last two seconds before a pass
    for label, contender in chosen.items():
        contender(source, base / label)
    for _ in range(repeat):
        change(source, 0.01)
        for label, contender in chosen.items():
            os.sync()
            began = time.monotonic()
            contender(source, base / label)
            os.sync()
            seconds.setdefault(label, []).append(time.monotonic() - began)
    show("delta of 1 %", seconds)
    return seconds


def show(name: str, seconds: dict[str, list[float]]) -> None:
    """Medians, and how many times the first contender's."""
    print(f"\n{name}", flush=True)
    verified = statistics.median(seconds.get("mover, verified from disk", seconds[next(reversed(seconds))]))
    for label, values in seconds.items():
        median = statistics.median(values)
        spread = f"{min(values):.2f} to {max(values):.2f}"
        print(
            f"  {label:28} {median:8.2f} s   ({spread})   {median / verified:6.2f} × the mover's last line",
            flush=True,
        )


def main(arguments: Sequence[str]) -> int:
    """Runs the whole benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benches mover")
    parser.add_argument("--scale", type=float, default=0.02)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--sets", default="small,big,mixed,deep,delta,latency")
    parser.add_argument(
        "--where", type=Path, help="a directory on the disk to measure; default: the temporary directory"
    )
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unmounts and removes what was built
    wanted = options.sets.split(",")
    machine = f"{platform.machine()}, {os.cpu_count()} processors, Linux {platform.release()}, Python {platform.python_version()}"
    print(
        f"scale {options.scale}, {options.repeat} rounds, medians; {machine}; load {os.getloadavg()[0]:.1f}"
    )
    results: dict[str, object] = {"machine": machine, "scale": options.scale, "load": os.getloadavg()}
    with tempfile.TemporaryDirectory(dir=options.where, prefix="holdfast-bench-") as place:
        base = Path(place)
        for name, build in SETS.items():
            if name in wanted:
                source = _built(base / name, build, options.scale)
                results[name] = measure(name, source, base, options.repeat, chill=False)
                shutil.rmtree(source)
        if "delta" in wanted:
            source = _built(base / "delta", SETS["small"], options.scale)
            results["delta"] = measure_delta(source, base, options.repeat)
        if "latency" in wanted:
            results["latency"] = _latency(base, options.scale, options.repeat)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1))
    return 0


def _built(source: Path, build: Callable[[Path, float], None], scale: float) -> Path:
    source.mkdir()
    build(source, scale)
    return source


def _latency(base: Path, scale: float, repeat: int) -> dict[str, list[float]] | None:
    """The small files on a device that delays."""
    global CHILL
    place = base / "latency"
    place.mkdir()
    size = (256 << 20) + round(200_000 * scale) * 3 * 8192
    try:
        with slow_disk(place, size, DELAY_S) as (disk, remount):
            CHILL = lambda tree: remount()  # noqa: E731
            source = _built(disk / "source", SETS["small"], scale)
            name = f"small, {DELAY_S * 1000} ms a read and write, cold"
            return measure(name, source, disk, repeat, chill=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"\nSKIPPED: storage with latency cannot be simulated here ({error})")
        return None
    finally:
        CHILL = written_back
