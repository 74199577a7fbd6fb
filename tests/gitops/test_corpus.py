"""Every case of the corpus: a repository, a command, and the exact diff or the exact refusal that it must give.

A directory holds ``command`` (as typed behind ``python -m gitops``, without --repo), ``repo/``, and either
``expected.diff`` (with ``expected.notes`` where there are notes, and ``expected.build``: what kubectl kustomize shows
to be different) or ``expected.refusal``.
"""

from pathlib import Path

import pytest

from gitops.change import Change, DirectorySource, Tree
from gitops.cli import main, requested
from gitops.errors import Refusal
from gitops.locate import locate
from gitops.sharing import flux_kustomizations
from tests.gitops.building import applied, difference, directories, needs_kustomize

CORPUS = Path(__file__).parent / "corpus"
CASES = sorted(path.name for path in CORPUS.iterdir() if path.is_dir())
CHANGES = [name for name in CASES if (CORPUS / name / "expected.diff").exists()]


def arguments(case: str) -> list[str]:
    command, *rest = (CORPUS / case / "command").read_text().split()
    return [command, "--repo", str(CORPUS / case / "repo"), *rest]


def expected(case: str, name: str) -> str:
    path = CORPUS / case / f"expected.{name}"
    return path.read_bytes().decode() if path.exists() else ""


def test_the_corpus_is_large_enough() -> None:
    assert len(CASES) >= 40


@pytest.mark.parametrize("case", CASES)
def test_a_command_prints_exactly_the_expected_diff_or_refusal(
    case: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    before = _files(CORPUS / case / "repo")
    code = main(arguments(case))
    out, err = capfdbinary.readouterr()
    refusal = expected(case, "refusal")
    assert (code, out.decode(), err.decode()) == (
        (1, "", refusal) if refusal else (0, expected(case, "diff"), expected(case, "notes"))
    )
    assert _files(CORPUS / case / "repo") == before


@pytest.mark.parametrize("case", CHANGES)
def test_kustomize_shows_exactly_the_intended_difference(case: str) -> None:
    needs_kustomize()
    before, after, path, _ = _done(case)
    assert "\n".join(difference(before, after, path)) == expected(case, "build").strip()


@pytest.mark.parametrize("case", CHANGES)
def test_every_other_kustomization_builds_what_it_built_before(case: str) -> None:
    needs_kustomize()
    before, after, path, touched = _done(case)
    others = directories(before) - touched - {path.strip("./")}
    for directory in sorted(others & directories(after)):
        if _is_component(before, directory):
            continue
        lines = difference(before, after, directory)
        assert lines in ([], ["does not build"]), directory


@pytest.mark.parametrize("case", CHANGES)
def test_bytes_outside_of_the_changed_lines_stay(case: str) -> None:
    *_, change = _changed(case)
    for edit in change.edits:
        if edit.before is None or edit.after is None:
            continue
        start, end = _common(edit.before, edit.after)
        gone = edit.before[start : len(edit.before) - end]
        assert edit.before.count(b"\r\n") - edit.after.count(b"\r\n") == (
            gone.count(b"\r\n") - edit.after[start : len(edit.after) - end].count(b"\r\n")
        )
        assert edit.after.endswith(b"\n") or not edit.before.endswith(b"\n")
        assert edit.before.startswith(b"\xef\xbb\xbf") == edit.after.startswith(b"\xef\xbb\xbf")


@pytest.mark.parametrize("case", [name for name in CHANGES if name.startswith("remove")])
def test_what_was_removed_is_found_no_more_and_removing_it_again_is_refused(case: str) -> None:
    before, tree, request = *_changed(case)[:2], requested(arguments(case))
    assert locate(before, request.flux, request.ref)
    with pytest.raises(Refusal):
        locate(tree, request.flux, request.ref)


@pytest.mark.parametrize("case", [name for name in CHANGES if name.startswith(("exempt", "protect"))])
def test_asking_twice_changes_nothing_more(case: str) -> None:
    _, tree, _ = _changed(case)
    if "helm" in case:
        with pytest.raises(Refusal):
            requested(arguments(case)).run(tree)
    elif "--how" not in arguments(case):
        assert requested(arguments(case)).run(tree).edits == ()


def _changed(case: str) -> tuple[Tree, Tree, Change]:
    root = CORPUS / case / "repo"
    change = requested(arguments(case)).run(Tree.of(root))
    return Tree.of(root), applied(root, change), change


def _done(case: str) -> tuple[Tree, Tree, str, set[str]]:
    before, after, change = _changed(case)
    request = requested(arguments(case))
    touched = {path.rpartition("/")[0] for path in change.paths}
    for directory in list(touched):
        touched |= {each for each in directories(before) if directory.startswith(f"{each}/")}
    return before, after, request.flux.path, touched


def _is_component(tree: Tree, directory: str) -> bool:
    return any(b"kind: Component" in tree.read(path) for path in tree.paths(directory))


def _common(one: bytes, other: bytes) -> tuple[int, int]:
    start = next(
        (n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
    limit = min(len(one), len(other)) - start
    pairs = zip(reversed(one), reversed(other), strict=False)
    return start, next((n for n, (a, b) in enumerate(pairs) if a != b or n >= limit), limit)


def _files(root: Path) -> dict[str, bytes]:
    source = DirectorySource(root)
    return {path: source.read(path) for path in source.paths()}


def test_flux_kustomizations_are_found_with_their_paths() -> None:
    found = flux_kustomizations(Tree.of(CORPUS / "remove-in-monorepo" / "repo"))
    assert {path for _, path in found} == {
        "kubernetes/apps",
        "kubernetes/apps/media/jellyfin/app",
        "kubernetes/apps/media/radio/app",
    }
