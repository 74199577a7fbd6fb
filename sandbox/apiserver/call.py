"""One request, as the handlers see it, and the options that its body and query carry."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import yaml

from sandbox.apiserver import protobuf
from sandbox.apiserver.errors import StatusError, bad_request, unsupported_media

Json = dict[str, Any]

_JSON_TYPES = ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf")
_NOT_A_DRY_RUN = 'Unsupported value: "%s": supported values: "All"'


@dataclass(frozen=True)
class User:
    """An authenticated identity."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""

    def to_json(self) -> Json:
        found: Json = {"username": self.name, "groups": list(self.groups)}
        return {**found, "uid": self.uid} if self.uid else found


@dataclass
class Call:
    """A request: what was sent, who sent it, and the warnings to send back."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    user: User = User("system:anonymous", ("system:unauthenticated",))
    warnings: list[str] = field(default_factory=list)
    query_lists: dict[str, list[str]] = field(default_factory=dict)

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def accept(self) -> str:
        return self.headers.get("accept", "")

    def flag(self, name: str) -> bool:
        return self.query.get(name, "").lower() in ("true", "1")

    def manager(self) -> str:
        """The field manager: the parameter, or the first word of the user agent."""
        given = self.query.get("fieldManager")
        agent = self.headers.get("user-agent", "").partition("/")[0]
        return given or agent or "unknown"

    def dry_run(self) -> bool:
        """Of create, update and patch. StatusError 422 for anything but All."""
        return check_dry_run(self.query_lists.get("dryRun", []), f"{self.method.title()}Options")

    def decode_object(self) -> Json:
        """The body as one object. StatusError 400 or 415."""
        if self.content_type and self.content_type not in _JSON_TYPES:
            raise unsupported_media(self.content_type, _JSON_TYPES)
        return decode_body(self.body, self.content_type)


def parse_query(raw: bytes) -> tuple[dict[str, str], dict[str, list[str]]]:
    lists: dict[str, list[str]] = {}
    for key, value in parse_qsl(raw.decode(), keep_blank_values=True):
        lists.setdefault(key, []).append(value)
    return {key: values[-1] for key, values in lists.items()}, lists


def decode_body(body: bytes, content_type: str) -> Json:
    if protobuf.is_protobuf(body):
        return protobuf.decode(body)
    try:
        decoded = yaml.safe_load(body) if "yaml" in content_type else msgspec.json.decode(body)
    except (msgspec.DecodeError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise bad_request(f"the object provided is unrecognized (must be of type Object): {error}") from error
    if not isinstance(decoded, dict):
        raise bad_request("the object provided is unrecognized (must be of type Object)")
    # YAML has dates and other values that JSON lacks.
    return json.loads(json.dumps(decoded, default=str)) if "yaml" in content_type else decoded


def check_dry_run(values: list[str], kind: str) -> bool:
    wanted = [value for value in values if value]
    for value in wanted:
        if value != "All":
            message = f'{kind}.meta.k8s.io "" is invalid: dryRun: {_NOT_A_DRY_RUN % value}'
            raise StatusError(422, "Invalid", message)
    return bool(wanted)


@dataclass(frozen=True)
class DeleteOptions:
    """What a DELETE asks for. `propagation` is empty for the kind's default."""

    dry_run: bool = False
    uid: str = ""
    resource_version: str = ""
    propagation: str = ""
    grace_period_s: int | None = None

    @classmethod
    def of(cls, call: Call) -> DeleteOptions:
        """From the body when there is one (the query is then ignored, as in the real server), else the query."""
        if call.body:
            return cls._of_body(decode_body(call.body, call.content_type))
        grace = call.query.get("gracePeriodSeconds")
        found = cls(
            dry_run=check_dry_run(call.query_lists.get("dryRun", []), "DeleteOptions"),
            propagation=call.query.get("propagationPolicy", ""),
            grace_period_s=int(grace) if grace else None,
        )
        return found._orphaning(call.query.get("orphanDependents", ""))

    @classmethod
    def _of_body(cls, body: Json) -> DeleteOptions:
        if body.get("kind", "DeleteOptions") != "DeleteOptions":
            raise bad_request(f"decoded object cannot be converted to DeleteOptions: {body.get('kind')}")
        preconditions = body.get("preconditions") or {}
        found = cls(
            dry_run=check_dry_run(list(body.get("dryRun") or []), "DeleteOptions"),
            uid=preconditions.get("uid") or "",
            resource_version=preconditions.get("resourceVersion") or "",
            propagation=body.get("propagationPolicy") or "",
            grace_period_s=body.get("gracePeriodSeconds"),
        )
        orphan = body.get("orphanDependents")
        return found._orphaning("" if orphan is None else str(orphan).lower())

    def _orphaning(self, orphan: str) -> DeleteOptions:
        if self.propagation not in ("", "Orphan", "Background", "Foreground"):
            raise StatusError(
                422,
                "Invalid",
                f'DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: Unsupported value: "{self.propagation}"'
                ': supported values: "Background", "Foreground", "Orphan"',
            )
        if orphan and not self.propagation:
            return replace(self, propagation="Orphan" if orphan == "true" else "Background")
        return self


def now() -> str:
    """The time as metadata carries it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
