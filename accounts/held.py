"""Keeps what somebody typed when their session had expired, until they have signed in again.

A POST without a valid session is not carried out. Its fields wait in the anonymous session, for that person alone; after
sign-in a page shows them and one button sends them again. A form with a password, and files, are never kept. Whatever ended the session,
a page that looks again by itself or another window, the browser's next POST still waits for whoever had it.
"""

from dataclasses import dataclass

from django.http import HttpRequest

_KEY = "held_form"
_EXPECTED = "held_for"
_LIMIT_CHARACTERS = 60_000


@dataclass(frozen=True, slots=True)
class HeldForm:
    """A form that was not sent: its address on this site, and its fields in order."""

    path: str
    fields: list[tuple[str, str]]


def expect(request: HttpRequest, *, username: str) -> None:
    """The session of `username` has just ended: what this browser sends before the next sign-in was typed by them."""
    request.session[_EXPECTED] = username


def hold(request: HttpRequest) -> bool:
    """Keep the form of this request for whoever typed it; False when nobody knows who, or there is nothing or too much."""
    username = request.user.get_username() or request.session.get(_EXPECTED, "")
    fields = [
        (name, value)
        for name, values in request.POST.lists()
        for value in values
        if isinstance(value, str) and name != "csrfmiddlewaretoken"
    ]
    if any("password" in name.lower() for name, _ in fields):
        return False
    if (
        not username
        or not fields
        or sum(len(name) + len(value) for name, value in fields) > _LIMIT_CHARACTERS
    ):
        return False
    request.session[_KEY] = {"username": username, "path": request.get_full_path(), "fields": fields}
    return True


def held(request: HttpRequest) -> HeldForm | None:
    """The form that waits for the person who is signed in; a form of somebody else is dropped."""
    kept = request.session.get(_KEY)
    if not kept:
        return None
    if kept["username"] != request.user.get_username():
        drop(request)
        return None
    return HeldForm(path=kept["path"], fields=[(name, value) for name, value in kept["fields"]])


def note_sent(request: HttpRequest) -> None:
    """This request is let through to its view: a form that waited for this address is on its way, and waits no more."""
    if request.method != "POST":
        return
    form = held(request)
    if form is not None and form.path == request.get_full_path():
        drop(request)


def drop(request: HttpRequest) -> None:
    """Forget the held form."""
    request.session.pop(_KEY, None)


def expect_nobody(request: HttpRequest) -> None:
    """Somebody has signed in: from now on forms are theirs."""
    request.session.pop(_EXPECTED, None)
