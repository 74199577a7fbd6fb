"""Where a draft begins: a namespace, and what of it moves."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from accounts import permissions
from accounts.access import needs
from dashboard.models import Claim, Cluster
from dashboard.states import Owner
from migrations_app.actions import drafting
from migrations_app.models import Migration
from migrations_app.rules.claims import held
from migrations_app.views.shared import attempt, person, see_other, typed


@needs("migrations.edit")
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """Where a draft begins: choose a namespace, then its claims. A claim's page comes here with both."""
    rows = permissions.visible(
        request.user, Claim.objects.present(), "namespace", permission="migrations.edit"
    )
    namespace = typed(request, "namespace", 63) or request.GET.get("namespace", "").replace("\x00", "")
    cluster = Cluster.objects.first()
    claims = list(rows.filter(namespace=namespace)) if namespace else []
    groups = _applications(claims)
    holders = held(cluster.pk, namespace, [c.name for c in claims]) if cluster else {}
    chosen, application = _first_choice(request, groups, holders)
    if request.method == "POST" and cluster is not None:
        permissions.check(request.user, "migrations.edit", namespace=namespace)
        chosen = [c for c in request.POST.getlist("claims") if any(c == row.name for row in claims)]
        application = typed(request, "application", 100).strip() or (chosen[0] if chosen else "")
        made: list[Migration] = []

        def action() -> None:
            made.append(
                drafting.create_draft(
                    by=person(request),
                    cluster=cluster,
                    namespace=namespace,
                    application=application,
                    claims=chosen,
                )
            )

        if chosen and attempt(request, action):
            return see_other("wizard-destination", made[0].reference)
    refused = request.method == "POST"
    context = {
        "namespaces": sorted(set(rows.values_list("namespace", flat=True))),
        "namespace": namespace,
        "groups": groups,
        "held": holders,
        "chosen": chosen,
        "application": application,
        "nothing_chosen": refused and not chosen,
    }
    return render(request, "migrations/new.html", context, status=422 if refused else 200)


def _first_choice(
    request: HttpRequest, groups: list[dict[str, Any]], holders: dict[str, str]
) -> tuple[list[str], str]:
    """What is ticked at first, and the name: the application of the claim that the link named, else the first one."""
    named = request.GET.getlist("claims")
    group = next(
        (g for g in groups if any(c.name in named for c in g["claims"])), groups[0] if groups else None
    )
    if group is None:
        return [], ""
    names = [c.name for c in group["claims"] if c.name not in holders]
    return sorted({*names, *named} - set(holders)) if named else names, group["name"]


def _applications(claims: list[Claim]) -> list[dict[str, Any]]:
    """Claims grouped by application: what one owner applies, with what its StatefulSets make from templates.

    A claim that nobody applies belongs to the application whose workload uses it, where that is one only.
    """
    groups: dict[str, list[Claim]] = {}
    users: dict[tuple[str, str], set[str]] = {}
    for claim in claims:
        if key := _application(claim):
            groups.setdefault(key, []).append(claim)
            for user in _users(claim):
                users.setdefault(user, set()).add(key)
    for claim in claims:
        if not _application(claim):
            found = {key for user in _users(claim) for key in users.get(user, ())}
            groups.setdefault(found.pop() if len(found) == 1 else "", []).append(claim)
    order = sorted(groups, key=lambda key: (not key, key))
    return [
        {
            "name": key.rpartition("/")[2] or "on their own",
            "claims": sorted(groups[key], key=lambda claim: claim.name),
        }
        for key in order
    ]


def _application(claim: Claim) -> str:
    """`namespace/name` of who applies the claim, or the StatefulSet that makes it; empty where nobody does."""
    if claim.owner == Owner.STATEFUL_SET and (applied_by := claim.facts.get("application", "")):
        return str(applied_by)
    return f"{claim.owner_namespace}/{claim.owner_name}" if claim.owner_name else ""


def _users(claim: Claim) -> set[tuple[str, str]]:
    return {(user["kind"], user["name"]) for user in claim.consumers}
