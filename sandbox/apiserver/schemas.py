"""Schemas of kinds: unknown fields, defaults and types."""

from __future__ import annotations

from typing import Any

from sandbox.apiserver.call import Call
from sandbox.apiserver.errors import Cause
from sandbox.apiserver.resources import ResourceType

Json = dict[str, Any]


class Schemas:
    """Knows what fields the objects of a resource have."""

    def prune(self, resource: ResourceType, item: Json, call: Call) -> Json:
        return item

    def default(self, resource: ResourceType, item: Json) -> None:
        """Fills in the defaults of a custom resource's schema."""

    def validate(self, resource: ResourceType, item: Json) -> list[Cause]:
        return []
