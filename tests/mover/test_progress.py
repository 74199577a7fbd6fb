"""What a run says while it works, so that a page can tell how much is left."""

import os
import signal
import subprocess
from pathlib import Path

from mover.counting import Counting
from tests.mover import walker
from tests.mover.support import believable, command, copy, environment, make_socket
from tests.support.waiting import until

PARTS, PART_BYTES = 10, 200 << 10


def source_of(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    for number in range(PARTS):
        (source / f"{number}").mkdir(parents=True)
        (source / f"{number}/part").write_bytes(b"x" * PART_BYTES)
    return source


def test_a_first_pass_counts_ahead_and_the_next_one_knows(tmp_path: Path) -> None:
    source, destination = source_of(tmp_path), tmp_path / "destination"
    destination.mkdir()
    slowly = ("--bandwidth", "600K", "--processes", 1)
    first = copy(source, destination, *slowly)
    assert first.code == 0, first.errors
    last = first.progress[-1]
    assert last["totals"] == "counted"
    assert (last["bytes_total"], last["files_total"]) == (PARTS * PART_BYTES, PARTS)
    assert 0 < int(str(last["bytes"])) <= PARTS * PART_BYTES
    assert int(str(last["rate_bytes_per_second"])) > 0
    for number in range(PARTS):
        (source / f"{number}/part").write_bytes(b"y" * PART_BYTES)
    again = copy(source, destination, *slowly)
    seen = {(line["totals"], line["bytes_total"]) for line in again.progress if line["phase"] == "copy"}
    assert seen == {("known", PARTS * PART_BYTES)}


def test_the_count_is_that_of_a_walker_that_shares_no_code(tmp_path: Path) -> None:
    source = tmp_path / "source"
    believable(source)
    make_socket(source / "var/app.sock")
    (source / "lost+found").mkdir()
    (source / "lost+found/other").write_text("not the users'")
    handle = os.open(source, os.O_RDONLY)
    counting = Counting(handle)
    os.close(handle)
    try:
        until(lambda: counting.look() or counting.complete, timeout_s=40, what="the count to be complete")
    finally:
        counting.close()
    picture = {path: entry for path, entry in walker.picture(source).items() if not path.startswith(b"\0")}
    kinds = [entry["type"] for entry in picture.values()]  # type: ignore[index]
    assert counting.files == sum(kind != 0o040000 for kind in kinds)
    assert counting.bytes == sum(len(entry.get("bytes", b"")) for entry in picture.values())  # type: ignore[attr-defined]


def test_a_run_that_is_killed_leaves_no_process_that_counts(tmp_path: Path) -> None:
    source, destination = source_of(tmp_path), tmp_path / "destination"
    destination.mkdir()
    running = subprocess.Popen(
        command("copy", "--source", source, "--destination", destination, "--bandwidth", "100K"),
        env=environment(),
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert running.stdout is not None
    assert b'"totals"' in running.stdout.readline()
    os.kill(running.pid, signal.SIGKILL)
    running.wait(40)

    def all_gone() -> bool:
        try:
            os.killpg(running.pid, 0)
        except ProcessLookupError:
            return True
        return False

    until(all_gone, timeout_s=40, what="workers and count to end")
    running.stdout.close()
