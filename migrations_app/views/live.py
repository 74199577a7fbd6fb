"""The page of one migration, and its tabs. One URL a tab; htmx only asks for the part that changes."""

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.db.models import Q
from django.db.models.functions import Left
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_safe

from accounts.access import needs
from accounts.permissions import can
from audit.models import Event
from dashboard.views.parts import render_part
from migrations_app import procedure
from migrations_app.models import Course, LogLine, Migration, StepRun
from migrations_app.rules.possible import buttons
from migrations_app.rules.shown import shown
from migrations_app.states import NOT_REACHED, STOPPED, State, StepState, Verdict
from migrations_app.views import loglines
from migrations_app.views.proofs import proofs
from migrations_app.views.shared import allowed_in, load
from migrations_app.views.turns import turns

# Longer than this without a word from a mover, and the page says so.
SILENT = timedelta(seconds=15)
# How soon the page looks again: quick while something happens, slow while a person is awaited.
BUSY_POLL_S, SLOW_POLL_S = 1, 5
LOG_LINES = 400
# A line may be as long as a mover likes; the download has all of it.
LINE_CHARACTERS = 4000


@needs("migrations.view")
@require_safe
def migration(request: HttpRequest, reference: str) -> HttpResponse:
    return show(request, load(request, reference))


def show(
    request: HttpRequest, found: Migration, *, note: str = "", note_error: str = "", status: int = 200
) -> HttpResponse:
    """The page, or the part of it that changes. `note` is what was typed into the test form that was refused."""
    context = {
        **frame(request, found, "progress"),
        **_progress(found),
        "note": note,
        "note_error": note_error,
    }
    return render_part(request, "migrations/migration.html", "migrations/_live.html", context, status=status)


def frame(request: HttpRequest, found: Migration, tab: str) -> dict[str, Any]:
    """What every tab shows around itself."""
    return {
        "migration": found,
        "state": found.standing,
        "doing": "" if found.is_finished else _doing(found),
        "tab": tab,
        # A draft is acted on in the wizard.
        "buttons": [] if found.is_draft else buttons(found, allowed=allowed_in(request, found)),
        "may_edit": can(request.user, "migrations.edit", namespace=found.namespaces),
        "shout": shouts(found),
        # What a click on this page answers.
        "shown": shown(found),
    }


def _doing(found: Migration) -> str:
    """The step, or the way back, that it is at."""
    return found.step.title if found.course == Course.FORWARD else found.get_course_display()


def shouts(found: Migration) -> bool:
    """Whether somebody approved alone: every page of the migration says so, for ever."""
    return found.sign_off_requests.filter(decisions__kind="break-glass").exists()


def _progress(found: Migration) -> dict[str, Any]:
    seconds = poll_s(found)
    claims = [(proof, progress_of(found, proof.transfer.progress)) for proof in proofs(found)]
    return {
        "phases": phases(found),
        "claims": claims,
        "stands": stands(found),
        "moving": any(progress for _, progress in claims),
        "turns": turns(found),
        "poll_s": seconds,
        # Without JavaScript the whole page loads anew: only while something happens, and nobody could be typing.
        "refresh_s": 5 if seconds == BUSY_POLL_S else 0,
        "worker_silent_s": worker_silent_s(found),
        # Each change is an event before it is made and one after; the second says enough.
        "recent": events_of(found).exclude(note="intended")[:6],
    }


def stands(found: Migration) -> str:
    """What it means that nothing goes on; empty while something does. What the last act said is old by then."""
    if found.state == State.PAUSED:
        means = "Nothing more is done until somebody resumes it; a copy Job that runs goes on to its end."
        return (
            f"{means} The application stays down: a pause does not end the outage."
            if found.is_down
            else means
        )
    if found.state == State.FAILED and found.problem:
        return f"It stopped at {_doing(found)}, and nothing goes on until somebody decides: what happened, what is safe and what to do next is below."
    return ""


def worker_silent_s(found: Migration) -> float | None:
    """How long the engine has been overdue; None when it looks when it said it would."""
    at_work = found.lease_until is not None and found.lease_until > timezone.now()
    return overdue_s(found.next_tick_at) if found.is_ticking and not at_work else None


def overdue_s(due: datetime | None) -> float | None:
    """How long ago the worker should have looked; None when it is not late."""
    late = timezone.now() - due if due else timedelta(0)
    return late.total_seconds() if late > SILENT else None


def poll_s(found: Migration) -> int:
    """Seconds until the page looks again; 0 when nothing will change by itself."""
    if found.is_finished or found.state == State.DRAFT:
        return 0
    slow = found.state in {State.WAITING, State.RETAINED} or found.waiting_for
    busy = found.is_ticking and not slow
    return BUSY_POLL_S if busy else SLOW_POLL_S


def phases(found: Migration) -> list[dict[str, Any]]:
    """The table of the procedure with what became of each step: its last attempt, its state, how often it was tried."""
    latest: dict[str, StepRun] = {run.step: run for run in found.runs.order_by("id")}
    return [
        {"phase": phase.label, "steps": [_step(found, step, latest.get(step.key)) for step in steps]}
        for phase, steps in procedure.by_phase()
    ]


def _step(found: Migration, step: procedure.Step, run: StepRun | None) -> dict[str, Any]:
    ahead = procedure.is_before(found.current_step, step.key)
    state = StepState.PENDING if run is None or ahead else run.state_value
    current = found.current_step == step.key and not found.is_finished
    if found.is_finished:
        return {"step": step, "current": False, **_ended(found, state, None if ahead else run)}
    if found.state in {State.PAUSED, State.ABORTED} and state == StepState.RUNNING:
        state = StepState.WAITING
    elif current and found.state == State.RUNNING and state == StepState.PENDING:
        state = StepState.RUNNING
    return {
        "step": step,
        "state": state,
        "run": None if ahead else run,
        "note": "" if ahead or run is None else run.message,
        "current": current,
    }


def _ended(found: Migration, state: StepState, run: StepRun | None) -> dict[str, Any]:
    """A step of a migration that has ended: what was under way is not waited for any more, and what never began is not to come."""
    if run is None or state == StepState.PENDING:
        return {"state": NOT_REACHED, "run": None, "note": ""}
    if state not in {StepState.RUNNING, StepState.WAITING}:
        return {"state": state, "run": run, "note": run.message}
    ways = found.runs.exclude(step__in=procedure.KEYS).filter(pk__gt=run.pk).order_by("pk")
    turned = ways.values_list("started_at", flat=True).first()
    # Not saved: only so that it does not seem to last until today.
    run.finished_at = run.finished_at or turned or found.finished_at or found.changed_at
    if run.step == "retain" and found.state == State.COMPLETED and not found.problem:
        return {"state": StepState.DONE, "run": run, "note": "The source was kept until the purge."}
    failed = found.runs.filter(step=run.step, state=StepState.FAILED, pk__lt=run.pk).last()
    earlier = f" Attempt {failed.attempt} failed: {failed.message}" if failed else ""
    return {
        "state": STOPPED,
        "run": run,
        "note": f"It was under way when the migration was turned round.{earlier}",
    }


def progress_of(found: Migration, said: dict[str, Any]) -> dict[str, Any] | None:
    """What the mover said last, with rate, remaining time and silence; None when it is not at work."""
    if not said or said.get("step") != found.current_step or found.state != State.RUNNING:
        return None
    at = parse_datetime(said.get("at", "")) or timezone.now()
    silent = timedelta(0) if said.get("ended") else timezone.now() - at
    rate, total, done = said.get("rate_bytes_per_second"), said.get("bytes_total"), said.get("bytes") or 0
    # While the mover still counts ahead of its work, the total says how much it has seen, not how much there is.
    growing = said.get("totals") == "growing"
    eta = (total - done) / rate if rate and total and total > done and not growing else None
    return {
        **said,
        "phase": "done" if said.get("ended") else loglines.phase(said.get("phase", "")),
        "growing": growing,
        "rate": rate,
        "eta_s": eta,
        "percent": min(100, 100 * done // total) if total and not growing else None,
        "silent_s": silent.total_seconds() if silent > SILENT else None,
    }


def events_of(found: Migration):  # type: ignore[no-untyped-def]
    """Events about the migration and about what it changed, newest first."""
    about = Q(kind="migration", key=found.reference) | Q(after__migration=found.reference)
    return Event.objects.filter(about).order_by("-sequence")


@needs("migrations.view")
@require_safe
def plan(request: HttpRequest, reference: str) -> HttpResponse:
    found = load(request, reference)
    around = frame(request, found, "plan")
    # A changed plan is accepted where it can be read, by the digest of the page that showed it.
    accept = next((b for b in around["buttons"] if b.verb == "continue"), None)
    context = {**around, **plan_context(found), "accept": accept if found.current_step == "plan" else None}
    return render(request, "migrations/plan.html", context)


def plan_context(found: Migration) -> dict[str, Any]:
    """The plan as pages show it: checks with their verdicts, objects by step, Git changes."""
    grouped: list[dict[str, Any]] = []
    for item in found.plan.get("objects", []):
        if not grouped or grouped[-1]["step"].key != item["step"]:
            grouped.append({"step": procedure.BY_KEY[item["step"]], "objects": []})
        grouped[-1]["objects"].append(item)
    # What is kept as it is stands in the plan, and is no change.
    changes = [item for item in found.plan.get("objects", []) if item["verb"] != "keep"]
    checks = [(Verdict(c["verdict"]), c) for c in found.plan.get("checks", [])]
    attention = [row for row in checks if row[0] != Verdict.PASS]
    return {
        "plan": found.plan,
        "grouped": grouped,
        "cluster_changes": len(changes),
        "checks": checks,
        # What stops comes before what warns.
        "attention": sorted(attention, key=lambda row: row[0] != Verdict.STOP),
        "passed": [row for row in checks if row[0] == Verdict.PASS],
    }


@needs("migrations.view")
@require_safe
def logs(request: HttpRequest, reference: str) -> HttpResponseBase:
    """Lines that movers printed, kept when their pods are gone."""
    found = load(request, reference)
    rows = LogLine.objects.filter(migration=found)
    jobs = list(rows.order_by().values_list("job", flat=True).distinct())
    job = request.GET.get("job", "")
    if job not in jobs:
        job = ""
    shown = rows.filter(job=job) if job else rows
    if request.GET.get("download"):
        name = f"{found.reference}{'-' + job if job else ''}.log"
        return StreamingHttpResponse(
            (f"{line.at.isoformat()} {line.job} {line.text}\n" for line in shown.order_by("id").iterator()),
            content_type="text/plain; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )
    rows = shown.defer("text").annotate(beginning=Left("text", LINE_CHARACTERS)).order_by("-id")[:LOG_LINES]
    prefix = f"hf-{found.reference}-"
    lines = [(line, line.job.removeprefix(prefix), loglines.sentence(line.beginning)) for line in rows][::-1]
    context = {
        "jobs": jobs,
        "job": job,
        "lines": lines,
        "more": shown.count() - len(lines),
        "poll_s": poll_s(found),
        "here": f"{request.path}?{urlencode({'job': job})}",
    }
    return render_part(
        request, "migrations/logs.html", "migrations/_logs.html", {**frame(request, found, "logs"), **context}
    )


@needs("migrations.view")
@require_safe
def evidence(request: HttpRequest, reference: str) -> HttpResponse:
    found = load(request, reference)
    rows = found.evidence.select_related("transfer").order_by("-id")
    context = {"rows": rows, "proofs": proofs(found)}
    return render(request, "migrations/evidence.html", {**frame(request, found, "evidence"), **context})


@needs("migrations.view")
@require_safe
def changes(request: HttpRequest, reference: str) -> HttpResponse:
    """Every change that was made to the cluster or to Git: intended, made, refused, undone."""
    found = load(request, reference)
    return render(
        request,
        "migrations/changes.html",
        {**frame(request, found, "changes"), "intents": found.intents.order_by("id")},
    )


@needs("migrations.view")
@require_safe
def timeline(request: HttpRequest, reference: str) -> HttpResponse:
    found = load(request, reference)
    page = Paginator(events_of(found), 100).get_page(request.GET.get("page"))
    return render(request, "migrations/timeline.html", {**frame(request, found, "timeline"), "page": page})
