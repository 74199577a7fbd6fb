"""Every claim with its protection, and one claim with every fact."""

import csv
import shlex
from collections.abc import Iterator
from typing import Any

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from accounts.access import needs
from accounts.permissions import can, visible
from dashboard import chain
from dashboard.models import DELETION_PATHS, Claim
from dashboard.queries import PHASES, Filters, find
from dashboard.states import Drift, Owner, Protection
from dashboard.views import others, protect
from dashboard.views.parts import render_part

PAGE_SIZE = 50
_COLUMNS = (
    "cluster",
    "namespace",
    "claim",
    "phase",
    "bytes",
    "class",
    "access modes",
    "volume",
    "reclaim policy",
    "owner kind",
    "owner",
)


def visible_claims(request: HttpRequest) -> QuerySet[Claim]:
    rows = Claim.objects.present().select_related("cluster")
    return visible(request.user, rows, "namespace", permission="claims.view")


@needs("claims.view")
@require_safe
def claims(request: HttpRequest) -> HttpResponseBase:
    filters = Filters.of(request.GET)
    everything = visible_claims(request)
    rows = find(everything, filters, moving=others.live_transfers())
    if request.GET.get("format") == "csv":
        return _csv(rows)
    page = Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))
    context = {
        "filters": filters,
        "page": page,
        "held": others.held_by_page(page.object_list),
        "paths": DELETION_PATHS,
        "states": Protection.choices,
        "owners": Owner.choices,
        "drifts": Drift.choices,
        "namespaces": _values(everything, "namespace"),
        "phases": PHASES,
        "classes": _values(everything, "storage_class"),
        "base": _base(request),
    }
    return render_part(request, "dashboard/claims.html", "dashboard/_claims.html", context)


def _values(rows: QuerySet[Claim], field: str) -> list[str]:
    return list(rows.exclude(**{field: ""}).order_by(field).values_list(field, flat=True).distinct())


def _base(request: HttpRequest) -> str:
    query = request.GET.copy()
    query.pop("page", None)
    return f"{query.urlencode()}&" if query else ""


class _Echo:
    def write(self, value: str) -> str:
        return value


def _csv(rows: QuerySet[Claim]) -> StreamingHttpResponse:
    """Exactly what is filtered, streamed. A cell that a spreadsheet would run as a formula starts with an apostrophe."""
    writer = csv.writer(_Echo())
    heads = [*_COLUMNS, *(title for _, title in DELETION_PATHS), "weakest", "consumers", "snapshot at (UTC)"]

    def lines() -> Iterator[str]:
        yield writer.writerow(heads)
        for claim in rows.iterator(chunk_size=500):
            yield writer.writerow([_safe(cell) for cell in _cells(claim)])

    headers = {"Content-Disposition": 'attachment; filename="claims.csv"'}
    return StreamingHttpResponse(lines(), content_type="text/csv; charset=utf-8", headers=headers)


def _cells(claim: Claim) -> list[Any]:
    return [
        claim.cluster.name,
        claim.namespace,
        claim.name,
        claim.phase,
        claim.size_bytes,
        claim.storage_class,
        claim.access_modes,
        claim.volume_name,
        claim.reclaim_policy,
        claim.owner_kind,
        claim.owner_name,
        *(state.value for _, _, state, _ in claim.protection()),
        claim.weakest,
        claim.consumer_count,
        claim.snapshot_at.strftime("%Y-%m-%d %H:%M:%S") if claim.snapshot_at else "",
    ]


def _safe(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


@needs("claims.view")
@require_safe
def claim(request: HttpRequest, cluster: str, namespace: str, name: str) -> HttpResponse:
    found = get_object_or_404(visible_claims(request), cluster__name=cluster, namespace=namespace, name=name)
    context = {
        "claim": found,
        "layers": [(Protection(layer["state"]), layer) for layer in found.facts.get("layers", [])],
        "migrations": visible(
            request.user,
            others.migrations_of(found),
            "source_namespace",
            or_empty=["destination_namespace"],
        ),
        "held": others.held_by_page([found]).get(found.key),
        "chain": chain.of(found),
        "compared_at": found.cluster.declarations.filter(namespace=namespace, name=name)
        .values_list("compared_at", flat=True)
        .first(),
        "may_move": can(request.user, "migrations.edit", namespace=namespace),
        **_commands(found),
        **protect.card(request, found),
        "unprotected": found.weakest in {Protection.UNPROTECTED, Protection.UNKNOWN, Protection.PARTIAL},
    }
    return render(request, "dashboard/claim.html", context)


def _commands(found: Claim) -> dict[str, str]:
    """What a person would type to see the same, or to protect the claim."""
    where = f"-n {found.namespace} {found.name}"
    path = found.cluster.gitops.filter(
        kind="Kustomization", namespace=found.owner_namespace, name=found.owner_name, gone_at=None
    )
    directory = (path.values_list("path", flat=True).first() or "PATH").removeprefix("./")
    return {
        "get_command": f"kubectl get pvc {where} -o yaml",
        "events_command": f"kubectl events -n {found.namespace} --for pvc/{found.name}",
        "stopgap_command": f"kubectl annotate pvc {where} kustomize.toolkit.fluxcd.io/prune=disabled",
        "retain_command": f'kubectl patch pv {found.volume_name or "VOLUME"} -p \'{{"spec":{{"persistentVolumeReclaimPolicy":"Retain"}}}}\'',
        "protect_command": f"python -m gitops protect --repo . --path {shlex.quote(directory)} --namespace {found.namespace} --claim {found.name}",
    }
