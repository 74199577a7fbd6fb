"""Asking for protection: which help there is for a claim, and the actions of people on changes. Nothing here touches Git or a cluster.

The worker (worker.protecting) makes, pushes and watches what is asked for here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import User
from accounts.permissions import can, check, why_not
from audit.trail import Actor, record
from cluster.flux import flux_protected
from dashboard.models import Claim, GitRepository, ProtectionChange
from dashboard.protecting_states import IN_GIT, OPEN, WITHDRAWABLE, ChangeState, How
from dashboard.states import Drift, Owner, Protection, PushPolicy
from migrations_app import doorbell
from migrations_app.problems import Refused
from migrations_app.rules.claims import held

LOOK = "worker.protecting.look"
PERMISSION = "protection.edit"
WORTH_IT = frozenset({Protection.UNPROTECTED, Protection.PARTIAL, Protection.UNKNOWN})


# Rules ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Help:
    """What can be done for a claim. `hows`: choices for a change in Git; none: `advice` says what to do instead.

    `reason`: why the buttons are disabled, for those who may not press them.
    """

    hows: tuple[How, ...]
    advice: str = ""
    by_hand: str = ""
    stopgap: bool = False
    stopgap_note: str = ""
    reason: str = ""


def help_for(claim: Claim, user: User) -> Help:
    """What protects the claim for good, by who makes it, and whether this person may ask for it."""
    reason = "" if can(user, PERMISSION, namespace=claim.namespace) else why_not(PERMISSION, claim.namespace)
    reason = reason or held_reason(claim)
    hows = hows_for(claim)
    advice, by_hand = ("", "") if hows else advice_for(claim)
    return Help(hows, advice, by_hand, needs_stopgap(claim), stopgap_note(claim), reason)


def hows_for(claim: Claim) -> tuple[How, ...]:
    """The ways to write the protection into Git; none where no file declares the claim, or Git protects it already."""
    if claim.owner_kind == Owner.KUSTOMIZATION:
        # Not compared: the worker looks, and says so where Git protects it already.
        done = claim.flux_prune == Protection.PROTECTED and claim.drift != Drift.UNKNOWN
        done = done or claim.drift == Drift.GIT_ONLY
        return () if done else IN_GIT
    if claim.owner_kind == Owner.HELM_RELEASE and claim.flux_prune in WORTH_IT:
        return (How.RELEASE,)
    return ()


_ADVICE = {
    Owner.STATEFUL_SET: "StatefulSet",
    Owner.HELM: "Helm",
    Owner.HELM_RELEASE: "HelmRelease",
    Owner.ARGO_CD: "Argo CD",
    Owner.NOBODY: "",
    Owner.ORPHAN: "",
}


def advice_for(claim: Claim) -> tuple[str, str]:
    """Text and YAML for claims that Git does not declare, or declares well; both empty where there is nothing to say."""
    if claim.owner_kind == Owner.KUSTOMIZATION:
        if claim.drift == Drift.GIT_ONLY:
            return f"Git protects it already; it was not applied, or taken away. {claim.drift_fact}", ""
        return "", ""
    # Reading YAML costs an import that most pages do without.
    from gitops.protect import advice

    found = advice(_ADVICE.get(Owner(claim.owner_kind), Owner(claim.owner_kind).label))
    return found.what, found.by_hand


def needs_stopgap(claim: Claim) -> bool:
    """The live claim carries nothing that Flux or a policy would look at."""
    return claim.kubectl_delete in WORTH_IT and not claim.deleting and not _carries(claim)


def _carries(claim: Claim) -> bool:
    return flux_protected(claim.labels, claim.annotations) is not None


def stopgap_note(claim: Claim) -> str:
    """What becomes of a live annotation that Git does not state."""
    if claim.owner_kind == Owner.KUSTOMIZATION:
        return (
            "Git does not say it, so Git will undo it: with the next correction where Flux takes the key for its own, "
            "else as soon as the claim is made anew. Follow it with a change in Git."
        )
    return "Whoever makes the claim anew makes it without. Policies look at it; Helm and Argo CD do not."


def held_reason(claim: Claim) -> str:
    """Why a migration stands in the way; empty when none does."""
    by = held(claim.cluster_id, claim.namespace, [claim.name]).get(claim.name)
    return (
        f"Migration {by} holds the claim and changes its files. Finish or roll it back first." if by else ""
    )


def ways_for(change: ProtectionChange) -> tuple[PushPolicy, ...]:
    """How this change may reach its repository; none: by hand, with the patch."""
    row = GitRepository.objects.filter(cluster_id=change.cluster_id, name=change.repository_name).first()
    return PushPolicy(row.push_policy).ways if row else ()


def open_changes(claim: Claim) -> list[ProtectionChange]:
    """Those that have not ended, newest first."""
    return list(_of(claim).filter(state__in=sorted(OPEN)))


def last_change(claim: Claim) -> ProtectionChange | None:
    return _of(claim).first()


def _of(claim: Claim) -> QuerySet[ProtectionChange]:
    return ProtectionChange.objects.filter(
        cluster_id=claim.cluster_id, namespace=claim.namespace, name=claim.name
    )


# Actions -------------------------------------------------------------------------------------------------------------


def request(*, by: User, claim: Claim, how: How) -> ProtectionChange:
    """Asks the worker for a change, or for the stopgap. An open one of the same kind is returned as it is."""
    check(by, PERMISSION, namespace=claim.namespace)
    _check_possible(claim, how)
    try:
        with transaction.atomic():
            change = ProtectionChange.objects.create(
                cluster=claim.cluster,
                claim=claim,
                namespace=claim.namespace,
                name=claim.name,
                uid=claim.uid,
                how=how,
                by_name=by.get_username(),
            )
            _event(by, change, "protection.stopgap" if change.live else "protection.request")
            doorbell.ask(LOOK, change.pk)
            return change
    except IntegrityError:
        for change in open_changes(claim):
            if change.live == (how == How.LIVE):
                return change
        raise


def _check_possible(claim: Claim, how: How) -> None:
    if claim.gone_at is not None:
        raise Refused("The claim is gone.", next="Look at the list of claims.")
    if reason := held_reason(claim):
        raise Refused(reason)
    if how == How.LIVE:
        if _carries(claim):
            raise Refused("The live claim carries the protection already.", next="Protect it in Git.")
        return
    if how not in hows_for(claim):
        advice, _ = advice_for(claim)
        raise Refused(f"No such change can be made in Git for this claim. {advice}".strip())


def approve(*, by: User, change: ProtectionChange, way: PushPolicy, effect: str) -> None:
    """Has the reviewed change pushed. `effect` is that of the page on which the button was pressed."""
    check(by, PERMISSION, namespace=change.namespace)
    if change.claim is not None and (reason := held_reason(change.claim)):
        raise Refused(reason)
    if way not in ways_for(change):
        raise Refused(
            f"Repository {change.repository_name} does not take changes this way.",
            next="Choose another way, or apply the patch by hand.",
        )
    if effect != change.effect:
        raise Refused(
            "The change is another one than the page showed. Nothing was pushed.",
            next="Review it as it is now.",
        )
    _move(by, change, ChangeState.READY, ChangeState.APPROVED, "protection.approve", effect=effect, way=way)


def withdraw(*, by: User, change: ProtectionChange) -> None:
    """Drops a change that was not seen in the branch that the cluster follows. A pushed branch stays, and may be merged all the same."""
    check(by, PERMISSION, namespace=change.namespace)
    if change.state_value not in WITHDRAWABLE:
        raise Refused(
            f"It is {change.state_value.label.lower()} and can no longer be taken back here.",
            next="Undo it in Git.",
        )
    _move(by, change, change.state_value, ChangeState.WITHDRAWN, "protection.withdraw")


def _move(
    by: User, change: ProtectionChange, old: ChangeState, new: ChangeState, verb: str, **values: Any
) -> None:
    """Compare-and-set. `effect` among the values is compared, too, and `approve` names who pressed the button."""
    wanted = {"effect": values.pop("effect")} if "effect" in values else {}
    if new == ChangeState.APPROVED:
        values |= {"approved_by_name": by.get_username(), "problem": {}, "message": ""}
    now = timezone.now()
    with transaction.atomic():
        rows = ProtectionChange.objects.filter(pk=change.pk, state=old, **wanted)
        if not rows.update(state=new, changed_at=now, look_at=now, **values):
            raise Refused(
                "The change went on while you were looking at it. Nothing was done.",
                next="Look at its state now and decide again.",
            )
        for field, value in {"state": new.value, "changed_at": now, **values}.items():
            setattr(change, field, value)
        _event(by, change, verb, before=old.value)
        if new in OPEN:
            doorbell.ask(LOOK, change.pk)


def _event(by: User, change: ProtectionChange, verb: str, *, before: str = "") -> None:
    record(
        actor=Actor.of(by),
        verb=verb,
        kind="claim",
        key=change.key,
        namespace=change.namespace,
        cluster=change.cluster.name,
        before={"state": before} if before else None,
        after={
            "change": change.reference,
            "state": change.state,
            "how": change.how,
            "way": change.way,
            "effect": change.effect,
        },
    )
