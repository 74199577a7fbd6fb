"""Buttons of a migration: one action each, POST only."""

from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods, require_POST

from accounts.access import needs
from migrations_app.actions import gates, running
from migrations_app.models import Migration
from migrations_app.problems import Stale
from migrations_app.rules.going_back import abort_plan, close_plan, purge_plan, roll_back_plan, undo_plan
from migrations_app.rules.possible import SHOWN_FIRST, button
from migrations_app.rules.shown import shown
from migrations_app.views import live
from migrations_app.views.shared import allowed_in, attempt, check_edit, load, person, see_other, typed

_PERMISSION = {"purge": "cleanup.purge"}
_ACTIONS: dict[str, Callable[..., Any]] = {
    "continue": gates.go_on,
    "pause": running.pause,
    "resume": running.resume,
    "retry": running.retry,
    "abort": running.abort,
    "roll-back": running.roll_back,
    "undo": running.undo,
    "purge": running.purge,
    "close": running.close,
}
_DONE = {
    "continue": "It goes on.",
    "pause": "Paused.",
    "resume": "It goes on.",
    "retry": "A new attempt begins.",
    "abort": "It stops where it stands.",
    "roll-back": "Roll back begins.",
    "undo": "Undo begins.",
    "purge": "The source volumes are being deleted.",
    "close": "It is closed.",
}
# It only ever stops: whatever goes on by now, stopping it is what was meant.
_AT_ANY_TIME = {"pause"}
_TYPED = {"purge", "close"}


@needs("migrations.edit")  # purge needs more, which whoever holds this holds too
@require_http_methods(["GET", "HEAD", "POST"])
def act(request: HttpRequest, reference: str, verb: str) -> HttpResponse:
    """GET shows what the action will do, POST does it."""
    if verb not in _ACTIONS:
        raise Http404
    migration = load(request, reference)
    check_edit(request, migration, _PERMISSION.get(verb, "migrations.edit"))
    if request.method != "POST":
        if verb in SHOWN_FIRST:
            return _confirm(request, migration, verb)
        return see_other("migration", reference)
    arguments: dict[str, Any] = {"by": person(request)}
    if verb == "continue":
        arguments["plan_digest"] = typed(request, "plan_digest", 80)
    if verb in _TYPED:
        arguments["typed"] = typed(request, "typed", 300)
    if verb in {"roll-back", "undo", "close"}:
        arguments["reason"] = typed(request, "reason", 2000)

    def action() -> None:
        with transaction.atomic():
            # The engine changes what a gate asks under this lock: what is compared here is what is answered.
            current = Migration.objects.select_for_update(no_key=True).get(pk=migration.pk)
            _check_seen(request, current, verb)
            _ACTIONS[verb](migration=current, **arguments)

    if attempt(request, action, done=_DONE[verb]):
        return see_other("migration", reference)
    if verb in SHOWN_FIRST:
        reason = arguments.get("reason", "")
        return _confirm(request, load(request, reference), verb, reason=reason, status=422)
    at_plan = verb == "continue" and migration.current_step == "plan"
    return see_other("migration-plan" if at_plan else "migration", reference)


def _check_seen(request: HttpRequest, current: Migration, verb: str) -> None:
    """Raises `Stale` where the click answers a page that showed something else."""
    if verb in SHOWN_FIRST and request.POST.get("version", "") != str(current.version):
        raise Stale
    if verb not in SHOWN_FIRST | _AT_ANY_TIME and request.POST.get("shown", "") != shown(current):
        raise Stale


def _confirm(
    request: HttpRequest, migration: Migration, verb: str, *, reason: str = "", status: int = 200
) -> HttpResponse:
    """The page that shows what will be done; `reason` is what was typed into it when it was refused."""
    context = {
        "migration": migration,
        "verb": verb,
        "button": button(migration, verb, allowed=allowed_in(request, migration)),
        "lines": _lines(migration, verb),
        "shout": live.shouts(migration),
        "reason": reason,
    }
    return render(request, "migrations/confirm.html", context, status=status)


def _lines(migration: Migration, verb: str) -> list[str]:
    if verb == "roll-back":
        return roll_back_plan(migration)
    if verb == "undo":
        return undo_plan(migration)
    if verb == "close":
        return close_plan(migration)
    if verb == "abort":
        return abort_plan(migration)
    if verb == "purge":
        return purge_plan(migration)
    return []


@needs("migrations.edit")
@require_POST
def confirm_test(request: HttpRequest, reference: str) -> HttpResponse:
    migration = load(request, reference)
    check_edit(request, migration)
    note = typed(request, "note", 4000)

    def action() -> None:
        with transaction.atomic():
            current = Migration.objects.select_for_update(no_key=True).get(pk=migration.pk)
            if request.POST.get("shown", "") != shown(current):
                raise Stale
            gates.confirm_test(by=person(request), migration=current, note=note)

    if attempt(request, action, done="The test is confirmed. A second person is asked to sign off."):
        return see_other("migration", reference)
    return live.show(request, load(request, reference), note=note, note_error="refused", status=422)
