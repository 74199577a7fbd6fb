"""Field ownership and patches, on made-up objects."""

import copy
import json
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.apiserver import managedfields, patches, quantity
from sandbox.apiserver.listtypes import ListTypes
from sandbox.apiserver.managedfields import Writer
from sandbox.apiserver.resources import Registry

DEPLOYMENTS = Registry().find("apps", "v1", "deployments")
assert DEPLOYMENTS is not None
TYPES = ListTypes(DEPLOYMENTS)

keys = st.sampled_from(["a", "b", "c", "d"])
texts = st.sampled_from(["1", "2", "3"])
labels = st.dictionaries(keys, texts, max_size=4)
containers = st.dictionaries(keys, st.fixed_dictionaries({"image": texts}), max_size=3).map(
    lambda found: [{"name": name, **fields} for name, fields in found.items()]
)


@st.composite
def configs(draw: st.DrawFn) -> dict:
    """A partial Deployment as somebody applies it."""
    config: dict = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}}
    if found := draw(labels):
        config["metadata"]["labels"] = found
    if draw(st.booleans()):
        config["spec"] = {"replicas": draw(st.integers(0, 3))}
    if found := draw(containers):
        config.setdefault("spec", {})["template"] = {"spec": {"containers": found}}
    return config


def apply(live: dict | None, config: dict, manager: str) -> dict:
    writer = Writer(manager, "apps/v1", "", "2026-11-01T00:00:00Z")
    applied = managedfields.apply(live, copy.deepcopy(config), writer, TYPES, force=True)
    managedfields.record_apply(applied.item, applied)
    return applied.item


def values(item: dict) -> dict:
    return managedfields.flatten(item, TYPES)


@given(configs())
def test_ownership_survives_being_written_down(config: dict) -> None:
    paths = set(values(config))
    assert managedfields.from_tree(json.loads(json.dumps(managedfields.to_tree(paths)))) == paths


@settings(max_examples=200)
@given(configs(), configs(), configs())
def test_what_is_applied_holds_and_what_is_dropped_goes(first: dict, other: dict, second: dict) -> None:
    """After two applies by one manager and one by another in between, exactly what either still says is there."""
    item = apply(apply(apply(None, first, "one"), other, "two"), second, "one")
    found = values(item)
    for path, value in values(second).items():
        assert found[path] == value
    assert set(found) == set(values(second)) | set(values(other))


@given(configs(), configs())
def test_applying_again_changes_nothing(first: dict, second: dict) -> None:
    once = apply(apply(None, first, "one"), second, "two")
    assert apply(copy.deepcopy(once), second, "two") == once


@given(configs(), configs())
def test_a_plain_write_owns_exactly_what_it_changed(before: dict, after: dict) -> None:
    live = apply(None, before, "one")
    new = copy.deepcopy(after)
    new["metadata"]["managedFields"] = live["metadata"].get("managedFields")
    if new["metadata"]["managedFields"] is None:
        del new["metadata"]["managedFields"]
    managedfields.record_update(live, new, Writer("person", "apps/v1", "", "now"), TYPES)
    owned = {owner.manager: owner.paths for owner in managedfields.owners_of(new)}
    old, fresh = values(live), values(after)
    assert owned.get("person", set()) == {
        path for path in fresh if path not in old or old[path] != fresh[path]
    }
    assert owned.get("one", set()) == {path for path in fresh if path in old and old[path] == fresh[path]}


@given(st.dictionaries(keys, texts), st.dictionaries(keys, st.none() | texts))
def test_a_merge_patch_sets_and_removes(target: dict, patch: dict) -> None:
    merged = patches.merge_patch(target, patch)
    assert merged == {key: value for key, value in {**target, **patch}.items() if value is not None}


@given(st.integers(0, 10**15), st.sampled_from(["", "Ki", "Mi", "Gi", "k", "M", "G", "m"]))
def test_the_canonical_form_of_a_quantity_is_the_same_number(number: int, suffix: str) -> None:
    text = f"{number}{suffix}"
    assert quantity.parse(quantity.canonical(text)) == quantity.parse(text)
    assert quantity.canonical(quantity.canonical(text)) == quantity.canonical(text)


def test_quantities_as_people_write_them() -> None:
    assert quantity.canonical("1024Mi") == "1Gi"
    assert quantity.canonical("1500Mi") == "1500Mi"
    assert quantity.canonical("0.5") == "500m"
    assert quantity.parse("1e3") == Fraction(1000)
    assert quantity.parse("2Gi") == 2 * 1024**3
