"""The clone and its pushes, against real Git repositories."""

import threading
from pathlib import Path

import pytest

from gitops.change import Change, Tree
from gitops.errors import (
    PushConflict,
    PushRejected,
    Reason,
    Refusal,
    RepositoryError,
    RepositoryUnavailable,
)
from gitops.exempt import exempt
from gitops.protect import protect
from gitops.remove import remove
from gitops.repository import Author, Repository
from gitops.values import FluxPath, ObjectRef
from tests.gitops.remotes import CLAIM, Remote, git, new_remote

FLUX = FluxPath("./apps/jellyfin")
DATA = ObjectRef.claim("media", "jellyfin-data")
CACHE = ObjectRef.claim("media", "jellyfin-cache")
AUTHOR = Author("Holdfast", "holdfast@example.com")
KUSTOMIZATION = "apps/jellyfin/kustomization.yaml"


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return new_remote(tmp_path)


@pytest.fixture
def repository(remote: Remote, tmp_path: Path) -> Repository:
    return Repository(remote.url, "main", tmp_path / "clones" / "one")


def remove_data(tree: Tree) -> Change:
    return remove(tree, FLUX, DATA)


def test_refresh_fetches_what_the_branch_holds(remote: Remote, repository: Repository) -> None:
    first = repository.refresh()
    assert first == repository.head == remote.head()
    second = remote.push({"README": "more\n"})
    assert repository.refresh() == second
    assert repository.read("README") == b"more\n"
    assert repository.read("README", first) == b"what this is\n"
    with pytest.raises(Refusal) as refused:
        repository.read("missing")
    assert refused.value.reason is Reason.MISSING


def test_a_change_becomes_one_commit_with_its_trailers(remote: Remote, repository: Repository) -> None:
    pushed = repository.commit_change(
        remove_data, "Remove the source", AUTHOR, reference="m-1", key="release/1"
    )
    assert pushed.commit == remote.head() == repository.head
    assert not pushed.adopted
    assert pushed.change.paths == ("apps/jellyfin/data.yaml", KUSTOMIZATION)
    assert "apps/jellyfin/data.yaml" not in remote.files()
    message = git("log", "-1", "--format=%an <%ae>%n%B", "main", at=remote.bare)
    assert message.splitlines() == [
        "Holdfast <holdfast@example.com>",
        "Remove the source",
        "",
        "Holdfast-Migration: m-1",
        "Holdfast-Change: release/1",
    ]


def test_a_change_can_go_to_a_new_branch_and_is_found_merged_later(
    remote: Remote, repository: Repository
) -> None:
    before = remote.head()
    pushed = repository.commit_change(
        remove_data, "Remove the source", AUTHOR, branch="holdfast/m-1", reference="m-1", key="release"
    )
    assert remote.head() == before
    assert remote.head("holdfast/m-1") == pushed.commit
    assert not repository.contains(repository.refresh(), pushed.commit)
    git("fetch", "--quiet", "origin", at=remote.person)
    git("merge", "--quiet", "--no-ff", "-m", "Merge it", "origin/holdfast/m-1", at=remote.person)
    git("push", "--quiet", "origin", "HEAD:main", at=remote.person)
    assert repository.contains(repository.refresh(), pushed.commit)
    again = repository.commit_change(
        remove_data, "Remove the source", AUTHOR, branch="holdfast/m-1", reference="m-1", key="release"
    )
    assert (again.commit, again.branch, again.adopted) == (pushed.commit, "main", True)


def test_a_commit_that_was_pushed_before_a_crash_is_adopted(remote: Remote, tmp_path: Path) -> None:
    one = Repository(remote.url, "main", tmp_path / "one")
    pushed = one.commit_change(remove_data, "Remove", AUTHOR, reference="m-1", key="release")
    remote.push({"README": "later\n"})
    other = Repository(remote.url, "main", tmp_path / "two")
    again = other.commit_change(remove_data, "Remove", AUTHOR, reference="m-1", key="release")
    assert (again.commit, again.adopted, remote.count()) == (pushed.commit, True, 3)
    assert other.find_commit("m-1") == pushed.commit
    assert other.find_commit("m-1", "rel") is None
    assert other.find_commit("m-11") is None


def test_a_branch_pushed_before_a_crash_is_adopted(remote: Remote, tmp_path: Path) -> None:
    def push(name: str) -> str:
        clone = Repository(remote.url, "main", tmp_path / name)
        return clone.commit_change(
            remove_data, "Remove", AUTHOR, branch="holdfast/m-1", reference="m-1", key="r"
        ).commit

    assert push("one") == push("two")


def test_an_adopted_commit_far_back_in_a_shallow_history_is_found(remote: Remote, tmp_path: Path) -> None:
    one = Repository(remote.url, "main", tmp_path / "one")
    pushed = one.commit_change(
        lambda tree: protect(tree, FLUX, DATA), "Protect", AUTHOR, reference="m-1", key="protect"
    )
    git("pull", "--quiet", "origin", "main", at=remote.person)
    for number in range(60):
        git("commit", "--quiet", "--allow-empty", "-m", f"Commit {number}", at=remote.person)
    git("push", "--quiet", "origin", "HEAD:main", at=remote.person)
    other = Repository(remote.url, "main", tmp_path / "two")
    again = other.commit_change(
        lambda tree: protect(tree, FLUX, DATA), "Protect", AUTHOR, reference="m-1", key="protect"
    )
    assert (again.commit, again.adopted) == (pushed.commit, True)
    assert other.contains(other.head, pushed.commit)


def test_what_git_says_already_is_not_committed_again(remote: Remote, repository: Repository) -> None:
    pushed = repository.commit_change(lambda tree: exempt(tree, FLUX, DATA), "Exempt", AUTHOR)
    assert (pushed.commit, pushed.adopted, remote.count()) == (remote.head(), True, 1)


def test_a_push_that_loses_a_race_is_made_again_on_the_new_state(
    remote: Remote, repository: Repository
) -> None:
    raced: list[str] = []

    def make(tree: Tree) -> Change:
        if len(raced) < 2:
            raced.append(remote.push({KUSTOMIZATION: remote.show(KUSTOMIZATION) + f"\n# {len(raced)}\n"}))
        return remove_data(tree)

    pushed = repository.commit_change(make, "Remove", AUTHOR, reference="m-1", key="r")
    assert pushed.base == raced[-1]
    assert remote.show(KUSTOMIZATION).count("#") == 2
    assert "data.yaml" not in remote.show(KUSTOMIZATION)
    assert remote.count() == 4


def test_a_branch_that_never_stands_still_ends_in_a_conflict_with_the_diff(
    remote: Remote, repository: Repository
) -> None:
    def make(tree: Tree) -> Change:
        remote.push({}, "Again")
        return remove_data(tree)

    with pytest.raises(PushConflict) as conflict:
        repository.commit_change(make, "Remove", AUTHOR)
    assert "-  - data.yaml" in conflict.value.diff
    assert "data.yaml" in remote.show(KUSTOMIZATION)


def test_a_change_that_no_longer_applies_is_a_conflict_and_never_forced(
    remote: Remote, repository: Repository
) -> None:
    def make(tree: Tree) -> Change:
        change = remove_data(tree)
        remote.push({"apps/jellyfin/data.yaml": None, KUSTOMIZATION: "resources:\n  - cache.yaml\n"})
        return change

    with pytest.raises(PushConflict) as conflict:
        repository.commit_change(make, "Remove", AUTHOR)
    assert "no longer applies" in conflict.value.what
    assert "-  - data.yaml" in conflict.value.diff
    assert remote.show(KUSTOMIZATION) == "resources:\n  - cache.yaml"


def test_a_change_that_differs_from_what_was_reviewed_is_not_pushed(
    remote: Remote, repository: Repository
) -> None:
    repository.refresh()
    reviewed = remove_data(repository.tree())
    remote.push({"README": "harmless\n", KUSTOMIZATION: "# new\n" + remote.show(KUSTOMIZATION) + "\n"})
    remote.push({"apps/jellyfin/data.yaml": CLAIM.format(name="jellyfin-data") + "  volumeName: other\n"})
    with pytest.raises(PushConflict, match="another one than was reviewed"):
        repository.commit_change(remove_data, "Remove", AUTHOR, expected_effect=reviewed.effect)
    assert "apps/jellyfin/data.yaml" in remote.files()
    remote.push({"apps/jellyfin/data.yaml": CLAIM.format(name="jellyfin-data")})
    repository.commit_change(remove_data, "Remove", AUTHOR, expected_effect=reviewed.effect)
    assert "apps/jellyfin/data.yaml" not in remote.files()


def test_two_workers_that_push_at_once_both_arrive(remote: Remote, tmp_path: Path) -> None:
    failures: list[BaseException] = []
    start = threading.Barrier(2)

    def work(name: str, ref: ObjectRef) -> None:
        try:
            clone = Repository(remote.url, "main", tmp_path / name)
            start.wait(20)
            clone.commit_change(
                lambda tree: protect(tree, FLUX, ref), "Protect", AUTHOR, reference=name, key="p"
            )
        except BaseException as error:  # noqa: BLE001 - shown by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=work, args=pair) for pair in (("one", DATA), ("two", CACHE))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert remote.count() == 3
    assert all("prune: disabled" in remote.show(f"apps/jellyfin/{name}.yaml") for name in ("data", "cache"))


def test_two_threads_share_one_clone(remote: Remote, repository: Repository) -> None:
    failures: list[BaseException] = []

    def work(ref: ObjectRef) -> None:
        try:
            repository.commit_change(lambda tree: protect(tree, FLUX, ref), "Protect", AUTHOR)
        except BaseException as error:  # noqa: BLE001 - shown by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=work, args=(ref,)) for ref in (DATA, CACHE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert remote.count() == 3


def test_a_hook_that_says_no_is_told_in_its_own_words(remote: Remote, repository: Repository) -> None:
    remote.hook("pre-receive", "echo 'main is protected: open a pull request'; exit 1")
    with pytest.raises(PushRejected, match="main is protected: open a pull request") as refused:
        repository.commit_change(remove_data, "Remove", AUTHOR)
    assert "new branch" in refused.value.next_step
    assert "apps/jellyfin/data.yaml" in remote.files()


def test_a_branch_that_holds_something_else_is_not_overwritten(
    remote: Remote, repository: Repository
) -> None:
    git("push", "--quiet", "origin", "HEAD:refs/heads/holdfast/m-1", at=remote.person)
    with pytest.raises(PushConflict, match="exists already"):
        repository.commit_change(
            remove_data, "Remove", AUTHOR, branch="holdfast/m-1", reference="m-1", key="r"
        )


def test_links_and_modes_are_kept_and_never_followed(remote: Remote, repository: Repository) -> None:
    (remote.person / "link.yaml").symlink_to("/etc/passwd")
    script = remote.person / "run.sh"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    remote.push({})
    repository.commit_change(remove_data, "Remove", AUTHOR)
    assert not repository.tree().exists("link.yaml")
    modes = git("ls-tree", "main", at=remote.bare)
    assert "120000" in modes
    assert "100755" in modes


def test_log_names_what_others_changed(remote: Remote, repository: Repository) -> None:
    start = repository.refresh()
    remote.push({"apps/jellyfin/extra.yaml": "a: 1\n"}, "Add\n\nwith a body")
    last = remote.push({"README": "x\n"}, "Say more")
    repository.refresh()
    entries = repository.log(start)
    assert [(entry.subject, entry.paths, entry.author) for entry in entries] == [
        ("Say more", ("README",), "operator"),
        ("Add", ("apps/jellyfin/extra.yaml",), "operator"),
    ]
    assert (entries[0].commit, entries[1].body) == (last, "with a body")


def test_history_that_was_rewritten_is_followed_and_not_contained(
    remote: Remote, repository: Repository
) -> None:
    lost = remote.push({"README": "lost\n"})
    assert repository.refresh() == lost
    git("reset", "--quiet", "--hard", "HEAD~1", at=remote.person)
    git("commit", "--quiet", "--allow-empty", "-m", "Another way", at=remote.person)
    git("push", "--quiet", "--force", "origin", "HEAD:main", at=remote.person)
    assert not repository.contains(repository.refresh(), lost)


@pytest.mark.parametrize("branch", ["-x", "a..b", "", "a b", "x.lock", "/a", "a\n"])
def test_names_that_are_no_branch_are_refused(branch: str, tmp_path: Path) -> None:
    with pytest.raises(RepositoryError):
        Repository("file:///x", branch, tmp_path / "x")


def test_a_missing_branch_says_so(remote: Remote, tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="nowhere"):
        Repository(remote.url, "nowhere", tmp_path / "x").refresh()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/fleet.git", "http://nowhere.invalid/fleet.git"])
def test_a_server_that_cannot_be_reached_is_an_outage_and_a_missing_repository_is_none(
    url: str, tmp_path: Path
) -> None:
    with pytest.raises(RepositoryUnavailable, match="git fetch failed"):
        Repository(url, "main", tmp_path / "clone").refresh()
    with pytest.raises(RepositoryError) as missing:
        Repository(f"file://{tmp_path}/not-there.git", "main", tmp_path / "other").refresh()
    assert not isinstance(missing.value, RepositoryUnavailable)
