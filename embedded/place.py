"""The demo's directory: known to be ours before anything in it is touched, and used by one demo at a time."""

import contextlib
import fcntl
import json
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from embedded.errors import CannotStart

_MARKER = "holdfast-demo"
_MARKER_TEXT = "This directory is the data of a Holdfast demo. `make demo-reset` removes it.\n"


class RunsAlready(CannotStart):
    """Another demo uses the directory."""


@dataclass
class Place:
    """The directory `root` and the lock on it."""

    root: Path
    _lock: TextIO | None = None

    def prepare(self) -> None:
        """Makes the directory and marks it as ours; refuses one that holds something else."""
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not self.is_ours():
                if any(self.root.iterdir()):
                    raise CannotStart(
                        f"{self.root} holds something that is not a demo's: set HOLDFAST_DATA to an empty or new directory."
                    )
                (self.root / _MARKER).write_text(_MARKER_TEXT)
            (self.root / "lock").touch()
        except PermissionError as error:
            raise CannotStart(
                f"{error.filename} cannot be written: set HOLDFAST_DATA to a directory that is yours, such as ~/holdfast."
            ) from error

    def is_ours(self) -> bool:
        marker = self.root / _MARKER
        return marker.is_file() and marker.read_text() == _MARKER_TEXT

    def take(self) -> None:
        """Locks the directory for this process; `RunsAlready` with the other's address when it is taken."""
        try:
            # Open for as long as this process lives; the kernel lets go of the lock however it ends.
            self._lock = (self.root / "lock").open("r+")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunsAlready(f"The demo in {self.root} runs already{self._address()}.") from None
        except PermissionError as error:
            raise CannotStart(
                f"{self.root} belongs to another user: set HOLDFAST_DATA to a directory that is yours, such as ~/holdfast."
            ) from error

    def _address(self) -> str:
        with contextlib.suppress(OSError, ValueError, KeyError):
            return f" at {json.loads((self.root / 'demo.json').read_text())['url']}"
        return ""

    def secret(self, name: str) -> str:
        """A random secret that is made once and kept."""
        kept = self.root / f"{name}.secret"
        if not kept.exists():
            kept.touch(mode=0o600)
            kept.write_text(secrets.token_urlsafe(48))
        return kept.read_text()

    def write_demo(self, content: dict[str, object]) -> None:
        """Puts demo.json in place at once, for its owner alone: it holds passwords."""
        fresh = self.root / "demo.json.new"
        fresh.unlink(missing_ok=True)
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps(content, indent=2) + "\n")
        fresh.replace(self.root / "demo.json")

    def remove(self) -> bool:
        """Removes the directory; False when there is none. Refuses what is not ours, and what is in use."""
        if not self.root.exists() or not any(self.root.iterdir()):
            return False
        if self.root.is_symlink() or not self.is_ours():
            raise CannotStart(f"{self.root} is not the data of a demo: nothing was removed.")
        self.take()
        # The marker goes last, so that a removal that was cut short can be repeated.
        for path in [entry for entry in self.root.iterdir() if entry.name != _MARKER]:
            _remove(path)
        _remove(self.root / _MARKER)
        with contextlib.suppress(OSError):
            self.root.rmdir()
        return True


def _remove(path: Path) -> None:
    """Also what the sandbox's applications made unreadable for their owner."""
    if path.is_symlink() or not path.is_dir():
        path.unlink()
        return
    _open_up(path)
    shutil.rmtree(path)


def _open_up(directory: Path) -> None:
    directory.chmod(0o700)
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                _open_up(Path(entry.path))
