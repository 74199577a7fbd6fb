"""When a sign-in is refused without looking at the password.

django-axes counts failures of one name from one address. An attacker with many addresses meets the second limit: failures
of one name from anywhere, counted in the audit trail.

Counting needs no text of a form, and none is kept: its fields may be passwords, and so may what was typed as a name.
"""

from datetime import timedelta
from typing import Any

from axes.handlers.proxy import AxesProxyHandler
from axes.models import AccessAttempt
from django.conf import settings
from django.db.models.functions import Now
from django.db.models.signals import pre_save
from django.dispatch import receiver
from django.http import HttpRequest
from django.utils.crypto import salted_hmac

from accounts.models import User
from audit.models import Event


def locked_out(request: HttpRequest, username: str) -> bool:
    """Whether this name, from this address or from anywhere, has failed too often of late."""
    credentials = {"username": username}
    return not AxesProxyHandler.is_allowed(request, credentials) or _failed_everywhere(username)


def counted_name(request: HttpRequest | None, credentials: dict[str, Any] | None) -> str:
    """The name that django-axes counts by and writes down: what was typed if it is an account's, else a keyed digest of it."""
    name = str((credentials or {}).get("username") or "").replace("\x00", "")
    if User.objects.filter(username=name).exists():
        return name
    return salted_hmac("accounts.throttle", name, algorithm="sha256").hexdigest()


@receiver(pre_save, sender=AccessAttempt)
def forget_the_form(instance: Any, **_: Any) -> None:
    """Keeps nothing of the request's fields: django-axes masks those it knows by name, and writes the others down."""
    instance.get_data = instance.post_data = ""


def _failed_everywhere(username: str) -> bool:
    since = Now() - timedelta(minutes=settings.HOLDFAST_LOCKOUT_MINUTES)
    failures = Event.objects.filter(kind="account", key=username, verb="session.refuse", at__gte=since)
    limit = settings.AXES_FAILURE_LIMIT * 10
    return failures.order_by("-sequence")[:limit].count() >= limit
