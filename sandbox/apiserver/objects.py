"""Answers requests for objects: picks the read or write for a route and shapes what comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import yaml

from sandbox.apiserver import patches, scale, tables
from sandbox.apiserver.bodies import Answer, event_line, json_answer, list_body, raw_object
from sandbox.apiserver.call import Call, DeleteOptions, decode_body
from sandbox.apiserver.changes import Target, Transform, as_served
from sandbox.apiserver.errors import bad_request, method_not_allowed, no_route, unsupported_media
from sandbox.apiserver.reads import Selection
from sandbox.apiserver.resources import ResourceType
from sandbox.apiserver.routes import Route
from sandbox.apiserver.server import Cluster
from sandbox.apiserver.store import Entry
from sandbox.apiserver.subresources import Subresources
from sandbox.apiserver.writes import Written

Json = dict[str, Any]

_MERGE = "application/merge-patch+json"
_STRATEGIC = "application/strategic-merge-patch+json"
_JSON_PATCH = "application/json-patch+json"
_APPLY = "application/apply-patch+yaml"


class Objects:
    """The verbs on resources."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._subresources = Subresources(cluster)

    async def answer(self, call: Call, route: Route) -> Answer:
        resource = route.resource
        if resource.verbs == ("create",):
            return self._review(call, route)
        if route.verb == "watch" and not route.subresource:
            return self._watch(call, route)
        if route.subresource and route.subresource not in ("status", "scale", "finalize"):
            return await self._subresources.answer(call, route)
        match route.verb:
            case "get":
                return self._get(call, route)
            case "list":
                return self._list(call, resource, route.namespace)
            case "create" if not route.name:
                return await self._create(call, route)
            case "update" if route.name:
                return await self._replace(call, route)
            case "patch" if route.name:
                return await self._patch(call, route)
            case "delete" if not route.subresource:
                return await self._delete(call, route)
            case "deletecollection":
                return await self._delete_all(call, route)
        raise method_not_allowed()

    def _review(self, call: Call, route: Route) -> Answer:
        if route.verb != "create" or route.name:
            raise no_route()
        found = self._cluster.reviews.answer(call.user, route.resource, route.namespace, call.decode_object())
        return json_answer(201, found)

    # -- reads ------------------------------------------------------------------------------------

    def _get(self, call: Call, route: Route) -> Answer:
        entry = self._cluster.reads.get(route.resource, route.namespace, route.name)
        if route.subresource == "scale":
            return json_answer(200, scale.scale_of(entry.decode(), route.resource))
        return self._shown(call, route.resource, entry.decode(), raw_object(entry, route.resource))

    def _shown(
        self, call: Call, resource: ResourceType, item: Json, raw: bytes | None = None, code: int = 200
    ) -> Answer:
        """One object in the form that the caller accepts."""
        item = as_served(item, resource)
        if tables.wants_table(call.accept):
            metadata = {"resourceVersion": item["metadata"].get("resourceVersion", "")}
            body = tables.table(resource, [item], metadata, call.query.get("includeObject", ""))
            return Answer(code, body)
        if _wants_metadata(call):
            return json_answer(code, _partial(item))
        return Answer(code, raw if raw is not None else msgspec.json.encode(item))

    def _list(self, call: Call, resource: ResourceType, namespace: str) -> Answer:
        selection = Selection.of(call, resource, namespace)
        page = self._cluster.reads.page(call, selection)
        metadata: Json = {"resourceVersion": str(page.version)}
        if page.token:
            metadata |= {"continue": page.token, "remainingItemCount": page.remaining}
        if tables.wants_table(call.accept):
            items = (as_served(entry.decode(), resource) for entry in page.entries)
            return Answer(200, tables.table(resource, items, metadata, call.query.get("includeObject", "")))
        if _wants_metadata(call):
            kept = [_partial(as_served(entry.decode(), resource)) for entry in page.entries]
            kind = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1"}
            return json_answer(200, {**kind, "metadata": metadata, "items": kept})
        return Answer(200, list_body(page, resource))

    def _watch(self, call: Call, route: Route) -> Answer:
        if route.name:
            call.query["fieldSelector"] = f"metadata.name={route.name}"
        selection = Selection.of(call, route.resource, route.namespace)
        return Answer(200, stream=self._events(call, selection))

    async def _events(self, call: Call, selection: Selection) -> AsyncIterator[bytes]:
        resource = selection.resource
        as_table, partial = tables.wants_table(call.accept), _wants_metadata(call)
        # The first chunk makes the answer's head go out before there is an event.
        yield b""
        async for kind, found in self._cluster.reads.watch(call, selection):
            if isinstance(found, Entry) and not as_table and not partial:
                yield event_line(kind, raw_object(found, resource))
                continue
            item = as_served(found.decode(), resource) if isinstance(found, Entry) else found
            if kind == "ERROR":
                yield event_line(kind, msgspec.json.encode(item))
            elif as_table and kind != "BOOKMARK":
                metadata = {"resourceVersion": item["metadata"].get("resourceVersion", "")}
                include = call.query.get("includeObject", "")
                yield event_line(kind, tables.table(resource, [item], metadata, include))
            else:
                yield event_line(kind, msgspec.json.encode(_partial(item) if partial else item))

    # -- writes -----------------------------------------------------------------------------------

    async def _create(self, call: Call, route: Route) -> Answer:
        target = Target(route.resource, route.namespace, "")
        item = await self._cluster.writes.create(call, target, call.decode_object())
        return self._shown(call, route.resource, item, code=201)

    async def _replace(self, call: Call, route: Route) -> Answer:
        target = _target(route)
        if route.subresource != "scale":
            written = await self._cluster.writes.replace(call, target, call.decode_object())
            return self._shown(call, route.resource, written.item)
        wanted = call.decode_object()
        written = await self._cluster.writes.patch(
            call, target, lambda item: scale.set_scale(item, wanted, route.resource)
        )
        return json_answer(200, scale.scale_of(written.item, route.resource))

    async def _patch(self, call: Call, route: Route) -> Answer:
        written = await self._patched(call, route)
        if route.subresource == "scale":
            return json_answer(200, scale.scale_of(written.item, route.resource))
        return self._shown(call, route.resource, written.item, code=201 if written.created else 200)

    async def _patched(self, call: Call, route: Route) -> Written:
        if call.content_type == _APPLY:
            config = decode_body(call.body, "application/yaml")
            if not call.query.get("fieldManager"):
                raise bad_request(
                    'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch'
                )
            return await self._cluster.writes.apply(call, _target(route), config, force=call.flag("force"))
        merge = _merger(call, route.resource)
        if route.subresource != "scale":
            return await self._cluster.writes.patch(call, _target(route), merge)

        def rescale(item: Json) -> Json:
            before = scale.scale_of(item, route.resource)
            return scale.set_scale(item, merge(before), route.resource)

        return await self._cluster.writes.patch(call, _target(route), rescale)

    async def _delete(self, call: Call, route: Route) -> Answer:
        options = DeleteOptions.of(call)
        item = await self._cluster.writes.delete(call, _target(route), options)
        return json_answer(200, item)

    async def _delete_all(self, call: Call, route: Route) -> Answer:
        options = DeleteOptions.of(call)
        resource = route.resource
        page = self._cluster.reads.page(call, Selection.of(call, resource, route.namespace))
        for entry in page.entries:
            target = Target(resource, entry.namespace, entry.name)
            if self._cluster.store.get(resource.table, entry.namespace, entry.name):
                await self._cluster.writes.delete(call, target, options, in_bulk=True)
        return Answer(200, list_body(page, resource))


def _target(route: Route) -> Target:
    subresource = route.subresource if route.subresource in ("status", "finalize") else ""
    return Target(route.resource, route.namespace, route.name, subresource)


def _merger(call: Call, resource: ResourceType) -> Transform:
    """The function that applies the body of a PATCH. StatusError 400 or 415."""
    accepted = [_JSON_PATCH, _MERGE, _APPLY, *(() if resource.custom else (_STRATEGIC,))]
    if call.content_type not in accepted:
        raise unsupported_media(call.content_type, accepted)
    try:
        patch = yaml.safe_load(call.body) if "yaml" in call.content_type else msgspec.json.decode(call.body)
    except (msgspec.DecodeError, yaml.YAMLError) as error:
        raise bad_request(f"error decoding patch: {error}") from error
    if call.content_type == _JSON_PATCH:
        return lambda item: patches.json_patch(item, patch)
    if not isinstance(patch, dict):
        raise bad_request("error decoding patch: the patch must be an object")
    if call.content_type == _STRATEGIC:
        return lambda item: patches.strategic_merge(item, patch)
    return lambda item: _object(patches.merge_patch(item, patch))


def _object(value: Any) -> Json:
    if not isinstance(value, dict):
        raise bad_request("the patch does not leave an object")
    return value


def _wants_metadata(call: Call) -> bool:
    return "as=PartialObjectMetadata" in call.accept


def _partial(item: Json) -> Json:
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item["metadata"]}
