"""Signed-in clients, one a role."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from tests.support.people import person

SignedIn = Callable[..., Client]


@pytest.fixture
def signed_in(db: Any) -> SignedIn:
    """`signed_in("operator", "media")`: a client of a person with that role, in those namespaces or in all."""

    def make(role: str, *namespaces: str, name: str = "") -> Client:
        client = Client()
        client.force_login(person(role, *namespaces, name=name))
        return client

    return make
