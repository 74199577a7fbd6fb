"""The git program, in an environment of its own: no prompts, no configuration of the machine, a timeout."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_TIMEOUT_S = 60.0
_NAME = "Fleet"


class GitFailed(Exception):
    """git ended with an error; the message is the end of what it printed."""


def git(*arguments: str, cwd: Path | None = None, input: bytes | None = None) -> str:
    """Runs git and returns its output, stripped. GitFailed when it fails or takes longer than a minute."""
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": "/nonexistent",
        "LC_ALL": "C",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        # Repositories of the sandbox may belong to another user than the one who runs it.
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
        "GIT_AUTHOR_NAME": _NAME,
        "GIT_AUTHOR_EMAIL": "fleet@example.com",
        "GIT_COMMITTER_NAME": _NAME,
        "GIT_COMMITTER_EMAIL": "fleet@example.com",
    }
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=cwd,
            env=environment,
            input=input,
            capture_output=True,
            timeout=_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise GitFailed(f"git {arguments[0]} took longer than {_TIMEOUT_S:.0f} s") from error
    if done.returncode:
        raise GitFailed(done.stderr.decode(errors="replace").strip()[-500:])
    return done.stdout.decode(errors="replace").strip()
