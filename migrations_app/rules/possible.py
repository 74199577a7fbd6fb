"""What can be done with a migration now. `check_x` raises the sentence that the person reads."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from django.utils import timezone

from accounts.permissions import why_not
from migrations_app import procedure
from migrations_app.models import Course, Migration
from migrations_app.problems import Refused
from migrations_app.states import IntentState, State


def check_edit(migration: Migration) -> None:
    if migration.state not in {State.DRAFT, State.READY}:
        if migration.state == State.PREPARING:
            raise Refused("The checks are running.", next="Wait until they end, a few seconds as a rule.")
        raise Refused("It was started, so its options are fixed.", next="Roll it back and start another one.")


def check_start(migration: Migration) -> None:
    if migration.state != State.READY:
        raise Refused("The checks have not passed yet.", next="Run the checks and review the plan.")
    if not migration.plan_digest:
        raise Refused("There is no plan yet.", next="Run the checks.")


def check_pause(migration: Migration) -> None:
    if migration.state not in {State.RUNNING, State.WAITING}:
        raise Refused(f"It is not running: {migration.state_value.label.lower()}.")
    if not migration.step.reversible:
        raise Refused("The source is being released. Pausing here would leave it half removed.")


def check_resume(migration: Migration) -> None:
    if migration.state != State.PAUSED:
        raise Refused("It is not paused.")


def check_retry(migration: Migration) -> None:
    if migration.state != State.FAILED:
        raise Refused("Nothing failed.")


def check_abort(migration: Migration) -> None:
    if migration.state not in {State.RUNNING, State.WAITING, State.PAUSED, State.FAILED}:
        raise Refused(f"There is nothing to abort: {migration.state_value.label.lower()}.")
    if migration.course != Course.FORWARD:
        raise Refused(f"{migration.get_course_display()} is under way.", next="Retry it.")


def released(migration: Migration) -> bool:
    """True from the first irreversible act of release on. Asks the intents, not the step: the step may only be checking."""
    acts = ["git.push", "claim.delete", "claim.leave", "claim.unprotect"]
    # A person may have made the change of Git or of the chart, or deleted a claim, where Holdfast did not.
    kinds = ["git-arrived", "helm-let-go", "claim-vanished"]
    others = migration.evidence.filter(kind__in=kinds).exists()
    # What was refused for certain did not happen; what got no answer may have.
    tried = migration.intents.filter(step="release", verb__in=acts).exclude(state=IntentState.FAILED)
    return others or tried.exists()


def check_roll_back(migration: Migration) -> None:
    if migration.state not in {State.RUNNING, State.WAITING, State.PAUSED, State.FAILED, State.ABORTED}:
        raise Refused(f"There is nothing to roll back: {migration.state_value.label.lower()}.")
    if migration.state == State.FAILED and migration.course not in {
        Course.FORWARD,
        Course.ABORT,
        Course.ROLL_BACK,
    }:
        raise Refused(f"{migration.get_course_display()} is under way.", next="Retry it.")
    if released(migration):
        raise Refused(
            "The release has begun: parts of the source are gone already.",
            next="Let release finish, then use Undo: the source volume is kept.",
        )


def check_undo(migration: Migration) -> None:
    undoable = migration.state == State.RETAINED or (
        migration.state in {State.FAILED, State.ABORTED}
        and migration.course in {Course.FORWARD, Course.ABORT, Course.PURGE}
        and released(migration)
    )
    if not undoable:
        raise Refused("Undo is for after the release, while the source volume is kept.")


def check_purge(migration: Migration) -> None:
    if migration.state != State.RETAINED:
        raise Refused("Only a released migration whose source volume is kept can be purged.")
    if migration.retain_until and migration.retain_until > timezone.now():
        raise Refused(
            f"The source volume is kept until {migration.retain_until:%Y-%m-%d %H:%M} UTC.",
            next="Purge is possible from then on.",
        )


# The kept volume is gone, or in other hands: no Retry helps where a person wants it to stay so.
_OUT_OF_HANDS = frozenset({"volume-lost", "volume-strange", "taken"})


def check_close(migration: Migration) -> None:
    code = (migration.problem or {}).get("code", "")
    turned = migration.state == State.FAILED and migration.course in {Course.UNDO, Course.PURGE}
    if not turned or code not in _OUT_OF_HANDS:
        raise Refused(
            "Only an Undo or a Purge whose kept volume is gone, or in other hands, is closed as it is.",
            next="Look at its state now and decide again.",
        )


def check_continue(migration: Migration) -> None:
    steps = {"quiesce", "deploy", "plan"}
    if migration.source_owner.get("kind") in {"Helm", "HelmRelease"}:
        # Whether Helm has let go of a claim may be seen nowhere.
        steps.add("release")
    if migration.state != State.WAITING or migration.current_step not in steps:
        raise Refused("Nothing waits for a continue.")


def check_confirm_test(migration: Migration) -> None:
    if migration.state != State.WAITING or migration.current_step != "test":
        raise Refused(
            "The test gate is not open.", next="It opens when the application runs in the destination."
        )


# These have a page of their own that shows what they will do, and hold only for the very version that was shown.
SHOWN_FIRST = frozenset({"abort", "roll-back", "undo", "purge", "close"})
# They come and go with what is asked; the others keep their place while the page follows.
_GOES_ON = frozenset({"continue", "resume", "retry"})


@dataclass(frozen=True)
class Button:
    """One action on the page of a migration. Templates compute nothing."""

    verb: str
    label: str
    permission: str
    explains: str
    tone: str = ""
    enabled: bool = True
    reason: str = ""
    # Only what cannot be undone asks for a name to be typed.
    type_to_confirm: str = ""

    @property
    def shown_first(self) -> bool:
        return self.verb in SHOWN_FIRST

    @property
    def goes_on(self) -> bool:
        return self.verb in _GOES_ON


_BUTTONS: tuple[tuple[Button, Callable[[Migration], None]], ...] = (
    (
        Button(
            "continue",
            "Continue",
            "migrations.edit",
            "Goes on with the next act of this step.",
            tone="primary",
        ),
        check_continue,
    ),
    (
        Button("resume", "Resume", "migrations.edit", "Goes on where it was paused.", tone="primary"),
        check_resume,
    ),
    (
        Button(
            "retry",
            "Retry",
            "migrations.edit",
            "Tries the failed step again. Steps are safe to repeat.",
            tone="primary",
        ),
        check_retry,
    ),
    (
        Button(
            "pause",
            "Pause",
            "migrations.edit",
            "Stops after the current act. A running copy Job goes on, and so does an outage.",
        ),
        check_pause,
    ),
    (
        Button(
            "abort", "Abort", "migrations.edit", "Stops the copy Jobs and leaves everything where it stands."
        ),
        check_abort,
    ),
    (
        Button(
            "roll-back",
            "Roll back",
            "migrations.edit",
            "Restores replicas and suspension as recorded and removes what this migration created.",
            tone="danger",
        ),
        check_roll_back,
    ),
    (
        Button(
            "undo",
            "Undo",
            "migrations.edit",
            "Rebuilds the source claim from its kept volume.",
            tone="danger",
        ),
        check_undo,
    ),
    (
        Button("purge", "Purge", "cleanup.purge", "Deletes the kept source volume for good.", tone="danger"),
        check_purge,
    ),
    (
        Button(
            "close",
            "Close as it is",
            "migrations.edit",
            "Ends it where it stands. Nothing is deleted, and nothing more is put back.",
            tone="danger",
        ),
        check_close,
    ),
)

# Shown only while they mean something; the others are shown disabled, with the reason.
_ONLY_WHEN_POSSIBLE = _GOES_ON | {"close"}
_AFTER_RELEASE = frozenset({"undo", "purge"})


def buttons(migration: Migration, *, allowed: Callable[[str], bool]) -> list[Button]:
    """The actions for the page: each enabled, or disabled with the reason. `allowed` says who may, by permission."""
    found = []
    after_release = not procedure.is_before(migration.current_step, "release")
    for one, check in _BUTTONS:
        reason = _reason(migration, check)
        if reason and (one.verb in _ONLY_WHEN_POSSIBLE or migration.is_finished):
            continue
        if reason and (one.verb in _AFTER_RELEASE) != after_release:
            continue
        found.append(_judged(one, reason, migration, allowed))
    return found


def button(migration: Migration, verb: str, *, allowed: Callable[[str], bool]) -> Button:
    """One action, whether it is possible now or not."""
    one, check = next((each, check) for each, check in _BUTTONS if each.verb == verb)
    return _judged(one, _reason(migration, check), migration, allowed)


def _reason(migration: Migration, check: Callable[[Migration], None]) -> str:
    """Why the state does not allow it; empty when it does."""
    try:
        check(migration)
    except Refused as refusal:
        return f"{refusal.reason} {refusal.next}".strip()
    return ""


def _judged(one: Button, reason: str, migration: Migration, allowed: Callable[[str], bool]) -> Button:
    if not reason and not allowed(one.permission):
        reason = why_not(one.permission, migration.namespaces)
    confirm = migration.application if one.verb in {"purge", "close"} else ""
    return replace(one, enabled=not reason, reason=reason, type_to_confirm=confirm)
