"""Selectors of kustomize patches: anchored regular expressions on names, and label selectors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gitops.errors import Reason, Refusal
from gitops.yamltext import Node

if TYPE_CHECKING:
    from gitops.walk import Instance


@dataclass(frozen=True)
class Selector:
    """``target`` of a patch. Empty fields select everything."""

    group: str = ""
    kind: str = ""
    name: str = ""
    namespace: str = ""
    labels: str = ""
    annotations: str = ""

    @classmethod
    def of_node(cls, node: Node) -> Selector:
        return cls.of_mapping({key: node.text(key) for key in _FIELDS})

    @classmethod
    def of_mapping(cls, values: Mapping[str, str]) -> Selector:
        return cls(**{field: values.get(key, "") for key, field in _FIELDS.items()})


_FIELDS = {
    "group": "group",
    "kind": "kind",
    "name": "name",
    "namespace": "namespace",
    "labelSelector": "labels",
    "annotationSelector": "annotations",
}


def matches(selector: Selector, instance: Instance) -> bool:
    """Whether kustomize would select the object: by its present name, its first one, or one between."""
    written = (instance.node.text("metadata", "namespace"), instance.node.text("metadata", "name"))
    identities = [written, *instance.names.values(), (instance.namespace, instance.name)]
    return (
        _anchored(selector.kind, instance.kind)
        and (not selector.group or _anchored(selector.group, instance.group))
        and any(
            _anchored(selector.name, name) and _anchored(selector.namespace, ns) for ns, name in identities
        )
        and label_selector(selector.labels, instance.labels)
        and label_selector(selector.annotations, instance.annotations)
    )


def _anchored(pattern: str, text: str) -> bool:
    if not pattern:
        return True
    try:
        return re.fullmatch(pattern, text) is not None
    except re.error as error:
        raise Refusal(Reason.TRANSFORMED, f"The selector {pattern!r} cannot be followed.") from error


def label_selector(text: str, values: Mapping[str, str]) -> bool:
    """A Kubernetes label selector: ``a=b``, ``a!=b``, ``a``, ``!a``, ``a in (b,c)``, ``a notin (b,c)``, with commas."""
    return all(_requirement(part.strip(), values) for part in re.split(r",(?![^(]*\))", text) if part.strip())


def _requirement(part: str, values: Mapping[str, str]) -> bool:
    several = re.fullmatch(r"(\S+)\s+(in|notin)\s+\(([^)]*)\)", part)
    if several:
        key, operator, listed = several.groups()
        inside = values.get(key) in [each.strip() for each in listed.split(",")]
        return inside if operator == "in" else not inside
    pair = re.fullmatch(r"([^\s!=]+)\s*(==|=|!=)\s*(\S*)", part)
    if pair:
        key, operator, value = pair.groups()
        return (values.get(key) == value) is (operator != "!=")
    if re.fullmatch(r"!\S+", part):
        return part[1:] not in values
    if re.fullmatch(r"\S+", part):
        return part in values
    raise Refusal(Reason.TRANSFORMED, f"The selector {part!r} cannot be followed.")
