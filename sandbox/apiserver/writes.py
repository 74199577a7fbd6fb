"""Create, update, patch and delete: one pipeline for every kind.

An update reads, changes, validates, asks admission (which may wait for webhooks) and stores only if the
object is still the one that was read; otherwise it starts again, as the real server does. The part from
the last check to the store has no await in it, so two writers never both win.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from sandbox.apiserver import errors, managedfields
from sandbox.apiserver.admission import Admission
from sandbox.apiserver.attributes import Attributes
from sandbox.apiserver.call import Call, DeleteOptions, now
from sandbox.apiserver.listtypes import ListTypes
from sandbox.apiserver.resources import ResourceType
from sandbox.apiserver.schemas import Schemas
from sandbox.apiserver.store import Entry, Store
from sandbox.apiserver.strategies import strategy_for
from sandbox.apiserver.strategy import (
    Strategy,
    keep_system_metadata,
    validate_metadata,
    validate_metadata_update,
)

Json = dict[str, Any]
Transform = Callable[[Json], Json]

_ATTEMPTS = 20
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


@dataclass(frozen=True)
class Written:
    """The object after a write, and whether the write created it."""

    item: Json
    created: bool = False


class Writes:
    """All that changes objects."""

    def __init__(self, store: Store, admission: Admission, schemas: Schemas) -> None:
        self._store = store
        self._admission = admission
        self._schemas = schemas

    # -- create -----------------------------------------------------------------------------------

    async def create(self, call: Call, target: Target, body: Json) -> Json:
        """POST. Returns the object as stored."""
        dry_run = call.dry_run()
        item = self._accept(call, target, body)
        _name_new(item, target)
        item["metadata"].pop("managedFields", None)
        return await self._insert(call, target, item, dry_run=dry_run)

    async def _insert(
        self,
        call: Call,
        target: Target,
        item: Json,
        *,
        dry_run: bool,
        applied: managedfields.Applied | None = None,
    ) -> Json:
        resource, strategy = target.resource, strategy_for(target.resource)
        metadata = item["metadata"]
        if metadata.get("resourceVersion"):
            raise errors.bad_request("resourceVersion should not be set on objects to be created")
        self._admission.namespace_open(resource, target.namespace, metadata["name"])
        _stamp_new(metadata, target)
        if "status" in resource.subresources:
            item.pop("status", None)
        strategy.default(item)
        self._schemas.default(resource, item)
        # Ownership is recorded before the cluster adds anything, so that an apply never takes that away.
        self._record(call, target, None, item, applied)
        strategy.prepare_create(item, resource)
        self._admission.mutate(call, resource, item)
        if resource.generation:
            metadata["generation"] = 1
        attributes = Attributes(
            "CREATE", resource, target.namespace, metadata["name"], item, None, dry_run=dry_run
        )
        await self._admission.mutate_by_webhooks(call, attributes)
        causes = validate_metadata(item, strategy, resource.namespaced)
        causes += self._schemas.validate(resource, item) or strategy.validate(item)
        if causes:
            raise errors.invalid(resource.group, resource.kind, metadata["name"], causes)
        self._refuse_taken(resource, target.namespace, metadata["name"])
        await self._admission.validate(call, attributes)
        self._refuse_taken(resource, target.namespace, metadata["name"])
        self._admission.namespace_open(resource, target.namespace, metadata["name"])
        self._admission.last_check(call, attributes)
        if not dry_run:
            self._store.put(resource.table, _as_stored(item, resource), None)
        return item

    def _refuse_taken(self, resource: ResourceType, namespace: str, name: str) -> None:
        if self._store.get(resource.table, namespace, name):
            raise errors.already_exists(resource.group, resource.plural, name)

    def _accept(self, call: Call, target: Target, body: Json) -> Json:
        """Checks that the body is an object of the resource and drops or refuses unknown fields."""
        resource = target.resource
        body.setdefault("apiVersion", resource.api_version)
        body.setdefault("kind", resource.kind)
        if (body["apiVersion"], body["kind"]) != (resource.api_version, resource.kind):
            raise errors.bad_request(
                f'{body["kind"]} in version "{body["apiVersion"]}" cannot be handled as a {resource.kind}: the API'
                f" version in the data ({body['apiVersion']}) or its kind does not match the expected"
                f" {resource.api_version}, {resource.kind}"
            )
        metadata = body.setdefault("metadata", {})
        if not isinstance(metadata, dict):
            raise errors.bad_request("metadata must be an object")
        given = metadata.get("namespace")
        if resource.namespaced and given and given != target.namespace:
            raise errors.bad_request(
                "the namespace of the provided object does not match the namespace sent on the request"
            )
        if not resource.namespaced:
            metadata.pop("namespace", None)
        return self._schemas.prune(resource, body, call)

    # -- update -----------------------------------------------------------------------------------

    async def replace(self, call: Call, target: Target, body: Json) -> Written:
        """PUT. StatusError 404 when there is no such object (the kinds here do not create on update)."""
        dry_run = call.dry_run()
        item = self._accept(call, target, body)
        given = item["metadata"].setdefault("name", target.name)
        if given != target.name:
            raise errors.bad_request(
                f"the name of the object ({given}) does not match the name on the URL ({target.name})"
            )
        encoded = msgspec.json.encode(item)

        def transform(_: Json) -> Json:
            decoded: Json = msgspec.json.decode(encoded)
            return decoded

        return Written(await self.update(call, target, transform, dry_run=dry_run))

    async def patch(self, call: Call, target: Target, transform: Transform) -> Written:
        """PATCH of the merging kinds. The transform gets a copy of the object as served."""
        dry_run = call.dry_run()

        def checked(old: Json) -> Json:
            return self._accept(call, target, transform(old))

        return Written(await self.update(call, target, checked, dry_run=dry_run))

    async def apply(self, call: Call, target: Target, config: Json, *, force: bool) -> Written:
        """Server-side apply: creates the object when it is missing."""
        if "managedFields" in config.get("metadata", {}):
            raise errors.bad_request("metadata.managedFields must be nil")
        dry_run = call.dry_run()
        config = self._accept(call, target, config)
        config["metadata"].setdefault("name", target.name)
        types = ListTypes(target.resource)
        for _ in range(_ATTEMPTS):
            entry = self._store.get(target.resource.table, target.namespace, target.name)
            live = entry.decode() if entry else None
            writer = _writer(call, target)
            applied = managedfields.apply(live, config, writer, types, force=force)
            if live is None:
                if config["metadata"].get("uid"):
                    raise _uid_conflict(target, config["metadata"]["uid"], "")
                if target.subresource:
                    raise errors.not_found(target.resource.group, target.resource.plural, target.name)
                applied.item["metadata"].pop("managedFields", None)
                _name_new(applied.item, target)
                item = await self._insert(call, target, applied.item, dry_run=dry_run, applied=applied)
                return Written(item, created=True)
            stored = await self._attempt(
                call, target, entry, lambda _, made=applied: made.item, dry_run=dry_run, applied=applied
            )
            if stored is not None:
                return Written(stored)
        raise errors.conflict(target.resource.group, target.resource.plural, target.name, errors.STALE)

    async def update(self, call: Call, target: Target, transform: Transform, *, dry_run: bool) -> Json:
        """Runs the transform against the current object until it could be stored unchanged meanwhile."""
        for _ in range(_ATTEMPTS):
            entry = self._store.get(target.resource.table, target.namespace, target.name)
            if entry is None:
                raise errors.not_found(target.resource.group, target.resource.plural, target.name)
            stored = await self._attempt(call, target, entry, transform, dry_run=dry_run)
            if stored is not None:
                return stored
        raise errors.conflict(target.resource.group, target.resource.plural, target.name, errors.STALE)

    async def _attempt(
        self,
        call: Call,
        target: Target,
        entry: Entry | None,
        transform: Transform,
        *,
        dry_run: bool,
        applied: managedfields.Applied | None = None,
    ) -> Json | None:
        """One try; None when the object changed while admission was asked."""
        if entry is None:
            raise errors.not_found(target.resource.group, target.resource.plural, target.name)
        resource = target.resource
        old = as_served(entry.decode(), resource)
        new = transform(as_served(entry.decode(), resource))
        _check_preconditions(new, old, target)
        new = self._prepare(call, target, new, old, applied)
        attributes = Attributes(
            "UPDATE", resource, target.namespace, target.name, new, old, target.subresource, dry_run=dry_run
        )
        await self._admission.mutate_by_webhooks(call, attributes)
        self._validate_update(target, new, old)
        if _same(new, old):
            return old
        await self._admission.validate(call, attributes)
        if self._store.get(resource.table, target.namespace, target.name) is not entry:
            return None
        self._admission.last_check(call, attributes)
        if dry_run:
            return new
        if _finished(new, strategy_for(resource)):
            self._store.remove(resource.table, entry, _as_stored(new, resource))
        else:
            self._store.put(resource.table, _as_stored(new, resource), entry)
        return new

    def _prepare(
        self, call: Call, target: Target, new: Json, old: Json, applied: managedfields.Applied | None
    ) -> Json:
        resource, strategy = target.resource, strategy_for(target.resource)
        keep_system_metadata(new["metadata"], old["metadata"])
        new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
        if target.subresource == "status":
            new = strategy.prepare_status(new, old)
        elif target.subresource == "finalize":
            new = {**old, "spec": new.get("spec") or {}}
        else:
            strategy.prepare_update(new, old, resource)
            strategy.default(new)
            self._schemas.default(resource, new)
            _bump_generation(new, old, resource)
        self._record(call, target, old, new, applied)
        return new

    def _validate_update(self, target: Target, new: Json, old: Json) -> None:
        resource, strategy = target.resource, strategy_for(target.resource)
        causes = validate_metadata(new, strategy, resource.namespaced)
        causes += validate_metadata_update(new["metadata"], old["metadata"])
        causes += self._schemas.validate(resource, new)
        if not causes and not target.subresource and not target.internal:
            causes = strategy.validate_update(new, old) or strategy.validate(new)
        if causes:
            raise errors.invalid(resource.group, resource.kind, target.name, causes)

    def _record(
        self, call: Call, target: Target, old: Json | None, new: Json, applied: managedfields.Applied | None
    ) -> None:
        if applied is not None:
            managedfields.record_apply(new, applied)
        else:
            managedfields.record_update(old, new, _writer(call, target), ListTypes(target.resource))

    # -- delete -----------------------------------------------------------------------------------

    async def delete(
        self, call: Call, target: Target, options: DeleteOptions, *, in_bulk: bool = False
    ) -> Json:
        """DELETE of one object. Returns the object while it lingers (or as its kind does), else a Status."""
        resource, strategy = target.resource, strategy_for(target.resource)
        for _ in range(_ATTEMPTS):
            entry = self._store.get(resource.table, target.namespace, target.name)
            if entry is None:
                raise errors.not_found(resource.group, resource.plural, target.name)
            old = as_served(entry.decode(), resource)
            _check_delete(options, old, target)
            attributes = Attributes(
                "DELETE",
                resource,
                target.namespace,
                "" if in_bulk else target.name,
                None,
                old,
                dry_run=options.dry_run,
                options=options,
            )
            await self._admission.validate(call, attributes)
            if self._store.get(resource.table, target.namespace, target.name) is entry:
                return self._delete_now(call, target, entry, options, strategy)
        raise errors.conflict(resource.group, resource.plural, target.name, errors.STALE)

    def _delete_now(
        self, call: Call, target: Target, entry: Entry, options: DeleteOptions, strategy: Strategy
    ) -> Json:
        resource = target.resource
        old, new = as_served(entry.decode(), resource), as_served(entry.decode(), resource)
        propagation = options.propagation or strategy.default_propagation
        if not options.propagation and propagation == "Orphan":
            call.warnings.append(
                "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove"
                " them or set propagationPolicy=Orphan to suppress this warning"
            )
        _set_collector_finalizer(new["metadata"], propagation)
        grace_s = strategy.deletion_grace_s(old, options.grace_period_s)
        lingers = bool(new["metadata"].get("finalizers")) or grace_s > 0 or strategy.blocked(new)
        if not lingers:
            if not options.dry_run:
                _begin(new, strategy, 0)
                self._store.remove(resource.table, entry, _as_stored(new, resource))
            return new if strategy.returns_deleted else _deleted_status(target, old)
        begun = bool(old["metadata"].get("deletionTimestamp"))
        if not begun:
            _begin(new, strategy, grace_s)
            if resource.generation:
                new["metadata"]["generation"] = new["metadata"].get("generation", 0) + 1
        elif grace_s < (old["metadata"].get("deletionGracePeriodSeconds") or 0):
            new["metadata"]["deletionGracePeriodSeconds"] = grace_s
        if _same(new, old):
            return old
        if not options.dry_run:
            self._store.put(resource.table, _as_stored(new, resource), entry)
        return new


# -- helpers -----------------------------------------------------------------------------------------


def as_served(item: Json, resource: ResourceType) -> Json:
    """A stored object in the version of the request (custom resources convert by renaming alone)."""
    item["apiVersion"] = resource.api_version
    return item


def _as_stored(item: Json, resource: ResourceType) -> Json:
    """A copy in the storage version, so that what the caller returns keeps the version of the request."""
    copy = {**item, "apiVersion": resource.stored_api_version}
    return copy


def _writer(call: Call, target: Target) -> managedfields.Writer:
    return managedfields.Writer(call.manager(), target.resource.api_version, target.subresource, now())


def _name_new(item: Json, target: Target) -> None:
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


def _stamp_new(metadata: Json, target: Target) -> None:
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


def _check_preconditions(new: Json, old: Json, target: Target) -> None:
    resource, metadata = target.resource, new["metadata"]
    given_uid, uid = metadata.get("uid"), old["metadata"]["uid"]
    if given_uid and given_uid != uid:
        raise _uid_conflict(target, given_uid, uid)
    given, current = metadata.get("resourceVersion"), old["metadata"]["resourceVersion"]
    if given and given not in ("0", current):
        raise errors.conflict(resource.group, resource.plural, target.name, errors.STALE)


def _uid_conflict(target: Target, given: str, uid: str) -> errors.StatusError:
    why = f"Precondition failed: UID in precondition: {given}, UID in object meta: {uid}"
    return errors.conflict(target.resource.group, target.resource.plural, target.name, why)


def _check_delete(options: DeleteOptions, old: Json, target: Target) -> None:
    resource, metadata = target.resource, old["metadata"]
    if options.uid and options.uid != metadata["uid"]:
        why = f"the UID in the precondition ({options.uid}) does not match the UID in record ({metadata['uid']}). The object might have been deleted and then recreated"  # fmt: skip
        raise errors.conflict(resource.group, resource.plural, target.name, why)
    wanted, current = options.resource_version, metadata["resourceVersion"]
    if wanted and wanted != current:
        why = f"the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record ({current}). The object might have been modified"  # fmt: skip
        raise errors.conflict(resource.group, resource.plural, target.name, why)


def _bump_generation(new: Json, old: Json, resource: ResourceType) -> None:
    if not resource.generation:
        return
    outside = ("metadata", "status")
    before = {key: value for key, value in old.items() if key not in outside}
    after = {key: value for key, value in new.items() if key not in outside}
    if before != after:
        new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1


def _same(new: Json, old: Json) -> bool:
    """Whether a write changes nothing but the times of field owners."""
    return _without_times(new) == _without_times(old)


def _without_times(item: Json) -> Json:
    metadata = dict(item["metadata"])
    owners = metadata.get("managedFields") or []
    metadata["managedFields"] = [{**owner, "time": ""} for owner in owners]
    return {
        **item,
        "metadata": {key: value for key, value in metadata.items() if value not in (None, {}, [])},
    }


def _finished(item: Json, strategy: Strategy) -> bool:
    """Whether an update leaves nothing that holds back a begun deletion."""
    metadata = item["metadata"]
    if not metadata.get("deletionTimestamp") or metadata.get("finalizers"):
        return False
    return not metadata.get("deletionGracePeriodSeconds") and not strategy.blocked(item)


def _begin(item: Json, strategy: Strategy, grace_s: int) -> None:
    metadata = item["metadata"]
    metadata.setdefault("deletionTimestamp", now())
    metadata["deletionGracePeriodSeconds"] = grace_s
    strategy.begin_deletion(item)


def _set_collector_finalizer(metadata: Json, propagation: str) -> None:
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


def _deleted_status(target: Target, old: Json) -> Json:
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
