"""Data sets for the mover's benchmark, the same for the same seed and scale."""

import os
import random
from pathlib import Path

SEED = 20261123


def small(root: Path, scale: float) -> None:
    """Files of about 4 KiB, 100 a directory: 200,000 of them at scale 1."""
    chance = random.Random(SEED)
    for directory in range(max(1, round(2000 * scale))):
        place = root / f"{directory % 40:02}" / f"{directory:04}"
        place.mkdir(parents=True)
        for number in range(100):
            (place / f"file{number:03}").write_bytes(chance.randbytes(chance.randrange(2048, 6145)))


def big(root: Path, scale: float) -> None:
    """Four files of 1 GiB, and a sparse one of 4 GiB with 64 MiB of data, at scale 1."""
    chance = random.Random(SEED)
    block = chance.randbytes(1 << 20)
    mebibytes = max(1, round(1024 * scale))
    for number in range(4):
        with (root / f"big{number}").open("wb") as file:
            for index in range(mebibytes):
                file.write(index.to_bytes(8, "big") + block[8:])
    with (root / "sparse").open("wb") as file:
        file.truncate(mebibytes * 4 << 20)
        for island in range(64):
            file.seek(island * (mebibytes << 16))
            file.write(block[: max(4096, round((1 << 20) * scale))])


def mixed(root: Path, scale: float) -> None:
    """Sizes as volumes have them: many small files, some of megabytes, links, hard links, attributes by mode."""
    chance = random.Random(SEED)
    for directory in range(max(1, round(400 * scale))):
        place = root / f"app{directory % 8}" / f"{directory:04}"
        place.mkdir(parents=True)
        for number in range(40):
            path = place / f"{number:02}.dat"
            path.write_bytes(chance.randbytes(min(8 << 20, int(chance.paretovariate(0.6) * 512))))
            path.chmod(chance.choice((0o600, 0o640, 0o644, 0o755)))
        (place / "current").symlink_to("00.dat")
        os.link(place / "01.dat", place / "01.again")


def deep(root: Path, scale: float) -> None:
    """Chains of 200 directories with a file in each: 50 chains at scale 1."""
    for chain in range(max(1, round(50 * scale))):
        place = root / f"chain{chain:03}"
        for level in range(200):
            place = place / f"{level:03}"
            place.mkdir(parents=True)
            (place / "file").write_text(f"{chain} {level}")


SETS = {"small": small, "big": big, "mixed": mixed, "deep": deep}


def change(root: Path, share: float) -> int:
    """Rewrites a share of the files; how many."""
    paths = sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    every = max(1, round(1 / share))
    for path in paths[::every]:
        with path.open("r+b") as file:
            file.write(b"changed!")
    return len(paths[::every])
