"""The parts of a write: what it is about, preconditions, what the server sets, how a deletion begins and ends."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox.apiserver import errors, managedfields
from sandbox.apiserver.call import Call, DeleteOptions, now
from sandbox.apiserver.resources import ResourceType
from sandbox.apiserver.strategy import Strategy

Json = dict[str, Any]
Transform = Callable[[Json], Json]

_SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"


@dataclass(frozen=True)
class Target:
    """Which object a write is about. `subresource` is empty, status, scale or finalize."""

    resource: ResourceType
    namespace: str
    name: str
    subresource: str = ""
    internal: bool = False
    """Set by the server's own writes (a binding), which may change what a client may not."""


def always(item: Json) -> Transform:
    """A transform that ignores what is there."""
    return lambda _: item


def as_served(item: Json, resource: ResourceType) -> Json:
    """A stored object in the version of the request (custom resources convert by renaming alone)."""
    item["apiVersion"] = resource.api_version
    return item


def as_stored(item: Json, resource: ResourceType) -> Json:
    """A copy in the storage version, so that what the caller returns keeps the version of the request."""
    copy = {**item, "apiVersion": resource.stored_api_version}
    return copy


def writer_of(call: Call, target: Target) -> managedfields.Writer:
    return managedfields.Writer(call.manager(), target.resource.api_version, target.subresource, now())


def name_new(item: Json, target: Target) -> None:
    metadata = item["metadata"]
    if target.name:
        given = metadata.setdefault("name", target.name)
        if given != target.name:
            raise errors.bad_request(
                f"the name of the object ({given}) does not match the name on the URL ({target.name})"
            )
    if not metadata.get("name") and metadata.get("generateName"):
        suffix = "".join(random.choice(_SUFFIX_ALPHABET) for _ in range(5))
        metadata["name"] = metadata["generateName"][:58] + suffix
    metadata.setdefault("name", "")


def stamp_new(metadata: Json, target: Target) -> None:
    if target.resource.namespaced:
        metadata["namespace"] = target.namespace
    metadata["uid"] = str(uuid.uuid4())
    metadata["creationTimestamp"] = now()
    for field in (
        "resourceVersion",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "selfLink",
    ):
        metadata.pop(field, None)


def check_preconditions(new: Json, old: Json, target: Target) -> None:
    resource, metadata = target.resource, new["metadata"]
    given_uid, uid = metadata.get("uid"), old["metadata"]["uid"]
    if given_uid and given_uid != uid:
        raise uid_conflict(target, given_uid, uid)
    given, current = metadata.get("resourceVersion"), old["metadata"]["resourceVersion"]
    if given and given not in ("0", current):
        raise errors.conflict(resource.group, resource.plural, target.name, errors.STALE)


def uid_conflict(target: Target, given: str, uid: str) -> errors.StatusError:
    why = f"Precondition failed: UID in precondition: {given}, UID in object meta: {uid}"
    return errors.conflict(target.resource.group, target.resource.plural, target.name, why)


def check_delete(options: DeleteOptions, old: Json, target: Target) -> None:
    resource, metadata = target.resource, old["metadata"]
    if options.uid and options.uid != metadata["uid"]:
        why = f"the UID in the precondition ({options.uid}) does not match the UID in record ({metadata['uid']}). The object might have been deleted and then recreated"  # fmt: skip
        raise errors.conflict(resource.group, resource.plural, target.name, why)
    wanted, current = options.resource_version, metadata["resourceVersion"]
    if wanted and wanted != current:
        why = f"the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record ({current}). The object might have been modified"  # fmt: skip
        raise errors.conflict(resource.group, resource.plural, target.name, why)


def bump_generation(new: Json, old: Json, resource: ResourceType) -> None:
    if not resource.generation:
        return
    outside = ("metadata", "status")
    before = {key: value for key, value in old.items() if key not in outside}
    after = {key: value for key, value in new.items() if key not in outside}
    if before != after:
        new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1


def same(new: Json, old: Json) -> bool:
    """Whether a write changes nothing but the times of field owners."""
    return without_times(new) == without_times(old)


def without_times(item: Json) -> Json:
    metadata = dict(item["metadata"])
    owners = metadata.get("managedFields") or []
    metadata["managedFields"] = [{**owner, "time": ""} for owner in owners]
    return {
        **item,
        "metadata": {key: value for key, value in metadata.items() if value not in (None, {}, [])},
    }


def finished(item: Json, strategy: Strategy) -> bool:
    """Whether an update leaves nothing that holds back a begun deletion."""
    metadata = item["metadata"]
    if not metadata.get("deletionTimestamp") or metadata.get("finalizers"):
        return False
    return not metadata.get("deletionGracePeriodSeconds") and not strategy.blocked(item)


def begin(item: Json, strategy: Strategy, grace_s: int) -> None:
    metadata = item["metadata"]
    metadata.setdefault("deletionTimestamp", now())
    metadata["deletionGracePeriodSeconds"] = grace_s
    strategy.begin_deletion(item)


def set_collector_finalizer(metadata: Json, propagation: str) -> None:
    """Marks for the garbage collector what is to happen to the dependents."""
    wanted = {"Orphan": "orphan", "Foreground": "foregroundDeletion"}.get(propagation)
    finalizers = [
        name for name in metadata.get("finalizers") or [] if name not in ("orphan", "foregroundDeletion")
    ]
    if wanted:
        finalizers.append(wanted)
    if finalizers:
        metadata["finalizers"] = finalizers
    else:
        metadata.pop("finalizers", None)


def deleted_status(target: Target, old: Json) -> Json:
    resource = target.resource
    details = {
        "name": target.name,
        "group": resource.group,
        "kind": resource.plural,
        "uid": old["metadata"]["uid"],
    }
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {key: value for key, value in details.items() if value},
    }
