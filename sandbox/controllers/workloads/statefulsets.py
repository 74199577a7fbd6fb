"""StatefulSets: ordinals in order, a claim for each, and what becomes of the claims."""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.answers import ApiError
from sandbox.controllers.core import Context, Controller
from sandbox.controllers.objects import (
    Object,
    copied,
    is_controlled_by,
    is_deleting,
    is_finished,
    is_ready,
    labels_of,
    name_of,
    namespace_of,
    selector_matches,
    spec_of,
    status_of,
    uid_of,
)
from sandbox.controllers.workloads.replicas import PodControl, owner_keys, pod_from, template_hash
from sandbox.controllers.workloads.replicasets import wanted_replicas
from sandbox.kinds import PERSISTENT_VOLUME_CLAIMS, PODS, STATEFUL_SETS

_REVISION = "controller-revision-hash"


class StatefulSets(Controller):
    name = "statefulsets"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.sets = self.watch(STATEFUL_SETS)
        self.pods = self.watch(PODS, lambda pod: owner_keys(pod, "StatefulSet"))
        self.claims = self.watch(PERSISTENT_VOLUME_CLAIMS, self._of_claim)
        self.control = PodControl(context, STATEFUL_SETS, "statefulset-controller")

    def _of_claim(self, claim: Object) -> Iterator[tuple[str, str]]:
        for owner in self.sets.list(namespace_of(claim)):
            for template in spec_of(owner).get("volumeClaimTemplates") or []:
                if name_of(claim).startswith(f"{template['metadata']['name']}-{name_of(owner)}-"):
                    yield namespace_of(owner), name_of(owner)

    def reconcile(self, key: tuple[str, str]) -> float | None:
        owner = self.sets.get(key[1], key[0])
        if owner is None:
            return None
        pods = {name_of(pod): pod for pod in self.control.pods_of(owner)}
        try:
            self._keep_claims(owner, pods)
            if not is_deleting(owner):
                self._fit(owner, pods)
        finally:
            self._report(owner)
        return None

    # -- pods -------------------------------------------------------------------------------------

    def _fit(self, owner: Object, pods: dict[str, Object]) -> None:
        """One change at a time, in order, unless the policy is Parallel."""
        parallel = spec_of(owner).get("podManagementPolicy") == "Parallel"
        ordinals = list(_ordinals(owner))
        for ordinal in ordinals:
            pod = pods.get(f"{name_of(owner)}-{ordinal}")
            if pod is None:
                self._create(owner, ordinal)
            elif is_finished(pod) and not is_deleting(pod):
                self.control.delete(owner, pod)
            if not parallel and (pod is None or not is_ready(pod) or is_deleting(pod)):
                return
        surplus = [pod for name, pod in pods.items() if _ordinal(owner, name) not in ordinals]
        surplus.sort(key=lambda pod: _ordinal(owner, name_of(pod)), reverse=True)
        if surplus:
            for pod in surplus if parallel else surplus[:1]:
                self.control.delete(owner, pod)
            return
        self._update(owner, pods, ordinals)

    def _update(self, owner: Object, pods: dict[str, Object], ordinals: list[int]) -> None:
        """Rolling update: the highest ordinal with an old template goes, one at a time."""
        strategy = spec_of(owner).get("updateStrategy") or {}
        if strategy.get("type") == "OnDelete":
            return
        partition = int((strategy.get("rollingUpdate") or {}).get("partition") or 0)
        digest = template_hash(spec_of(owner)["template"])
        for ordinal in sorted(ordinals, reverse=True):
            pod = pods.get(f"{name_of(owner)}-{ordinal}")
            if pod is None or is_deleting(pod) or not is_ready(pod):
                return
            if ordinal >= partition and labels_of(pod).get(_REVISION) != f"{name_of(owner)}-{digest}":
                self.control.delete(owner, pod)
                return

    def _create(self, owner: Object, ordinal: int) -> None:
        for template in spec_of(owner).get("volumeClaimTemplates") or []:
            self._ensure_claim(owner, template, ordinal)
        name = f"{name_of(owner)}-{ordinal}"
        body = pod_from(spec_of(owner)["template"], owner, STATEFUL_SETS, name)
        digest = template_hash(spec_of(owner)["template"])
        body["metadata"]["labels"].update(
            {
                "statefulset.kubernetes.io/pod-name": name,
                "apps.kubernetes.io/pod-index": str(ordinal),
                _REVISION: f"{name_of(owner)}-{digest}",
            }
        )
        body["spec"].setdefault("hostname", name)
        if service := spec_of(owner).get("serviceName"):
            body["spec"].setdefault("subdomain", service)
        templates = {item["metadata"]["name"] for item in spec_of(owner).get("volumeClaimTemplates") or []}
        volumes = [item for item in body["spec"].get("volumes") or [] if item["name"] not in templates]
        volumes += [
            {"name": item, "persistentVolumeClaim": {"claimName": f"{item}-{name}"}}
            for item in sorted(templates)
        ]
        body["spec"]["volumes"] = volumes
        self.control.create(owner, body)

    # -- claims -----------------------------------------------------------------------------------

    def _ensure_claim(self, owner: Object, template: Object, ordinal: int) -> None:
        """A claim of that name is taken as it is, whoever made it."""
        name = f"{template['metadata']['name']}-{name_of(owner)}-{ordinal}"
        if self.claims.get(name, namespace_of(owner)) is not None:
            return
        labels = {
            **(template["metadata"].get("labels") or {}),
            **((spec_of(owner).get("selector") or {}).get("matchLabels") or {}),
        }
        body = {
            "metadata": {
                "name": name,
                "labels": labels,
                "annotations": dict(template["metadata"].get("annotations") or {}),
            },
            "spec": copied(template["spec"]),
        }
        try:
            self.context.create(PERSISTENT_VOLUME_CLAIMS, body, namespace_of(owner))
        except ApiError as error:
            if error.already_exists:
                return
            self.control.say(owner, "FailedCreate", f"create Claim {name} failed: {error.message}", "Warning")
            raise
        message = (
            f"create Claim {name} Pod {name_of(owner)}-{ordinal} in StatefulSet {name_of(owner)} success"
        )
        self.control.say(owner, "SuccessfulCreate", message)

    def _keep_claims(self, owner: Object, pods: dict[str, Object]) -> None:
        """persistentVolumeClaimRetentionPolicy: Delete is an owner reference, which the collector acts on."""
        policy = spec_of(owner).get("persistentVolumeClaimRetentionPolicy") or {}
        when_deleted, when_scaled = policy.get("whenDeleted", "Retain"), policy.get("whenScaled", "Retain")
        ordinals = set(_ordinals(owner))
        for claim, ordinal in self._claims_of(owner):
            condemned = when_scaled == "Delete" and ordinal not in ordinals
            pod = pods.get(f"{name_of(owner)}-{ordinal}")
            wanted = []
            if when_deleted == "Delete" and not condemned:
                wanted.append(_reference("apps/v1", "StatefulSet", owner))
            if condemned and pod is not None:
                wanted.append(_reference("v1", "Pod", pod))
            self._set_owners(claim, owner, wanted, condemned=condemned and pod is None)

    def _claims_of(self, owner: Object) -> Iterator[tuple[Object, int]]:
        for template in spec_of(owner).get("volumeClaimTemplates") or []:
            prefix = f"{template['metadata']['name']}-{name_of(owner)}-"
            for claim in self.claims.list(namespace_of(owner)):
                tail = name_of(claim).removeprefix(prefix)
                if tail != name_of(claim) and tail.isdigit():
                    matching = selector_matches(spec_of(owner).get("selector"), labels_of(claim))
                    if matching:
                        yield claim, int(tail)

    def _set_owners(self, claim: Object, owner: Object, wanted: list[Object], *, condemned: bool) -> None:
        if is_deleting(claim):
            return
        prefix = f"{name_of(owner)}-"
        before = claim["metadata"].get("ownerReferences") or []
        ours = [
            entry
            for entry in before
            if entry["uid"] == uid_of(owner) or (entry["kind"] == "Pod" and entry["name"].startswith(prefix))
        ]
        if condemned and any(entry["kind"] == "Pod" for entry in ours):
            return  # its pod has gone; the collector is about to take the claim
        if sorted(entry["uid"] for entry in ours) == sorted(entry["uid"] for entry in wanted):
            return
        fresh = copied(claim)
        fresh["metadata"]["ownerReferences"] = [entry for entry in before if entry not in ours] + wanted
        self.context.replace(PERSISTENT_VOLUME_CLAIMS, fresh)

    # -- status -----------------------------------------------------------------------------------

    def _report(self, owner: Object) -> None:
        pods = [pod for pod in self.pods.list(namespace_of(owner)) if is_controlled_by(pod, owner)]
        ready = sum(is_ready(pod) and not is_deleting(pod) for pod in pods)
        revision = f"{name_of(owner)}-{template_hash(spec_of(owner)['template'])}"
        updated = sum(labels_of(pod).get(_REVISION) == revision for pod in pods)
        fresh = copied(owner)
        before = status_of(owner)
        done = updated == len(pods) == wanted_replicas(owner)
        fresh["status"] = {
            **before,
            "replicas": len(pods),
            "readyReplicas": ready,
            "availableReplicas": ready,
            "updatedReplicas": updated,
            "currentReplicas": updated if done else len(pods) - updated,
            "updateRevision": revision,
            "currentRevision": revision if done else before.get("currentRevision", revision),
            "observedGeneration": owner["metadata"].get("generation", 1),
            "collisionCount": 0,
        }
        if fresh["status"] != before:
            self.context.replace_status(STATEFUL_SETS, fresh)


def _reference(api_version: str, kind: str, item: Object) -> Object:
    return {"apiVersion": api_version, "kind": kind, "name": name_of(item), "uid": uid_of(item)}


def _ordinals(owner: Object) -> range:
    first = int((spec_of(owner).get("ordinals") or {}).get("start") or 0)
    return range(first, first + wanted_replicas(owner))


def _ordinal(owner: Object, pod_name: str) -> int:
    tail = pod_name.removeprefix(f"{name_of(owner)}-")
    return int(tail) if tail.isdigit() else -1
