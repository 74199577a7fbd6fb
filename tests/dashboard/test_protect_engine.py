"""What is computed by reading, and what the cluster answers when asked: the demo's claims, the real engine, and its outages."""

import pytest
from django.test import Client

from cluster.client import Cluster as Adapter
from cluster.flux import PRUNE
from cluster.policies import ProbeAnswer
from cluster.values import Ref
from dashboard import inventory, validation
from dashboard.models import Claim, Cluster
from dashboard.states import Answer, Enforcement, Protection
from tests.cluster import living
from tests.support.cluster_process import Sandbox
from tests.support.people import person
from tests.support.waiting import until
from worker.reading import read_surroundings

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("demo-sandbox"),
    pytest.mark.django_db(transaction=True),
]

ENGINE = Ref("apps/v1", "Deployment", "kyverno", "kyverno-admission-controller")
CRASHED = "sandbox.holdfast.dev/crashed"
POLICY = "prevent-protected-pvc-deletion"


class House:
    """The demo's cluster as Holdfast reads it, and as the prober finds it."""

    def __init__(self, demo: Sandbox) -> None:
        self.admin = living.cluster_as(demo)
        self.prober = living.cluster_as(demo, "holdfast-prober")
        self.watcher = living.cluster_as(demo, "holdfast-watcher")
        self.row = Cluster.objects.create(name="c")

    def see(self) -> list[Claim]:
        inventory.refresh(self.row, read_surroundings(self.watcher, tuple(self.watcher.list_claims())))
        self.row.refresh_from_db()
        return list(Claim.objects.present())

    def probe(self, claim: Claim) -> ProbeAnswer:
        return self.prober.probe_delete(claim.namespace, claim.name)


@pytest.fixture
def house(demo_sandbox: Sandbox) -> House:
    found = House(demo_sandbox)
    annotated = _annotated(found.admin)
    until(
        lambda: found.prober.probe_delete(*annotated).verdict == "protected",
        timeout_s=40,
        what="the engine to deny",
    )
    return found


def _annotated(admin: Adapter) -> tuple[str, str]:
    claim = next(c for c in admin.list_claims() if c.annotations.get(PRUNE) == "disabled")
    return claim.namespace, claim.name


def protected_claim(claims: list[Claim]) -> Claim:
    return next(c for c in claims if c.annotations.get(PRUNE) == "disabled" and c.namespace == "media")


def test_the_probe_agrees_with_what_was_computed_for_every_claim_of_the_demo(house: House) -> None:
    claims = house.see()
    assert len(claims) >= 20
    assert house.row.enforcement == Enforcement.ENFORCED
    disagreeing = []
    seen = set()
    for claim in claims:
        computed, answer = Protection(claim.kubectl_delete), house.probe(claim)
        seen.add(computed)
        held = computed in {Protection.PROTECTED, Protection.PARTIAL}
        if computed != Protection.UNKNOWN and held != (answer.verdict == "protected"):
            disagreeing.append((claim.key, computed.value, claim.kubectl_delete_fact, answer))
        if held and answer.policy != POLICY:
            disagreeing.append((claim.key, "denied by another", answer.policy, answer))
    assert disagreeing == []
    assert {Protection.PROTECTED, Protection.UNPROTECTED} <= seen


def test_a_policy_whose_engine_was_taken_away_protects_nothing_and_the_pages_say_so(house: House) -> None:
    house.admin.scale("Deployment", ENGINE.namespace, ENGINE.name, 0)
    try:
        claim = protected_claim(house.see())
        until(lambda: house.probe(claim).verdict == "unprotected", timeout_s=40, what="the engine gone")
        claim = protected_claim(house.see())
        assert claim.kubectl_delete == Protection.UNPROTECTED
        assert "its engine is absent" in claim.kubectl_delete_fact
        assert house.row.enforcement == Enforcement.ENGINE_ABSENT
        found = validation.probe_finding(claim, house.probe(claim))
        assert found is not None
        assert (found.answer, found.title) == (
            Answer.FAIL,
            "Would be deleted, though it carries the protection",
        )
        browser = Client()
        browser.force_login(person("viewer"))
        page = browser.get("/").content.decode()
        badge = page[: page.index("Policy without its engine</span>")].rsplit("<span", 1)[1]
        assert "tone-danger" in badge
    finally:
        house.admin.scale("Deployment", ENGINE.namespace, ENGINE.name, 1)


def test_a_crashed_engine_that_fails_closed_blocks_by_its_outage_and_is_not_taken_for_protection(
    house: House,
) -> None:
    house.admin.annotate(ENGINE, {CRASHED: "true"})
    try:
        claim = protected_claim(house.see())
        until(lambda: house.probe(claim).verdict == "engine-down", timeout_s=40, what="the outage")
        found = validation.probe_finding(claim, house.probe(claim))
        assert found is not None
        assert found.answer == Answer.WARN
        assert found.title == "Blocked, but only because the engine is down"
        bare = next(c for c in house.see() if PRUNE not in c.annotations and c.namespace == "media")
        assert house.probe(bare).verdict == "engine-down"
    finally:
        house.admin.annotate(ENGINE, {CRASHED: None})
