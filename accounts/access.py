"""What each view demands. A view that declares nothing is closed to everybody (accounts/middleware.py)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from accounts.roles import PERMISSIONS

View = TypeVar("View", bound=Callable[..., Any])

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_ATTRIBUTE = "holdfast_access"


@dataclass(frozen=True, slots=True)
class Access:
    """Who may call a view. No permission: everybody who is signed in, or everybody at all when `public`."""

    read: str = ""
    write: str = ""
    public: bool = False

    def permission(self, method: str) -> str:
        """The permission that a request of `method` needs; empty for none."""
        return self.read if method in SAFE_METHODS else self.write


def needs(permission: str, *, write: str = "") -> Callable[[View], View]:
    """The view is for people who hold `permission` somewhere; other than GET and HEAD needs `write` where given.

    The view itself limits what it shows and changes to the namespaces of the person (`visible`, `check`).
    """
    for name in filter(None, (permission, write)):
        if name not in PERMISSIONS:
            raise KeyError(f"There is no permission {name!r}. accounts/roles.py lists them.")
    return _declare(Access(read=permission, write=write or permission))


def signed_in(view: View) -> View:
    """The view is for everybody who is signed in."""
    return _declare(Access())(view)


def open_to_all(view: View) -> View:
    """The view is for everybody, without signing in. Say in a comment why."""
    return _declare(Access(public=True))(view)


def _declare(access: Access) -> Callable[[View], View]:
    def mark(view: View) -> View:
        setattr(view, _ATTRIBUTE, access)
        return view

    return mark


def access_of(view: Callable[..., Any]) -> Access | None:
    """What `view` declares; None when nobody has opened it."""
    access = getattr(view, _ATTRIBUTE, None)
    return access if isinstance(access, Access) else None
