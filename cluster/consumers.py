"""Who uses a claim, or would again (C5 of the domain facts)."""

from __future__ import annotations

from cluster.base import Object, OwnerReference, Ref
from cluster.kinds import BUILT_IN
from cluster.reads import WORKLOAD_KINDS, Reads
from cluster.values import Autoscaler, Claim, Consumers, DisruptionBudget, Pod, VolumeAttachment, Workload

Key = tuple[str, str]  # kind, name


class ConsumerReads(Reads):
    """Consumers of claims."""

    def consumers_of(self, claim: Claim) -> Consumers:
        """Pods in any phase, templates that name the claim, owner chains to the top, autoscalers and budgets of those."""
        namespace = claim.namespace
        workloads = [w for kind in WORKLOAD_KINDS for w in self.list_workloads(kind, namespace)]
        return consumers(
            claim,
            self.list_pods(namespace),
            workloads,
            self.list_autoscalers(namespace),
            self.list_disruption_budgets(namespace),
        )

    def attachments_of(self, claim: Claim) -> list[VolumeAttachment]:
        """VolumeAttachments of its volume, attached or not; empty for a claim without volume."""
        return self.list_volume_attachments(claim.volume_name) if claim.volume_name else []


def consumers(
    claim: Claim,
    pods: list[Pod],
    workloads: list[Workload],
    autoscalers: list[Autoscaler],
    budgets: list[DisruptionBudget],
) -> Consumers:
    """The same, of lists that were read before; they may hold other namespaces."""
    users = [p for p in pods if p.namespace == claim.namespace and claim.name in p.claims]
    here = {(w.kind, w.name): w for w in workloads if w.namespace == claim.namespace}
    found: dict[Key, Workload] = {}
    chain: dict[Key, Ref] = {}
    for start in [*users, *(w for w in here.values() if _names(w, claim.name))]:
        _climb(start, here, found, chain)
    keys = set(found) | set(chain)
    return Consumers(
        claim=claim.ref,
        pods=tuple(sorted(users, key=lambda p: p.name)),
        workloads=tuple(sorted(found.values(), key=lambda w: (w.kind, w.name))),
        owner_chain=tuple(chain.values()),
        autoscalers=tuple(
            a
            for a in autoscalers
            if a.namespace == claim.namespace and (a.target_kind, a.target_name) in keys
        ),
        disruption_budgets=tuple(
            b for b in budgets if b.namespace == claim.namespace and any(_selects(b, p.labels) for p in users)
        ),
    )


def _names(workload: Workload, claim_name: str) -> bool:
    return claim_name in workload.claims or workload.makes_claim(claim_name)


def _climb(
    start: Object, here: dict[Key, Workload], found: dict[Key, Workload], chain: dict[Key, Ref]
) -> None:
    """Walks controller references up to the top; the top, custom kinds included, goes into `chain`."""
    current: Object | None = start
    seen: set[str] = set()
    while current is not None and current.uid not in seen:
        seen.add(current.uid)
        if isinstance(current, Workload):
            found[current.kind, current.name] = current
        owner = current.controller
        if owner is None:
            chain.setdefault((current.kind, current.name), current.ref)
            return
        above = _owner_in(here, owner)
        if above is None:
            top = Ref(owner.api_version, owner.kind, start.namespace, owner.name, owner.uid)
            chain.setdefault((owner.kind, owner.name), top)
        current = above


def _owner_in(here: dict[Key, Workload], owner: OwnerReference) -> Workload | None:
    """The workload that an owner reference names; a custom kind of the same name is not it."""
    group = owner.api_version.rpartition("/")[0]
    workload = here.get((owner.kind, owner.name)) if (group, owner.kind) in BUILT_IN else None
    return workload if workload is not None and workload.uid == owner.uid else None


def _selects(budget: DisruptionBudget, labels: object) -> bool:
    pairs = dict(labels) if isinstance(labels, dict) else {}
    return bool(budget.selector) and all(pairs.get(key) == value for key, value in budget.selector.items())
