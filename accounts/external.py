"""People whom somebody else vouches for: an OpenID provider or a trusted proxy."""

from collections.abc import Iterable

from django.db import transaction

from accounts.actions import grant, revoke
from accounts.groups import roles_for
from accounts.models import Grant, Identity, User, is_reserved
from audit.trail import Actor, record


class NotAdmitted(Exception):
    """The authority vouches for them, but Holdfast cannot let them in; the text says why and what to do."""


@transaction.atomic
def admit(*, issuer: str, subject: str, username: str, groups: Iterable[str], source: Grant.Source) -> User:
    """The account of `subject` at `issuer`, made when new, with exactly the roles that `groups` give now.

    Roles that an admin granted here stay as they are. Raises `NotAdmitted`.
    """
    user = _account(issuer, subject, username, source)
    if not user.is_active:
        raise NotAdmitted("This account is deactivated. An admin can activate it.")
    wanted = roles_for(groups)
    for role, namespaces in wanted.items():
        grant(user=user, role=role, namespaces=namespaces, by=None, source=source)
    for held in Grant.objects.filter(user=user, source=source).exclude(role__in=wanted):
        revoke(user=user, role=held.role, by=None, source=source)
    return user


def _account(issuer: str, subject: str, username: str, source: Grant.Source) -> User:
    known = Identity.objects.select_related("user").filter(issuer=issuer, subject=subject).first()
    name = username.strip() if known is None else known.user.username
    if is_reserved(name):
        raise NotAdmitted(
            f"The name {name[:150]} would read in the audit trail as Holdfast itself. Ask for another one where you sign in."
        )
    if known is not None:
        return known.user
    if not name or len(name) > 150 or not name.isprintable():
        raise NotAdmitted(
            "The identity provider sent no usable name for you. An admin can choose another claim."
        )
    if User.objects.filter(username__iexact=name).exists():
        # Taking over an account by choosing its name elsewhere must not work.
        raise NotAdmitted(
            f"An account named {name} exists already and is not linked to this identity. Ask an admin."
        )
    user = User(username=name)
    user.set_unusable_password()
    user.save(force_insert=True)
    Identity.objects.create(user=user, issuer=issuer, subject=subject)
    record(
        actor=Actor.system(source),
        verb="account.create",
        kind="account",
        key=name,
        after={"issuer": issuer, "subject": subject},
    )
    return user
