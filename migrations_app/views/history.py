"""One migration's whole story on one page that can be printed."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.access import needs
from migrations_app.rules.questions import conversation
from migrations_app.views import live
from migrations_app.views.proofs import proofs
from migrations_app.views.shared import load
from migrations_app.views.turns import turns

# More than a page can hold; the page says when it leaves any out.
STORY_EVENTS = 5000


@needs("migrations.view")
@require_safe
def story(request: HttpRequest, reference: str) -> HttpResponse:
    migration = load(request, reference)
    events = live.events_of(migration).order_by("sequence")
    shown = list(events[: STORY_EVENTS + 1])
    context = {
        **live.frame(request, migration, "story"),
        "proofs": proofs(migration),
        "phases": live.phases(migration),
        "events": shown[:STORY_EVENTS],
        "events_left_out": events.count() - STORY_EVENTS if len(shown) > STORY_EVENTS else 0,
        "turns": turns(migration),
        "requests": [(asked, conversation(asked)) for asked in migration.sign_off_requests.all()],
        "intents": migration.intents.order_by("id"),
        "evidence": migration.evidence.select_related("transfer").order_by("id"),
        **live.plan_context(migration),
    }
    return render(request, "migrations/story.html", context)
