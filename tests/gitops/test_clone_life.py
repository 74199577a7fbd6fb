"""What can go wrong with a clone: killed git, broken files, prompts that would hang, credentials that would leak."""

import http.server
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest

from gitops.change import Change, Tree
from gitops.errors import GitOpsError, RepositoryError, RepositoryTimeout
from gitops.git import Credentials
from gitops.protect import protect
from gitops.repository import Author, Repository
from gitops.values import FluxPath, ObjectRef
from tests.gitops.remotes import Remote, new_remote
from tests.support.waiting import until

SECRET = "ghp_neverShowThisToken0123456789"
AUTHOR = Author("Holdfast", "holdfast@example.com")


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return new_remote(tmp_path)


def clone_of(remote: Remote, tmp_path: Path) -> Repository:
    return Repository(remote.url, "main", tmp_path / "clone")


def protect_data(tree: Tree) -> Change:
    return protect(tree, FluxPath("apps/jellyfin"), ObjectRef.claim("media", "jellyfin-data"))


def test_a_clone_with_broken_objects_is_made_anew(remote: Remote, tmp_path: Path) -> None:
    repository = clone_of(remote, tmp_path)
    head = repository.refresh()
    for path in (tmp_path / "clone" / "objects").rglob("*"):
        if path.is_file():
            path.chmod(0o644)
            path.write_bytes(b"broken")
    assert repository.refresh() == head
    assert repository.read("README") == b"what this is\n"


def test_a_clone_with_missing_objects_is_made_anew_while_reading(remote: Remote, tmp_path: Path) -> None:
    repository = clone_of(remote, tmp_path)
    head = repository.refresh()
    for path in (tmp_path / "clone" / "objects").rglob("*"):
        if path.is_file():
            path.unlink()
    assert repository.read("README", head) == b"what this is\n"


@pytest.mark.parametrize(
    "left", ["HEAD", "config", "shallow.lock", "refs/remotes/origin/main.lock", "packed-refs"]
)
def test_what_a_killed_git_leaves_behind_does_not_stop_the_next(
    remote: Remote, tmp_path: Path, left: str
) -> None:
    repository = clone_of(remote, tmp_path)
    repository.refresh()
    (tmp_path / "clone" / left).write_text("")
    newer = remote.push({"README": "newer\n"})
    assert repository.refresh() == newer


def test_a_worker_killed_in_the_middle_of_a_clone_leaves_nothing_in_the_way(
    remote: Remote, tmp_path: Path, silent_server: str
) -> None:
    program = (
        "import sys; from pathlib import Path; from gitops.repository import Repository;"
        "Repository(sys.argv[1], 'main', Path(sys.argv[2]), timeout_s=5).refresh()"
    )
    words = [sys.executable, "-c", program, f"{silent_server}/x.git", str(tmp_path / "clone")]
    with subprocess.Popen(words, cwd=Path(__file__).parents[2], stderr=subprocess.DEVNULL) as process:
        until(lambda: _processes_of(tmp_path), timeout_s=30, what="git to wait for the server")
        process.kill()
    left = list(tmp_path.glob("clone.new-*"))
    assert left
    assert clone_of(remote, tmp_path).refresh() == remote.head()
    assert list(tmp_path.glob("clone.new-*")) == []


def test_a_server_that_never_answers_is_given_up(tmp_path: Path, silent_server: str) -> None:
    repository = Repository(f"{silent_server}/x.git", "main", tmp_path / "clone", timeout_s=1)
    began = monotonic()
    with pytest.raises(RepositoryTimeout, match="longer than 1 s"):
        repository.refresh()
    assert monotonic() - began < 10
    assert _processes_of(tmp_path) == []


def test_a_lock_that_is_held_is_waited_for_no_longer_than_allowed(remote: Remote, tmp_path: Path) -> None:
    repository = clone_of(remote, tmp_path)
    repository.refresh()
    waiting = Repository(remote.url, "main", tmp_path / "clone", lock_timeout_s=0.2)
    with repository._locked(), pytest.raises(RepositoryTimeout, match="Another process"):
        waiting.refresh()
    assert waiting.refresh() == remote.head()


def test_a_server_that_asks_for_a_password_is_answered_from_the_reference(
    tmp_path: Path, asking_server: tuple[str, list[str]]
) -> None:
    url, seen = asking_server
    token = tmp_path / "token"
    token.write_text(f"{SECRET}\n")
    repository = Repository(
        url, "main", tmp_path / "clone", Credentials(token_file=str(token), username="bot")
    )
    with pytest.raises(RepositoryError) as failed:
        repository.refresh()
    assert any(header.startswith("Basic ") for header in seen)
    _never_shown(failed.value)
    assert _mentions(tmp_path, SECRET) == [token]


def test_without_credentials_nothing_waits_for_an_answer(
    tmp_path: Path, asking_server: tuple[str, list[str]]
) -> None:
    began = monotonic()
    with pytest.raises(RepositoryError):
        Repository(asking_server[0], "main", tmp_path / "clone").refresh()
    assert monotonic() - began < 20


def test_a_token_is_not_sent_unencrypted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_TEST_TOKEN", SECRET)
    credentials = Credentials(token_env="HOLDFAST_TEST_TOKEN")
    with pytest.raises(RepositoryError, match="unencrypted"):
        Repository("http://git.example.com/x.git", "main", tmp_path / "clone", credentials).refresh()


def test_a_change_may_read_the_repository_while_it_is_made(remote: Remote, tmp_path: Path) -> None:
    repository = clone_of(remote, tmp_path)

    def make(tree: Tree) -> Change:
        assert repository.tree().read("README") == tree.read("README")
        return protect_data(tree)

    assert repository.commit_change(make, "Protect", AUTHOR).commit == remote.head()


def test_credentials_for_one_host_are_not_told_to_another(
    tmp_path: Path, asking_server: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, seen = asking_server
    monkeypatch.setenv("HOLDFAST_TEST_TOKEN", SECRET)
    repository = Repository(url, "main", tmp_path / "clone", Credentials(token_env="HOLDFAST_TEST_TOKEN"))
    repository._git.url = "https://git.example.com/x.git"
    with pytest.raises(RepositoryError):
        repository.refresh()
    assert [header for header in seen if header] == []


def test_credentials_are_in_no_argument_of_any_process(
    remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_TEST_TOKEN", SECRET)
    spy = tmp_path / "bin"
    spy.mkdir()
    log = tmp_path / "arguments.log"
    real = subprocess.run(["which", "git"], capture_output=True, text=True, check=True).stdout.strip()
    script = spy / "git"
    script.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >> {log}\nexec {real} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{spy}:{os.environ['PATH']}")
    credentials = Credentials(token_env="HOLDFAST_TEST_TOKEN")
    repository = Repository(remote.url, "main", tmp_path / "clone", credentials)
    repository.commit_change(protect_data, "Protect", AUTHOR, reference="m-1", key="p")
    said = log.read_text()
    assert "push" in said
    assert SECRET not in said
    assert _mentions(tmp_path, SECRET) == []


def test_what_a_server_says_is_shown_without_credentials(
    remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_TEST_TOKEN", SECRET)
    remote.hook("pre-receive", f"echo 'no {SECRET} https://bot:{SECRET}@git.example.com/'; exit 1")
    credentials = Credentials(token_env="HOLDFAST_TEST_TOKEN")
    repository = Repository(remote.url, "main", tmp_path / "clone", credentials)
    with pytest.raises(GitOpsError) as refused:
        repository.commit_change(protect_data, "Protect", AUTHOR)
    assert "no ***" in str(refused.value)
    _never_shown(refused.value)


def test_a_reference_that_leads_nowhere_says_which(remote: Remote, tmp_path: Path) -> None:
    for credentials, name in (
        (Credentials(token_env="HOLDFAST_NOT_SET"), "HOLDFAST_NOT_SET"),
        (Credentials(token_file=str(tmp_path / "missing")), "missing"),
    ):
        with pytest.raises(RepositoryError, match=name):
            Repository(remote.url, "main", tmp_path / "clone", credentials).refresh()


def test_a_url_with_a_password_or_a_helper_is_refused_unseen(tmp_path: Path) -> None:
    for url in (
        f"https://bot:{SECRET}@git.example.com/x.git",
        "ext::sh -c touch% x",
        "--upload-pack=x",
        "a\nb",
    ):
        with pytest.raises(RepositoryError) as refused:
            Repository(url, "main", tmp_path / "clone")
        _never_shown(refused.value)


def test_a_key_from_a_variable_is_written_for_one_command_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_TEST_KEY", "-----BEGIN KEY-----\nneverShowThisLine\n-----END KEY-----\n")
    bin_directory = tmp_path / "bin"
    bin_directory.mkdir()
    fake = bin_directory / "ssh"
    fake.write_text(
        '#!/bin/sh\nfor word in "$@"; do [ "$last" = -i ] && key=$word; last=$word; done\n'
        f'{{ stat -c %a "$key"; cat "$key"; printf "%s\\n" "$*"; }} > {tmp_path}/seen\nexit 255\n'
    )
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{bin_directory}:{os.environ['PATH']}")
    credentials = Credentials(ssh_key_env="HOLDFAST_TEST_KEY")
    with pytest.raises(RepositoryError) as failed:
        Repository("ssh://git@git.example.com/x.git", "main", tmp_path / "clone", credentials).refresh()
    seen = (tmp_path / "seen").read_text()
    assert seen.startswith("600\n-----BEGIN KEY-----\nneverShowThisLine\n")
    assert "BatchMode=yes" in seen
    (tmp_path / "seen").unlink()
    assert _mentions(tmp_path, "neverShowThisLine") == []
    assert "neverShowThisLine" not in str(failed.value)


def test_configuration_and_hooks_of_the_user_are_not_used(
    remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    (home / "hooks").mkdir(parents=True)
    hook = home / "hooks" / "pre-push"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\nexit 1\n")
    hook.chmod(0o755)
    (home / ".gitconfig").write_text(
        f'[core]\n hooksPath = {home}/hooks\n[commit]\n gpgSign = true\n[url "file:///nowhere"]\n insteadOf = file://\n'
    )
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    clone_of(remote, tmp_path).commit_change(protect_data, "Protect", AUTHOR)
    assert not (tmp_path / "ran").exists()
    assert remote.count() == 2


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Takes a connection and never says anything."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def asking_server() -> Iterator[tuple[str, list[str]]]:
    """An HTTP server that wants a password and never takes one; gives its URL and the Authorization headers."""
    seen: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers.get("Authorization", ""))
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/x.git", seen
    server.shutdown()
    server.server_close()
    thread.join(10)


def _never_shown(error: GitOpsError) -> None:
    for text in (str(error), repr(error), error.what, error.next_step, error.command):
        assert SECRET not in text


def _mentions(directory: Path, secret: str) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]


def _processes_of(directory: Path) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if str(directory).encode() in path.read_bytes() and path.parent.name != str(os.getpid()):
                found.append((path.parent / "cmdline").read_text())
        except OSError:
            continue
    return [each for each in found if "git" in each]
