"""Protecting a claim: ask, review the difference, push or download it, watch it arrive."""

from typing import Any

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from accounts.access import needs
from accounts.permissions import can, visible, why_not
from dashboard import protecting
from dashboard.models import Claim, GitRepository, ProtectionChange
from dashboard.protecting_states import WITHDRAWABLE, ChangeState, How
from dashboard.states import Answer, PushPolicy
from migrations_app.views.live import overdue_s
from migrations_app.views.shared import attempt, person

# How soon the page looks again: quick while the worker is at it, slow while a person is awaited.
BUSY_POLL_S, SLOW_POLL_S = 1, 5
_BUSY = frozenset({ChangeState.REQUESTED, ChangeState.APPROVED, ChangeState.MERGED})


def visible_changes(request: HttpRequest) -> QuerySet[ProtectionChange]:
    rows = ProtectionChange.objects.select_related("cluster", "claim")
    return visible(request.user, rows, "namespace", permission="claims.view")


@needs("protection.edit")
@require_POST
def ask(request: HttpRequest, cluster: str, namespace: str, name: str) -> HttpResponse:
    """Asks for the change in Git, or for the stopgap."""
    rows = visible(
        request.user, Claim.objects.present().select_related("cluster"), "namespace", permission="claims.view"
    )
    claim = get_object_or_404(rows, cluster__name=cluster, namespace=namespace, name=name)
    how = request.POST.get("how", How.AUTO)
    if how not in How.values:
        raise Http404
    made: list[ProtectionChange] = []
    if attempt(
        request,
        lambda: made.append(protecting.request(by=person(request), claim=claim, how=How(how))),
    ):
        return _see(made[0])
    return HttpResponseRedirect(reverse("claim", args=[cluster, namespace, name]), status=303)


@needs("claims.view")
@require_safe
def change(request: HttpRequest, reference: str) -> HttpResponse:
    """The page of one change, or the part of it that changes."""
    found = get_object_or_404(visible_changes(request), reference=reference)
    state = found.state_value
    busy = state in _BUSY
    may = can(request.user, protecting.PERMISSION, namespace=found.namespace)
    partial = bool(getattr(request, "htmx", False)) and not request.headers.get("HX-History-Restore-Request")
    context: dict[str, Any] = {
        "change": found,
        "state": state,
        "how": How(found.how),
        "steps": steps_of(found),
        "ways": [(way.value, _words(found, way)) for way in protecting.ways_for(found)],
        "probe_answer": Answer(found.probe["answer"]) if found.probe else None,
        "may_edit": may,
        "why_not": "" if may else why_not(protecting.PERMISSION, found.namespace),
        "withdrawable": state in WITHDRAWABLE,
        "poll_s": (BUSY_POLL_S if busy else SLOW_POLL_S) if found.is_open else 0,
        "refresh_s": 3 if busy else 0,
        "worker_silent_s": overdue_s(found.look_at) if found.is_open else None,
        "apply_command": f"git apply {found.reference}.patch",
    }
    return render(request, "dashboard/_protect.html" if partial else "dashboard/protect.html", context)


def _words(found: ProtectionChange, way: PushPolicy) -> str:
    """What the button of this way says: a commit names the branch that it goes to."""
    if way != PushPolicy.DIRECT:
        return "Push a branch for review"
    rows = GitRepository.objects.filter(cluster_id=found.cluster_id, name=found.repository_name)
    return f"Commit it to {rows.values_list('branch', flat=True).first() or 'the branch'}"


def steps_of(found: ProtectionChange) -> list[tuple[str, str]]:
    """(title, done | now | later) a step of the way, for the list beside the page."""
    if found.live:
        titles = {ChangeState.REQUESTED: "Annotate the live claim", ChangeState.APPLIED: "Probed"}
    else:
        titles = {
            ChangeState.REQUESTED: "Make the change",
            ChangeState.READY: "Review it",
            ChangeState.APPROVED: "Push it",
            ChangeState.PUSHED: "Merge it",
            ChangeState.MERGED: "Flux applies it",
            ChangeState.APPLIED: "The live claim carries it",
        }
    order = list(titles)
    if found.state_value not in order:
        return [(title, "later") for title in titles.values()]
    at = order.index(found.state_value)
    ended = found.state_value == ChangeState.APPLIED
    return [
        (title, "done" if number < at or ended else "now" if number == at else "later")
        for number, title in enumerate(titles.values())
    ]


@needs("protection.edit")
@require_POST
def push(request: HttpRequest, reference: str) -> HttpResponse:
    """Has the reviewed change pushed, as the repository's policy allows."""
    found = get_object_or_404(visible_changes(request), reference=reference)
    way = request.POST.get("way", "")
    if way not in PushPolicy.values:
        raise Http404
    effect = request.POST.get("effect", "")[:64]
    attempt(
        request,
        lambda: protecting.approve(by=person(request), change=found, way=PushPolicy(way), effect=effect),
    )
    return _see(found)


@needs("protection.edit")
@require_POST
def withdraw(request: HttpRequest, reference: str) -> HttpResponse:
    found = get_object_or_404(visible_changes(request), reference=reference)
    attempt(
        request,
        lambda: protecting.withdraw(by=person(request), change=found),
        done="The change is withdrawn: Holdfast does nothing more for it.",
    )
    return _see(found)


@needs("claims.view")
@require_safe
def patch(request: HttpRequest, reference: str) -> HttpResponse:
    """The difference as a file that `git apply` takes."""
    found = get_object_or_404(visible_changes(request).exclude(diff=""), reference=reference)
    headers = {"Content-Disposition": f'attachment; filename="{found.reference}.patch"'}
    return HttpResponse(found.diff, content_type="text/x-diff; charset=utf-8", headers=headers)


def _see(found: ProtectionChange) -> HttpResponseRedirect:
    return HttpResponseRedirect(found.get_absolute_url(), status=303)


def card(request: HttpRequest, claim: Claim) -> dict[str, Any]:
    """Context of the Protect card on a claim's page."""
    return {
        "help": protecting.help_for(claim, person(request)),
        "open_changes": [(c.state_value, c) for c in protecting.open_changes(claim)],
        "last_change": protecting.last_change(claim),
    }
