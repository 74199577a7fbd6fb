"""The audit trail for those who may read it."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_POST, require_safe

from accounts.access import needs
from accounts.models import User
from audit.canonical import instant
from audit.exporting import WEB_LIMIT, begin
from audit.listing import BadFilter, Filters, matching, page, readable, scope_of
from audit.trail import Actor

FIELDS = ("actor", "verb", "kind", "key", "namespace", "since", "until", "text")


@needs("audit.view")
@require_safe
def trail(request: HttpRequest) -> HttpResponse:
    """Events, newest first, as filtered by the URL."""
    reader = _reader(request)
    shown = _frame(reader, request.GET)
    try:
        filters = Filters.of(request.GET)
        older_than, newer_than = (_sequence(request, name) for name in ("older_than", "newer_than"))
    except BadFilter as problem:
        return render(request, "audit/trail.html", {**shown, "problem": str(problem)}, status=422)
    found = page(
        matching(filters, reader), older_than=older_than, newer_than=newer_than, by_time=filters.by_time
    )
    query = filters.as_query()
    return render(
        request,
        "audit/trail.html",
        {
            **shown,
            "page": found,
            "rows": [(event, instant(event.at)) for event in found.events],
            "query": query,
        },
    )


def _frame(reader: User, asked: Mapping[str, str]) -> dict[str, object]:
    """What the page says whatever it found: the filters, and what an export of them would hold."""
    values = {name: asked.get(name, "").strip() for name in FIELDS}
    scope = scope_of(reader, "audit.export")
    return {
        "may_export": bool(scope),
        "export_scope": "" if scope == ["*"] else " ".join(scope),
        "values": values,
        "filtered": any(values.values()),
    }


def _sequence(request: HttpRequest, name: str) -> int | None:
    text = request.GET.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise BadFilter(f"{name}: {text[:40]!r} is not the number of an event.")
    return int(text)


@needs("audit.view")
@require_safe
def event(request: HttpRequest, sequence: int) -> HttpResponse:
    """One event with everything that it says."""
    found = get_object_or_404(readable(_reader(request)), sequence=min(sequence, 2**63 - 1))
    shown = {
        "event": found,
        "at": instant(found.at),
        "before": _pretty(found.before),
        "after": _pretty(found.after),
    }
    return render(request, "audit/event.html", shown)


@needs("audit.export")
@require_POST
def export_trail(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    """The filtered events as a zip; the filters come with the form."""
    reader = _reader(request)
    try:
        filters = Filters.of(request.POST)
    except BadFilter as problem:
        return _not_exported(request, str(problem))
    found = matching(filters, reader, permission="audit.export")
    if found.order_by("sequence")[WEB_LIMIT : WEB_LIMIT + 1].exists():
        reason = f"That is more than {WEB_LIMIT:,} events. Narrow the filters, or run: python manage.py audit export --out DIR"
        return _not_exported(request, reason)
    scope = scope_of(reader, "audit.export")
    _, blocks = begin(found, filters=filters, scope=scope, by=Actor.of(request))
    name = f"holdfast-audit-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.zip"
    return StreamingHttpResponse(
        blocks,
        content_type="application/zip",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _not_exported(request: HttpRequest, reason: str) -> HttpResponse:
    shown = _frame(_reader(request), request.POST)
    return render(request, "audit/trail.html", {**shown, "problem": reason}, status=422)


def _reader(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # noqa: S101 - the gate lets nobody else in
    return request.user


def _pretty(value: object) -> str:
    return "" if value is None else json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
