"""One migration's whole story on one page that can be printed."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.access import needs
from migrations_app.views import live
from migrations_app.views.shared import load


@needs("migrations.view")
@require_safe
def story(request: HttpRequest, reference: str) -> HttpResponse:
    migration = load(request, reference)
    context = {
        **live.frame(request, migration, "story"),
        "proofs": live.proofs(migration),
        "phases": live.phases(migration),
        "events": live.events_of(migration).order_by("sequence")[:2000],
        "requests": migration.sign_off_requests.prefetch_related("decisions"),
        "intents": migration.intents.order_by("id"),
        "evidence": migration.evidence.select_related("transfer").order_by("id"),
        **live.plan_context(migration),
    }
    return render(request, "migrations/story.html", context)
