"""Schemas of kinds: unknown fields, types, and the defaults of custom resources."""

from __future__ import annotations

from typing import Any

from sandbox.apiserver import builtin_schema, structural
from sandbox.apiserver.call import Call
from sandbox.apiserver.errors import Cause, bad_request
from sandbox.apiserver.resources import ResourceType

Json = dict[str, Any]


class Schemas:
    """Knows what fields the objects of a resource have."""

    def prune(self, resource: ResourceType, item: Json, call: Call) -> Json:
        """Removes unknown fields from what a client sends.

        With fieldValidation=Strict they are a StatusError 400 instead, with Warn (the default) a warning.
        """
        unknown = self._unknown(resource, item)
        mode = call.query.get("fieldValidation") or "Warn"
        texts = [f'unknown field "{path}"' for path in unknown]
        if texts and mode == "Strict":
            listed = ", ".join(texts)
            raise bad_request(
                f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}:'
                f" strict decoding error: {listed}"
            )
        if mode == "Warn":
            call.warnings += texts
        return item

    def _unknown(self, resource: ResourceType, item: Json) -> list[str]:
        if resource.custom:
            self._check_metadata(resource, item)
            return structural.prune(item, resource.schema) if resource.schema else []
        root = builtin_schema.root_of(resource)
        return builtin_schema.check(item, root, resource).unknown if root else []

    def _check_metadata(self, resource: ResourceType, item: Json) -> None:
        metadata = {"metadata": item.get("metadata") or {}}
        # ConfigMap stands for any kind that has metadata.
        builtin_schema.check(metadata, "core.v1.ConfigMap", resource)

    def default(self, resource: ResourceType, item: Json) -> None:
        """Fills in the defaults of a custom resource's schema."""
        if resource.custom and resource.schema:
            structural.default(item, resource.schema)

    def validate(self, resource: ResourceType, item: Json) -> list[Cause]:
        """What a custom resource's schema finds wrong."""
        if resource.custom and resource.schema:
            return structural.validate(item, resource.schema)
        return []
