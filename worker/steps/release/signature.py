"""The signature: it must hold when release begins, it is used once, and what breaks it voids it visibly."""

from migrations_app.actions import signing
from migrations_app.models import SignOffRequest
from migrations_app.problems import Refused
from migrations_app.rules.signoff import unrecorded, why_void
from worker.context import WORKER, Context
from worker.outcomes import GoBack, Outcome

Live = SignOffRequest.State


def check(context: Context) -> Outcome | None:
    """None while the newest sign-off is approved and holds, or was used already, as the trail has it."""
    request = _newest(context)
    if request is None or request.state not in {Live.APPROVED, Live.USED}:
        return GoBack("sign-off", "There is no approved sign-off.")
    reason = unrecorded(request) if request.state == Live.USED else why_void(request)
    if reason:
        signing.withdraw(request, reason, actor=WORKER)
        return GoBack("sign-off", f"The sign-off no longer holds. {reason}")
    return None


def use(context: Context) -> Outcome | None:
    """Uses it up. None when it is used."""
    request = _newest(context)
    if request is None:
        return GoBack("sign-off", "There is no sign-off.")
    try:
        signing.use(request, actor=WORKER)
    except Refused as refusal:
        return GoBack("sign-off", refusal.reason)
    return None


def void(context: Context, reason: str) -> None:
    """What was signed for is not what is there."""
    request = _newest(context)
    if request is not None:
        signing.withdraw(request, reason, actor=WORKER)


def _newest(context: Context) -> SignOffRequest | None:
    return context.migration.sign_off_requests.order_by("-id").first()
