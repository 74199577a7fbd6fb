"""The worker's log says from the start whether the trail is signed."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from audit import checkpoint
from tests.support.celery_process import CeleryWorker
from tests.support.waiting import until


def test_a_worker_without_a_key_says_so_once(celery_worker: CeleryWorker) -> None:
    said = until(
        lambda: [line for line in celery_worker.log.read_text().splitlines() if "audit checkpoints" in line],
        timeout_s=20,
        what="a line about checkpoints",
    )
    assert said is not None and len(said) == 1
    assert "WARNING" in said[0] and "HOLDFAST_AUDIT_KEY_FILE is not set" in said[0]


def test_a_key_that_cannot_be_used_is_an_error(
    settings: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings.HOLDFAST_AUDIT_KEY_FILE = str(tmp_path / "gone.pem")
    checkpoint.say_at_start()
    (said,) = caplog.records
    assert said.levelname == "ERROR" and "gone.pem is not a readable private key" in said.getMessage()


def test_with_a_key_it_says_how_often(
    settings: Any, key_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings.HOLDFAST_AUDIT_KEY_FILE, settings.HOLDFAST_AUDIT_CHECKPOINT_MINUTES = str(key_file), 7
    checkpoint.say_at_start()
    (said,) = caplog.records
    assert (said.levelname, said.getMessage()) == ("INFO", "audit checkpoints are written every 7 minutes")


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """As docs/how-to/run-for-real.md makes it."""
    file = tmp_path / "audit.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", file], check=True)
    return file
