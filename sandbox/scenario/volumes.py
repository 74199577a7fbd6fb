"""Fills the volumes of bound claims. A sandbox's volume is a directory: DIR/volumes/<name of the volume>."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

from sandbox.answers import Object
from sandbox.client import Client
from sandbox.flux.values import dig
from sandbox.kinds import PERSISTENT_VOLUME_CLAIMS
from sandbox.scenario import tree

Fill = Callable[[Path, int, int], None]

# Claim: what fills it, and how many files of its main sort in demo-east; the small scenario has a fiftieth.
_FILLS: dict[tuple[str, str], tuple[Fill, int]] = {
    ("media", "photos-library"): (tree.fill_library, 2400),
    ("media", "photos-cache"): (tree.fill_cache, 1200),
    ("media", "data-photos-db-0"): (tree.fill_database, 400),
    ("office", "notes-data"): (tree.fill_notes, 300),
}
_SMALLER = 50


def fill_all(client: Client, data: Path, *, small: bool) -> None:
    """Fills every bound volume that is empty."""
    for claim in client.list(PERSISTENT_VOLUME_CLAIMS):
        directory = directory_of(claim, data)
        if directory is None or tree.is_filled(directory):
            continue
        key = (claim["metadata"]["namespace"], claim["metadata"]["name"])
        seed = zlib.crc32("/".join(key).encode())
        if key in _FILLS:
            fill, count = _FILLS[key]
            fill(directory, seed, count // _SMALLER if small else count)
        elif not small:
            tree.fill_some(directory, seed)


def directory_of(claim: Object, data: Path) -> Path | None:
    """Where a claim's files are; None when it is not bound to a volume with files."""
    if dig(claim, "status", "phase") != "Bound" or dig(claim, "spec", "volumeMode") == "Block":
        return None
    directory = data / "volumes" / str(claim["spec"]["volumeName"])
    return directory if directory.is_dir() else None
