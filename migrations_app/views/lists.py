"""The list of migrations, live and ended."""

from django.core.paginator import Paginator
from django.db.models import Count, Exists, OuterRef, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.access import needs
from accounts.permissions import can
from migrations_app.models import Transfer
from migrations_app.models.migration import NEEDS_SOMEBODY
from migrations_app.states import FINISHED, State
from migrations_app.views.shared import visible_migrations

PAGE_SIZE = 50
_GROUPS = {
    "open": ("Open", ~Q(state__in=FINISHED)),
    "waiting": ("Need a person", NEEDS_SOMEBODY),
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
    found = visible_migrations(request)
    if text:
        claims = Transfer.objects.filter(migration=OuterRef("pk"), source_name__icontains=text)
        found = found.filter(
            Q(application__icontains=text)
            | Q(reference__icontains=text)
            | Q(source_namespace__icontains=text)
            | Q(destination_namespace__icontains=text)
            | Exists(claims)
        )
    counts = found.aggregate(**{key: Count("pk", filter=which) for key, (_, which) in _GROUPS.items()})
    rows = found.filter(_GROUPS[group][1]).annotate(claims=Count("transfers")).order_by("-changed_at", "-pk")
    page = Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))
    groups = [(key, label, counts[key]) for key, (label, _) in _GROUPS.items()]
    context = {
        "page": page,
        "groups": groups,
        "group": group,
        "text": text,
        "may_start": can(request.user, "migrations.edit"),
    }
    return render(request, "migrations/list.html", context)
