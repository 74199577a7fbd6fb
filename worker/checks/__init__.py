"""Preflight: named checks. Each passes, warns or stops, and says what to do. Each is a function of the context."""

from collections.abc import Callable, Iterable

from worker.checks import access, claims, destination, gitops, people, workloads
from worker.checks.check import Check
from worker.context import Context

CHECKS: tuple[Callable[[Context], Iterable[Check]], ...] = (
    claims.bound,
    claims.ordinary,
    claims.alone,
    claims.free,
    claims.protected,
    destination.namespace,
    destination.names,
    destination.sizes,
    destination.classes,
    destination.quotas,
    workloads.can_be_stopped,
    workloads.templates,
    workloads.autoscalers,
    workloads.placement,
    gitops.owner,
    gitops.unsteered,
    gitops.parents,
    gitops.destination_owner,
    gitops.release_path,
    gitops.repository,
    gitops.left_behind,
    access.rules,
    access.mover_allowed,
    people.approver,
)


def run(context: Context) -> list[Check]:
    """Every check, in order. All of them run: a person wants the whole list, not the first stop."""
    return [found for check in CHECKS for found in check(context)]


__all__ = ["CHECKS", "Check", "run"]
