"""The gate in front of every view: who asks, from where, since when, and may they."""

import logging
import re
import uuid
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from accounts import held
from accounts.access import access_of
from accounts.actions import note_failed_sign_in, note_refusal, sign_in, sign_out
from accounts.addresses import client_address, peer, within
from accounts.checks import check_proxy_sign_in
from accounts.external import NotAdmitted, admit
from accounts.groups import roles_for
from accounts.models import Grant
from accounts.permissions import Refused, can, why_not
from accounts.redirects import page_of, to_sign_in
from audit import context

log = logging.getLogger(__name__)
Next = Callable[[HttpRequest], HttpResponse]

_REQUEST_ID = re.compile(r"[A-Za-z0-9-]{8,64}")
_FORWARDED = (
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_REQUEST_ID",
    "HTTP_FORWARDED",
)


def header_key(name: str) -> str:
    """The key of header `name` in `request.META`."""
    return "HTTP_" + name.upper().replace("-", "_")


class RequestContext:
    """First of all: forget headers that only a trusted proxy may set; name the request; note its address."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not within(peer(request), settings.HOLDFAST_TRUSTED_PROXIES):
            for key in _FORWARDED:
                request.META.pop(key, None)
        if not within(peer(request), settings.HOLDFAST_PROXY_ADDRESSES):
            for name in filter(
                None, (settings.HOLDFAST_PROXY_USER_HEADER, settings.HOLDFAST_PROXY_GROUPS_HEADER)
            ):
                request.META.pop(header_key(name), None)
        _drop_odd_cookies(request)
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        tokens = context.request_id.set(request_id), context.address.set(client_address(request))
        try:
            response = (
                HttpResponseBadRequest("No address has a NUL in it.", content_type="text/plain")
                if "\x00" in request.path_info
                else self.get_response(request)
            )
        finally:
            context.request_id.reset(tokens[0])
            context.address.reset(tokens[1])
        response["X-Request-ID"] = request_id
        return response


def _drop_odd_cookies(request: HttpRequest) -> None:
    """Forgets cookies with a NUL, which a quoted cookie can hold and no text of PostgreSQL: they are none of ours."""
    for name in [name for name, value in request.COOKIES.items() if "\x00" in value]:
        del request.COOKIES[name]


class ProxySignIn:
    """Signs in whom the trusted proxy names, where that is switched on."""

    def __init__(self, get_response: Next) -> None:
        # The web server does not run system checks, and must not start either.
        for problem in check_proxy_sign_in(None):
            raise ImproperlyConfigured(f"{problem.msg} {problem.hint or ''}")
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        name = (
            request.META.get(header_key(settings.HOLDFAST_PROXY_USER_HEADER), "")
            if settings.HOLDFAST_PROXY_USER_HEADER
            else ""
        )
        if not name:
            if request.session.get("via") == "proxy":  # the proxy no longer vouches for them
                sign_out(request, note="The proxy named nobody.")
            return self.get_response(request)
        groups_key = header_key(settings.HOLDFAST_PROXY_GROUPS_HEADER)
        groups = [group.strip() for group in request.META.get(groups_key, "").split(",") if group.strip()]
        # With what the groups give by the settings as they are now: a role that the mapping took away ends at once, too.
        seen = [name, groups, sorted([role.value, names] for role, names in roles_for(groups).items())]
        if not self._is_current(request, seen):
            try:
                user = admit(
                    issuer="proxy", subject=name, username=name, groups=groups, source=Grant.Source.PROXY
                )
            except NotAdmitted as refusal:
                note_failed_sign_in(name, via="proxy", note=str(refusal))
                return render(
                    request, "accounts/refused.html", {"reason": str(refusal), "noted": True}, status=403
                )
            sign_in(request, user, via="proxy")
            request.session["proxy_seen"] = seen
        return self.get_response(request)

    @staticmethod
    def _is_current(request: HttpRequest, seen: list[Any]) -> bool:
        return request.user.is_authenticated and request.session.get("proxy_seen") == seen


class SessionLimits:
    """Ends sessions that are too old, were left alone (polling is not being there), or are from before a deactivation."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.user.is_authenticated:
            reason = self._why_expired(request)
            if reason:
                username = request.user.get_username()
                sign_out(request, verb="session.expire", note=reason)
                held.expect(request, username=username)
            elif not _is_poll(request):
                self._note_activity(request)
        return self.get_response(request)

    @staticmethod
    def _why_expired(request: HttpRequest) -> str:
        now = timezone.now().timestamp()
        started = request.session.setdefault("started_at", now)
        seen = request.session.setdefault("seen_at", now)
        stopped = getattr(request.user, "deactivated_at", None)
        if stopped is not None and started <= stopped.timestamp():
            return "The account was deactivated since."
        if now - started > settings.HOLDFAST_SESSION_HOURS * 3600:
            return f"The session was older than {settings.HOLDFAST_SESSION_HOURS} hours."
        if now - seen > settings.HOLDFAST_SESSION_IDLE_MINUTES * 60:
            return f"Nothing was done for {settings.HOLDFAST_SESSION_IDLE_MINUTES} minutes."
        return ""

    @staticmethod
    def _note_activity(request: HttpRequest) -> None:
        now = timezone.now().timestamp()
        if now - request.session.get("seen_at", 0) > 60:  # one write a minute is exact enough
            request.session["seen_at"] = now


def _is_poll(request: HttpRequest) -> bool:
    """Whether the page looks again by itself: htmx names what asked by its id. A filter that somebody types asks by htmx, too."""
    return request.method == "GET" and request.headers.get("HX-Trigger", "").startswith("poll-")


class Gate:
    """Default deny: a view that declares nothing is closed; the others ask for what they declare."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: Any, kwargs: Any
    ) -> HttpResponse | None:
        access = access_of(view)
        if access is None:
            log.error(
                "View %s.%s is closed: it declares no permission.",
                view.__module__,
                getattr(view, "__name__", view),
            )
            return refuse(
                request, Refused("This page is closed: it declares no permission. Please report it.")
            )
        if access.public:
            return None
        if not request.user.is_authenticated:
            return self._to_sign_in(request)
        permission = access.permission(request.method or "GET")
        if permission and not can(request.user, permission):
            return refuse(request, Refused(why_not(permission), permission=permission))
        held.note_sent(request)  # its token was looked at before
        return None

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answers a `Refused` of a view or an action."""
        return refuse(request, exception) if isinstance(exception, Refused) else None

    @staticmethod
    def _to_sign_in(request: HttpRequest) -> HttpResponse:
        if request.method == "POST" and held.hold(request):
            return to_sign_in(request, reverse("held-form"))
        return to_sign_in(request, page_of(request))


def refuse(request: HttpRequest, refusal: Refused) -> HttpResponse:
    """Record the refusal and say what is missing."""
    note_refusal(request, refusal.reason, permission=refusal.permission)
    return render(request, "accounts/refused.html", {"reason": refusal.reason, "noted": True}, status=403)
