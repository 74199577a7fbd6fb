"""One HTTP connection pool a process and cluster. The official client gives kubeconfig, in-cluster and exec authentication, and TLS.

We send bytes and get bytes: its models cost ten times what we need, and its retries would repeat a DELETE.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from cluster.config import ClusterConfig
from cluster.errors import Unavailable

if TYPE_CHECKING:
    import urllib3

USER_AGENT = "holdfast"


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, read in full. `warnings` are the texts of its Warning headers."""

    status: int
    body: bytes
    warnings: tuple[str, ...] = ()


class Connection:
    """Sends single requests: no retry, no redirect, always a timeout."""

    def __init__(self, config: ClusterConfig) -> None:
        from kubernetes import client
        from kubernetes.client.rest import RESTClientObject

        self.config = config
        self.settings = client.Configuration()
        self._load()
        self.pool: urllib3.PoolManager = RESTClientObject(self.settings).pool_manager
        self.base = self.settings.host.rstrip("/")

    def _load(self) -> None:
        import kubernetes.config

        load: Any = kubernetes.config
        try:
            if self.config.kubeconfig is None:
                load.load_incluster_config(client_configuration=self.settings)
            else:
                load.load_kube_config(
                    config_file=str(self.config.kubeconfig),
                    context=self.config.context,
                    client_configuration=self.settings,
                )
        except (load.ConfigException, OSError) as error:
            raise Unavailable(
                f"The kubeconfig of cluster {self.config.name} cannot be used: {error}.",
                safe="Nothing was sent.",
                next="Check HOLDFAST_KUBECONFIG and the context's name.",
            ) from error

    def headers(self) -> dict[str, str]:
        """Authentication (read again when a token expires) and who we are."""
        headers = {"User-Agent": USER_AGENT, "Accept": "application/json"}
        auth: Any = self.settings.auth_settings()
        for setting in auth.values():
            if setting["in"] == "header" and setting["value"]:
                headers[setting["key"]] = setting["value"]
        return headers

    def _open(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: bytes | None,
        content_type: str,
        read_timeout_s: float,
        stream: bool,
    ) -> Any:
        import urllib3

        headers = self.headers()
        if body is not None:
            headers["Content-Type"] = content_type
        url = self.base + path + (f"?{urlencode(query)}" if query else "")
        timeout = urllib3.Timeout(connect=self.config.connect_timeout_s, read=read_timeout_s)
        # A literal request: urllib3's `request` would turn arguments into queries or forms.
        return self.pool.urlopen(
            method,
            url,
            body=body,
            headers=headers,
            timeout=timeout,
            retries=False,
            redirect=False,
            preload_content=not stream,
        )

    def send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: bytes | None,
        content_type: str,
        read_timeout_s: float,
    ) -> Answer:
        """Any HTTP answer; `Unavailable` when none came, with `maybe_done` when the request may have arrived."""
        with self._translated(method, path):
            response = self._send_once(method, path, query, body, content_type, read_timeout_s)
            warnings = tuple(_warning_text(value) for value in response.headers.getlist("Warning"))
            return Answer(response.status, without_nul(response.data), warnings)

    def _send_once(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: bytes | None,
        content_type: str,
        read_timeout_s: float,
    ) -> Any:
        from urllib3.exceptions import ProtocolError

        try:
            return self._open(method, path, query, body, content_type, read_timeout_s, stream=False)
        except ProtocolError:
            if method != "GET":
                raise
            # A kept connection that the server closed meanwhile; reading again is harmless.
            return self._open(method, path, query, body, content_type, read_timeout_s, stream=False)

    @contextmanager
    def lines(
        self, path: str, query: Mapping[str, str], read_timeout_s: float
    ) -> Iterator[tuple[int, Iterator[bytes]]]:
        """An answer that is read line by line; `Unavailable` when it breaks off without its end."""
        with self._translated("GET", path):
            response = self._open("GET", path, query, None, "", read_timeout_s, stream=True)
            try:
                yield response.status, _split_lines(response)
            finally:
                response.close()  # not released into the pool: the server may still be sending

    @contextmanager
    def _translated(self, method: str, path: str) -> Iterator[None]:
        from urllib3.exceptions import ConnectTimeoutError, HTTPError, NameResolutionError, NewConnectionError

        try:
            yield
        except (NewConnectionError, ConnectTimeoutError, NameResolutionError) as error:
            raise self._away(error, maybe_done=False) from error
        except (HTTPError, OSError) as error:
            raise self._away(error, maybe_done=method != "GET") from error

    def _away(self, error: Exception, *, maybe_done: bool) -> Unavailable:
        return Unavailable(
            f"Cluster {self.config.name} did not answer at {self.base}: {error}",
            safe="The change may have been made; nothing is repeated blindly."
            if maybe_done
            else "Nothing was changed.",
            next="Holdfast asks again by itself; check the API server and the network when this lasts.",
            maybe_done=maybe_done,
        )


def _warning_text(header: str) -> str:
    """`299 - "text"` -> text."""
    parts = header.split(" ", 2)
    text = parts[2] if len(parts) == 3 else header
    return text.strip().strip('"').replace('\\"', '"')


# An odd number of backslashes before u0000: after an even one these are letters.
_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")


def without_nul(body: bytes) -> bytes:
    """The answer with U+FFFD for each NUL, escaped or not: Kubernetes keeps NUL in annotations and messages, PostgreSQL in no text.

    Without this, whoever may annotate one claim could stop the whole inventory.
    """
    if b"\\u0000" in body:
        body = _NUL.sub(rb"\1\\ufffd", body)
    return body.replace(b"\x00", b"\xef\xbf\xbd") if b"\x00" in body else body


def _split_lines(response: Any) -> Iterator[bytes]:
    rest = b""
    for chunk in response.stream(65536, decode_content=True):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (without_nul(line) for line in lines if line)
    if rest:
        yield without_nul(rest)


_connections: dict[tuple[int, ClusterConfig], Connection] = {}
_lock = threading.Lock()


def connection(config: ClusterConfig) -> Connection:
    """This process's connection, made on first use: a fork gets its own."""
    key = (os.getpid(), config)
    with _lock:
        if key not in _connections:
            _connections[key] = Connection(config)
        return _connections[key]


def forget(config: ClusterConfig) -> None:
    """Drops the connection, so that the kubeconfig is read again."""
    with _lock:
        _connections.pop((os.getpid(), config), None)


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()
    _connections.clear()


os.register_at_fork(after_in_child=_after_fork)
