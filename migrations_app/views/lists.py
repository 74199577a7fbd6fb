"""The list of migrations, live and ended."""

from django.core.paginator import Paginator
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.access import needs
from accounts.permissions import can
from migrations_app.states import FINISHED, State
from migrations_app.views.shared import visible_migrations

PAGE_SIZE = 50
_GROUPS = {
    "open": ("Open", ~Q(state__in=FINISHED)),
    "waiting": ("Need a person", Q(state__in=[State.WAITING, State.FAILED, State.PAUSED, State.READY])),
    "kept": ("Source kept", Q(state=State.RETAINED)),
    "ended": ("Ended", Q(state__in=FINISHED)),
    "all": ("All", Q()),
}


@needs("migrations.view")
@require_safe
def migrations(request: HttpRequest) -> HttpResponse:
    group = request.GET.get("show", "open")
    if group not in _GROUPS:
        group = "open"
    text = request.GET.get("q", "").replace("\x00", "").strip()[:100]
    rows = visible_migrations(request).annotate(claims=Count("transfers"))
    if text:
        rows = rows.filter(
            Q(application__icontains=text)
            | Q(reference__icontains=text)
            | Q(source_namespace__icontains=text)
            | Q(destination_namespace__icontains=text)
            | Q(transfers__source_name__icontains=text)
        ).distinct()
    rows = rows.filter(_GROUPS[group][1]).order_by("-changed_at", "-pk")
    page = Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))
    groups = [(key, label) for key, (label, _) in _GROUPS.items()]
    context = {
        "page": page,
        "groups": groups,
        "group": group,
        "text": text,
        "may_start": can(request.user, "migrations.edit"),
    }
    return render(request, "migrations/list.html", context)
