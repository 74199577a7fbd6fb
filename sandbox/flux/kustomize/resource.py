"""An object on its way through a build, and what selects it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sandbox.flux.kustomize.errors import KustomizeError

CLUSTER_SCOPED = frozenset(
    {
        "APIService",
        "CSIDriver",
        "CSINode",
        "CertificateSigningRequest",
        "ClusterRole",
        "ClusterRoleBinding",
        "ComponentStatus",
        "CustomResourceDefinition",
        "FlowSchema",
        "IngressClass",
        "MutatingWebhookConfiguration",
        "Namespace",
        "Node",
        "PersistentVolume",
        "PodSecurityPolicy",
        "PriorityClass",
        "PriorityLevelConfiguration",
        "RuntimeClass",
        "StorageClass",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration",
        "VolumeAttachment",
    }
)


@dataclass
class Resource:
    """`earlier` are the (namespace, name) pairs that it had before; `hashed` asks for a hash suffix at the end."""

    body: dict[str, Any]
    earlier: list[tuple[str, str]] = field(default_factory=list)
    prefixes: str = ""
    suffixes: str = ""
    hashed: bool = False
    behavior: str = ""

    @property
    def kind(self) -> str:
        return str(self.body.get("kind", ""))

    @property
    def group(self) -> str:
        return str(self.body.get("apiVersion", "")).rpartition("/")[0]

    @property
    def version(self) -> str:
        return str(self.body.get("apiVersion", "")).rpartition("/")[2]

    @property
    def name(self) -> str:
        return str(self.metadata.get("name", ""))

    @property
    def namespace(self) -> str:
        return str(self.metadata.get("namespace") or "")

    @property
    def metadata(self) -> dict[str, Any]:
        found: dict[str, Any] = self.body.setdefault("metadata", {})
        return found

    def remember(self) -> None:
        """Keeps the present name among the earlier ones, before it changes."""
        if (self.namespace, self.name) not in self.earlier:
            self.earlier.append((self.namespace, self.name))

    def names(self) -> list[tuple[str, str]]:
        """All (namespace, name) pairs, the present one last."""
        return [*self.earlier, (self.namespace, self.name)]


def same_kind(one: Resource, other: Resource) -> bool:
    """Whether two are of one group and kind."""
    return (one.group, one.kind) == (other.group, other.kind)


def select(resources: Iterable[Resource], target: dict[str, Any]) -> list[Resource]:
    """The resources that a patch's target selects. Names are regular expressions that match as a whole."""
    return [resource for resource in resources if _is_selected(resource, target)]


def _is_selected(resource: Resource, target: dict[str, Any]) -> bool:
    for key, value in (("group", resource.group), ("version", resource.version), ("kind", resource.kind)):
        if target.get(key) and not _like(target[key], value):
            return False
    if target.get("name") and not any(_like(target["name"], name) for _, name in resource.names()):
        return False
    if target.get("namespace") and not any(
        _like(target["namespace"], space) for space, _ in resource.names()
    ):
        return False
    return selector_matches(
        target.get("labelSelector") or "", resource.metadata.get("labels") or {}
    ) and selector_matches(target.get("annotationSelector") or "", resource.metadata.get("annotations") or {})


def _like(pattern: str, value: str) -> bool:
    return re.fullmatch(str(pattern), value) is not None


_REQUIREMENT = re.compile(r"[^,(]+(?:\([^)]*\))?")
_SET = re.compile(r"^(\S+)\s+(in|notin)\s*\(([^)]*)\)$")


def selector_matches(selector: str, values: dict[str, Any]) -> bool:
    """A label selector in its text form: a=b, a==b, a!=b, a in (b,c), a notin (b), a, !a."""
    return all(_requirement(part.strip(), values) for part in _REQUIREMENT.findall(selector) if part.strip())


def _requirement(text: str, values: dict[str, Any]) -> bool:
    if found := _SET.match(text):
        listed = [one.strip() for one in found[3].split(",")]
        if found[2] == "in":
            return values.get(found[1]) in listed
        return values.get(found[1]) not in listed
    for operator in ("!=", "==", "="):
        if operator in text:
            key, value = (part.strip() for part in text.split(operator, 1))
            return (values.get(key) != value) if operator == "!=" else values.get(key) == value
    if text.startswith("!"):
        return text[1:].strip() not in values
    if not re.fullmatch(r"[\w./-]+", text):
        raise KustomizeError(f"unable to parse requirement: {text!r}")
    return text in values
