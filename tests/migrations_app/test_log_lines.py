"""What a mover prints, in words: the lines of a real run, and lines that nobody foresaw."""

import json
from pathlib import Path

import pytest

from migrations_app.views.loglines import sentence
from tests.mover.support import copy


def test_the_lines_of_a_run_read_as_sentences(tmp_path: Path) -> None:
    source, destination = tmp_path / "source", tmp_path / "destination"
    source.mkdir()
    destination.mkdir()
    for number in range(3):
        (source / f"{number}").write_bytes(b"x" * (600 << 10))
    done = copy(source, destination, "--bandwidth", "1M")
    first = sentence(json.dumps(done.progress[0], separators=(",", ":")))
    assert first.startswith("copying: ")
    assert " files" in first
    last = sentence(json.dumps(done.result, separators=(",", ":")))
    assert last.startswith("ended, done: 3 files, 1.8 MiB; content blake3:")
    assert str(done.result["metadata_digest"]) in last


@pytest.mark.parametrize(
    "text",
    [
        "",
        "OOMKilled",
        '{"t":"progress"',
        '{"t":["progress"]}',
        '{"t":"result","counts":7}',
        '{"t":"progress","bytes":"many"}',
        '{"t":"progress","bytes":' + "[" * 5000,
    ],
)
def test_a_line_that_is_none_of_ours_stays_as_it_is(text: str) -> None:
    assert sentence(text) == text
