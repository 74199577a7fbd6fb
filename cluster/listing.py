"""Getting and listing one kind, page by page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from cluster.answers import Asked
from cluster.base import Ref
from cluster.errors import Gone, NotFound, Unavailable, Unsupported
from cluster.kinds import Resource
from cluster.transport import Transport, decoded
from cluster.wire import ListW, ObjectW

W = TypeVar("W", bound=ObjectW)
V = TypeVar("V")
PAGE = 500
RESTARTS = 3


@dataclass(frozen=True)
class Noun(Generic[W, V]):
    """How one kind is read: its struct on the wire, and what makes the value of it. `group` where two have the kind."""

    kind: str
    wire: type[W]
    value: Callable[[W, Resource], V]
    group: str | None = None


class Collections(Transport):
    """Generic get and list."""

    def _get(self, noun: Noun[W, V], namespace: str, name: str, kind: str = "") -> V | None:
        """The value, or None when there is no such object, or its kind is not served."""
        try:
            resource = self.resource(kind or noun.kind, noun.group)
            asked = Asked("get", Ref(resource.api_version, resource.kind, namespace, name))
            return noun.value(self._read(resource.path(namespace, name), {}, noun.wire, asked), resource)
        except (NotFound, Unsupported):
            return None

    def _list(
        self,
        noun: Noun[W, V],
        namespace: str | None = None,
        label_selector: str = "",
        *,
        fresh: bool = True,
        field_selector: str = "",
        kind: str = "",
    ) -> list[V]:
        """All values; empty when the kind is not served. Starts over when a page's token is too old."""
        try:
            resource = self.resource(kind or noun.kind, noun.group)
            items, _ = self._list_all(noun, resource, namespace, label_selector, field_selector, fresh=fresh)
        except Unsupported:
            return []
        return items

    def _list_all(
        self,
        noun: Noun[W, V],
        resource: Resource,
        namespace: str | None,
        label_selector: str = "",
        field_selector: str = "",
        *,
        fresh: bool = True,
    ) -> tuple[list[V], str]:
        """All values and the resourceVersion of the list."""
        query: dict[str, str] = {}
        if label_selector:
            query["labelSelector"] = label_selector
        if field_selector:
            query["fieldSelector"] = field_selector
        if fresh:
            query["limit"] = str(PAGE)
        else:
            query["resourceVersion"] = "0"  # from the server's cache, in one piece
        for _ in range(RESTARTS):
            try:
                return self._pages(noun, resource, namespace or "", query)
            except Gone:
                continue
        raise Unavailable(
            f"The list of {resource.plural} grew too old {RESTARTS} times while it was read.",
            safe="Nothing was changed.",
            next="It is read again by itself; the cluster is very busy.",
        )

    def _pages(
        self, noun: Noun[W, V], resource: Resource, namespace: str, query: dict[str, str]
    ) -> tuple[list[V], str]:
        asked = Asked("list", Ref(resource.api_version, resource.kind, namespace, ""))
        shape: Any = ListW[noun.wire]  # type: ignore[name-defined]
        values: list[V] = []
        token = ""
        while True:
            page_query = query | ({"continue": token} if token else {})
            answer = self._send("GET", resource.path(namespace), page_query, asked=asked)
            page: ListW[Any] = decoded(answer.body, shape, asked)
            values += [noun.value(item, resource) for item in page.items or ()]
            token = page.metadata.continue_ or ""
            if not token:
                return values, page.metadata.resource_version or ""
