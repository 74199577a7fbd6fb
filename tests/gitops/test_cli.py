"""``python -m gitops`` as a program of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.gitops.remotes import FILES

WORDS = ["--path", "./apps/jellyfin", "--namespace", "media", "--claim", "jellyfin-data"]


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    for path, text in FILES.items():
        place = tmp_path / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return tmp_path


def run(*words: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-X", "importtime", "-m", "gitops", *words]
    return subprocess.run(program, capture_output=True, text=True, check=False, timeout=60)


def test_the_diff_can_be_applied_with_git(repo: Path) -> None:
    done = run("remove", "--repo", str(repo), *WORDS)
    assert done.returncode == 0
    subprocess.run(["git", "init", "-q", "."], cwd=repo, check=True)
    subprocess.run(["git", "apply", "-"], cwd=repo, input=done.stdout, text=True, check=True)
    assert not (repo / "apps/jellyfin/data.yaml").exists()
    assert (
        repo / "apps/jellyfin/kustomization.yaml"
    ).read_text() == "namespace: media\nresources:\n  - cache.yaml\n"


def test_write_changes_the_files_and_asking_again_is_refused(repo: Path) -> None:
    assert run("remove", "--repo", str(repo), *WORDS, "--write").returncode == 0
    assert not (repo / "apps/jellyfin/data.yaml").exists()
    again = run("remove", "--repo", str(repo), *WORDS)
    assert (again.returncode, again.stdout) == (1, "")
    assert "refused (not-found)" in again.stderr


def test_a_manifest_can_be_added_from_a_file(repo: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "new"
    manifest.write_text("# mine\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: songs}\n")
    words = ["--path", "apps/jellyfin", "--namespace", "media", "--claim", "songs", "--file", str(manifest)]
    done = run("add", "--repo", str(repo), *words)
    assert done.returncode == 0
    assert "+# mine\n" in done.stdout


def test_bad_usage_is_two(repo: Path) -> None:
    assert run("remove").returncode == 2
    assert run("remove", "--repo", "/nowhere", *WORDS).returncode == 2
    assert run("forget", "--repo", str(repo), *WORDS).returncode == 2
    assert run("add", "--repo", str(repo), *WORDS, "--file", "/nowhere").returncode == 2
    assert run("remove", "--repo", str(repo), "--path", "x", "--namespace", "y").returncode == 2


def test_neither_django_nor_the_cluster_is_needed(repo: Path) -> None:
    done = run("locate", "--repo", str(repo), *WORDS)
    assert done.returncode == 0
    imported = {line.split("|")[-1].strip().split(".")[0] for line in done.stderr.splitlines() if "|" in line}
    assert "gitops" in imported
    assert not imported & {"django", "kubernetes", "celery", "cluster", "config", "worker", "migrations_app"}
