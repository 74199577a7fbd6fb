"""A small Kubernetes client for the sandbox's controllers: objects are plain dicts, calls are synchronous.

Speaks only the public API, so a controller that uses it runs against a real cluster too. A `Client` is
safe to share between threads. See `sandbox.informer` for caches and work queues.

    client = Client.from_kubeconfig(path)
    claim = client.get(PERSISTENT_VOLUME_CLAIMS, "data", "shop")
    client.patch(JOBS, "copy", {"spec": {"suspend": True}}, "shop")
    for event in client.watch(PODS): ...
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml

from sandbox.answers import ApiError, Object, Objects, WatchEvent, differences, error_of, event_of, key_of
from sandbox.http import httpx
from sandbox.kinds import Resource
from sandbox.kubeconfig import named, tls_of

PatchType = Literal["merge", "strategic", "json", "apply"]

_PATCH_CONTENT_TYPES: dict[PatchType, str] = {
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "json": "application/json-patch+json",
    "apply": "application/apply-patch+yaml",
}
_PAGE = 500
_WATCH_TIMEOUT_S = 240


class Client:
    """Calls one API server as one identity. Objects in and out are dicts as in the API's JSON."""

    def __init__(
        self,
        base_url: str,
        token: str = "",
        *,
        field_manager: str = "",
        user_agent: str = "holdfast-sandbox",
        timeout_s: float = 30.0,
        verify: ssl.SSLContext | bool = True,
    ) -> None:
        headers = {"User-Agent": user_agent, "Accept": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        # A new connection costs both sides more than a request does; the server keeps idle ones for 75 s.
        limits = httpx.Limits(max_connections=100, max_keepalive_connections=100, keepalive_expiry=60)
        self.field_manager = field_manager
        self._http = httpx.Client(
            base_url=base_url,
            headers=headers,
            timeout=timeout_s,
            limits=limits,
            verify=verify,
            trust_env=False,
        )
        self._mappings: dict[tuple[str, str], Resource] = {}

    @classmethod
    def from_kubeconfig(
        cls, path: str | Path, context: str | None = None, *, field_manager: str = "", user_agent: str = ""
    ) -> Client:
        """A client for a context of a kubeconfig (default: its current one). Knows tokens and client certificates."""
        config = yaml.safe_load(Path(path).read_text())
        wanted = context or config["current-context"]
        chosen = named(config["contexts"], wanted, "context")
        cluster = named(config["clusters"], chosen["cluster"], "cluster")
        user = named(config["users"], chosen["user"], "user")
        return cls(
            cluster["server"],
            str(user.get("token") or ""),
            field_manager=field_manager,
            user_agent=user_agent or field_manager or "holdfast-sandbox",
            verify=tls_of(cluster, user),
        )

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- single objects ---------------------------------------------------------------------------

    def get(self, resource: Resource, name: str, namespace: str = "") -> Object:
        """One object. ApiError 404 when it is not there."""
        return self.request("GET", resource.path(namespace, name))

    def find(self, resource: Resource, name: str, namespace: str = "") -> Object | None:
        """One object, or None when it is not there."""
        try:
            return self.get(resource, name, namespace)
        except ApiError as error:
            if error.not_found:
                return None
            raise

    def create(
        self,
        resource: Resource,
        body: Object,
        namespace: str = "",
        *,
        dry_run: bool = False,
        field_manager: str = "",
    ) -> Object:
        """Creates an object; its apiVersion and kind are filled in. ApiError 409 AlreadyExists when taken."""
        full = {"apiVersion": resource.api_version, "kind": resource.kind, **body}
        scope = namespace or str(body.get("metadata", {}).get("namespace", ""))
        return self.request("POST", resource.path(scope), full, self._write(dry_run, field_manager))

    def replace(
        self,
        resource: Resource,
        body: Object,
        *,
        subresource: str = "",
        dry_run: bool = False,
        field_manager: str = "",
    ) -> Object:
        """PUT of a whole object, named by its metadata. With a resourceVersion in it, ApiError 409 when stale."""
        meta = body["metadata"]
        full = {"apiVersion": resource.api_version, "kind": resource.kind, **body}
        path = resource.path(str(meta.get("namespace", "")), meta["name"], subresource)
        return self.request("PUT", path, full, self._write(dry_run, field_manager))

    def replace_status(self, resource: Resource, body: Object, *, field_manager: str = "") -> Object:
        """PUT of the status alone: everything else in `body` is ignored by the server."""
        return self.replace(resource, body, subresource="status", field_manager=field_manager)

    def patch(
        self,
        resource: Resource,
        name: str,
        body: Any,
        namespace: str = "",
        *,
        type: PatchType = "merge",
        subresource: str = "",
        dry_run: bool = False,
        field_manager: str = "",
        force: bool = False,
    ) -> Object:
        """A patch of the given type: merge (default), strategic, json (a list of operations) or apply."""
        params = self._write(dry_run, field_manager)
        if force:
            params["force"] = "true"
        path = resource.path(namespace, name, subresource)
        return self.request("PATCH", path, body, params, _PATCH_CONTENT_TYPES[type])

    def patch_status(
        self, resource: Resource, name: str, status: Any, namespace: str = "", *, field_manager: str = ""
    ) -> Object:
        """Merge-patches `{"status": status}` through the status subresource."""
        return self.patch(
            resource, name, {"status": status}, namespace, subresource="status", field_manager=field_manager
        )

    def apply(
        self,
        resource: Resource,
        body: Object,
        *,
        field_manager: str = "",
        force: bool = False,
        dry_run: bool = False,
        subresource: str = "",
    ) -> Object:
        """Server-side apply of an object named by its metadata. ApiError 409 Conflict without `force`."""
        meta = body["metadata"]
        full = {"apiVersion": resource.api_version, "kind": resource.kind, **body}
        return self.patch(
            resource,
            meta["name"],
            full,
            str(meta.get("namespace", "")),
            type="apply",
            subresource=subresource,
            dry_run=dry_run,
            field_manager=field_manager or self.field_manager or "sandbox",
            force=force,
        )

    def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        uid: str = "",
        resource_version: str = "",
        propagation: str = "",
        grace_period_s: int | None = None,
        dry_run: bool = False,
    ) -> Object | None:
        """DELETE with all options in the body. None when the object was not there; ApiError 409 on a precondition."""
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions"}
        preconditions = {"uid": uid, "resourceVersion": resource_version}
        if kept := {key: value for key, value in preconditions.items() if value}:
            options["preconditions"] = kept
        if propagation:
            options["propagationPolicy"] = propagation
        if grace_period_s is not None:
            options["gracePeriodSeconds"] = grace_period_s
        if dry_run:
            options["dryRun"] = ["All"]
        try:
            return self.request("DELETE", resource.path(namespace, name), options)
        except ApiError as error:
            if error.not_found:
                return None
            raise

    # -- collections ------------------------------------------------------------------------------

    def list(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
    ) -> Objects:
        """All objects that match, page by page; restarts from the beginning when the continue token expired."""
        return self.list_with_version(
            resource, namespace, label_selector=label_selector, field_selector=field_selector
        )[0]

    def list_with_version(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
    ) -> tuple[Objects, str]:
        """All objects that match, and the resourceVersion from which to watch on. Items carry apiVersion and kind."""
        for _ in range(5):
            try:
                return self._list_pages(resource, namespace, _selectors(label_selector, field_selector))
            except ApiError as error:
                if not error.gone:
                    raise
        raise ApiError(410, "Expired", f"the list of {resource.plural} expired five times over")

    def _list_pages(self, resource: Resource, namespace: str, params: dict[str, str]) -> tuple[Objects, str]:
        items: Objects = []
        params = {**params, "limit": str(_PAGE)}
        while True:
            page = self.request("GET", resource.path(namespace), params=params)
            items += page.get("items") or []
            token = page["metadata"].get("continue")
            if not token:
                break
            params["continue"] = token
        for item in items:
            item.setdefault("apiVersion", resource.api_version)
            item.setdefault("kind", resource.kind)
        return items, str(page["metadata"].get("resourceVersion", ""))

    def watch(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        retry_s: float = 1.0,
    ) -> Iterator[WatchEvent]:
        """Endless: lists (every object as ADDED), yields SYNCED, then follows changes.

        Reconnects by itself and lists again after 410 or a lost connection: then known objects come as MODIFIED,
        new ones as ADDED, and those that went away meanwhile as DELETED with their last known state.
        """
        params = _selectors(label_selector, field_selector)
        known: dict[tuple[str, str], Object] = {}
        version = ""
        while True:
            try:
                if not version:
                    items, version = self._list_pages(resource, namespace, params)
                    yield from differences(known, items)
                    yield WatchEvent("SYNCED", {})
                for event in self.watch_once(resource, namespace, params, version):
                    version = event.object["metadata"].get("resourceVersion", version)
                    if event.type == "BOOKMARK":
                        continue
                    key = key_of(event.object)
                    if event.type == "DELETED":
                        known.pop(key, None)
                    else:
                        known[key] = event.object
                    yield event
            except ApiError as error:
                # 404: the CRD is not there yet; 0 and 5xx: the server is away. All come back by themselves.
                if error.status in (401, 403):
                    raise
                version = "" if error.status in (404, 410) else version
                if not error.gone:
                    time.sleep(retry_s)

    def watch_once(
        self, resource: Resource, namespace: str, params: Mapping[str, str], version: str
    ) -> Iterator[WatchEvent]:
        """One watch connection from `version` until the server ends it. An ERROR event raises ApiError."""
        query = {
            **params,
            "watch": "true",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(_WATCH_TIMEOUT_S),
        }
        timeout = httpx.Timeout(10.0, read=_WATCH_TIMEOUT_S + 20.0)
        try:
            with self._http.stream("GET", resource.path(namespace), params=query, timeout=timeout) as answer:
                if answer.status_code >= 400:
                    answer.read()
                    raise error_of(answer)
                for line in answer.iter_lines():
                    if line:
                        yield event_of(line)
        except httpx.HTTPError as error:
            raise ApiError(0, "Unreachable", f"watch of {resource.plural} broke: {error!r}") from error

    # -- the rest ---------------------------------------------------------------------------------

    def logs(self, name: str, namespace: str, container: str = "", **params: str) -> str:
        """The log of a container, as text. `params` are the API's: tailLines, timestamps, sinceTime, ..."""
        query = {**({"container": container} if container else {}), **params}
        path = f"/api/v1/namespaces/{namespace}/pods/{name}/log"
        answer = self.send("GET", path, None, query, "application/json")
        return answer.text

    def mapping(self, api_version: str, kind: str) -> Resource:
        """The resource of a kind, by discovery. ApiError 404 NoKindMatch when the server has no such kind."""
        key = (api_version, kind)
        if key not in self._mappings:
            self._discover(api_version)
        if key not in self._mappings:
            raise ApiError(404, "NoKindMatch", f'no matches for kind "{kind}" in version "{api_version}"')
        return self._mappings[key]

    def _discover(self, api_version: str) -> None:
        group, _, version = api_version.rpartition("/")
        prefix = f"/apis/{group}/{version}" if group else f"/api/{version}"
        try:
            found = self.request("GET", prefix)
        except ApiError as error:
            if error.not_found:
                return
            raise
        for entry in found["resources"]:
            if "/" not in entry["name"]:
                self._mappings[api_version, entry["kind"]] = Resource(
                    group, version, entry["name"], entry["kind"], bool(entry["namespaced"])
                )

    def all_resources(self) -> Sequence[Resource]:
        """Every resource that can be listed, in its group's preferred version, by discovery."""
        groups = self.request("GET", "/apis")["groups"]
        versions = [("", "v1")] + [(group["name"], group["preferredVersion"]["version"]) for group in groups]
        found = []
        for group, version in versions:
            prefix = f"/apis/{group}/{version}" if group else f"/api/{version}"
            found += [
                Resource(group, version, entry["name"], entry["kind"], bool(entry["namespaced"]))
                for entry in self.request("GET", prefix)["resources"]
                if "/" not in entry["name"] and "list" in entry["verbs"]
            ]
        return found

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        params: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Object:
        """One call; the decoded JSON answer. ApiError on 4xx, 5xx, and (status 0) when there is no answer."""
        decoded: Object = self.send(method, path, body, params, content_type).json()
        return decoded

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        params: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """One call; the whole answer, with its headers. ApiError as in `request`."""
        content = None if body is None else json.dumps(body).encode()
        given = dict(headers or {})
        if content is not None:
            given["Content-Type"] = content_type
        try:
            answer = self._http.request(method, path, content=content, params=params, headers=given)
        except httpx.HTTPError as error:
            raise ApiError(0, "Unreachable", f"{method} {path}: {error!r}") from error
        if answer.status_code >= 400:
            raise error_of(answer)
        return answer

    def _write(self, dry_run: bool, field_manager: str) -> dict[str, str]:
        params = {}
        if manager := field_manager or self.field_manager:
            params["fieldManager"] = manager
        if dry_run:
            params["dryRun"] = "All"
        return params


def _selectors(label_selector: str, field_selector: str) -> dict[str, str]:
    params = {"labelSelector": label_selector, "fieldSelector": field_selector}
    return {key: value for key, value in params.items() if value}
