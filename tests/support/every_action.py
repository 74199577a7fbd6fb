"""Every action of the product, prepared so far that one call does it. `tests/security/test_every_change.py` finds those that are missing here."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpRequest
from django.test import RequestFactory
from django.utils import timezone

from accounts import actions as accounts
from accounts import external
from accounts.models import Grant, User
from audit.exporting import begin
from audit.listing import Filters
from audit.models import Event
from audit.trail import Actor
from dashboard import actions as dashboard
from dashboard import protecting, validation
from dashboard.models import Claim, Cluster, GitRepository, ProtectionChange
from dashboard.protecting_states import ChangeState, How
from dashboard.states import Owner, Protection, PushPolicy
from migrations_app.actions import drafting, gates, moving, running, signing
from migrations_app.models import Course, Decision, GitMode, Migration
from migrations_app.states import State
from tests.migrations_app.making import WORKER, asked, at_sign_off
from tests.support.people import person

ROOT = Path(__file__).parents[2]
Action = Callable[[], object]
Prepare = Callable[[], Action]
CASES: dict[str, Prepare] = {}
# Functions that look like actions and are none: what they record is recorded by the action that calls them, in its transaction.
PARTS = {
    "migrations_app.actions.signing.withdraw_live",  # abort, roll back
    "migrations_app.actions.running.new_attempt",  # retry, the engine
    "migrations_app.actions.moving.snapshot",
    "migrations_app.actions.notifying.notify",  # a row that is written beside an event, or not at all
    "migrations_app.actions.notifying.notify_of_state",
    "migrations_app.actions.notifying.notify_of_wait",
    "migrations_app.actions.notifying.notify_of_problem",
    "audit.exporting.export",  # begins by `begin`
    "audit.trail.record",  # the one door itself
}


def case(*names: str) -> Callable[[Prepare], Prepare]:
    """The function below prepares the actions of these names."""

    def mark(prepare: Prepare) -> Prepare:
        for name in names:
            CASES[name] = prepare
        return prepare

    return mark


def all_actions() -> Iterator[str]:
    """Public functions of the modules of actions, and everything else that says by whom it is done."""
    for app in ("accounts", "audit", "dashboard", "migrations_app"):
        for file in sorted((ROOT / app).rglob("*.py")):
            module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
            of_actions = "actions" in module.split(".")
            for node in ast.parse(file.read_text()).body:
                if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
                    continue
                names = {each.arg for each in (*node.args.args, *node.args.kwonlyargs)}
                if of_actions or names & {"by", "actor"}:
                    yield f"{module}.{node.name}"


# Migrations ----------------------------------------------------------------------------------------------------------


def a_draft(operator: User) -> Migration:
    cluster, _ = Cluster.objects.get_or_create(name="demo-east")
    return drafting.create_draft(
        by=operator, cluster=cluster, namespace="media", application="photos", claims=["library"]
    )


def fresh(migration: Migration) -> Migration:
    """As a request loads it."""
    return Migration.objects.get(pk=migration.pk)


@case("migrations_app.actions.drafting.create_draft")
def draft() -> Action:
    operator = person("operator")
    Cluster.objects.get_or_create(name="demo-east")
    return lambda: a_draft(operator)


@case("migrations_app.actions.drafting.set_source")
def source() -> Action:
    operator = person("operator")
    migration = a_draft(operator)
    return lambda: drafting.set_source(
        by=operator, migration=fresh(migration), application="photos", claims=["library", "cache"]
    )


@case("migrations_app.actions.drafting.set_destination")
def destination() -> Action:
    operator = person("operator")
    migration = a_draft(operator)
    claims = {"library": ("library", "", 0)}
    return lambda: drafting.set_destination(
        by=operator, migration=fresh(migration), namespace="photos", claims=claims, owner={}
    )


@case("migrations_app.actions.drafting.set_options")
def options() -> Action:
    operator = person("operator")
    migration = a_draft(operator)
    return lambda: drafting.set_options(
        by=operator,
        migration=fresh(migration),
        warm_passes=2,
        retention_days=3,
        pause_before_quiesce=True,
        git_mode=GitMode.NONE,
        test_note="",
        limits={},
    )


@case("migrations_app.actions.drafting.request_checks")
def checks() -> Action:
    operator = person("operator")
    migration = a_draft(operator)
    drafting.set_destination(
        by=operator, migration=migration, namespace="photos", claims={"library": ("library", "", 0)}, owner={}
    )
    return lambda: drafting.request_checks(by=operator, migration=fresh(migration))


@case("migrations_app.actions.drafting.discard")
def discard() -> Action:
    operator = person("operator")
    migration = a_draft(operator)
    return lambda: drafting.discard(by=operator, migration=fresh(migration))


@case("migrations_app.actions.running.start")
def start() -> Action:
    operator = person("operator")
    migration = at_sign_off(operator, state=State.READY, current_step="plan", started_at=None)
    return lambda: running.start(by=operator, migration=fresh(migration), plan_digest="sha256:plan")


@case("migrations_app.actions.running.pause")
def pause() -> Action:
    operator = person("operator")
    migration = at_sign_off(operator)
    return lambda: running.pause(by=operator, migration=fresh(migration))


@case("migrations_app.actions.running.resume")
def resume() -> Action:
    operator = person("operator")
    migration = at_sign_off(operator, state=State.PAUSED)
    return lambda: running.resume(by=operator, migration=fresh(migration))


@case("migrations_app.actions.running.retry")
def retry() -> Action:
    operator = person("operator")
    migration = at_sign_off(
        operator, state=State.FAILED, current_step="verify", problem={"code": "differences"}
    )
    return lambda: running.retry(by=operator, migration=fresh(migration))


@case("migrations_app.actions.running.abort")
def abort() -> Action:
    operator = person("operator")
    migration = at_sign_off(operator)
    return lambda: running.abort(by=operator, migration=fresh(migration))


@case("migrations_app.actions.running.roll_back")
def roll_back() -> Action:
    operator = person("operator")
    migration = at_sign_off(operator)
    return lambda: running.roll_back(by=operator, migration=fresh(migration))


@case("migrations_app.actions.running.undo")
def undo() -> Action:
    operator = person("operator")
    migration = at_sign_off(operator, state=State.RETAINED, current_step="retain")
    return lambda: running.undo(by=operator, migration=fresh(migration))


@case("migrations_app.actions.running.purge")
def purge() -> Action:
    operator = person("operator")
    migration = at_sign_off(
        operator, state=State.RETAINED, current_step="retain", retain_until=timezone.now()
    )
    return lambda: running.purge(by=operator, migration=fresh(migration), typed="photos")


@case("migrations_app.actions.running.close")
def close() -> Action:
    operator = person("operator")
    problem = {"happened": "It is gone.", "code": "volume-lost"}
    migration = at_sign_off(
        operator, state=State.FAILED, course=Course.UNDO, current_step="retain", problem=problem
    )
    return lambda: running.close(by=operator, migration=fresh(migration), typed="photos")


@case("migrations_app.actions.gates.go_on")
def go_on() -> Action:
    operator = person("operator")
    migration = at_sign_off(operator, current_step="deploy")
    migration.runs.create(step="deploy", attempt=1, state="waiting")
    return lambda: gates.go_on(by=operator, migration=fresh(migration))


@case("migrations_app.actions.gates.confirm_test")
def confirm() -> Action:
    operator = person("operator")
    migration = at_sign_off(operator, current_step="test")
    migration.runs.create(step="test", attempt=1, state="waiting")
    return lambda: gates.confirm_test(by=operator, migration=fresh(migration), note="It works.")


@case("migrations_app.actions.moving.move")
def move() -> Action:
    migration = at_sign_off(person("operator"))
    return lambda: moving.move(fresh(migration), State.FAILED, actor=WORKER, verb="migration.stop")


# Sign-off ------------------------------------------------------------------------------------------------------------


@case("migrations_app.actions.signing.open_request")
def ask() -> Action:
    migration = at_sign_off(person("operator"))
    return lambda: signing.open_request(migration, actor=WORKER)


def decide(kind: Decision.Kind) -> Action:
    request = asked(at_sign_off(person("operator")))
    approver = person("approver")
    return lambda: signing.decide(
        by=approver, request=request, kind=kind, text="Because.", covers_digest=request.covers_digest
    )


@case("migrations_app.actions.signing.decide")
def approve() -> Action:
    return decide(Decision.Kind.APPROVE)


@case("migrations_app.actions.signing.decide (reject)")
def reject() -> Action:
    return decide(Decision.Kind.REJECT)


@case("migrations_app.actions.signing.decide (ask)")
def question() -> Action:
    return decide(Decision.Kind.ASK)


@case("migrations_app.actions.signing.answer")
def answer() -> Action:
    request = asked(at_sign_off(person("operator")))
    ask = Decision.Kind.ASK
    question = signing.decide(
        by=person("approver"), request=request, kind=ask, text="Why?", covers_digest=request.covers_digest
    )
    operator = User.objects.get(username="operator")
    return lambda: signing.answer(by=operator, request=request, question=question.pk, text="Because.")


@case("migrations_app.actions.signing.break_glass")
def break_glass() -> Action:
    request = asked(at_sign_off(person("operator")))
    admin = person("admin")
    reason = "Nobody else can be reached tonight."
    return lambda: signing.break_glass(
        by=admin, request=request, reason=reason, covers_digest=request.covers_digest
    )


@case("migrations_app.actions.signing.ask_again")
def ask_again() -> Action:
    reject_it = decide(Decision.Kind.REJECT)
    reject_it()
    migration = Migration.objects.get()
    operator = User.objects.get(username="operator")
    return lambda: signing.ask_again(by=operator, migration=migration)


@case("migrations_app.actions.signing.withdraw")
def withdraw() -> Action:
    request = asked(at_sign_off(person("operator")))
    return lambda: signing.withdraw(request, "It was written to.", actor=WORKER)


@case("migrations_app.actions.signing.use")
def use() -> Action:
    approve()()
    request = Migration.objects.get().sign_off_requests.get()
    return lambda: signing.use(request, actor=WORKER)


# Accounts ------------------------------------------------------------------------------------------------------------


def request_of(user: User | None) -> HttpRequest:
    """A request as the middleware leaves it."""
    request = RequestFactory().post("/somewhere/")
    request.session = SessionStore()
    if user is not None:
        request.user = user
    return request


@case("accounts.actions.sign_in")
def sign_in() -> Action:
    user = person("viewer")
    return lambda: accounts.sign_in(request_of(None), user, via="password")


@case("accounts.actions.sign_out")
def sign_out() -> Action:
    request = request_of(person("viewer"))
    return lambda: accounts.sign_out(request)


@case("accounts.actions.note_failed_sign_in")
def failed_sign_in() -> Action:
    return lambda: accounts.note_failed_sign_in("nobody")


@case("accounts.actions.note_lockout")
def lockout() -> Action:
    return lambda: accounts.note_lockout("nobody")


@case("accounts.actions.note_refusal")
def refusal() -> Action:
    request = request_of(person("viewer"))
    return lambda: accounts.note_refusal(request, "You may not.", permission="users.edit")


@case("accounts.actions.grant")
def grant() -> Action:
    viewer, admin = person("viewer"), person("admin")
    return lambda: accounts.grant(user=viewer, role="operator", namespaces=["team-a"], by=admin)


@case("accounts.actions.grant (other namespaces)")
def grant_elsewhere() -> Action:
    viewer, admin = person("viewer"), person("admin")
    return lambda: accounts.grant(user=viewer, role="viewer", namespaces=["team-a"], by=admin)


@case("accounts.actions.revoke")
def revoke() -> Action:
    viewer, admin = person("viewer"), person("admin")
    return lambda: accounts.revoke(user=viewer, role="viewer", by=admin)


@case("accounts.actions.set_active")
def deactivate() -> Action:
    viewer, admin = person("viewer"), person("admin")
    return lambda: accounts.set_active(user=viewer, active=False, by=admin)


@case("accounts.actions.change_password")
def change_password() -> Action:
    viewer = person("viewer")
    return lambda: accounts.change_password(user=viewer, password="another-long-one")


@case("accounts.external.admit")
def admit() -> Action:
    return lambda: external.admit(
        issuer="https://provider.example", subject="1", username="new", groups=[], source=Grant.Source.OIDC
    )


# The dashboard and the trail -----------------------------------------------------------------------------------------


def a_repository(name: str) -> GitRepository:
    cluster, _ = Cluster.objects.get_or_create(name="demo-east")
    by = Actor.of(User.objects.get(username="admin"))
    return dashboard.save_repository(
        by=by, cluster=cluster, name=name, url="https://git.example.com/fleet.git", branch="main"
    )


@case("dashboard.actions.save_repository")
def save_repository() -> Action:
    person("admin")
    Cluster.objects.create(name="demo-east")
    return lambda: a_repository("fleet")


@case("dashboard.actions.remove_repository")
def remove_repository() -> Action:
    admin = person("admin")
    repository = a_repository("fleet")
    return lambda: dashboard.remove_repository(
        by=Actor.of(admin), repository=GitRepository.objects.get(pk=repository.pk)
    )


@case("dashboard.validation.request")
def validate() -> Action:
    operator = person("operator")
    cluster, _ = Cluster.objects.get_or_create(name="demo-east")
    return lambda: validation.request(cluster, by=Actor.of(operator))


def a_claim() -> Claim:
    cluster, _ = Cluster.objects.get_or_create(name="demo-east")
    return Claim.objects.create(
        cluster=cluster,
        uid="u-1",
        namespace="media",
        name="library",
        owner_kind=Owner.KUSTOMIZATION,
        flux_prune=Protection.UNPROTECTED,
        seen_at=timezone.now(),
    )


@case("dashboard.protecting.request")
def protect() -> Action:
    operator, claim = person("operator"), a_claim()
    return lambda: protecting.request(by=operator, claim=claim, how=How.AUTO)


def ready() -> ProtectionChange:
    person("operator")
    person("admin")
    a_repository("fleet")
    GitRepository.objects.update(push_policy=PushPolicy.DIRECT)
    claim = a_claim()
    return ProtectionChange.objects.create(
        cluster=claim.cluster,
        claim=claim,
        namespace=claim.namespace,
        name=claim.name,
        uid=claim.uid,
        by_name="operator",
        state=ChangeState.READY,
        repository_name="fleet",
        effect="e" * 64,
    )


@case("dashboard.protecting.approve")
def push() -> Action:
    change = ready()
    operator = User.objects.get(username="operator")
    return lambda: protecting.approve(
        by=operator, change=ProtectionChange.objects.get(pk=change.pk), way=PushPolicy.DIRECT, effect="e" * 64
    )


@case("dashboard.protecting.withdraw")
def withdraw_change() -> Action:
    change = ready()
    operator = User.objects.get(username="operator")
    return lambda: protecting.withdraw(by=operator, change=ProtectionChange.objects.get(pk=change.pk))


@case("audit.exporting.begin")
def export_trail() -> Action:
    auditor = person("auditor")
    return lambda: begin(Event.objects.all(), filters=Filters(), scope=["*"], by=Actor.of(auditor))
