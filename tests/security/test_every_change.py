"""Nothing changes without its event: every action of people, every call of the worker that changes the cluster or Git.

Both are found in the source, so that a new one cannot be forgotten.
"""

import ast
import importlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import DatabaseError
from django.utils import timezone
from pytest_django.fixtures import Settings

from audit import context as request_context
from audit.models import Event
from cluster.client import Cluster as Adapter
from cluster.deletion import Deletion
from cluster.errors import ClusterError
from cluster.flux import PRUNE
from cluster.values import Ref
from cluster.writes import Writes
from dashboard.models import ProtectionChange
from dashboard.protecting_states import ChangeState, How
from migrations_app.models import Intent
from tests.migrations_app.making import at_sign_off
from tests.support.audit import assert_audited, audit_down, everything
from tests.support.every_action import CASES, PARTS, a_claim, all_actions
from tests.support.people import person
from worker import protecting
from worker.context import Context

ROOT = Path(__file__).parents[2]


def test_every_action_is_among_those_that_are_tried() -> None:
    tried = {name.split(" (")[0] for name in CASES}
    actions = set(all_actions())
    assert actions - tried - PARTS == set(), "prepare them in tests/support/every_action.py"
    assert PARTS - actions == set(), "these are gone"
    for name in tried:
        module, _, function = name.rpartition(".")
        assert callable(getattr(importlib.import_module(module), function))
    assert len(actions) > 35


@pytest.mark.django_db
@pytest.mark.parametrize("name", sorted(CASES))
def test_without_its_event_nothing_changes_and_with_it_the_event_says_everything(
    name: str, settings: Settings
) -> None:
    settings.HOLDFAST_BREAK_GLASS = True
    action = CASES[name]()
    assert_audited(action)
    last = Event.objects.order_by("-sequence").values_list("sequence", flat=True).first() or 0
    tokens = request_context.request_id.set("request-of-the-test"), request_context.address.set("203.0.113.9")
    action()
    request_context.request_id.reset(tokens[0])
    request_context.address.reset(tokens[1])
    events = list(Event.objects.filter(sequence__gt=last))
    assert events
    for event in events:
        assert event.actor and event.verb and event.kind and event.key
        assert (event.request_id, event.address) == ("request-of-the-test", "203.0.113.9")
        assert event.role or event.actor == "anonymous"
        assert event.before is not None or event.after is not None or event.verb in SAYS_ITSELF


# An end of a session and a new password: what is there to say before and after is nobody's business, or none.
SAYS_ITSELF = {"session.end", "session.lockout", "account.password"}


# The worker ----------------------------------------------------------------------------------------------------------

MUTATING = {
    name
    for part in (Writes, Deletion)
    for name in vars(part)
    if not name.startswith("_") and callable(getattr(part, name))
} - {"probe_delete"}
# These call with an event of their own before; each has a test below.
BY_THEMSELVES = {
    ("worker/context.py", "call"),  # Context.create: the call of its act
    ("worker/releasing/claims.py", "lift"),  # chooses between two verbs, then acts
    ("worker/gitside.py", "commit"),  # what its act calls
    ("worker/protecting.py", "_ask"),
    ("worker/protecting.py", "_annotate"),
    ("worker/protecting.py", "_approved"),
}


def changes_of(tree: ast.Module) -> Iterator[tuple[ast.Attribute, str, bool]]:
    """Each place that reaches for a call that changes something, its function, and whether it is the call of an act."""

    def walk(node: ast.AST, function: str, acting: bool) -> Iterator[tuple[ast.Attribute, str, bool]]:
        if isinstance(node, ast.FunctionDef):
            function = node.name
        if isinstance(node, ast.Attribute) and _changes(node):
            yield node, function, acting
        for _, value in ast.iter_fields(node):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.keyword):
                    act = (
                        isinstance(node, ast.Call)
                        and isinstance(node.func, ast.Attribute)
                        and node.func.attr == "act"
                    )
                    yield from walk(child.value, function, acting or (act and child.arg == "call"))
                elif isinstance(child, ast.AST):
                    yield from walk(child, function, acting)

    yield from walk(tree, "", False)


def _changes(node: ast.Attribute) -> bool:
    if node.attr == "commit_change":
        return True
    receiver = node.value
    name = (
        receiver.id
        if isinstance(receiver, ast.Name)
        else receiver.attr
        if isinstance(receiver, ast.Attribute)
        else ""
    )
    made = (
        isinstance(receiver, ast.Call)
        and isinstance(receiver.func, ast.Name)
        and receiver.func.id == "adapter"
    )
    return node.attr in MUTATING and (made or name in {"cluster", "adapter"})


def test_every_call_that_changes_the_cluster_or_git_is_an_act_with_its_event() -> None:
    assert {
        "create",
        "delete",
        "annotate",
        "scale",
        "suspend",
        "request_reconcile",
        "set_reclaim_policy",
    } <= MUTATING
    assert set(MUTATING) <= set(dir(Adapter))
    acts, others = 0, set()
    for file in (
        path
        for app in ("worker", "dashboard", "migrations_app", "accounts", "audit")
        for path in (ROOT / app).rglob("*.py")
    ):
        for _, function, acting in changes_of(ast.parse(file.read_text())):
            acts += acting
            if not acting:
                others.add((str(file.relative_to(ROOT)), function))
    assert others == BY_THEMSELVES
    assert acts >= 15


@pytest.fixture
def context(db: None) -> Context:
    migration = at_sign_off(person("operator"))
    migration.lease_token, migration.lease_until = "mine", timezone.now() + timedelta(minutes=5)
    migration.save(update_fields=["lease_token", "lease_until"])
    return Context(migration, migration.runs.get(), SimpleNamespace())  # type: ignore[arg-type]


REF = Ref("v1", "PersistentVolumeClaim", "media", "library", "uid-1")


def act(context: Context, call: Any) -> Any:
    return context.act(key="test", verb="claim.delete", ref=REF, before={"phase": "Bound"}, call=call)


def test_an_act_calls_nothing_without_its_event(context: Context) -> None:
    calls: list[str] = []
    assert_audited(lambda: act(context, lambda: calls.append("called")))
    assert calls == [] and not Intent.objects.exists()
    act(context, lambda: calls.append("called"))
    assert calls == ["called"]
    assert [
        (e.verb, e.key, e.note, e.before)
        for e in Event.objects.filter(verb="claim.delete").order_by("sequence")
    ] == [
        ("claim.delete", "media/library", "intended", {"phase": "Bound"}),
        ("claim.delete", "media/library", "done", {"phase": "Bound"}),
    ]


def test_an_act_that_is_refused_says_so_in_an_event(context: Context) -> None:
    def refused() -> None:
        raise ClusterError("The API server refused.", safe="Nothing was changed.", next="Ask.")

    with pytest.raises(ClusterError):
        act(context, refused)
    assert "refused" in Event.objects.filter(verb="claim.delete").latest("sequence").note
    assert Intent.objects.get().state == "failed"


class Recorder:
    """A cluster, or a clone of Git, that only writes down what it was asked to change."""

    branch = "main"

    def __init__(self) -> None:
        self.calls: list[str] = []

    def get_claim(self, namespace: str, name: str) -> Any:
        return SimpleNamespace(
            uid="u-1",
            namespace=namespace,
            name=name,
            labels={},
            annotations={},
            ref=REF,
            resource_version="1",
        )

    def __getattr__(self, name: str) -> Any:
        def call(*_: object, **__: object) -> Any:
            self.calls.append(name)
            return SimpleNamespace(branch="main", adopted=False, commit="c" * 40)

        return call


def change(state: ChangeState, **fields: Any) -> ProtectionChange:
    claim = a_claim()
    return ProtectionChange.objects.create(
        cluster=claim.cluster,
        claim=claim,
        namespace=claim.namespace,
        name=claim.name,
        uid=claim.uid,
        by_name="operator",
        approved_by_name="operator",
        state=state,
        effect="e" * 64,
        **fields,
    )


@pytest.mark.django_db
@pytest.mark.parametrize("what", ["annotate", "request_reconcile", "commit_change"])
def test_protecting_a_claim_calls_nothing_without_its_event(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder()
    monkeypatch.setattr(
        protecting,
        "target_of",
        lambda *_: SimpleNamespace(clone=recorder, make=None, repository_name="fleet"),
    )
    monkeypatch.setattr(protecting, "_probe", lambda *_: {})
    if what == "annotate":
        row = change(ChangeState.REQUESTED, how=How.LIVE)
        action = lambda: protecting._annotate(row, recorder)  # type: ignore[arg-type]
    elif what == "request_reconcile":
        row = change(ChangeState.MERGED)
        action = lambda: protecting._ask(row, recorder, "Kustomization", "flux-system", "apps")  # type: ignore[arg-type]
    else:
        row = change(ChangeState.APPROVED, way="direct", repository_name="fleet")
        row.cluster.repositories.create(name="fleet", url="https://git.example/f.git", push_policy="direct")
        action = lambda: protecting._approved(row, recorder)  # type: ignore[arg-type]
    before = everything()
    with audit_down(), pytest.raises(DatabaseError, match="the audit trail is down"):
        action()
    assert what not in recorder.calls and everything() == before
    row.memory = {}
    action()
    assert what in recorder.calls
    first = Event.objects.order_by("sequence")[0]
    assert (first.kind, first.key) == ("claim", "media/library")
    assert first.verb in {"claim.annotate", "flux.reconcile", "git.push"}
    assert what != "annotate" or first.before == {PRUNE: None}
