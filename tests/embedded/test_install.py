"""`make` on a machine that lacks something says what, in one sentence."""

import hashlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest


@pytest.fixture
def install(repository_root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("install", repository_root / "requirements" / "install.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_an_old_python_is_named(install: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        install, "sys", SimpleNamespace(version_info=(3, 9, 2), exit=sys.exit, executable="/usr/bin/python3")
    )
    monkeypatch.setattr(install.shutil, "which", lambda name: None)
    with pytest.raises(
        SystemExit, match=r"^holdfast: Python 3.11 or newer is needed, and python3 is 3.9: .*make PYTHON="
    ):
        install.right_python()


def test_a_newer_python_on_the_path_is_taken(install: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        install, "sys", SimpleNamespace(version_info=(3, 9, 2), exit=sys.exit, executable="/usr/bin/python3")
    )
    monkeypatch.setattr(
        install.shutil, "which", lambda name: "/opt/python3.12" if name == "python3.12" else None
    )
    assert install.right_python() == "/opt/python3.12"


def test_what_is_installed_is_left_alone(
    install: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, venv = tmp_path / "lock.txt", tmp_path / "venv"
    lock.write_text("django==5.2\n")
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").symlink_to(sys.executable)
    (venv / ".holdfast-lock").write_text(hashlib.sha256(lock.read_bytes()).hexdigest())
    monkeypatch.setattr(install, "works", lambda python: True)
    monkeypatch.setattr(install, "install", lambda *_: pytest.fail("installed again"))
    venv.chmod(0o555)
    install.main(str(venv), str(lock))


def test_a_changed_lock_is_installed(
    install: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, venv = tmp_path / "lock.txt", tmp_path / "venv"
    lock.write_text("django==5.2\n")
    venv.mkdir()
    (venv / ".holdfast-lock").write_text("of yesterday")
    installed = []
    monkeypatch.setattr(install, "works", lambda python: True)
    monkeypatch.setattr(install, "install", lambda *where: installed.append(where))
    install.main(str(venv), str(lock))
    assert installed == [(str(venv), str(lock))]
    install.main(str(venv), str(lock))
    assert len(installed) == 1


def test_uv_trusts_what_the_system_trusts_and_its_failure_is_shown(
    install: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bin").mkdir()
    uv = tmp_path / "bin" / "uv"
    uv.write_text('#!/bin/sh\necho "certificates of the system: $UV_SYSTEM_CERTS" >&2\nexit 2\n')
    uv.chmod(0o755)
    (tmp_path / "bin" / "python").symlink_to("/bin/true")  # pip, which succeeds
    monkeypatch.setattr(install, "find_uv", lambda venv: str(uv))
    install.install(str(tmp_path), "lock.txt")
    assert (
        "uv could not install the dependencies, now with pip (certificates of the system: 1)"
        in capsys.readouterr().out
    )
