"""Whether a removal that was pushed can be seen to have arrived, beside what nobody can read. No cluster is needed for these."""

from pathlib import Path

import pytest

from gitops.change import Tree
from gitops.errors import Reason, Refusal
from migrations_app.models import Migration
from tests.migrations_app.making import at_sign_off
from tests.support.people import person
from worker.declarations import blind_spots, exempted, removal, removed

pytestmark = pytest.mark.django_db

CLAIM = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: %s, namespace: media}\n"
FILES = {
    "apps/kustomization.yaml": "resources: [library.yaml, other.yaml, more]\n",
    "apps/library.yaml": CLAIM % "library",
    "apps/other.yaml": CLAIM % "'${APP}'",
    "apps/more/kustomization.yaml": "resources: ['https://git.example.org/base?ref=v1']\n",
}


def tree_of(root: Path, **changed: str) -> Tree:
    for path, text in (FILES | changed).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return Tree.of(root)


@pytest.fixture
def migration() -> Migration:
    owner = {"kind": "Kustomization", "namespace": "flux-system", "name": "apps", "path": "./apps"}
    made = at_sign_off(person("operator"), source_owner={**owner, "substitute_from": ["ConfigMap settings"]})
    made.transfers.update(declared_in_git=True)
    return made


def test_a_removal_beside_what_was_unreadable_before_is_seen_to_arrive(
    tmp_path: Path, migration: Migration
) -> None:
    tree = tree_of(tmp_path)
    migration.plan = {"git_blind": blind_spots(tree, migration)}
    assert not removed(tree, migration)
    change = removal(migration).make(tree)
    assert change.paths == ("apps/kustomization.yaml", "apps/library.yaml")
    assert removed(tree, migration)
    assert exempted(tree, migration)
    assert removal(migration).make(tree).edits == ()
    tree.write("apps/more/kustomization.yaml", b"resources: ['https://git.example.org/base?ref=v2']\n")
    assert removed(tree, migration)


@pytest.mark.parametrize(
    ("path", "text", "reason"),
    [
        ("apps/more/kustomization.yaml", "resources: ['https://git.example.org/another']\n", Reason.REMOTE),
        ("apps/other.yaml", CLAIM % "'lib${APP}'", Reason.TEMPLATED),
    ],
)
def test_what_became_unreadable_since_is_a_doubt(
    tmp_path: Path, migration: Migration, path: str, text: str, reason: Reason
) -> None:
    tree = tree_of(tmp_path)
    migration.plan = {"git_blind": blind_spots(tree, migration)}
    removal(migration).make(tree)
    tree.write(path, text.encode())
    with pytest.raises(Refusal) as refused:
        removed(tree, migration)
    assert refused.value.reason is reason


def test_a_removal_that_could_not_be_seen_to_arrive_is_refused_before_it_is_pushed(
    tmp_path: Path, migration: Migration
) -> None:
    with pytest.raises(Refusal) as refused:
        removal(migration).make(tree_of(tmp_path))
    assert refused.value.reason is Reason.TEMPLATED


@pytest.mark.parametrize("name", ["${APP}-cache", "cache-${APP}", "librar${A}yy"])
def test_a_name_that_no_variable_can_turn_into_that_of_the_claim_is_no_doubt(
    tmp_path: Path, migration: Migration, name: str
) -> None:
    tree = tree_of(
        tmp_path,
        **{
            "apps/other.yaml": CLAIM % f"'{name}'",
            "apps/more/kustomization.yaml": "namespace: media\nresources: []\n",
        },
    )
    assert removal(migration).make(tree).paths == ("apps/kustomization.yaml", "apps/library.yaml")
    assert removed(tree, migration)
