"""Who asks for what is not theirs to do leaves a trace, and nothing else."""

import pytest
from django.test import Client

from accounts.models import Grant
from audit.models import Event
from dashboard.models import Cluster
from migrations_app.models import Migration, SignOffRequest
from migrations_app.models.evidence import digest_of
from migrations_app.rules import signoff
from tests.support.people import person

pytestmark = pytest.mark.django_db


def test_whoever_tries_to_sign_off_their_own_migration_is_refused_and_named() -> None:
    requester = person("operator")
    Grant.objects.create(user=requester, role="approver")
    migration = Migration.objects.create(
        cluster=Cluster.objects.create(name="production"),
        application="shop",
        source_namespace="team-a",
        destination_namespace="team-b",
        requested_by_name="operator",
    )
    covers = signoff.covers(migration)
    asked = SignOffRequest.objects.create(
        migration=migration,
        covers=covers,
        covers_digest=digest_of(covers),
        approvals_needed=1,
        requested_by_name="operator",
        expires_at="2100-01-01T00:00:00Z",
    )
    browser = Client()
    browser.force_login(requester)
    answer = browser.post(
        f"/migrations/{migration.reference}/sign-off/decide/",
        {"decision": "approve", "request": asked.pk, "covers_digest": asked.covers_digest, "text": "mine"},
    )
    assert answer.status_code == 422
    event = Event.objects.get(verb="action.refuse")
    assert (event.actor, event.role) == ("operator", "operator,approver")
    assert "asked for this migration" in event.note
    assert not asked.decisions.exists()
