"""Any tree: copy, verify and digest agree with a walker that shares no code with them."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.mover import walker
from tests.mover.support import AS_ROOT, copy, digest, has_xattrs, verify

NAMES = st.one_of(
    st.sampled_from([b"a", b"b", b"c", b"\xff", b"A", b" ", b"-", b"\\", b"a\n", b"lost+found", b"n" * 255]),
    st.binary(min_size=1, max_size=12).filter(
        lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b"..")
    ),
)
PLACES = st.lists(NAMES, min_size=1, max_size=4).map(tuple)
MODES = st.integers(0, 0o7777).map(lambda mode: mode if AS_ROOT else mode | 0o700)
STAMPS = st.integers(-(2**31) * 10**9, 2**33 * 10**9)
CONTENTS = st.one_of(
    st.binary(max_size=300),
    st.tuples(st.integers(1, 3 << 20), st.integers(0, 3 << 20)).map(lambda pair: ("sparse", *pair)),
)
ENTRIES = st.one_of(
    st.tuples(st.just("file"), CONTENTS, MODES, STAMPS),
    st.tuples(st.just("directory"), st.none(), MODES, STAMPS),
    st.tuples(
        st.just("link"), st.binary(min_size=1, max_size=40).filter(lambda t: b"\0" not in t), MODES, STAMPS
    ),
    st.tuples(st.just("fifo"), st.none(), MODES, STAMPS),
    st.tuples(st.just("again"), st.integers(0, 50), MODES, STAMPS),
)
TREES = st.lists(st.tuples(PLACES, ENTRIES, st.one_of(st.none(), st.binary(max_size=20))), max_size=12)


def build(
    root: Path, tree: list[tuple[tuple[bytes, ...], tuple[str, object, int, int], bytes | None]]
) -> None:
    """Makes as much of the tree as can be: a name that is taken stays as it is."""
    base = os.fsencode(root)
    made: list[tuple[bytes, int, int]] = []
    files: list[bytes] = []
    for place, (kind, value, mode, stamp), attribute in tree:
        path = os.path.join(base, *place)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            _make(path, kind, value, files)
        except OSError:  # taken, or below something that is no directory
            continue
        if kind in ("file", "directory") and attribute is not None and has_xattrs(root):
            os.setxattr(path, "user.any", attribute)
        made.append((path, mode, stamp))
    for path, mode, stamp in sorted(made, reverse=True):
        if not os.path.islink(path):
            os.chmod(path, mode)
        os.utime(path, ns=(stamp, stamp), follow_symlinks=False)


def _make(path: bytes, kind: str, value: object, files: list[bytes]) -> None:
    if kind == "directory":
        os.mkdir(path)
    elif kind == "link":
        assert isinstance(value, bytes)
        os.symlink(value, path)
        files.append(path)
    elif kind == "fifo":
        os.mkfifo(path)
        files.append(path)
    elif kind == "again":
        assert isinstance(value, int)
        if not files:
            raise FileExistsError
        os.link(files[value % len(files)], path, follow_symlinks=False)
    else:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        if isinstance(value, bytes):
            os.write(fd, value)
        elif isinstance(value, tuple):
            _, size, island = value
            os.ftruncate(fd, size)
            os.pwrite(fd, b"island", min(island, size))
        os.close(fd)
        files.append(path)


def clear(root: Path) -> None:
    for directory, _, _ in os.walk(root):
        os.chmod(directory, 0o700)
    shutil.rmtree(root)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@pytest.mark.timeout(400)
@given(TREES, TREES)
def test_any_tree_arrives_and_any_second_tree_replaces_it(first: list, second: list) -> None:  # type: ignore[type-arg]
    base = Path(tempfile.mkdtemp(prefix="holdfast-any-"))
    source, destination = base / "source", base / "destination"
    try:
        source.mkdir()
        destination.mkdir()
        build(source, first)
        warm = copy(source, destination, "--pass", "warm")
        assert (warm.code, warm.result["errors"]) == (0, [])
        clear(source)
        source.mkdir()
        build(source, second)
        final = copy(source, destination, "--processes", 2, "--read-ahead", "on")
        assert (final.code, final.result["errors"]) == (0, [])
        proven = verify(source, destination)
        assert (proven.code, proven.result["differences"]) == (0, [])
        assert walker.picture(destination) == walker.picture(source)
        expected = walker.digests(source)
        for result in (final.result, proven.result, digest(destination).result):
            assert (result["content_digest"], result["metadata_digest"]) == expected
    finally:
        clear(base)
