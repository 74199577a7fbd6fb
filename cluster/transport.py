"""Requests to one cluster in terms of kinds: paths, discovery, typed errors, and the hook around every mutating call."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Self, TypeVar

import msgspec

from cluster.answers import API_GROUPS, Asked, error_of, is_ambiguous, not_the_server, status_of
from cluster.base import Ref, canonical
from cluster.config import ClusterConfig
from cluster.connection import Answer, Connection, connection
from cluster.errors import ClusterError, Unavailable, Unsupported
from cluster.kinds import BUILT_IN, GROUP_OF, Resource

T = TypeVar("T")
FIELD_MANAGER = "holdfast"
JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
DISCOVERY_S = 60.0
ABSENT_S = 5.0  # a kind that was not served may be installed at any moment
Verb = Literal["create", "patch", "scale", "delete"]


@dataclass(frozen=True)
class Call:
    """One mutating call, as told to the hook twice: before it goes out, and after its answer.

    stage: "intent" before; then "done", "refused" (an error answer: nothing changed) or "unknown" (it may have happened).
    change: canonical JSON of the body sent. error: text of the error, else empty.
    """

    stage: Literal["intent", "done", "refused", "unknown"]
    verb: Verb
    ref: Ref
    change: str
    started_at: datetime
    status: int = 0
    error: str = ""


# Raising from the hook at stage "intent" keeps the call from being made: without the record nothing changes.
OnCall = Callable[[Call], None]


class APIResource(msgspec.Struct):
    name: str
    kind: str
    namespaced: bool = False


class APIResourceList(msgspec.Struct):
    resources: list[APIResource] | None = None


class GroupVersion(msgspec.Struct, rename="camel"):
    version: str = ""


class APIGroup(msgspec.Struct, rename="camel"):
    name: str = ""
    versions: list[GroupVersion] | None = None
    preferred_version: GroupVersion | None = None


class APIGroupList(msgspec.Struct):
    groups: list[APIGroup] | None = None


class Transport:
    """Base of all parts of `Cluster`."""

    def __init__(self, config: ClusterConfig) -> None:
        self.config = config
        self._on_call: OnCall | None = None
        self._found: dict[tuple[str, str], tuple[float, Resource | None]] = {}

    @property
    def name(self) -> str:
        return self.config.name

    def recording(self, on_call: OnCall) -> Self:
        """The same cluster with `on_call` around every mutating call (dry runs change nothing and are not told)."""
        twin = copy.copy(self)
        twin._on_call = on_call
        return twin

    @property
    def _connection(self) -> Connection:
        return connection(self.config)

    # Discovery -------------------------------------------------------------------------------------------------------

    def resource(self, kind: str, group: str | None = None) -> Resource:
        """Where `kind` is served; `Unsupported` when it is not."""
        group = GROUP_OF.get(kind, "") if group is None else group
        found = self._lookup(group, kind)
        if found is None:
            raise Unsupported(
                f"Cluster {self.name} does not serve kind {kind}{f' of {group}' if group else ''}.",
                safe="Nothing was changed.",
                next="Install what serves this kind, or do without it.",
                status=404,
            )
        return found

    def _resource_of(self, ref: Ref) -> Resource:
        group, _, _ = ref.api_version.rpartition("/")
        return self.resource(ref.kind, group)

    def _lookup(self, group: str, kind: str) -> Resource | None:
        if (group, kind) in BUILT_IN:
            return BUILT_IN[group, kind]
        at, found = self._found.get((group, kind), (0.0, None))
        if not at or time.monotonic() - at > (DISCOVERY_S if found else ABSENT_S):
            found = self._discover(group, kind)
            self._found[group, kind] = (time.monotonic(), found)
        return found

    def _discover(self, group: str, kind: str) -> Resource | None:
        for version in self._versions(group):
            path = f"/apis/{group}/{version}" if group else f"/api/{version}"
            # It was listed a moment ago: a 404 here does not say that the kind is not served.
            served = self._read(path, {}, APIResourceList, Asked("list", API_GROUPS))
            for resource in served.resources or []:
                if resource.kind == kind and "/" not in resource.name:
                    return Resource(group, version, kind, resource.name, resource.namespaced)
        return None

    def _versions(self, group: str) -> list[str]:
        if not group:
            return ["v1"]
        asked = Asked("list", API_GROUPS)
        groups = self._read("/apis", {}, APIGroupList, asked).groups or []
        for entry in groups:
            if entry.name == group:
                versions = [v.version for v in entry.versions or []]
                preferred = entry.preferred_version.version if entry.preferred_version else ""
                return sorted(versions, key=lambda version: version != preferred)
        return []

    # Reading ---------------------------------------------------------------------------------------------------------

    def _read(self, path: str, query: Mapping[str, str], shape: type[T], asked: Asked) -> T:
        answer = self._send("GET", path, query, asked=asked)
        return decoded(answer.body, shape, asked)

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        *,
        asked: Asked,
        body: bytes | None = None,
        content_type: str = JSON,
    ) -> Answer:
        answer = self._connection.send(method, path, query, body, content_type, self.config.read_timeout_s)
        if is_ambiguous(answer, asked) and self._is_served(asked.ref):
            raise not_the_server(status_of(answer.body).message or "", asked)
        if answer.status >= 300:
            raise error_of(answer, asked)
        return answer

    def _is_served(self, ref: Ref) -> bool:
        """Asked anew: what was known of the kind may be the time before it was removed."""
        group, _, version = ref.api_version.rpartition("/")
        if (group, ref.kind) in BUILT_IN:  # known by heart, in one version
            return version in self._versions(group)
        self._found.pop((group, ref.kind), None)
        return self._lookup(group, ref.kind) is not None

    # Changing --------------------------------------------------------------------------------------------------------

    def _mutate(
        self,
        verb: Verb,
        method: str,
        path: str,
        query: Mapping[str, str],
        content: Any,
        content_type: str,
        ref: Ref,
    ) -> Answer:
        """One mutating call between two calls of the hook. Sent once; never repeated here."""
        change = canonical(content)
        started_at = datetime.now(UTC)
        self._tell(Call("intent", verb, ref, change, started_at))
        try:
            answer = self._send(
                method, path, query, asked=Asked(verb, ref), body=change.encode(), content_type=content_type
            )
        except ClusterError as error:
            unsure = isinstance(error, Unavailable) and error.maybe_done
            self._tell(
                Call(
                    "unknown" if unsure else "refused",
                    verb,
                    ref,
                    change,
                    started_at,
                    error.status,
                    error.happened,
                )
            )
            raise
        self._tell(Call("done", verb, ref, change, started_at, answer.status))
        return answer

    def _tell(self, call: Call) -> None:
        if self._on_call is not None:
            self._on_call(call)


def decoded(body: bytes, shape: type[T], asked: Asked) -> T:
    """`body` as `shape`; `Unavailable` when it is not that (a proxy's page, a broken answer)."""
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.MsgspecError as error:
        raise Unavailable(
            f"The answer to {asked} is not what the Kubernetes API gives: {error}.",
            safe="Nothing is concluded from it.",
            next="Check that the kubeconfig's address is the API server and no proxy stands between.",
            maybe_done=asked.verb not in {"get", "list", "watch"},
        ) from error
