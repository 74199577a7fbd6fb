"""The OpenID provider, and people who are signed in."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from django.test import Client

from accounts.models import User
from tests.support.oidc_provider import CLIENT_ID, CLIENT_SECRET
from tests.support.people import PASSWORD

SignIn = Callable[[User], Client]


@pytest.fixture
def sign_in() -> SignIn:
    """Signs somebody in through the page, as a browser does."""

    def enter(user: User, **client: Any) -> Client:
        browser = Client(**client)
        answer = browser.post("/sign-in/", {"username": user.username, "password": PASSWORD})
        assert answer.status_code == 303
        return browser

    return enter


@pytest.fixture(scope="session")
def _provider_process() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.oidc_provider"],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout
    yield json.loads(process.stdout.readline())["issuer"]
    process.kill()
    process.wait()


class ProviderControl:
    """Says whom the provider vouches for next, and how it misbehaves."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer

    def next(self, *, bad: str = "", **claims: Any) -> None:
        requests.post(
            f"{self.issuer}/test/next", json={"bad": bad, "claims": claims}, timeout=5
        ).raise_for_status()


@pytest.fixture
def provider(_provider_process: str, settings: Any) -> ProviderControl:
    settings.HOLDFAST_OIDC_ISSUER = _provider_process
    settings.HOLDFAST_OIDC_CLIENT_ID = CLIENT_ID
    settings.HOLDFAST_OIDC_CLIENT_SECRET = CLIENT_SECRET
    settings.HOLDFAST_GROUP_ROLES = ["sre=operator", "leads=approver@team-a-*|shared"]
    return ProviderControl(_provider_process)
