"""Runs the git program: clean environment, no prompts, bounded time, no credentials in arguments or errors."""

from __future__ import annotations

import os
import re
import shlex
import signal
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from gitops.errors import RepositoryError, RepositoryTimeout, RepositoryUnavailable

ALLOWED_PROTOCOLS = "https:http:ssh:git:file"
_PASSED_ON = ("PATH", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy",
              "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "TMPDIR")  # fmt: skip
_CONFIG = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.autocrlf": "false",
    "core.attributesFile": "/dev/null",
    "credential.helper": "",
    "fetch.recurseSubmodules": "false",
    "gc.autoDetach": "false",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "30",
    "protocol.ext.allow": "never",
    "push.recurseSubmodules": "no",
}
# What git and curl say when the server, or the way to it, fails; refusals and missing repositories are not among it.
_OUTAGE = re.compile(
    r"could not resolve host|failed to connect|couldn't connect|connection (?:refused|reset|timed out|closed)|"
    r"operation timed out|timed out after|network is unreachable|no route to host|name resolution|early eof|"
    r"empty reply|unexpected disconnect|broken pipe|returned error: (?:429|5\d\d)",
    re.IGNORECASE,
)
_USERINFO = re.compile(r"(?<=://)[^/@\s'\"]+@")
# Answers git's question for a name or a password, for the one host that the credentials are meant for.
_ASKPASS = """#!/bin/sh
case "$1" in
*"//$HOLDFAST_GIT_HOST'"*|*"@$HOLDFAST_GIT_HOST'"*) ;;
*) exit 1 ;;
esac
case "$1" in
Username*) printf '%s\\n' "$HOLDFAST_GIT_USERNAME" ;;
*) if [ -n "$HOLDFAST_GIT_TOKEN_FILE" ]; then cat "$HOLDFAST_GIT_TOKEN_FILE"; else printf '%s\\n' "$HOLDFAST_GIT_TOKEN"; fi ;;
esac
"""


@dataclass(frozen=True)
class Credentials:
    """Where credentials are found, never what they are. At most one of the four references is set.

    ``token_file`` / ``token_env``: a password or access token for HTTPS, sent with ``username``.
    ``ssh_key_file`` / ``ssh_key_env``: a private key. ``known_hosts_file``: host keys that are trusted; without one a
    host's first key is remembered beside the clone.
    """

    token_file: str = ""
    token_env: str = ""
    ssh_key_file: str = ""
    ssh_key_env: str = ""
    username: str = "git"
    known_hosts_file: str = ""

    def __post_init__(self) -> None:
        given = [self.token_file, self.token_env, self.ssh_key_file, self.ssh_key_env]
        if sum(1 for each in given if each) > 1:
            raise ValueError("give one reference to credentials, not several")

    def secrets(self) -> list[str]:
        """What must never be shown, read at this moment. Raises RepositoryError where the reference leads nowhere."""
        return [text for text in (self.token(), self.ssh_key()) if text]

    def token(self) -> str:
        return _referenced(self.token_file, self.token_env)

    def ssh_key(self) -> str:
        return _referenced("", self.ssh_key_env)


def _referenced(file: str, variable: str) -> str:
    if file:
        try:
            return Path(file).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise RepositoryError(
                f"The credentials file {file} cannot be read: {error.strerror}.",
                next_step="Check the path, and that the worker may read it.",
            ) from None
    if variable:
        value = os.environ.get(variable, "")
        if not value:
            raise RepositoryError(
                f"The environment variable {variable}, which should hold the credentials, is not set.",
                next_step="Set it for the worker.",
            )
        return value.strip() if "\n" not in value.strip() else value
    return ""


def check_url(url: str) -> None:
    """Refuse a URL that carries a password, or that could be taken for an option or a helper program."""
    if url.startswith("-") or "::" in url.split("/")[0] or "\n" in url:
        raise RepositoryError("This is not a URL of a Git repository.")
    parts = urlsplit(url) if "://" in url else None
    if parts is not None and parts.password:
        raise RepositoryError(
            "The repository URL holds a password.",
            next_step="Take it out of the URL, and refer to a file or an environment variable instead.",
        )


@dataclass
class Git:
    """The git program for one remote. ``state`` is a private directory for the home, host keys and the like."""

    url: str
    state: Path
    credentials: Credentials = field(default_factory=Credentials)
    timeout_s: float = 120

    def run(
        self,
        *arguments: str,
        git_dir: Path | None = None,
        stdin: bytes = b"",
        extra: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
        remote: bool = False,
    ) -> bytes:
        """Standard output. Raises RepositoryError, RepositoryTimeout with git's own words, credentials taken out."""
        code, out, err = self.attempt(
            *arguments, git_dir=git_dir, stdin=stdin, extra=extra, timeout_s=timeout_s, remote=remote
        )
        if code != 0:
            raise self.failure(arguments, code, err or out)
        return out

    def attempt(
        self,
        *arguments: str,
        git_dir: Path | None = None,
        stdin: bytes = b"",
        extra: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
        remote: bool = False,
    ) -> tuple[int, bytes, bytes]:
        """(exit code, standard output, standard error). ``remote``: with credentials."""
        self._prepare()
        with self._environment(remote) as environment:
            if git_dir is not None:
                environment["GIT_DIR"] = str(git_dir)
            environment.update(extra or {})
            return self._process(["git", *arguments], environment, stdin, timeout_s or self.timeout_s)

    def _process(
        self, command: Sequence[str], environment: Mapping[str, str], stdin: bytes, timeout_s: float
    ) -> tuple[int, bytes, bytes]:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                env=dict(environment), cwd=self.state, start_new_session=True,
            )  # fmt: skip
        except FileNotFoundError:
            raise RepositoryError("The git program is not installed.", next_step="Install git.") from None
        try:
            out, err = process.communicate(stdin, timeout=timeout_s)
        except subprocess.TimeoutExpired:
            raise RepositoryTimeout(
                f"git {command[1]} took longer than {timeout_s:g} s and was ended.",
                next_step="Check that the Git server answers; Holdfast tries again.",
            ) from None
        finally:
            _end_group(process)
        return process.returncode, out, err

    def failure(
        self, arguments: Sequence[str], code: int, err: bytes, *, next_step: str = ""
    ) -> RepositoryError:
        """The error for an exit code other than 0, with git's own words."""
        text = self.redacted(err.decode("utf-8", "replace")).strip()
        lines = [line for line in text.splitlines() if line.strip() and not line.startswith("hint:")]
        what = f"git {arguments[0]} failed (exit {code}): {' '.join(lines[-6:]) or 'no message'}"
        if _OUTAGE.search(text):
            return RepositoryUnavailable(
                what, next_step="Check that the Git server answers; Holdfast tries again."
            )
        return RepositoryError(what, next_step=next_step)

    def redacted(self, text: str) -> str:
        """Text without credentials, whatever form they take in it."""
        try:
            secrets = self.credentials.secrets()
        except RepositoryError:
            secrets = []
        for secret in secrets:
            for line in {secret, *secret.splitlines()}:
                if len(line) >= 4:
                    text = text.replace(line, "***")
        return _USERINFO.sub("***@", text)

    def _prepare(self) -> None:
        (self.state / "home").mkdir(parents=True, exist_ok=True)
        self.state.chmod(stat.S_IRWXU)

    @contextmanager
    def _environment(self, remote: bool) -> Iterator[dict[str, str]]:
        environment = {key: os.environ[key] for key in _PASSED_ON if key in os.environ}
        environment |= {
            "HOME": str(self.state / "home"),
            "LC_ALL": "C",
            "TZ": "UTC",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_ALLOW_PROTOCOL": ALLOWED_PROTOCOLS,
            "GIT_ASKPASS": "/bin/false",
            "SSH_ASKPASS": "/bin/false",
            "GIT_CONFIG_COUNT": str(len(_CONFIG)),
        }
        for position, (key, value) in enumerate(_CONFIG.items()):
            environment[f"GIT_CONFIG_KEY_{position}"] = key
            environment[f"GIT_CONFIG_VALUE_{position}"] = value
        with tempfile.TemporaryDirectory(prefix="credentials-", dir=self.state) as folder:
            if remote:
                self._add_credentials(environment, Path(folder))
            yield environment

    def _add_credentials(self, environment: dict[str, str], folder: Path) -> None:
        credentials = self.credentials
        if credentials.token_file or credentials.token_env:
            token = credentials.token()
            self._encrypted_or_local()
            askpass = folder / "askpass"
            _write_private(askpass, _ASKPASS, stat.S_IRWXU)
            environment["GIT_ASKPASS"] = str(askpass)
            environment["HOLDFAST_GIT_HOST"] = urlsplit(self.url).netloc.rpartition("@")[2]
            environment["HOLDFAST_GIT_USERNAME"] = credentials.username
            if credentials.token_file:
                environment["HOLDFAST_GIT_TOKEN_FILE"] = str(Path(credentials.token_file).absolute())
            else:
                environment["HOLDFAST_GIT_TOKEN"] = token
        environment["GIT_SSH_COMMAND"] = self._ssh(folder)

    def _encrypted_or_local(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme in ("http", "git") and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
            raise RepositoryError(
                f"A token would be sent to {parts.hostname} unencrypted.", next_step="Use an https URL."
            )

    def _ssh(self, folder: Path) -> str:
        credentials = self.credentials
        key = credentials.ssh_key_file
        if credentials.ssh_key_env:
            key = str(folder / "key")
            _write_private(Path(key), credentials.ssh_key().rstrip("\n") + "\n", stat.S_IRUSR | stat.S_IWUSR)
        hosts = credentials.known_hosts_file or str(self.state / "known_hosts")
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": "15",
            "ServerAliveInterval": "10",
            "ServerAliveCountMax": "3",
            "StrictHostKeyChecking": "yes" if credentials.known_hosts_file else "accept-new",
            "UserKnownHostsFile": hosts,
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
        }
        words = ["ssh", "-F", "/dev/null"]
        for name, value in options.items():
            words += ["-o", f"{name}={value}"]
        return shlex.join([*words, "-i", key] if key else words)


def _write_private(path: Path, text: str, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End git and whatever it started (ssh, remote helpers)."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()
