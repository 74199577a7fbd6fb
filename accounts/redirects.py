"""Where to go after signing in: only ever to a page of this site."""

from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch, reverse
from django.utils.http import url_has_allowed_host_and_scheme


def safe_next(request: HttpRequest, wanted: str | None) -> str:
    """`wanted` if it is a path of this site, else the start page."""
    if (
        wanted
        and wanted.startswith("/")
        and wanted.isprintable()
        and "\\" not in wanted
        and url_has_allowed_host_and_scheme(wanted, allowed_hosts=None, require_https=request.is_secure())
    ):
        return wanted
    return start_page()


def start_page() -> str:
    """The page that one lands on after signing in."""
    try:
        return resolve_url(settings.LOGIN_REDIRECT_URL)
    except NoReverseMatch:
        return "/"


def page_of(request: HttpRequest) -> str:
    """The page that the person was on: for a fragment or a form, the one that shows it."""
    shown = request.headers.get("HX-Current-URL") or (
        "" if request.method == "GET" else request.headers.get("Referer", "")
    )
    if not shown:
        return request.get_full_path() if request.method == "GET" else "/"
    try:
        parts = urlsplit(shown)
    except ValueError:  # such as http://[
        return "/"
    if parts.netloc != request.get_host():
        return "/"
    if request.method == "GET" and parts.path == request.path:
        return request.get_full_path()  # with what was just typed into a filter of that page
    return parts.path + (f"?{parts.query}" if parts.query else "")


def to_sign_in(request: HttpRequest, next_path: str) -> HttpResponse:
    """Lead to the sign-in page and back; htmx is told to load the whole page, never a fragment of it."""
    address = f"{reverse('sign-in')}?{urlencode({'next': next_path})}"
    if request.headers.get("HX-Request") == "true":
        response = HttpResponse(status=200)
        response["HX-Redirect"] = address
        return response
    return HttpResponseRedirect(address, status=303 if request.method not in {"GET", "HEAD"} else 302)
