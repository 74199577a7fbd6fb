"""The first page: what needs a person, what runs, what is at risk, and whether cluster and GitOps are well."""

from datetime import timedelta
from typing import Any

from django.db.models import Case, Q, QuerySet, Value, When
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.access import needs
from accounts.permissions import can, visible
from dashboard import standing
from dashboard.models import Claim, Cluster, GitOpsFact, ValidationRun
from dashboard.queries import visible_gitops
from dashboard.states import AT_RISK, RunState
from dashboard.views.parts import render_part
from dashboard.views.validation import what_was_found
from migrations_app.models import Migration, SignOffRequest
from migrations_app.models.migration import NEEDS_SOMEBODY
from migrations_app.states import FINISHED, TICKING, State
from migrations_app.views import live

_RUNNING = TICKING - {State.WAITING, State.RETAINED}
_ENDED = FINISHED - {State.DISCARDED}
# An application may be down in these, and nobody was asked anything: they come before what waits.
_STOPPED = frozenset({State.FAILED, State.ABORTED})
_STOPPED_FIRST = Case(When(state__in=_STOPPED, then=Value(0)), default=Value(1))
_PROBLEM_FIRST = Case(When(problem__isnull=False, then=Value(0)), default=Value(1))
# Rows of a card; what is left over is counted, and a link away.
SHOWN = 20

# A pass in which an object is neither ready nor not takes seconds; one that lasts longer than this is stuck.
LONG_PASS = timedelta(minutes=5)


def _troubled() -> Q:
    """Suspended, failed, or in one pass (its own, or that of what it depends on) for too long."""
    recent = Q(ready_since__gte=timezone.now() - LONG_PASS)
    stuck = Q(ready="Unknown") & ~recent
    failed = Q(ready="False") & ~(Q(reason="DependencyNotReady") & recent)
    return Q(suspended=True) | failed | stuck


@needs("claims.view")
@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    claims = visible(request.user, Claim.objects.present(), "namespace", permission="claims.view")
    moves = _migrations(request)
    gitops = visible_gitops(request.user)
    needs = moves.filter(NEEDS_SOMEBODY).order_by(_STOPPED_FIRST, "waiting_since", "changed_at")
    waiting = [_waiting(request, found) for found in needs[:SHOWN]]
    busy = moves.filter(state__in=_RUNNING, waiting_for="").order_by("-changed_at")
    kept = moves.filter(state=State.RETAINED).order_by(_PROBLEM_FIRST, "-changed_at")
    context = {
        # What stopped comes first; then what this person can end comes before what somebody else has to.
        "waiting": sorted(waiting, key=lambda row: (not row["stopped"], not row["may_act"])),
        "waiting_count": needs.count(),
        "running": [(found, _copying(found)) for found in busy[:SHOWN]],
        "running_count": busy.count(),
        "kept": kept[:SHOWN],
        "kept_count": kept.count(),
        "kept_uncertain": kept.filter(problem__isnull=False).exists(),
        "ended": moves.filter(state__in=_ENDED).order_by("-changed_at")[:5],
        "paths": standing.by_path(claims),
        "risks": standing.other_risks(claims),
        "at_risk": claims.filter(weakest__in=AT_RISK).count(),
        "claim_count": claims.count(),
        "connections": Cluster.objects.all(),
        "troubled": gitops.filter(_troubled())[:10],
        "gitops_count": gitops.count(),
        "sources": _sources(gitops),
        "worker_silent_s": _worker_silent_s(moves),
        "may_start": can(request.user, "migrations.edit"),
        **_validation(request),
    }
    return render_part(request, "dashboard/overview.html", "dashboard/_overview.html", context)


def _migrations(request: HttpRequest) -> QuerySet[Migration]:
    rows = visible(
        request.user, Migration.objects.all(), "source_namespace", or_empty=["destination_namespace"]
    )
    return rows.prefetch_related("transfers")


def _worker_silent_s(moves: QuerySet[Migration]) -> float | None:
    """How long the worker is late with the migration that it is latest with."""
    idle = moves.filter(state__in=TICKING).exclude(lease_until__gt=Now())
    return live.overdue_s(idle.order_by("next_tick_at").values_list("next_tick_at", flat=True).first())


def _waiting(request: HttpRequest, migration: Migration) -> dict[str, Any]:
    """A migration that needs a person, whether it is this one, and the page where they act."""
    permission = migration.waiting_permission or "migrations.edit"
    may_act = can(request.user, permission, namespace=migration.namespaces)
    label, url = "Open it", migration.get_absolute_url()
    if migration.state == State.READY and migration.stopped_by_checks:
        label, url = "See the checks", reverse("wizard-checks", args=[migration.reference])
    elif migration.state == State.READY:
        label, url = "Review and start", reverse("wizard-review", args=[migration.reference])
    elif migration.state == State.WAITING and migration.current_step == "sign-off":
        label, url = "Open the sign-off", reverse("sign-off", args=[migration.reference])
        # An operator is awaited where an approver asked; the approvers may still decide.
        open_requests = migration.sign_off_requests.filter(state=SignOffRequest.State.OPEN)
        if permission != "signoff.give" and open_requests.exists():
            label = "Answer it" if may_act else label
            may_act = may_act or can(request.user, "signoff.give", namespace=migration.namespaces)
    elif migration.state == State.WAITING and migration.current_step == "test":
        label = "Confirm the test"
    elif migration.state == State.FAILED:
        label = "See what happened"
    return {
        "migration": migration,
        "stopped": migration.state in _STOPPED,
        "says": _says(migration),
        "may_act": may_act,
        "label": label,
        "url": url,
    }


def _says(migration: Migration) -> str:
    """Why it needs a person, in one sentence."""
    if migration.waiting_for:
        return migration.waiting_for
    if migration.problem:
        return str(migration.problem["happened"])
    if migration.state == State.READY:
        stops = migration.stopped_by_checks
        if stops:
            return f"It cannot be started: {', '.join(stops)}."
        return "The plan is ready to be reviewed and started."
    at = f"{migration.state_value.label} at {migration.step.title}."
    return f"{at} The application is down." if migration.is_down else at


def _copying(migration: Migration) -> list[tuple[str, dict[str, Any]]]:
    """(claim, progress) of each mover that is at work."""
    said = [(t.source_name, live.progress_of(migration, t.progress)) for t in migration.transfers.all()]
    return [(name, progress) for name, progress in said if progress]


def _sources(gitops: QuerySet[GitOpsFact]) -> list[dict[str, Any]]:
    """Each Git repository that Flux reads: its revision, and how many of its Kustomizations have applied it."""
    rows = []
    followers = list(gitops.filter(kind="Kustomization"))
    for source in gitops.filter(kind="GitRepository"):
        mine = [
            one
            for one in followers
            if (one.cluster_id, one.source_namespace or one.namespace, one.source_name)
            == (source.cluster_id, source.namespace, source.name)
        ]
        if mine:
            rows.append({"source": source, "all": len(mine), "behind": sum(one.behind for one in mine)})
    return rows


def _validation(request: HttpRequest) -> dict[str, Any]:
    """The last run of the checks."""
    run = ValidationRun.objects.first()
    if run is None:
        return {"validation": None}
    closed = RunState(run.state).group == "closed"
    found = what_was_found(request, [run])[run.pk]
    return {
        "validation": run,
        "validation_summary": found.summary,
        "validation_badge": found.answer if closed else RunState(run.state),
    }
