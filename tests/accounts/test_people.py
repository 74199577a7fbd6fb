"""Granting and revoking roles."""

import threading
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from accounts import actions
from accounts.actions import NotGranted
from accounts.models import Grant, User
from accounts.permissions import Refused, can, roles_of, uncovered
from accounts.roles import Role
from audit.models import Event
from tests.accounts.conftest import SignIn
from tests.support.audit import assert_audited
from tests.support.people import PASSWORD, person


@pytest.fixture
def admin(db: None) -> User:
    return person("admin")


@pytest.fixture
def browser(admin: User, sign_in: SignIn) -> Client:
    return sign_in(admin)


def test_an_admin_grants_and_revokes_in_the_page(browser: Client) -> None:
    viewer = person("viewer")
    page = f"/people/{viewer.pk}/"
    assert (
        browser.post(f"{page}grant/", {"role": "approver", "namespaces": "team-a-* shared, x"}).status_code
        == 303
    )
    assert can(viewer, "signoff.give", "team-a-web")
    assert b"team-a-*" in browser.get(page).content
    granted = Event.objects.get(verb="role.grant")
    assert (granted.actor, granted.role, granted.key) == ("admin", "admin", "viewer")
    assert granted.after == {"role": "approver", "namespaces": ["shared", "team-a-*", "x"], "source": "local"}
    assert browser.post(f"{page}revoke/", {"role": "approver"}).status_code == 303
    assert roles_of(User.objects.get(pk=viewer.pk)) == ["viewer"]
    assert Event.objects.get(verb="role.revoke").before["namespaces"] == ["shared", "team-a-*", "x"]


@pytest.mark.parametrize(
    "typed",
    [{"role": "king", "namespaces": "*"}, {"role": "viewer", "namespaces": ""}, {"role": "viewer", "namespaces": "A;B"},
     {"role": "viewer", "namespaces": "x" * 3000}, {"role": "viewer", "namespaces": "\x00"}, {}],
)  # fmt: skip
def test_odd_input_is_refused_and_kept_in_the_form(browser: Client, typed: dict[str, str]) -> None:
    viewer = person("viewer")
    assert browser.post(f"/people/{viewer.pk}/grant/", typed).status_code == 422
    assert viewer.grants.count() == 1


def test_nobody_changes_their_own_roles(browser: Client, admin: User) -> None:
    assert (
        browser.post(f"/people/{admin.pk}/grant/", {"role": "approver", "namespaces": "*"}).status_code == 403
    )
    assert browser.post(f"/people/{admin.pk}/revoke/", {"role": "admin"}).status_code == 403
    assert browser.post(f"/people/{admin.pk}/active/", {"active": "0"}).status_code == 403
    assert roles_of(User.objects.get(pk=admin.pk)) == ["admin"]
    assert Event.objects.filter(verb="permission.refuse").count() == 3


def test_a_role_from_the_identity_provider_is_not_changed_here(browser: Client) -> None:
    user = person()
    Grant.objects.create(user=user, role="operator", source=Grant.Source.OIDC)
    assert browser.post(f"/people/{user.pk}/revoke/", {"role": "operator"}).status_code == 303
    assert user.grants.count() == 1


def test_deactivating_ends_every_session_at_once(browser: Client, sign_in: SignIn) -> None:
    viewer = person("viewer")
    theirs = sign_in(viewer)
    assert theirs.get("/account/").status_code == 200
    assert browser.post(f"/people/{viewer.pk}/active/", {"active": "0"}).status_code == 303
    assert theirs.get("/account/").status_code == 302
    assert browser.post(f"/people/{viewer.pk}/active/", {"active": "1"}).status_code == 303
    assert [event.verb for event in Event.objects.filter(key="viewer").order_by("sequence")][-2:] == [
        "account.deactivate", "account.activate",
    ]  # fmt: skip
    assert theirs.get("/account/").status_code == 302, "it came back with the account"
    assert Event.objects.get(verb="session.expire").note == "The account was deactivated since."
    assert sign_in(viewer).get("/account/").status_code == 200


def test_nothing_changes_without_its_event(admin: User) -> None:
    viewer = person("viewer")
    assert_audited(lambda: actions.grant(user=viewer, role="operator", namespaces=["*"], by=admin))
    assert_audited(lambda: actions.grant(user=viewer, role="viewer", namespaces=["x"], by=admin))
    assert_audited(lambda: actions.revoke(user=viewer, role="viewer", by=admin))
    assert_audited(lambda: actions.set_active(user=viewer, active=False, by=admin))
    assert_audited(lambda: actions.change_password(user=viewer, password="x"))


def test_only_those_who_may_grant_can(db: None) -> None:
    viewer = person("viewer")
    for role in set(Role) - {Role.ADMIN, Role.VIEWER}:
        with pytest.raises(Refused):
            actions.grant(user=viewer, role="approver", namespaces=["*"], by=person(role))


def test_the_same_grant_twice_is_one_event(admin: User) -> None:
    viewer = person("viewer")
    for _ in range(2):
        actions.grant(user=viewer, role="operator", namespaces=["b", "a"], by=admin)
    assert Event.objects.filter(verb="role.grant").count() == 1


def test_what_a_grant_replaces_is_said(browser: Client) -> None:
    operator = person("operator", "team-a", "shared")
    page = f"/people/{operator.pk}/"
    assert b"They replace those in which the role is held already" in browser.get(page).content
    said = browser.post(f"{page}grant/", {"role": "operator", "namespaces": "team-b shared"}, follow=True)
    assert b"operator is operator in shared team-b, no longer in team-a." in said.content
    said = browser.post(f"{page}grant/", {"role": "operator", "namespaces": "*"}, follow=True)
    assert b"operator is operator in *." in said.content
    out = StringIO()
    call_command("person", "grant", "operator", "operator", "team-?", stdout=out)
    assert out.getvalue() == "operator is operator in team-?, no longer in *.\n"


@pytest.mark.parametrize(
    ("before", "after", "lost"),
    [
        ("team-a team-b-*", "*", ""),
        ("team-a", "team-?", ""),
        ("team-?", "team-*", ""),
        ("team-*", "team-?", "team-*"),
        ("*", "?*", "*"),
        ("team-a*", "team-*a", "team-a*"),
        ("team-a-*", "team-*-* x", ""),
        ("team-a team-b", "team-b", "team-a"),
        ("*", "a b", "*"),
    ],
)
def test_a_pattern_is_lost_unless_another_stands_for_as_much(before: str, after: str, lost: str) -> None:
    assert uncovered(before.split(), after.split()) == lost.split()


def test_the_command_line_warns_when_it_takes_the_last_admin_away(admin: User) -> None:
    person("admin", name="admin2")
    for name, change, warns in (
        ("admin2", ["revoke", "admin2", "admin"], False),
        ("admin", ["grant", "admin", "admin", "team-a"], True),
        ("admin", ["grant", "admin", "admin"], False),
        ("admin", ["revoke", "admin", "admin"], True),
    ):
        err = StringIO()
        call_command("person", *change, stderr=err)
        assert ("Nobody can grant roles now" in err.getvalue()) is warns, change
        event = Event.objects.latest("sequence")
        assert (event.key, "Nobody can grant" in event.note) == (name, warns)


def revoking(by: User, other: User) -> None:
    actions.revoke(user=other, role="admin", by=by)


def deactivating(by: User, other: User) -> None:
    actions.set_active(user=other, active=False, by=by)


@pytest.mark.parametrize(
    "acts", [(revoking, revoking), (deactivating, deactivating), (revoking, deactivating)]
)
@pytest.mark.django_db(transaction=True)
def test_two_admins_cannot_remove_each_other_at_the_same_instant(acts: Any) -> None:
    for turn in range(4):
        pair = [person("admin", name=f"admin-{turn}-{number}") for number in (1, 2)]
        start = threading.Barrier(2)
        refused: list[BaseException] = []

        def remove(
            act: Any, by: User, other: User, start: Any = start, refused: list[BaseException] = refused
        ) -> None:
            try:
                start.wait(timeout=20)
                act(by, other)
            except (Refused, NotGranted) as error:
                refused.append(error)
            finally:
                connection.close()

        threads = [
            threading.Thread(target=remove, args=(acts[0], pair[0], pair[1])),
            threading.Thread(target=remove, args=(acts[1], pair[1], pair[0])),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        assert len(refused) == 1
        assert Grant.objects.filter(role="admin", user__is_active=True).count() == 1
        Grant.objects.all().delete()


def test_the_first_admin_comes_from_the_command_line(
    db: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    typed = tmp_path / "typed"
    typed.write_text(PASSWORD + "\n")
    with typed.open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        call_command("person", "add", "first")
    call_command("person", "grant", "first", "admin")
    assert can(User.objects.get(username="first"), "users.edit")
    assert set(Event.objects.values_list("actor", flat=True)) == {"system:command line"}
    for name in ("anonymous", "system:worker"):
        with pytest.raises(CommandError, match="as Holdfast itself"):
            call_command("person", "add", name)
    with pytest.raises(CommandError, match="There is no account"):
        call_command("person", "grant", "nobody", "admin")
    with pytest.raises(CommandError, match="not a namespace pattern"):
        call_command("person", "grant", "first", "viewer", "A!")


def test_the_people_of_the_demo_are_made_only_in_the_demo(db: None, settings: Any) -> None:
    with pytest.raises(CommandError, match="HOLDFAST_DEMO=1"):
        call_command("demo_seed")
    settings.HOLDFAST_DEMO = True
    for _ in range(2):
        call_command("demo_seed")
    assert User.objects.count() == 6
    assert Event.objects.count() == 12
    viewer = User.objects.get(username="viewer")
    viewer.set_password("one that somebody chose")
    viewer.save()
    call_command("demo_seed")
    reset = Event.objects.get(verb="account.password")
    assert (reset.actor, reset.key) == ("system:command line", "viewer")
    for role in Role:
        assert Client().post("/sign-in/", {"username": role, "password": f"demo-{role}"}).status_code == 303
