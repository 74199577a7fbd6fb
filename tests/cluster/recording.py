"""A tiny HTTP server that records every byte of each request and gives prepared answers."""

import json
import socket
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cluster.client import Cluster, ClusterConfig


@dataclass
class Request:
    head: str
    body: bytes

    @property
    def line(self) -> str:
        return self.head.split("\r\n", 1)[0]

    def header(self, name: str) -> str | None:
        for line in self.head.split("\r\n")[1:]:
            key, _, value = line.partition(":")
            if key.lower() == name.lower():
                return value.strip()
        return None

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Recorder:
    """Answers are given in order; when they run out, the last one again. A `None` answer closes the connection unanswered."""

    answers: list[tuple[int, Any] | None]
    requests: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        with peer, peer.makefile("rb") as stream:
            while True:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    line = stream.readline()
                    if not line:
                        return
                    head += line
                request = Request(head.decode(), b"")
                request.body = stream.read(int(request.header("content-length") or 0))
                self.requests.append(request)
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                if answer is None:
                    return
                status, content = answer
                body = content if isinstance(content, bytes) else json.dumps(content).encode()
                peer.sendall(
                    f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                    + body
                )

    def close(self) -> None:
        self.listener.close()

    def cluster(self, directory: Path, **settings: Any) -> Cluster:
        """A cluster that is this server."""
        kubeconfig = directory / f"kubeconfig-{self.port}"
        kubeconfig.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}],
                    "users": [{"name": "u", "user": {"token": "sesame"}}],
                    "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                    "current-context": "x",
                }
            )
        )
        return Cluster(ClusterConfig("recorded", kubeconfig, None, **settings))


def status(code: int, reason: str, message: str, **details: Any) -> tuple[int, dict[str, Any]]:
    """An error answer as the API server gives it."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code}
    return code, body | ({"reason": reason} if reason else {}) | ({"details": details} if details else {})
