"""What all owners of pods share: finding, adopting, creating and deleting their pods."""

from __future__ import annotations

import json
import secrets
import zlib

from sandbox.answers import ApiError
from sandbox.controllers.core import Context
from sandbox.controllers.objects import (
    Object,
    controller_of,
    copied,
    is_controlled_by,
    is_deleting,
    labels_of,
    name_of,
    namespace_of,
    owner_reference,
    selector_matches,
    spec_of,
    uid_of,
)
from sandbox.kinds import PODS, Resource

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"


def suffix(length: int = 5) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def template_hash(template: Object) -> str:
    """A short, stable hash of a pod template."""
    number = zlib.crc32(json.dumps(template, sort_keys=True).encode())
    out = ""
    for _ in range(9):
        number, digit = divmod(number, len(_ALPHABET))
        out += _ALPHABET[digit]
    return out


def pod_from(template: Object, owner: Object, resource: Resource, name: str) -> Object:
    """A pod of this template, controlled by the owner."""
    meta = copied(template.get("metadata") or {})
    return {
        "metadata": {
            "name": name,
            "namespace": namespace_of(owner),
            "labels": dict(meta.get("labels") or {}),
            "annotations": dict(meta.get("annotations") or {}),
            "finalizers": list(meta.get("finalizers") or []),
            "ownerReferences": [owner_reference(owner, resource.api_version, resource.kind)],
        },
        "spec": copied(template.get("spec") or {}),
    }


class PodControl:
    """Creates and deletes the pods of one kind of owner, with the events that `describe` shows."""

    def __init__(self, context: Context, resource: Resource, component: str) -> None:
        self.context = context
        self.resource = resource
        self.component = component
        self.pods = context.cache(PODS)

    def pods_of(self, owner: Object) -> list[Object]:
        """The owner's pods; free ones that its selector matches are adopted first."""
        found = []
        selector = spec_of(owner).get("selector")
        for pod in self.pods.list(namespace_of(owner)):
            if is_controlled_by(pod, owner):
                found.append(pod)
            elif self._is_free(pod, owner, selector):
                found.append(self._adopt(pod, owner))
        return found

    def _is_free(self, pod: Object, owner: Object, selector: Object | None) -> bool:
        if controller_of(pod) or is_deleting(pod) or is_deleting(owner):
            return False
        return bool(selector) and selector_matches(selector, labels_of(pod))

    def _adopt(self, pod: Object, owner: Object) -> Object:
        fresh = copied(pod)
        references = fresh["metadata"].setdefault("ownerReferences", [])
        references.append(owner_reference(owner, self.resource.api_version, self.resource.kind))
        return self.context.replace(PODS, fresh)

    def create(self, owner: Object, body: Object) -> Object | None:
        """None when a pod of that name is there. Records FailedCreate and raises when the API refuses."""
        try:
            pod = self.context.create(PODS, body, namespace_of(owner))
        except ApiError as error:
            if error.already_exists:
                return None
            message = f"Error creating: {error.message}"
            self.say(owner, "FailedCreate", message, "Warning")
            raise
        self.say(owner, "SuccessfulCreate", f"Created pod: {name_of(pod)}")
        return pod

    def delete(self, owner: Object, pod: Object) -> None:
        if is_deleting(pod):
            return
        self.context.delete(PODS, pod)
        self.say(owner, "SuccessfulDelete", f"Deleted pod: {name_of(pod)}")

    def say(self, owner: Object, reason: str, message: str, kind: str = "Normal") -> None:
        self.context.event(owner, self.resource, kind, reason, message, self.component)


def owner_keys(pod: Object, kind: str) -> list[tuple[str, str]]:
    """The queue key of a pod's controller, when that is of this kind."""
    owner = controller_of(pod)
    if owner is None or owner.get("kind") != kind:
        return []
    return [(namespace_of(pod), owner["name"])]


def same_object(item: Object | None, other: Object) -> bool:
    return item is not None and uid_of(item) == uid_of(other)
