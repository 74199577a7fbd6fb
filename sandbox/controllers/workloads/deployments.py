"""Deployments: one ReplicaSet a template, rolled over pod by pod or recreated."""

from __future__ import annotations

from sandbox.answers import ApiError
from sandbox.controllers.core import Context, Controller
from sandbox.controllers.objects import (
    Object,
    age_s,
    annotations_of,
    copied,
    is_controlled_by,
    is_deleting,
    is_finished,
    name_of,
    namespace_of,
    owner_reference,
    set_condition,
    spec_of,
    status_of,
)
from sandbox.controllers.workloads.replicas import owner_keys, template_hash
from sandbox.controllers.workloads.replicasets import wanted_replicas
from sandbox.kinds import DEPLOYMENTS, PODS, REPLICA_SETS

_HASH = "pod-template-hash"
_REVISION = "deployment.kubernetes.io/revision"
_BY = "deployment-controller"


class Deployments(Controller):
    name = "deployments"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.deployments = self.watch(DEPLOYMENTS)
        self.sets = self.watch(REPLICA_SETS, lambda item: owner_keys(item, "Deployment"))
        self.pods = context.cache(PODS)

    def reconcile(self, key: tuple[str, str]) -> float | None:
        deployment = self.deployments.get(key[1], key[0])
        if deployment is None or is_deleting(deployment):
            return None
        sets = [item for item in self.sets.list(key[0]) if is_controlled_by(item, deployment)]
        again_s = None
        if not spec_of(deployment).get("paused"):
            current, sets = self._current_set(deployment, sets)
            again_s = self._roll(deployment, current, [item for item in sets if item is not current])
        again_s = self._report(deployment) or again_s
        return again_s

    def _current_set(self, deployment: Object, sets: list[Object]) -> tuple[Object, list[Object]]:
        template = spec_of(deployment)["template"]
        digest = template_hash(template)
        for item in sets:
            if spec_of(item)["template"]["metadata"].get("labels", {}).get(_HASH) == digest:
                return item, sets
        revision = 1 + max((int(annotations_of(item).get(_REVISION, 0)) for item in sets), default=0)
        marked = copied(template)
        marked.setdefault("metadata", {}).setdefault("labels", {})[_HASH] = digest
        selector = copied(spec_of(deployment)["selector"])
        selector.setdefault("matchLabels", {})[_HASH] = digest
        body = {
            "metadata": {
                "name": f"{name_of(deployment)}-{digest}",
                "namespace": namespace_of(deployment),
                "labels": dict(marked["metadata"]["labels"]),
                "annotations": {_REVISION: str(revision)},
                "ownerReferences": [owner_reference(deployment, "apps/v1", "Deployment")],
            },
            "spec": {"replicas": 0, "selector": selector, "template": marked},
        }
        created = self.context.create(REPLICA_SETS, body, namespace_of(deployment))
        return created, [*sets, created]

    def _roll(self, deployment: Object, current: Object, others: list[Object]) -> float | None:
        wanted = wanted_replicas(deployment)
        old = [item for item in others if wanted_replicas(item) or status_of(item).get("replicas")]
        recreate = (spec_of(deployment).get("strategy") or {}).get("type") == "Recreate"
        if recreate or not old:
            for item in old:
                self._scale(deployment, item, 0)
            if recreate and any(self._has_pods(item) for item in others):
                return 0.3
            self._scale(deployment, current, wanted)
            return None
        self._scale(deployment, current, wanted)
        if int(status_of(current).get("readyReplicas") or 0) >= wanted:
            for item in old:
                self._scale(deployment, item, 0)
        return None

    def _has_pods(self, owner: Object) -> bool:
        return any(
            is_controlled_by(pod, owner) and not is_finished(pod)
            for pod in self.pods.list(namespace_of(owner))
        )

    def _scale(self, deployment: Object, item: Object, replicas: int) -> None:
        before = wanted_replicas(item)
        if before == replicas:
            return
        fresh = copied(item)
        fresh["spec"]["replicas"] = replicas
        saved = self.context.replace(REPLICA_SETS, fresh)
        item.clear()
        item.update(saved)
        word = "up" if replicas > before else "down"
        message = f"Scaled {word} replica set {name_of(item)} from {before} to {replicas}"
        self.context.event(deployment, DEPLOYMENTS, "Normal", "ScalingReplicaSet", message, _BY)

    def _report(self, deployment: Object) -> float | None:
        sets = [
            item for item in self.sets.list(namespace_of(deployment)) if is_controlled_by(item, deployment)
        ]
        digest = template_hash(spec_of(deployment)["template"])
        wanted = wanted_replicas(deployment)
        total = sum(int(status_of(item).get("replicas") or 0) for item in sets)
        ready = sum(int(status_of(item).get("readyReplicas") or 0) for item in sets)
        current = [
            item
            for item in sets
            if spec_of(item)["template"]["metadata"].get("labels", {}).get(_HASH) == digest
        ]
        updated = sum(int(status_of(item).get("replicas") or 0) for item in current)
        fresh = copied(deployment)
        status = fresh.setdefault("status", {})
        counts = {
            "replicas": total,
            "updatedReplicas": updated,
            "readyReplicas": ready,
            "availableReplicas": ready,
            "unavailableReplicas": max(0, wanted - ready),
        }
        for field, value in counts.items():
            if value:
                status[field] = value
            else:
                status.pop(field, None)
        status["observedGeneration"] = deployment["metadata"].get("generation", 1)
        self._set_conditions(deployment, status, wanted, ready, updated, total)
        if status != status_of(deployment):
            try:
                self.context.replace_status(DEPLOYMENTS, fresh)
            except ApiError as error:
                if not error.conflict:
                    raise
                return 0.1
        return None

    def _set_conditions(
        self, deployment: Object, status: Object, wanted: int, ready: int, updated: int, total: int
    ) -> None:
        conditions = status.setdefault("conditions", [])
        if ready >= wanted:
            message = "Deployment has minimum availability."
            set_condition(conditions, "Available", "True", "MinimumReplicasAvailable", message)
        else:
            message = "Deployment does not have minimum availability."
            set_condition(conditions, "Available", "False", "MinimumReplicasUnavailable", message)
        name = name_of(deployment)
        if updated == wanted == total and ready >= wanted:
            message = f'ReplicaSet for "{name}" has successfully progressed.'
            set_condition(conditions, "Progressing", "True", "NewReplicaSetAvailable", message)
            return
        limit_s = float(spec_of(deployment).get("progressDeadlineSeconds") or 600)
        for entry in conditions:
            late = entry["type"] == "Progressing" and age_s(entry.get("lastTransitionTime")) > limit_s
            if late and entry.get("reason") != "NewReplicaSetAvailable":
                message = f'ReplicaSet for "{name}" has timed out progressing.'
                set_condition(conditions, "Progressing", "False", "ProgressDeadlineExceeded", message)
                return
        set_condition(conditions, "Progressing", "True", "ReplicaSetUpdated", f'"{name}" is progressing.')
