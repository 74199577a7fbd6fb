"""The workloads of an application, from the facts of its claims."""

from collections.abc import Iterable
from typing import Any

from migrations_app.models import Transfer


def all_workloads(transfers: Iterable[Transfer]) -> list[dict[str, Any]]:
    """The workloads of all claims, each once, in a fixed order. Shape: `worker.facts.workload_facts`."""
    found = {(w["kind"], w["name"]): w for t in transfers for w in t.facts.get("workloads", [])}
    return [found[key] for key in sorted(found)]
