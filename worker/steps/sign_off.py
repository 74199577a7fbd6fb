"""Sign off: a second person approves. What they approve is compared with what is there at every look."""

from migrations_app.actions import signing
from migrations_app.models import SignOffRequest
from migrations_app.rules.questions import asks, unanswered
from migrations_app.rules.signoff import eligible, why_void
from worker import health, stillness
from worker.context import WORKER, Context
from worker.outcomes import Done, Outcome, Wait

Live = SignOffRequest.State


def tick(context: Context) -> Outcome:
    still = stillness.check(context)
    health.observe(context)
    request = signing.open_request(context.migration, actor=WORKER)
    if still is not None:
        signing.withdraw(
            request, "The source is in use again or was replaced: it may have been written to.", actor=WORKER
        )
        return still
    reason = why_void(request)
    if reason:
        signing.withdraw(request, reason, actor=WORKER)
        request = signing.open_request(context.migration, actor=WORKER)
    if request.state == Live.APPROVED:
        names = ", ".join(d.by_name for d in request.decisions.exclude(kind="ask"))
        context.evidence(
            "sign-off",
            {"covers_digest": request.covers_digest, "by": names, "health": context.memory["health"]},
        )
        return Done(f"Approved by {names}.")
    if request.state == Live.REJECTED:
        decision = request.decisions.filter(kind="reject").latest("at")
        return Wait(f"{decision.by_name} rejected it: {decision.text}", "migrations.edit", after_s=15)
    questions = unanswered(request)
    if questions:
        return Wait(asks(questions), "migrations.edit", after_s=15)
    people = [user.get_username() for user in eligible(context.migration)]
    who = (
        f"Who may: {', '.join(people[:5])}."
        if people
        else "Nobody can at present: an admin has to grant the role approver."
    )
    return Wait(
        f"A second person has to approve that the source is deleted. {who}", "signoff.give", after_s=15
    )
