"""The settings of a deployment, in a process of their own."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from tests.support.people import person

ROOT = Path(__file__).parents[2]
DEPLOYED = {
    "DJANGO_SETTINGS_MODULE": "config.settings",
    "HOLDFAST_SECRET_KEY": "deployed-" + "k3y" * 20,
    "HOLDFAST_DATABASE_URL": "postgresql:///not-asked",
    "HOLDFAST_ALLOWED_HOSTS": "holdfast.example",
}


def manage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("HOLDFAST_", "DJANGO_"))
    }
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={**kept, **DEPLOYED, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_check_deploy_is_clean() -> None:
    done = manage("check", "--deploy", "--fail-level", "WARNING")
    assert done.returncode == 0, done.stderr


def test_it_refuses_to_start_with_a_user_header_from_anybody() -> None:
    done = manage("check", HOLDFAST_PROXY_USER_HEADER="X-Remote-User")
    assert done.returncode == 1
    assert "HOLDFAST_PROXY_ADDRESSES" in done.stderr


def test_a_setting_that_is_wrong_is_a_line_that_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(DEPLOYED, "HOLDFAST_SECRET_KEY")
    done = manage("check")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "holdfast: HOLDFAST_SECRET_KEY is not set. See docs/reference/settings.md for what it means."
    ]


SHOW = """
from django.conf import settings as s
print([s.SECURE_SSL_REDIRECT, s.SESSION_COOKIE_SECURE, s.CSRF_COOKIE_SECURE, s.SESSION_COOKIE_NAME, s.SECURE_HSTS_SECONDS > 0, s.DEBUG])
"""


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "[True, True, True, '__Host-holdfast', True, False]"),
        ({"HOLDFAST_DEMO": "1"}, "[False, False, False, 'holdfast', False, False]"),
        ({"HOLDFAST_DEMO": "1", "HOLDFAST_TLS": "1"}, "[True, True, True, '__Host-holdfast', True, False]"),
    ],
)
def test_tls_is_on_outside_the_demo(environment: dict[str, str], expected: str) -> None:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("HOLDFAST_", "DJANGO_"))
    }
    done = subprocess.run(
        [sys.executable, "-c", SHOW],
        cwd=ROOT,
        env={**kept, **DEPLOYED, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.strip() == expected, done.stderr


@pytest.mark.django_db
def test_the_content_policy_forbids_inline_code_frames_and_other_sites(settings: Any) -> None:
    policy = Client().get("/sign-in/")["Content-Security-Policy"]
    rules = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["frame-ancestors"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["form-action"] == "'self'"
    assert rules["img-src"] == "'self' data:"
    assert "unsafe" not in policy and "http" not in policy


@pytest.mark.django_db
def test_every_answer_carries_the_rules_of_the_browser() -> None:
    browser = Client()
    browser.force_login(person("admin"))
    for path in ("/sign-in/", "/account/", "/audit/", "/no-such-page/"):
        answer = browser.get(path)
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["X-Frame-Options"] == "DENY"
        assert answer["Referrer-Policy"] == "same-origin"
        assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
        assert "Content-Security-Policy" in answer


def test_no_template_holds_inline_code() -> None:
    inline = re.compile(r"""<style|\sstyle=|\son[a-z]+=|javascript:|<script(?![^>]*\bsrc=)""", re.I)
    guilty = [
        f"{template.relative_to(ROOT)}: {line.strip()[:80]}"
        for template in (ROOT / "templates").rglob("*.html")
        for line in template.read_text().splitlines()
        if inline.search(line) and "application/json" not in line
    ]
    assert not guilty
