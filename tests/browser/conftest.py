"""Pages on rows that are made in the database alone: quick, and in every state at once. The journeys use the whole demo instead."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page
from pytest_django.live_server_helper import LiveServer

from accounts.models import User
from tests.support.browser import ContextMaker
from tests.support.people import PASSWORD

Visit = Callable[..., Page]


@pytest.fixture
def visit(live_server: LiveServer, new_context: ContextMaker) -> Visit:
    """`visit(user, "/claims/", color_scheme="dark")`: a page of that person, signed in, at that address."""

    def go(user: User | None, path: str, **options: object) -> Page:
        page = new_context(base_url=live_server.url, **options).new_page()
        page.context.set_default_timeout(60_000)
        if user is None:
            page.goto(path)
            return page
        page.goto(f"/sign-in/?next={path}")
        page.fill("#id_username", user.username)
        page.fill("#id_password", PASSWORD)
        page.press("#id_password", "Enter")
        page.wait_for_url(f"**{path}")
        return page

    return go
