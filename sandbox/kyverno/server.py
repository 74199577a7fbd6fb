"""The webhook's HTTP server. It can be closed and opened again on the same port: an engine that crashed and came back."""

from __future__ import annotations

import json
import logging
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from sandbox.answers import Object

log = logging.getLogger(__name__)

# Path of the request and AdmissionRequest in, AdmissionResponse out.
Answer = Callable[[str, Object], Object]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    answer: Answer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # An API server that keeps the connection open must notice a closed engine: idle ones end by themselves.
    timeout = 60
    server: _Server

    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        request = review["request"]
        # The API server adds ?timeout=10s.
        response = self.server.answer(self.path.partition("?")[0], request)
        body = {
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "response": {"uid": request["uid"], **response},
        }
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        # One request a connection: a closed engine is unreachable at once, not after the last keep-alive.
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        log.debug(format, *args)


class WebhookServer:
    """Listens on 127.0.0.1. `port` is chosen at the first open() and kept."""

    def __init__(self, answer: Answer, context: ssl.SSLContext | None) -> None:
        self._answer = answer
        self._context = context
        self._server: _Server | None = None
        self.port = 0

    @property
    def is_open(self) -> bool:
        return self._server is not None

    def open(self) -> None:
        """Starts to answer, if it does not yet."""
        if self._server is not None:
            return
        server = _Server(("127.0.0.1", self.port), _Handler)
        server.answer = self._answer
        if self._context is not None:
            server.socket = self._context.wrap_socket(server.socket, server_side=True)
        self.port = int(server.server_address[1])
        self._server = server
        threading.Thread(target=server.serve_forever, args=(0.05,), name="webhook", daemon=True).start()

    def close(self) -> None:
        """Refuses connections from now on."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
