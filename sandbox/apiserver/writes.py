"""Create, update, patch and delete: one pipeline for every kind.

An update reads, changes, validates, asks admission (which may wait for webhooks) and stores only if the
object is still the one that was read; otherwise it starts again, as the real server does. The part from
the last check to the store has no await in it, so two writers never both win.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from sandbox.apiserver import errors, managedfields
from sandbox.apiserver.admission import Admission
from sandbox.apiserver.attributes import Attributes
from sandbox.apiserver.call import Call, DeleteOptions
from sandbox.apiserver.changes import (
    Target,
    Transform,
    always,
    as_served,
    as_stored,
    begin,
    bump_generation,
    check_delete,
    check_preconditions,
    deleted_status,
    finished,
    name_new,
    same,
    set_collector_finalizer,
    stamp_new,
    uid_conflict,
    writer_of,
)
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

_ATTEMPTS = 20


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
        name_new(item, target)
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
        stamp_new(metadata, target)
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
            self._store.put(resource.table, as_stored(item, resource), None)
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
        if not target.subresource and "status" in target.resource.subresources:
            config.pop("status", None)
        types = ListTypes(target.resource)
        for _ in range(_ATTEMPTS):
            entry = self._store.get(target.resource.table, target.namespace, target.name)
            live = entry.decode() if entry else None
            writer = writer_of(call, target)
            applied = managedfields.apply(live, config, writer, types, force=force)
            if live is None:
                if config["metadata"].get("uid"):
                    raise uid_conflict(target, config["metadata"]["uid"], "")
                if target.subresource:
                    raise errors.not_found(target.resource.group, target.resource.plural, target.name)
                applied.item["metadata"].pop("managedFields", None)
                name_new(applied.item, target)
                item = await self._insert(call, target, applied.item, dry_run=dry_run, applied=applied)
                return Written(item, created=True)
            stored = await self._attempt(
                call, target, entry, always(applied.item), dry_run=dry_run, applied=applied
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
        check_preconditions(new, old, target)
        new = self._prepare(call, target, new, old, applied)
        attributes = Attributes(
            "UPDATE", resource, target.namespace, target.name, new, old, target.subresource, dry_run=dry_run
        )
        await self._admission.mutate_by_webhooks(call, attributes)
        self._validate_update(target, new, old)
        if same(new, old):
            return old
        await self._admission.validate(call, attributes)
        if self._store.get(resource.table, target.namespace, target.name) is not entry:
            return None
        self._admission.last_check(call, attributes)
        if dry_run:
            return new
        if finished(new, strategy_for(resource)):
            self._store.remove(resource.table, entry, as_stored(new, resource))
        else:
            self._store.put(resource.table, as_stored(new, resource), entry)
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
            bump_generation(new, old, resource)
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
            managedfields.record_update(old, new, writer_of(call, target), ListTypes(target.resource))

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
            check_delete(options, old, target)
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
        set_collector_finalizer(new["metadata"], propagation)
        grace_s = strategy.deletion_grace_s(old, options.grace_period_s)
        lingers = bool(new["metadata"].get("finalizers")) or grace_s > 0 or strategy.blocked(new)
        if not lingers:
            if not options.dry_run:
                begin(new, strategy, 0)
                self._store.remove(resource.table, entry, as_stored(new, resource))
            return new if strategy.returns_deleted else deleted_status(target, old)
        begun = bool(old["metadata"].get("deletionTimestamp"))
        if not begun:
            begin(new, strategy, grace_s)
            if resource.generation:
                new["metadata"]["generation"] = new["metadata"].get("generation", 0) + 1
        elif grace_s < (old["metadata"].get("deletionGracePeriodSeconds") or 0):
            new["metadata"]["deletionGracePeriodSeconds"] = grace_s
        if same(new, old):
            return old
        if not options.dry_run:
            self._store.put(resource.table, as_stored(new, resource), entry)
        return new
