"""Real Git repositories for the tests: a bare remote, and people who push to it."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "operator",
    "GIT_AUTHOR_EMAIL": "operator@example.com",
    "GIT_COMMITTER_NAME": "operator",
    "GIT_COMMITTER_EMAIL": "operator@example.com",
    "HOME": "/nonexistent",
}

CLAIM = """apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {name}
spec:
  accessModes: [ReadWriteOnce]
  resources: {{requests: {{storage: 1Gi}}}}
"""
FILES = {
    "apps/jellyfin/kustomization.yaml": "namespace: media\nresources:\n  - data.yaml\n  - cache.yaml\n",
    "apps/jellyfin/data.yaml": CLAIM.format(name="jellyfin-data"),
    "apps/jellyfin/cache.yaml": CLAIM.format(name="jellyfin-cache"),
    "README": "what this is\n",
}


def git(*arguments: str, at: Path, stdin: str = "") -> str:
    done = subprocess.run(
        ["git", *arguments],
        cwd=at,
        env=ENVIRONMENT,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, f"git {arguments}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


@dataclass
class Remote:
    """A bare repository, and a working copy of a person who also pushes to it."""

    bare: Path
    person: Path

    @property
    def url(self) -> str:
        return f"file://{self.bare}"

    def push(self, files: dict[str, str | None], message: str = "Change something") -> str:
        """Somebody else's commit on main; None deletes. Returns its hash."""
        git("pull", "--quiet", "--rebase", "origin", "main", at=self.person)
        for path, text in files.items():
            place = self.person / path
            if text is None:
                place.unlink()
            else:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(text)
        git("add", "-A", at=self.person)
        git("commit", "--quiet", "--allow-empty", "-m", message, at=self.person)
        git("push", "--quiet", "origin", "HEAD:main", at=self.person)
        return git("rev-parse", "HEAD", at=self.person)

    def head(self, branch: str = "main") -> str:
        return git("rev-parse", f"refs/heads/{branch}", at=self.bare)

    def show(self, path: str, branch: str = "main") -> str:
        return git("show", f"{branch}:{path}", at=self.bare)

    def files(self, branch: str = "main") -> list[str]:
        return git("ls-tree", "-r", "--name-only", branch, at=self.bare).splitlines()

    def count(self, branch: str = "main") -> int:
        return int(git("rev-list", "--count", branch, at=self.bare))

    def hook(self, name: str, script: str) -> None:
        path = self.bare / "hooks" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)


def new_remote(directory: Path, files: dict[str, str] | None = None) -> Remote:
    bare, person = directory / "remote.git", directory / "person"
    git("init", "--quiet", "--bare", "--initial-branch=main", str(bare), at=directory)
    git("init", "--quiet", "--initial-branch=main", str(person), at=directory)
    git("remote", "add", "origin", str(bare), at=person)
    for path, text in (files or FILES).items():
        place = person / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    git("add", "-A", at=person)
    git("commit", "--quiet", "-m", "Begin", at=person)
    git("push", "--quiet", "origin", "HEAD:main", at=person)
    return Remote(bare, person)
