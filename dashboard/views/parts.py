"""One URL, two answers: the page, or the part of it that htmx puts into the page."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers


def wants_part(request: HttpRequest) -> bool:
    """True when htmx asks for a part. On Back it asks for the whole page, and says so."""
    return bool(getattr(request, "htmx", False)) and not request.headers.get("HX-History-Restore-Request")


def render_part(
    request: HttpRequest, whole: str, part: str, context: dict[str, Any], *, status: int = 200
) -> HttpResponse:
    """Renders template `whole`, or `part` with `oob` set, so that it brings along what stands outside of it."""
    partial = wants_part(request)
    response = render(request, part if partial else whole, {**context, "oob": partial}, status=status)
    patch_vary_headers(response, ["HX-Request", "HX-History-Restore-Request"])
    return response
