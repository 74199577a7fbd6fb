"""The first page: what needs a person, what runs, what is at risk, and whether cluster and GitOps are well."""

from datetime import timedelta
from typing import Any

from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.access import needs
from accounts.permissions import can, visible
from dashboard.models import DELETION_PATHS, Claim, Cluster, ValidationRun
from dashboard.queries import visible_gitops
from dashboard.states import Drift, Owner, Protection
from dashboard.views.parts import render_part
from migrations_app.models import Migration
from migrations_app.states import TICKING, State

_NEEDS_YOU = (State.WAITING, State.FAILED, State.PAUSED, State.READY, State.ABORTED)
_RUNNING = TICKING - {State.WAITING, State.RETAINED}


# A pass in which an object is neither ready nor not takes seconds; one that lasts longer than this is stuck.
LONG_PASS = timedelta(minutes=5)


def _troubled() -> Q:
    """Suspended, failed, or in one pass for too long."""
    stuck = Q(ready="Unknown") & (Q(ready_since__isnull=True) | Q(ready_since__lt=timezone.now() - LONG_PASS))
    return Q(suspended=True) | Q(ready="False") | stuck


@needs("claims.view")
@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    claims = visible(request.user, Claim.objects.present(), "namespace", permission="claims.view")
    moves = _migrations(request)
    gitops = visible_gitops(request.user)
    context = {
        "waiting": [(m, _may_act(request, m)) for m in moves.filter(state__in=_NEEDS_YOU)[:20]],
        "running": moves.filter(state__in=_RUNNING)[:20],
        "kept": moves.filter(state=State.RETAINED)[:10],
        "risks": _risks(claims),
        "claim_count": claims.count(),
        "connections": Cluster.objects.all(),
        "troubled": gitops.filter(_troubled())[:10],
        "gitops_count": gitops.count(),
        "may_start": can(request.user, "migrations.edit"),
        "validation": ValidationRun.objects.first(),
    }
    return render_part(request, "dashboard/overview.html", "dashboard/_overview.html", context)


def _migrations(request: HttpRequest) -> QuerySet[Migration]:
    rows = visible(
        request.user, Migration.objects.all(), "source_namespace", or_empty=["destination_namespace"]
    )
    return rows.prefetch_related("transfers").order_by("waiting_since", "-changed_at")


def _may_act(request: HttpRequest, migration: Migration) -> bool:
    permission = migration.waiting_permission or "migrations.edit"
    return can(request.user, permission, namespace=migration.source_namespace)


def _risks(claims: QuerySet[Claim]) -> list[dict[str, Any]]:
    """Counts of what could be lost, each with the filter of the claims list that shows exactly those."""
    counted = claims.aggregate(
        **{path: Count("pk", filter=Q(**{path: Protection.UNPROTECTED})) for path, _ in DELETION_PATHS},
        orphans=Count("pk", filter=Q(owner_kind=Owner.ORPHAN)),
        unknown=Count("pk", filter=Q(weakest=Protection.UNKNOWN)),
        undone=Count("pk", filter=Q(drift=Drift.CLUSTER_ONLY)),
        unapplied=Count("pk", filter=Q(drift=Drift.GIT_ONLY)),
        lost=Count("pk", filter=Q(phase="Lost")),
        ending=Count("pk", filter=Q(deleting=True)),
    )
    rows = [
        {"count": counted[path], "text": f"unprotected: {title}", "query": f"path={path}&state=unprotected"}
        for path, title in DELETION_PATHS
    ]
    rows += [
        {"count": counted["orphans"], "text": "orphans of Flux", "query": "risk=orphan"},
        {"count": counted["unknown"], "text": "with unknown protection", "query": "state=unknown"},
        {
            "count": counted["undone"],
            "text": "protected in the cluster only: Git will undo it",
            "query": "drift=cluster-only",
        },
        {
            "count": counted["unapplied"],
            "text": "protected in Git only: not applied",
            "query": "drift=git-only",
        },
        {"count": counted["lost"], "text": "lost their volume", "query": "phase=Lost"},
        {"count": counted["ending"], "text": "being deleted", "query": "phase=Terminating"},
    ]
    return [row for row in rows if row["count"]]
