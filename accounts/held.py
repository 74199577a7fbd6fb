"""Keeps what somebody typed when their session had expired, until they have signed in again.

A POST without a valid session is not carried out. Its fields wait in the anonymous session, for that person alone; after
sign-in a page shows them and one button sends them again. Passwords and files are never kept.
"""

from dataclasses import dataclass

from django.http import HttpRequest

_KEY = "held_form"
_LIMIT_CHARACTERS = 60_000


@dataclass(frozen=True, slots=True)
class HeldForm:
    """A form that was not sent: its address on this site, and its fields in order."""

    path: str
    fields: list[tuple[str, str]]


def hold(request: HttpRequest, *, username: str) -> bool:
    """Keep the form of this request for `username`; False when there is nothing to keep or too much."""
    fields = [
        (name, value)
        for name, values in request.POST.lists()
        for value in values
        if isinstance(value, str) and name != "csrfmiddlewaretoken" and "password" not in name.lower()
    ]
    if not fields or sum(len(name) + len(value) for name, value in fields) > _LIMIT_CHARACTERS:
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


def drop(request: HttpRequest) -> None:
    """Forget the held form."""
    request.session.pop(_KEY, None)
