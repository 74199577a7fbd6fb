"""The validation page: the pattern's three checks as findings, and asking for a run.

protection   every claim's paths of deletion, from the inventory
policy       the deletion policy, and whether it really enforces, from its objects
probe        a dry-run deletion of every claim as the prober: the only one of the three that proves anything
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import IntegrityError, transaction

from audit.trail import Actor, record
from cluster.flux import flux_protected
from cluster.policies import Admission, AdmissionPolicy, AdmissionRule, ProbeAnswer
from dashboard import models
from dashboard.admission import enforcement, engine, switched_off
from dashboard.judging import CLAIMS, in_general
from dashboard.protection import ARGO_OPTIONS, HELM_POLICY
from dashboard.states import Answer, CheckKind, Enforcement, Owner, Protection, RunState


class AlreadyOpen(Exception):
    """A run is requested or running: `run` is that one."""

    def __init__(self, run: models.ValidationRun) -> None:
        super().__init__(f"Validation {run.pk} of {run.cluster} has not ended yet.")
        self.run = run


@dataclass(frozen=True)
class Finding:
    """One answer, before it is a row."""

    check: CheckKind
    answer: Answer
    subject: str
    title: str
    detail: str = ""
    next: str = ""
    command: str = ""
    namespace: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


def request(cluster: models.Cluster, *, by: Actor) -> models.ValidationRun:
    """Asks the watcher for a run; `AlreadyOpen` when one has not ended. An empty `by.name` is never given."""
    with transaction.atomic():
        try:
            with transaction.atomic():
                run = models.ValidationRun.objects.create(cluster=cluster, requested_by=by.name)
        except IntegrityError:
            open_run = open_run_of(cluster)
            if open_run is None:
                raise
            raise AlreadyOpen(open_run) from None
        record(
            actor=by,
            verb="validation.request",
            kind="validation",
            key=str(run.pk),
            cluster=cluster.name,
            after={"state": str(RunState.REQUESTED)},
        )
    return run


def open_run_of(cluster: models.Cluster) -> models.ValidationRun | None:
    """The run that is requested or running."""
    return cluster.validations.filter(state__in=[RunState.REQUESTED, RunState.RUNNING]).first()


# Protection ----------------------------------------------------------------------------------------------------------

ANSWER_OF = {
    Protection.PROTECTED: Answer.PASS,
    Protection.NOT_APPLICABLE: Answer.PASS,
    Protection.PARTIAL: Answer.WARN,
    Protection.UNKNOWN: Answer.UNKNOWN,
    Protection.UNPROTECTED: Answer.FAIL,
}


def protection_findings(claims: Iterable[models.Claim]) -> list[Finding]:
    """One finding a claim that is not wholly protected, and one a namespace that counts the others."""
    findings: list[Finding] = []
    good: Counter[str] = Counter()
    for claim in claims:
        answer = ANSWER_OF[Protection(claim.weakest)]
        if answer == Answer.PASS:
            good[claim.namespace] += 1
        else:
            findings.append(_protection_finding(claim, answer))
    for namespace, count in sorted(good.items()):
        title = f"{count} claim{'s' if count != 1 else ''} protected"
        findings.append(Finding(CheckKind.PROTECTION, Answer.PASS, namespace, title, namespace=namespace))
    return findings


def _protection_finding(claim: models.Claim, answer: Answer) -> Finding:
    paths = [(title, state, fact) for _, title, state, fact in claim.protection()]
    bad = [p for p in paths if p[1] not in {Protection.PROTECTED, Protection.NOT_APPLICABLE}]
    return Finding(
        check=CheckKind.PROTECTION,
        answer=answer,
        subject=f"{claim.namespace}/{claim.name}",
        title=", ".join(f"{title}: {state.label.lower()}" for title, state, _ in bad),
        detail=" ".join(fact for _, _, fact in bad),
        next=_protection_advice(claim),
        command=f"kubectl get pvc {claim.name} -n {claim.namespace} -o yaml",
        namespace=claim.namespace,
    )


_ANNOTATE = "Annotate the live claim (see its page)"
_OWNERS_MARK = {
    Owner.KUSTOMIZATION: "Protect it in Git; a live annotation alone is undone by the next correction.",
    Owner.HELM_RELEASE: f"Add a post-renderer to its HelmRelease that sets {HELM_POLICY}: keep (see the claim's page).",
    Owner.HELM: f"Have its chart, or a --post-renderer of the helm command, set {HELM_POLICY}: keep.",
    Owner.ARGO_CD: f"Set {ARGO_OPTIONS}: Prune=false,Delete=false where Git declares it.",
}


def _protection_advice(claim: models.Claim) -> str:
    """What this claim's owner honours; for what nobody prunes, what a policy and the volume can do."""
    owner, pruned = claim.owner, claim.flux_prune not in {Protection.PROTECTED, Protection.NOT_APPLICABLE}
    if pruned and owner in _OWNERS_MARK:
        return _OWNERS_MARK[owner]
    carried = flux_protected(claim.labels, claim.annotations) is not None
    deny = (
        "Have a policy deny its deletion" if carried else f"{_ANNOTATE}, and have a policy deny its deletion"
    )
    return f"{deny}; or set its volume to Retain, so that the data outlives it."


# Policy --------------------------------------------------------------------------------------------------------------

ENFORCEMENT_ANSWER = {
    Enforcement.ENFORCED: Answer.PASS,
    Enforcement.FAILING_OPEN: Answer.WARN,
    Enforcement.UNKNOWN: Answer.UNKNOWN,
}


def policy_findings(admission: Admission) -> list[Finding]:
    """The cluster as a whole, then each rule about deleting claims or namespaces."""
    whole = enforcement(admission)
    findings = [
        Finding(
            CheckKind.POLICY,
            ENFORCEMENT_ANSWER.get(whole.state, Answer.FAIL),
            "cluster",
            whole.state.label,
            whole.fact,
            next="" if whole.state == Enforcement.ENFORCED else _policy_advice(whole.state),
            command="kubectl get clusterpolicies.kyverno.io,validatingadmissionpolicies",
        )
    ]
    for policy in admission.policies:
        for rule in policy.rules:
            kinds = [kind for kind in (CLAIMS, "Namespace") if rule.about(kind, "DELETE")]
            guarding = [kind for kind in kinds if in_general(policy, rule, kind) not in {"people", "no"}]
            made = [_rule_finding(admission, policy, rule, kind) for kind in guarding]
            findings += [finding for finding in made if finding not in findings]
    return findings + _exclusions(admission)


def _policy_advice(state: Enforcement) -> str:
    return {
        Enforcement.NO_POLICY: "Install a policy that denies deleting annotated claims; a native one needs no engine.",
        Enforcement.ENGINE_ABSENT: "Bring Kyverno back: until then every deletion passes, whatever the policy says.",
        Enforcement.AUDIT_ONLY: "Set failureAction to Enforce.",
        Enforcement.FAILING_OPEN: "Set failurePolicy to Fail, or add a native policy, which needs no engine.",
    }.get(state, "Let Holdfast read policies and webhook configurations; see docs/reference/rbac.md.")


def _rule_finding(admission: Admission, policy: AdmissionPolicy, rule: AdmissionRule, kind: str) -> Finding:
    off = switched_off(policy, rule)
    _, absent = engine(admission, policy, kind)
    problem = off or absent
    understood = in_general(policy, rule, kind) == "yes"
    what = "deleting claims" if kind == CLAIMS else "deleting namespaces"
    notes = [f"Failure policy {policy.failure_policy}."]
    notes += [] if understood else ["Whom or what it holds for cannot be judged by reading: see the probe."]
    notes += [f"Leaves out: {rule.leaves_out}."] if rule.leaves_out else []
    notes += [f"Warning: {warning}" for warning in policy.warnings]
    verdict = "Does not deny" if problem else "Denies" if understood else "May deny"
    return Finding(
        check=CheckKind.POLICY,
        answer=_rule_answer(problem, understood, clean=not (rule.leaves_out or policy.warnings)),
        subject=f"{policy.name}/{rule.name}",
        title=f"{verdict} {what}",
        detail=" ".join([problem, *notes]).strip(),
        facts={"engine": policy.engine, "condition": rule.condition},
        command=f"kubectl get {policy.kind.lower()} {policy.name} -o yaml",
    )


def _rule_answer(problem: str, understood: bool, *, clean: bool) -> Answer:
    if problem:
        return Answer.FAIL
    if not understood:
        return Answer.UNKNOWN
    return Answer.PASS if clean else Answer.WARN


EXCEPTION_FROM = "Exception from "


def _exclusions(admission: Admission) -> list[Finding]:
    """What the engine never looks at, whoever asks."""
    findings = []
    groups = [group for group in admission.excluded_groups or () if "kube-system" in group]
    if groups:
        detail = f"Kyverno leaves out {', '.join(groups)}: the namespace and garbage collectors pass."
        findings.append(Finding(CheckKind.POLICY, Answer.WARN, "kyverno", "Controllers are left out", detail))
    for exception in admission.exceptions:
        policies = ", ".join(name for name, _ in exception.policies)
        findings.append(
            Finding(
                CheckKind.POLICY,
                Answer.WARN,
                f"{exception.namespace}/{exception.name}",
                f"{EXCEPTION_FROM}{policies}",
                exception.match_json,
                namespace=exception.namespace,
            )
        )
    if admission.unreadable:
        detail = f"Not readable: {', '.join(admission.unreadable)}."
        findings.append(Finding(CheckKind.POLICY, Answer.UNKNOWN, "cluster", "Not all could be read", detail))
    return findings


# Probe ---------------------------------------------------------------------------------------------------------------


def probe_finding(claim: models.Claim, answer: ProbeAnswer) -> Finding | None:
    """What a dry-run deletion of the claim answered; None when the claim went away meanwhile."""
    if answer.verdict == "gone":
        return None
    expected = flux_protected(claim.labels, claim.annotations) is not None
    in_git = claim.owner in {Owner.KUSTOMIZATION, Owner.HELM_RELEASE}
    mark = "Protect it in Git." if in_git else f"{_ANNOTATE}; Git does not declare it for Flux."
    verdict, title, advice = _probe_words(answer, expected, mark)
    return Finding(
        check=CheckKind.PROBE,
        answer=verdict,
        subject=f"{claim.namespace}/{claim.name}",
        title=title,
        detail=answer.message.strip(),
        next=advice,
        command=f"kubectl delete pvc {claim.name} -n {claim.namespace} --dry-run=server",
        namespace=claim.namespace,
        facts={"verdict": answer.verdict, "status": answer.status, "by": answer.by, "policy": answer.policy},
    )


def _probe_words(answer: ProbeAnswer, expected: bool, mark: str) -> tuple[Answer, str, str]:
    if answer.verdict == "protected":
        return Answer.PASS, f"Denied by {answer.policy or answer.by}", ""
    if answer.verdict == "unprotected" and expected:
        advice = "See the policy check: the claim says that it is protected, and nothing denies its deletion."
        return Answer.FAIL, "Would be deleted, though it carries the protection", advice
    if answer.verdict == "unprotected":
        return Answer.WARN, "Would be deleted: it carries no protection", mark
    if answer.verdict == "engine-down":
        advice = (
            "Bring the policy engine back: it blocks everything now, and nobody knows what it would deny."
        )
        return Answer.WARN, "Blocked, but only because the engine is down", advice
    if answer.verdict == "forbidden":
        advice = "Give the prober the delete verb on claims, fenced as docs/reference/rbac.md says."
        return Answer.UNKNOWN, "The prober may not ask", advice
    return Answer.UNKNOWN, "The answer says nothing", "Read the answer; perhaps a webhook takes no dry runs."


def worst(findings: Iterable[Finding]) -> Answer:
    """The worst answer; pass when there is none."""
    return min((f.answer for f in findings), key=lambda answer: answer.rank, default=Answer.PASS)


def summary(findings: Iterable[Finding]) -> str:
    """`12 pass, 1 fail`."""
    return summary_of(Counter(f.answer for f in findings))


def summary_of(counts: Mapping[Answer, int]) -> str:
    """The same of answers that are counted already."""
    return ", ".join(f"{counts[a]} {a.label.lower()}" for a in Answer if counts.get(a))
