"""What a mover cannot keep is said before the outage, with the number of entries that it concerns."""

from types import SimpleNamespace
from typing import cast

import pytest

from tests.migrations_app.making import add_evidence, at_sign_off
from tests.support.people import person
from worker import copying
from worker.context import Context
from worker.outcomes import Wait
from worker.steps import quiesce

pytestmark = pytest.mark.django_db


def test_who_begins_the_outage_reads_what_verify_would_find() -> None:
    migration = at_sign_off(person("operator"), pause_before_quiesce=True)
    context = cast("Context", SimpleNamespace(migration=migration, memory={}))
    go = "The outage begins with the next act. Continue when the time has come."
    transfer = migration.transfers.get()
    harmless = {"class": "devices", "why": "cannot make device nodes", "entries": 0}
    add_evidence(migration, transfer, "warm-copy", {"not_kept": [harmless]})
    assert copying.not_kept(context) == ""
    assert quiesce.tick(context) == Wait(go, "migrations.edit")
    unknown = {"class": "acl", "why": "cannot set POSIX ACLs", "entries": None}
    add_evidence(migration, transfer, "warm-copy", {"not_kept": [{**harmless, "entries": None}, unknown]})
    assert copying.not_kept(context) == (
        f"Not kept by the mover here, so that Verify will find it different: {transfer.source_name}: acl of any entry that has it "
        "(cannot set POSIX ACLs)."
    )
    migration.evidence.filter(kind="warm-copy").delete()
    for entries in (3, 1):  # the second pass copies only what changed since
        lost = {"class": "owner", "why": "cannot give files to another owner", "entries": entries}
        add_evidence(migration, transfer, "warm-copy", {"not_kept": [harmless, lost]})
    said = (
        f"Not kept by the mover here, so that Verify will find it different: {transfer.source_name}: owner of 3 entries "
        "(cannot give files to another owner)."
    )
    assert quiesce.tick(context) == Wait(f"{said} {go}", "migrations.edit")
