"""What changes accounts, each with its event in the same transaction."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import login, logout
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from accounts import held
from accounts.grants import NO_ADMIN, an_admin_remains
from accounts.models import UNKNOWN, Grant, User
from accounts.permissions import Refused, check, uncovered, valid_pattern
from accounts.roles import Role
from audit.models import Event
from audit.trail import Actor, record

BACKEND = "accounts.backends.PasswordBackend"


class NotGranted(Exception):
    """A change of roles that makes no sense; the text says what to do."""


@transaction.atomic
def sign_in(request: HttpRequest, user: User, *, via: str) -> None:
    """Start a session for `user`, who has proved who they are by `via` (password, oidc, proxy)."""
    login(request, user, backend=BACKEND)
    now = timezone.now().timestamp()
    request.session["started_at"] = now
    request.session["seen_at"] = now
    request.session["via"] = via
    held.expect_nobody(request)
    request.session.save()
    record(actor=Actor.of(user), verb="session.start", kind="account", key=user.username, after={"via": via})


@transaction.atomic
def sign_out(request: HttpRequest, *, verb: str = "session.end", note: str = "") -> None:
    """End the session of this request."""
    actor = Actor.of(request)
    logout(request)
    record(actor=actor, verb=verb, kind="account", key=actor.name, note=note)


@transaction.atomic
def note_failed_sign_in(
    username: str, *, via: str = "password", note: str = "", by: User | None = None
) -> None:
    """Record a refused sign-in (`by` nobody yet, or by whoever is signed in and has to prove it again). What was typed is kept only if it names an account: it may have been a password."""
    name = username[:150].replace("\x00", "")
    known = User.objects.filter(username=name).exists()
    key = name if known else UNKNOWN
    record(
        actor=Actor.of(by) if by else Actor("anonymous"),
        verb="session.refuse",
        kind="account",
        key=key,
        after={"via": via},
        note=note,
    )


@transaction.atomic
def note_lockout(username: str) -> None:
    """Record that further attempts are refused for a while: once a name and while, however many there are."""
    name = username[:150].replace("\x00", "")
    key = name if User.objects.filter(username=name).exists() else UNKNOWN
    since = timezone.now() - timedelta(minutes=settings.HOLDFAST_LOCKOUT_MINUTES)
    if Event.objects.filter(kind="account", key=key, verb="session.lockout", at__gte=since).exists():
        return
    record(actor=Actor("anonymous"), verb="session.lockout", kind="account", key=key)


@transaction.atomic
def note_refusal(
    request: HttpRequest, reason: str, *, permission: str = "", verb: str = "permission.refuse"
) -> None:
    """Record that somebody asked for what they may not do, or for what cannot be done now (`action.refuse`)."""
    record(
        actor=Actor.of(request),
        verb=verb,
        kind="page",
        key=request.path[:500],
        after={"method": request.method, "permission": permission},
        note=reason,
    )


@transaction.atomic
def grant(
    *, user: User, role: str, namespaces: Sequence[str], by: User | None, source: str = Grant.Source.LOCAL
) -> Grant:
    """Give `user` a role in the namespaces that match the patterns; replaces the patterns where the role is held.

    `by` is the admin, or None for the command line and for identity providers. Raises `Refused`, `NotGranted`.
    """
    _check_may_change(by, user)
    patterns = sorted({pattern.strip() for pattern in namespaces if pattern.strip()})
    if role not in Role.values:
        raise NotGranted(f"There is no role {role[:40]!r}.")
    if not patterns:
        raise NotGranted("Name at least one namespace pattern; * stands for all.")
    for pattern in patterns:
        if not valid_pattern(pattern):
            raise NotGranted(
                f"{pattern[:80]!r} is not a namespace pattern. Use a-z, 0-9 and -, with * and ? as wildcards."
            )
    User.objects.select_for_update(no_key=True).get(pk=user.pk)
    held = Grant.objects.filter(user=user, role=role, source=source).first()
    before = {"namespaces": held.namespaces} if held else None
    if held and held.namespaces == patterns:
        return held
    values: dict[str, Any] = {"namespaces": patterns}
    if held and uncovered(held.namespaces, patterns):
        values["created_at"] = timezone.now()  # what was taken away and comes back is a new right
    given, _ = Grant.objects.update_or_create(user=user, role=role, source=source, defaults=values)
    record(
        actor=_actor(by, source),
        verb="role.grant",
        kind="account",
        key=user.username,
        before=before and {"role": role, **before},
        after={"role": role, "namespaces": patterns, "source": source},
        note=_last_admin_gone(role),
    )
    return given


@transaction.atomic
def revoke(*, user: User, role: str, by: User | None, source: str = Grant.Source.LOCAL) -> bool:
    """Take a role away; False when it was not held. Raises `Refused`, and `NotGranted` for the last admin.

    The command line, a proxy and an identity provider (`by` is None) take it from the last admin, too; the event then says so.
    """
    _check_may_change(by, user)
    if role not in Role.values:
        return False
    if role == Role.ADMIN and by is not None:
        _check_an_admin_remains(without=user)
    held = Grant.objects.select_for_update(no_key=True).filter(user=user, role=role, source=source).first()
    if held is None:
        return False
    namespaces = held.namespaces
    held.delete()
    record(
        actor=_actor(by, source),
        verb="role.revoke",
        kind="account",
        key=user.username,
        before={"role": role, "namespaces": namespaces, "source": source},
        note=_last_admin_gone(role),
    )
    return True


@transaction.atomic
def set_active(*, user: User, active: bool, by: User | None) -> bool:
    """Let an account sign in, or stop it at once and everywhere; False when it already was so."""
    _check_may_change(by, user)
    if not active and by is not None:
        _check_an_admin_remains(without=user)
    values: dict[str, Any] = {"is_active": active}
    if not active:
        values["deactivated_at"] = timezone.now()
    changed = User.objects.filter(pk=user.pk, is_active=not active).update(**values)
    if not changed:
        return False
    record(
        actor=_actor(by, Grant.Source.LOCAL),
        verb="account.activate" if active else "account.deactivate",
        kind="account",
        key=user.username,
        before={"active": not active},
        after={"active": active},
    )
    return True


@transaction.atomic
def change_password(*, user: User, password: str, by: Actor | None = None) -> None:
    """Set one's own password, or that of `user` from the command line. Other sessions of the account end, because sessions are bound to it."""
    user.set_password(password)
    user.save(update_fields=["password"])
    record(actor=by or Actor.of(user), verb="account.password", kind="account", key=user.username)


def _last_admin_gone(role: str) -> str:
    return NO_ADMIN if role == Role.ADMIN and not an_admin_remains() else ""


def _actor(by: User | None, source: str) -> Actor:
    if by is not None:
        return Actor.of(by)
    return Actor.system("command line" if source == Grant.Source.LOCAL else source)


def _check_may_change(by: User | None, user: User) -> None:
    if by is None:
        return
    # Both locked, always in one order, before the right is looked up: of two admins who remove each other at one instant,
    # the second finds that they are none any more.
    list(User.objects.select_for_update(no_key=True).filter(pk__in=[by.pk, user.pk]).order_by("pk"))
    check(by, "users.edit")
    if by.pk == user.pk:
        raise Refused("Nobody changes their own roles. Another admin can do it.", permission="users.edit")


def _check_an_admin_remains(*, without: User) -> None:
    # Locked, so that two admins cannot remove each other at the same instant.
    admins = Grant.objects.select_for_update(of=("self",), no_key=True).filter(
        role=Role.ADMIN, user__is_active=True
    )
    if not any("*" in grant.namespaces and grant.user_id != without.pk for grant in admins):
        raise NotGranted("Somebody must remain who can grant roles. Make another person admin first.")
