"""When a sign-in is refused without looking at the password.

django-axes counts failures of one name from one address. An attacker with many addresses meets the second limit: failures
of one name from anywhere, counted in the audit trail.
"""

from datetime import timedelta

from axes.handlers.proxy import AxesProxyHandler
from django.conf import settings
from django.db.models.functions import Now
from django.http import HttpRequest

from audit.models import Event


def locked_out(request: HttpRequest, username: str) -> bool:
    """Whether this name, from this address or from anywhere, has failed too often of late."""
    credentials = {"username": username}
    return not AxesProxyHandler.is_allowed(request, credentials) or _failed_everywhere(username)


def _failed_everywhere(username: str) -> bool:
    since = Now() - timedelta(minutes=settings.HOLDFAST_LOCKOUT_MINUTES)
    failures = Event.objects.filter(kind="account", key=username, verb="session.refuse", at__gte=since)
    limit = settings.AXES_FAILURE_LIMIT * 10
    return failures.order_by("-sequence")[:limit].count() >= limit
