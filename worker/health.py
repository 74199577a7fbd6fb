"""How the destination has been since the application runs there: part of what an approver sees. Looked at in each gate after it."""

from typing import Any

from django.utils import timezone

from worker.context import Context


def observe(context: Context) -> dict[str, Any]:
    """Looks at the destination's pods once and adds it to the attempt's memory."""
    namespace = context.migration.destination_namespace
    # A pod that failed or was evicted stays in the list, and serves nobody.
    pods = [p for p in context.cluster.list_pods(namespace) if _ours(context, p.claims) and not p.finished]
    unready = sorted(p.name for p in pods if not p.ready)
    restarts = sum(c.restarts for p in pods for c in p.containers)
    health: dict[str, Any] = context.memory.setdefault(
        "health", {"since": timezone.now().isoformat(), "looks": 0, "unready_looks": 0}
    )
    health["looks"] += 1
    health["unready_looks"] += bool(unready or not pods)
    health["at"] = timezone.now().isoformat()
    health["pods"] = len(pods)
    health["unready"] = unready
    health["restarts"] = restarts
    return health


def _ours(context: Context, claims: tuple[str, ...]) -> bool:
    return any(t.destination_name in claims for t in context.transfers)
