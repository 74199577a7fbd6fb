"""Answers whether this process can serve people. Unsigned: it says nothing but words."""

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponsePermanentRedirect, JsonResponse
from django.middleware.common import CommonMiddleware
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.access import open_to_all
from audit.posture import note_owed


class HostCheck(CommonMiddleware):
    """Refuses names that are not Holdfast's (HOLDFAST_ALLOWED_HOSTS), but for `healthz`: probes name the pod, its address, or
    localhost, and the answer is the same words for everybody."""

    def process_request(self, request: HttpRequest) -> HttpResponsePermanentRedirect | None:
        return None if request.path_info == reverse("healthz") else super().process_request(request)


@open_to_all  # load balancers, the kubelet and the supervisor have no account
@require_safe
@never_cache
def healthz(request: HttpRequest) -> JsonResponse:
    """200 when PostgreSQL answers, else 503. Redis is told and does not count: without it everything goes on, later."""
    database = _database_answers()
    if database:
        note_owed()
    words = {
        "database": "answers" if database else "away",
        "redis": "answers" if _redis_answers() else "away",
    }
    return JsonResponse(words, status=200 if database else 503)


def _database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return False
    return True


def _redis_answers() -> bool:
    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1) as client:
            return bool(client.ping())
    except (redis.RedisError, OSError):
        return False
