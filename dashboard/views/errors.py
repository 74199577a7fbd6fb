"""What a person sees when something went wrong that nobody expected: an id that is in the log, and nothing of the inside."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from audit import context


def server_error(request: HttpRequest) -> HttpResponse:
    """Answers where a view raised. It asks no database: that may be what is broken."""
    # Without the request no context processor runs.
    return render(None, "500.html", {"request_id": context.request_id.get()}, status=500)
