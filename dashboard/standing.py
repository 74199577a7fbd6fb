"""How a set of claims stands: counts a path of deletion, and what else could be lost. Each with the list that shows exactly those."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Q, QuerySet

from dashboard.models import DELETION_PATHS, Claim
from dashboard.states import Drift, Owner, Protection

# What a bar shows, from what is lost first to what is safe.
_ORDER = sorted(Protection, key=lambda state: state.rank)


@dataclass(frozen=True)
class Share:
    """Claims of one state on one path: their number, and the query of the claims list that shows them."""

    state: Protection
    count: int
    query: str

    @property
    def label(self) -> str:
        return f"{self.count} {self.state.label.lower()}"


@dataclass(frozen=True)
class PathStanding:
    """One path of deletion over all claims."""

    path: str
    title: str
    shares: tuple[Share, ...]

    @property
    def bar(self) -> list[tuple[str, int]]:
        """(colour, number) from the worst to the best."""
        return [(share.state.colour, share.count) for share in self.shares]


def by_path(claims: QuerySet[Claim]) -> list[PathStanding]:
    """A line a path, in the order of the pages; states that no claim is in are left out."""
    counted = claims.aggregate(
        **{
            f"{path}__{state.name}": Count("pk", filter=Q(**{path: state}))
            for path, _ in DELETION_PATHS
            for state in _ORDER
        }
    )
    return [
        PathStanding(
            path,
            title,
            tuple(
                Share(state, number, f"path={path}&state={state.value}")
                for state in _ORDER
                if (number := counted[f"{path}__{state.name}"])
            ),
        )
        for path, title in DELETION_PATHS
    ]


def other_risks(claims: QuerySet[Claim]) -> list[dict[str, Any]]:
    """What else needs an eye; what no claim is in is left out."""
    counted = claims.aggregate(
        lost=Count("pk", filter=Q(phase="Lost")),
        ending=Count("pk", filter=Q(deleting=True)),
        undone=Count("pk", filter=Q(drift=Drift.CLUSTER_ONLY)),
        unapplied=Count("pk", filter=Q(drift=Drift.GIT_ONLY)),
        orphans=Count("pk", filter=Q(owner_kind=Owner.ORPHAN)),
        unknown=Count("pk", filter=Q(weakest=Protection.UNKNOWN)),
    )
    rows = [
        ("lost", "lost their volume", "phase=Lost"),
        ("ending", "being deleted", "phase=Terminating"),
        ("undone", "protected in the cluster only: Git will undo it", "drift=cluster-only"),
        ("unapplied", "protected in Git only: not applied", "drift=git-only"),
        ("orphans", "orphaned by Flux: not declared in Git any more", "risk=orphan"),
        ("unknown", "with unknown protection", "state=unknown"),
    ]
    return [
        {"count": counted[key], "text": text, "query": query} for key, text, query in rows if counted[key]
    ]
