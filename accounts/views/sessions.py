"""Signing in with a password, signing out, and the form that waited meanwhile."""

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import authenticate
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from accounts import actions, held
from accounts.access import open_to_all, signed_in
from accounts.forms import SignInForm
from accounts.models import User
from accounts.redirects import safe_next, start_page, to_sign_in
from accounts.throttle import locked_out


@open_to_all  # one must be able to sign in
@sensitive_post_parameters("password")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    """Asks for name and password, then leads back to where one was."""
    next_path = safe_next(request, request.POST.get("next") or request.GET.get("next"))
    if request.user.is_authenticated:
        return HttpResponseRedirect(next_path)
    if request.method != "POST":
        return _page(request, SignInForm(), next_path)
    form = SignInForm(request.POST)
    if not form.is_valid():
        return _page(request, form, next_path, status=422)
    username, password = form.cleaned_data["username"], form.cleaned_data["password"]
    if locked_out(request, username):
        return _locked(request, username, next_path)
    user = authenticate(request, username=username, password=password)
    if not isinstance(user, User):
        return _failed(request, form, next_path)
    actions.sign_in(request, user, via="password")
    return redirect_after_post(next_path)


def _failed(request: HttpRequest, form: SignInForm, next_path: str) -> HttpResponse:
    username = form.cleaned_data["username"]
    actions.note_failed_sign_in(username)
    if locked_out(request, username):
        return _locked(request, username, next_path)
    form.add_error(None, "The name or the password is wrong.")
    return _page(request, form, next_path, status=422)


def _locked(request: HttpRequest, username: str, next_path: str) -> HttpResponse:
    actions.note_lockout(username)
    form = SignInForm(initial={"username": username})
    response = _page(request, form, next_path, status=429, locked_minutes=settings.HOLDFAST_LOCKOUT_MINUTES)
    response["Retry-After"] = str(settings.HOLDFAST_LOCKOUT_MINUTES * 60)
    return response


def _page(
    request: HttpRequest, form: SignInForm, next_path: str, *, status: int = 200, locked_minutes: int = 0
) -> HttpResponse:
    return render(
        request,
        "accounts/sign_in.html",
        {
            "form": form,
            "next": next_path,
            "locked_minutes": locked_minutes,
            "oidc_name": settings.HOLDFAST_OIDC_NAME if settings.HOLDFAST_OIDC_ISSUER else "",
            "demo": settings.HOLDFAST_DEMO,
        },
        status=status,
    )


@signed_in
@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """Ends the session."""
    actions.sign_out(request)
    messages.success(request, "You have signed out.")
    response = redirect_after_post(reverse("sign-in"))
    response["Clear-Site-Data"] = '"cache"'  # Back must not show what the last person saw
    return response


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def held_form(request: HttpRequest) -> HttpResponse:
    """Shows what was typed when the session had expired; sends it again, or (by POST) forgets it."""
    form = held.held(request)
    if request.method == "POST" or form is None:
        held.drop(request)
        return redirect(start_page()) if request.method != "POST" else redirect_after_post(start_page())
    return render(request, "accounts/held_form.html", {"held": form})


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form without the token of the session: from before a sign-in in another window, or sent by another site.

    What one's own page sent waits to be looked at and sent again; the browser says in `Origin` whose page it was.
    """
    ours = request.headers.get("Origin") == f"{request.scheme}://{request.get_host()}"
    if request.user.is_authenticated:
        actions.note_refusal(request, f"The form did not carry its token. {reason}", verb="action.refuse")
    if ours and held.hold(request):
        waits = reverse("held-form")
        return redirect_after_post(waits) if request.user.is_authenticated else to_sign_in(request, waits)
    return render(request, "403_csrf.html", status=403)


def redirect_after_post(path: str) -> HttpResponse:
    """303: the browser fetches `path` anew, and reloading it sends nothing again."""
    return HttpResponseRedirect(path, status=303)
