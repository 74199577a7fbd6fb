"""Signing in by the identity provider."""

import logging

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from accounts import actions, oidc
from accounts.access import open_to_all
from accounts.external import NotAdmitted, admit
from accounts.models import Grant
from accounts.redirects import safe_next

log = logging.getLogger(__name__)


@open_to_all  # one must be able to sign in
@never_cache
@require_GET
def start(request: HttpRequest) -> HttpResponse:
    """Leads to the provider."""
    _check_configured()
    request.session["oidc_next"] = safe_next(request, request.GET.get("next"))
    try:
        return oidc.start(request, request.build_absolute_uri(reverse("oidc-callback")))
    except oidc.ProviderProblem as problem:
        return _refused(request, str(problem), status=502, cause=problem.__cause__, note=False)


@open_to_all  # the provider sends people here before they are signed in
@never_cache
@require_GET
def callback(request: HttpRequest) -> HttpResponse:
    """Where the provider sends people back to."""
    _check_configured()
    # Anybody can call this address as often as they like: only the end of what began here is an event.
    began = "oidc_next" in request.session
    next_path = safe_next(request, request.session.pop("oidc_next", None))
    try:
        claims = oidc.finish(request)
        user = admit(
            issuer=claims.issuer,
            subject=claims.subject,
            username=claims.username,
            groups=claims.groups,
            source=Grant.Source.OIDC,
        )
    except oidc.ProviderProblem as problem:
        return _refused(request, str(problem), status=400, cause=problem.__cause__, note=began)
    except NotAdmitted as problem:
        return _refused(request, str(problem), status=403, cause=None, note=True)
    actions.sign_in(request, user, via="oidc")
    return HttpResponseRedirect(next_path)


def _check_configured() -> None:
    if not settings.HOLDFAST_OIDC_ISSUER:
        raise Http404("No identity provider is configured.")


def _refused(
    request: HttpRequest, reason: str, *, status: int, cause: BaseException | None, note: bool
) -> HttpResponse:
    if cause is not None:
        log.warning("Sign-in by OpenID Connect failed: %s: %s", type(cause).__name__, cause)
    if note:
        actions.note_failed_sign_in("", via="oidc", note=reason)
    shown = {"reason": reason, "sign_in_again": True, "noted": note}
    return render(request, "accounts/refused.html", shown, status=status)
