"""What was typed at a refused sign-in is in no table and no log line: it may have been a password."""

import importlib
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.test import Client

from accounts.models import User
from tests.accounts.conftest import SignIn
from tests.support.people import person

pytestmark = pytest.mark.django_db
SECRET = "zebra-crossing-at-noon"


def tables_with(text: str) -> list[str]:
    """The tables of which a row holds `text`."""
    with connection.cursor() as cursor:
        found = []
        for table in connection.introspection.table_names(cursor):
            name = connection.ops.quote_name(table)
            cursor.execute(f"SELECT EXISTS (SELECT FROM {name} AS t WHERE t::text LIKE %s)", [f"%{text}%"])  # noqa: S608
            if cursor.fetchone()[0]:
                found.append(table)
    return found


def test_the_next_password_beside_a_wrong_current_one(
    sign_in: SignIn, caplog: pytest.LogCaptureFixture
) -> None:
    browser = sign_in(person("operator"))
    for _ in range(6):  # also when it locks out, and when it is locked
        browser.post("/account/", {"current_password": f"{SECRET}-old", "new_password": f"{SECRET}-new"})
    assert tables_with(SECRET) == []
    assert SECRET not in caplog.text
    assert tables_with("/account/") == ["axes_accessattempt"], "nothing was counted, so nothing was proved"


def test_a_password_typed_as_the_name(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    answers = [
        client.post(f"/sign-in/?next=/{SECRET}", {"username": SECRET, "password": "x"}).status_code
        for _ in range(6)
    ]
    assert answers == [422, 422, 422, 422, 429, 429]
    assert tables_with(SECRET) == []
    assert SECRET not in caplog.text


def test_the_name_of_an_account_is_kept(client: Client) -> None:
    person("operator")
    client.post("/sign-in/", {"username": "operator", "password": SECRET})
    attempt: Any = apps.get_model("axes", "AccessAttempt").objects.get()
    assert (attempt.username, attempt.post_data, attempt.get_data) == ("operator", "", "")


def test_names_that_are_no_accounts_are_counted_apart(client: Client) -> None:
    for _ in range(5):
        client.post("/sign-in/", {"username": SECRET, "password": "x"})
    assert client.post("/sign-in/", {"username": "another", "password": "x"}).status_code == 422
    assert not User.objects.exists()


def test_upgrading_removes_what_was_kept_before(client: Client) -> None:
    client.post("/sign-in/", {"username": "nobody", "password": "x"})
    attempts: Any = apps.get_model("axes", "AccessAttempt").objects
    attempts.update(username=SECRET, post_data=f"new_password={SECRET}")
    migration = importlib.import_module("accounts.migrations.0004_forget_what_was_typed").Migration
    state = MigrationLoader(connection).project_state(("accounts", "0003_deactivated_at"))
    with connection.schema_editor(atomic=False) as editor:
        migration("0004_forget_what_was_typed", "accounts").apply(state, editor)
    assert tables_with(SECRET) == []
