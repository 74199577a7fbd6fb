"""The script of the migration pattern, word for word, on the tree that the mover is tested with: what it misses, and that it says success."""

import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from tests.mover.support import AS_ROOT, believable, copy, has_xattrs, verify

# The container's args of the pattern's Job; only the two mount points are those of the test.
SCRIPT = """
echo "Starting migration..."
cp -rv SOURCE/* DEST/ || true
echo "Verifying data integrity..."
diff -r SOURCE DEST
echo "Migration complete"
"""

pytestmark = pytest.mark.skipif(not shutil.which("diff"), reason="no diff here")


def run_pattern(source: Path, destination: Path) -> subprocess.CompletedProcess[str]:
    """Runs it as the Job would. Device nodes and FIFOs are taken out before: it would hang on them, or copy what they give for ever."""
    script = SCRIPT.replace("SOURCE", str(source)).replace("DEST", str(destination))
    return subprocess.run(
        ["/bin/sh", "-c", script],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=120,
        check=False,
    )


@pytest.fixture
def trees(tmp_path: Path) -> tuple[Path, Path]:
    source, destination = tmp_path / "source", tmp_path / "destination"
    believable(source)
    for name in ("queue", "null", "disk"):
        (source / name).unlink(missing_ok=True)
    destination.mkdir()
    return source, destination


def test_it_reports_success_though_data_is_missing_and_attributes_are_lost(trees: tuple[Path, Path]) -> None:
    source, destination = trees
    done = run_pattern(source, destination)
    assert done.returncode == 0, "the last command is echo: the Job is Complete whatever happened"
    assert done.stdout.endswith("Migration complete\n")
    assert "Only in" in done.stdout, "its own diff saw it; nobody reads it"
    assert not (destination / ".config").exists(), "dotfiles are not in *"
    proven = verify(source, destination)
    found = proven.classes()
    assert proven.code == 1
    assert {".config", ".config/.hidden", ".config/.hidden/.env"} <= found["missing"]
    assert {"etc/app.conf", "big.bin", "var", "."} <= found["mtime"]
    assert found["hard-link"]
    assert "etc/empty" in found["mode"], "setuid"
    if AS_ROOT:
        assert {"etc/empty", "var", "dangling"} <= found["owner"]
        assert "swap-b" in found["xattr"], "the file capability"
    if has_xattrs(source):
        assert "etc/app.conf" in found["xattr"]
        assert "var" in found["acl"]


def test_a_disk_that_is_full_is_success_too(trees: tuple[Path, Path]) -> None:
    source, destination = trees
    script = SCRIPT.replace("SOURCE", str(source)).replace("DEST", str(destination))
    limited = f"ulimit -f 1000; trap '' XFSZ; {script}"  # no file above 500 KiB: as a full disk, without needing one
    done = subprocess.run(["/bin/sh", "-c", limited], capture_output=True, timeout=120, check=False)
    assert done.returncode == 0
    assert (destination / "big.bin").stat().st_size < (source / "big.bin").stat().st_size


def test_an_empty_volume_and_one_with_only_dotfiles(tmp_path: Path) -> None:
    source, destination = tmp_path / "source", tmp_path / "destination"
    source.mkdir()
    destination.mkdir()
    (source / ".env").write_text("SECRET=1")
    done = run_pattern(source, destination)
    assert (done.returncode, list(destination.iterdir())) == (0, [])


def test_the_mover_on_the_same_data(trees: tuple[Path, Path]) -> None:
    source, destination = trees
    assert copy(source, destination).code == 0
    assert verify(source, destination).code == 0
    assert stat.S_IMODE((destination / "etc/empty").stat().st_mode) == 0o4755
