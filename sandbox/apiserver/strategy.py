"""What is particular to a kind: defaults, what a write may change, what is valid. The base knows metadata."""

from __future__ import annotations

import re
from typing import Any

from sandbox.apiserver.errors import Cause, field_forbidden, field_invalid, field_required, field_too_long
from sandbox.apiserver.resources import ResourceType

Json = dict[str, Any]

_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
_SUBDOMAIN = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
_QUALIFIED = re.compile(r"^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$")
_LABEL_VALUE = re.compile(r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")

SUBDOMAIN_WORDS = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start"
    " and end with an alphanumeric character (e.g. 'example.com', regex used for validation is"
    " '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
LABEL_WORDS = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end"
    " with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is"
    " '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_QUALIFIED_WORDS = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric"
    " character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is"
    " '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_VALUE_WORDS = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and"
    " end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is"
    " '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_ANNOTATIONS_LIMIT_BYTES = 256 * 1024


class Strategy:
    """The behaviour that most kinds share."""

    name_is_label = False
    free_name = False
    returns_deleted = False
    default_propagation = "Background"

    def default(self, item: Json) -> None:
        """Fills in defaults, as decoding does; on every write."""

    def prepare_create(self, item: Json, resource: ResourceType) -> None:
        """Sets what only the server sets. A creator's status is already dropped."""

    def prepare_update(self, new: Json, old: Json, resource: ResourceType) -> None:
        """Carries over what a plain update may not change."""
        if "status" in resource.subresources:
            _carry(new, old, "status")

    def prepare_status(self, new: Json, old: Json) -> Json:
        """What an update of the status subresource stores: the old object with the new status."""
        metadata = {**old["metadata"]}
        if "managedFields" in new["metadata"]:
            metadata["managedFields"] = new["metadata"]["managedFields"]
        changed = {**old, "metadata": metadata}
        _carry(changed, new, "status")
        return changed

    def validate(self, item: Json) -> list[Cause]:
        return []

    def validate_update(self, new: Json, old: Json) -> list[Cause]:
        return []

    def deletion_grace_s(self, item: Json, requested: int | None) -> int:
        """How long the object lingers after a DELETE for whoever runs it."""
        return 0

    def begin_deletion(self, item: Json) -> None:
        """Further marks on an object whose deletion begins."""

    def blocked(self, item: Json) -> bool:
        """Whether something besides metadata.finalizers keeps a deleted object."""
        return False


def _carry(target: Json, source: Json, field: str) -> None:
    if field in source:
        target[field] = source[field]
    else:
        target.pop(field, None)


# -- metadata ----------------------------------------------------------------------------------------


def is_label(text: str) -> bool:
    return len(text) <= 63 and bool(_LABEL.match(text))


def is_subdomain(text: str) -> bool:
    return len(text) <= 253 and bool(_SUBDOMAIN.match(text))


def validate_metadata(item: Json, strategy: Strategy, namespaced: bool) -> list[Cause]:
    metadata = item["metadata"]
    causes = _validate_name(metadata.get("name", ""), strategy)
    if namespaced and not metadata.get("namespace"):
        causes.append(field_required("metadata.namespace"))
    for field in ("labels", "annotations"):
        value = metadata.get(field)
        if value is not None and not isinstance(value, dict):
            causes.append(field_invalid(f"metadata.{field}", value, "must be a map of strings"))
    if not causes:
        causes += _validate_labels(metadata.get("labels") or {}, "metadata.labels")
        causes += _validate_annotations(metadata.get("annotations") or {})
        causes += _validate_owners(metadata.get("ownerReferences") or [])
        # The API server is strict about the built-in kinds alone: Flux's own finalizer is not qualified.
        group = str(item.get("apiVersion", "")).rpartition("/")[0]
        if "." not in group or group.endswith(".k8s.io"):
            causes += _validate_finalizers(metadata.get("finalizers") or [])
    return causes


def _validate_name(name: str, strategy: Strategy) -> list[Cause]:
    if not name:
        return [field_required("metadata.name", "name or generateName is required")]
    if strategy.free_name:
        bad = name in (".", "..") or "/" in name or "%" in name
        return [field_invalid("metadata.name", name, "may not contain '/' or '%'")] if bad else []
    if strategy.name_is_label:
        return [] if is_label(name) else [field_invalid("metadata.name", name, LABEL_WORDS)]
    return [] if is_subdomain(name) else [field_invalid("metadata.name", name, SUBDOMAIN_WORDS)]


def _validate_key(key: str, field: str) -> list[Cause]:
    prefix, slash, name = key.rpartition("/")
    if slash and not is_subdomain(prefix):
        return [field_invalid(field, key, f"prefix part {SUBDOMAIN_WORDS}")]
    if len(name) > 63:
        return [field_invalid(field, key, "name part must be no more than 63 bytes")]
    return [] if _QUALIFIED.match(name) else [field_invalid(field, key, _QUALIFIED_WORDS)]


def _validate_labels(labels: Json, field: str) -> list[Cause]:
    causes = []
    for key, value in labels.items():
        causes += _validate_key(key, field)
        if not isinstance(value, str):
            causes.append(field_invalid(field, value, "must be a string"))
        elif len(value) > 63:
            causes.append(field_invalid(field, value, "must be no more than 63 bytes"))
        elif not _LABEL_VALUE.match(value):
            causes.append(field_invalid(field, value, _VALUE_WORDS))
    return causes


def _validate_annotations(annotations: Json) -> list[Cause]:
    causes = []
    total_bytes = 0
    for key, value in annotations.items():
        causes += _validate_key(key.lower(), "metadata.annotations")
        if not isinstance(value, str):
            causes.append(field_invalid("metadata.annotations", value, "must be a string"))
            continue
        total_bytes += len(key) + len(value)
    if total_bytes > _ANNOTATIONS_LIMIT_BYTES:
        causes.append(field_too_long("metadata.annotations", _ANNOTATIONS_LIMIT_BYTES))
    return causes


def _validate_owners(owners: list[Json]) -> list[Cause]:
    causes = []
    for index, owner in enumerate(owners):
        causes += [
            field_invalid(f"metadata.ownerReferences[{index}].{field}", "", f"{field} must not be empty")
            for field in ("apiVersion", "kind", "name", "uid")
            if not owner.get(field)
        ]
    if sum(1 for owner in owners if owner.get("controller")) > 1:
        causes.append(
            field_invalid(
                "metadata.ownerReferences", owners, "Only one reference can have Controller set to true"
            )
        )
    return causes


def _validate_finalizers(finalizers: list[str]) -> list[Cause]:
    causes = []
    for name in finalizers:
        bare = name in ("orphan", "foregroundDeletion", "kubernetes")
        if not bare and "/" not in name:
            causes.append(field_invalid("metadata.finalizers", name, "name is neither a standard finalizer name nor is it fully qualified"))  # fmt: skip
        elif not bare:
            causes += _validate_key(name, "metadata.finalizers")
    return causes


_SET_ONCE = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")


def keep_system_metadata(new: Json, old: Json) -> None:
    """Restores what only the server sets."""
    for field in (*_SET_ONCE, "name", "namespace", "selfLink", "generateName"):
        if field in old:
            new[field] = old[field]
        elif field in _SET_ONCE:
            new.pop(field, None)


def validate_metadata_update(new: Json, old: Json) -> list[Cause]:
    if not old.get("deletionTimestamp"):
        return []
    added = [name for name in new.get("finalizers") or [] if name not in (old.get("finalizers") or [])]
    if not added:
        return []
    why = f"no new finalizers can be added if the object is being deleted, found new finalizers []string{{{', '.join(repr(name).replace(chr(39), chr(34)) for name in added)}}}"  # fmt: skip
    return [field_forbidden("metadata.finalizers", why)]
