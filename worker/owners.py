"""The Kustomization that was inspected must be the one that is there: another path would make every look at Git a lie."""

from typing import Any

from audit.canonical import plain
from migrations_app.problems import Problem
from worker.context import Context
from worker.facts import kustomization_facts
from worker.outcomes import Outcome, Stop

_WORDS = {
    "uid": "it was made anew",
    "path": "its path changed",
    "source_kind": "its source changed",
    "source_namespace": "its source changed",
    "source_name": "its source changed",
    "target_namespace": "its target namespace changed",
    "name_prefix": "its name prefix changed",
    "name_suffix": "its name suffix changed",
    "substitute": "its variables changed",
    "substitute_from": "its variables changed",
    "components": "its components changed",
    "patches": "its patches changed",
    "common_annotations": "its common metadata changed",
    "common_labels": "its common metadata changed",
}


def check(context: Context, *recorded: dict[str, Any]) -> Outcome | None:
    """None while every recorded Kustomization is as it was inspected; other owners have no path to compare."""
    for owner in recorded:
        if owner.get("kind") != "Kustomization":
            continue
        what = f"Kustomization {owner['namespace']}/{owner['name']}"
        found = context.cluster.get_kustomization(owner["namespace"], owner["name"])
        if found is None:
            return _stop(what, "it is gone", owner, "owner-gone")
        now = kustomization_facts(found)
        # What an earlier version did not record cannot be compared.
        changed = dict.fromkeys(
            word for key, word in _WORDS.items() if plain(now[key]) != owner.get(key, plain(now[key]))
        )
        if changed:
            return _stop(what, ", ".join(changed), owner, "owner-moved")
    return None


def _stop(what: str, why: str, owner: dict[str, Any], code: str) -> Stop:
    return Stop(
        Problem(
            f"{what} is not as it was inspected: {why}.",
            "Nothing more is changed or deleted.",
            "Find out who changed it. Put it back and retry, or roll back and plan again with what there is now.",
            f"kubectl get kustomization -n {owner['namespace']} {owner['name']} -o yaml",
            code,
        )
    )
