"""Who may do what where: the rule in Python and the rule in PostgreSQL are one."""

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.models import Grant, User
from accounts.permissions import Refused, as_regex, can, check, matches, people_with, valid_pattern, visible
from accounts.roles import PERMISSIONS, ROLES, Role
from audit.models import Event
from tests.audit.conftest import note
from tests.support.people import person


def seen(user: User) -> set[str]:
    return {
        event.namespace for event in visible(user, Event.objects.all(), "namespace", permission="audit.view")
    }


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["*"], {"team-a", "team-ab", "team-a-web", "shared", ""}),
        (["team-a"], {"team-a"}),
        (["team-a*"], {"team-a", "team-ab", "team-a-web"}),
        (["team-a-*", "shared"], {"team-a-web", "shared"}),
        (["team-??"], {"team-ab"}),
        (["none"], set()),
    ],
)
def test_one_sees_only_the_namespaces_of_ones_grants(patterns: list[str], expected: set[str]) -> None:
    for number, namespace in enumerate(["team-a", "team-ab", "team-a-web", "shared", ""]):
        note(number, namespace=namespace)
    auditor = person("auditor", *patterns)
    assert seen(auditor) == expected
    for namespace in expected - {""}:
        assert can(auditor, "audit.view", namespace)


@pytest.mark.django_db
def test_a_row_of_two_namespaces_needs_both() -> None:
    note(1, namespace="team-a", cluster="team-b")
    found = Event.objects.all()
    both, one = person("viewer", "team-a", "team-b"), person("viewer", "team-a", name="one")
    assert visible(both, found, "namespace", "cluster").count() == 1
    assert visible(one, found, "namespace", "cluster").count() == 0
    assert can(both, "migrations.view", ["team-a", "team-b"])
    assert not can(one, "migrations.view", ["team-a", "team-b"])


@pytest.mark.django_db
def test_grants_of_other_roles_do_not_leak() -> None:
    note(1, namespace="team-a")
    user = person("auditor", "team-b")
    Grant.objects.create(user=user, role="viewer", namespaces=["*"])
    assert seen(user) == set()
    assert not can(user, "audit.view", "team-a")
    assert can(user, "claims.view", "team-a")


@pytest.mark.django_db
def test_outsiders_strangers_and_the_deactivated_may_nothing() -> None:
    note(1, namespace="team-a")
    outsider, gone = person(), person("admin")
    User.objects.filter(pk=gone.pk).update(is_active=False)
    superuser = User.objects.create_superuser("super")
    for who in (outsider, gone, superuser, AnonymousUser()):
        assert not any(can(who, permission) for permission in PERMISSIONS)
        assert not visible(who, Event.objects.all(), "namespace", permission="audit.view").exists()


@pytest.mark.django_db
def test_a_check_sees_a_revocation_that_a_page_has_not_yet_seen() -> None:
    approver = person("approver")
    check(approver, "signoff.give", "team-a")
    Grant.objects.all().delete()
    with pytest.raises(Refused, match="you need the role approver"):
        check(approver, "signoff.give", "team-a")


@pytest.mark.django_db
def test_what_reaches_past_namespaces_needs_an_unlimited_grant() -> None:
    limited, admin = person("admin", "team-*", name="limited"), person("admin")
    assert not can(limited, "users.edit") and not can(limited, "settings.edit")
    assert can(admin, "users.edit") and can(admin, "settings.edit")


@pytest.mark.django_db
def test_it_names_who_may_act() -> None:
    approver = person("approver", "team-a-*")
    person("operator")
    assert people_with("signoff.give", "team-a-web") == [approver]
    assert people_with("signoff.give", "team-b") == []


def test_nobody_both_drives_and_signs_off() -> None:
    for role in Role:
        assert not {"signoff.give", "migrations.edit"} <= ROLES[role]
        assert not {"signoff.give", "users.edit"} <= ROLES[role]


def test_every_permission_is_held_by_a_role_and_every_role_holds_known_ones() -> None:
    assert set().union(*ROLES.values()) == set(PERMISSIONS)
    assert set(ROLES) == set(Role)


def test_an_unknown_permission_is_an_error_and_never_granted() -> None:
    with pytest.raises(KeyError):
        can(User(pk=1), "migrations.destroy")


NAMES = st.text("ab-1", min_size=1, max_size=6)
PATTERNS = st.text("ab-1*?", min_size=1, max_size=6).filter(valid_pattern)


@pytest.mark.django_db
@given(pattern=PATTERNS, name=NAMES)
@settings(max_examples=200, deadline=None)
def test_python_and_postgresql_agree_on_every_pattern(pattern: str, name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s ~ %s", [name, f"^({as_regex(pattern)})$"])
        assert cursor.fetchone() == (matches([pattern], name),)


@pytest.mark.parametrize("pattern", ["", ".*", "a|b", "(a)", "a b", "A", "[a]", "a\n", "!a", "x" * 254, "-a"])
def test_only_names_with_stars_and_question_marks_are_patterns(pattern: str) -> None:
    assert not valid_pattern(pattern)


@pytest.mark.django_db
def test_a_fresh_answer_forgets_what_the_page_knew() -> None:
    approver = person("approver")
    assert can(approver, "signoff.give", "team-a")
    Grant.objects.all().delete()
    assert can(approver, "signoff.give", "team-a")
    assert not can(approver, "signoff.give", "team-a", fresh=True)
    assert not can(approver, "signoff.give", "team-a")


@pytest.mark.django_db
def test_an_empty_second_namespace_hides_nothing_but_a_named_one_does() -> None:
    for cluster in ("", "team-a", "team-b"):
        note(1, namespace="team-a", cluster=cluster)
    viewer = person("viewer", "team-a")
    found = visible(viewer, Event.objects.all(), "namespace", or_empty=["cluster"])
    assert {event.cluster for event in found} == {"", "team-a"}
