"""A small OpenID provider, as a process of its own on loopback: discovery, keys, authorisation code flow with PKCE.

It approves every request in the name of the person that `POST /test/next` set. Behaviours of a bad provider are set in the same way.
Prints one JSON line with its issuer when it is ready.
"""

import base64
import hashlib
import json
import secrets
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

CLIENT_ID = "holdfast"
CLIENT_SECRET = "provider-secret"


class Provider(ThreadingHTTPServer):
    """The state of the provider."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server_port}"
        self.key = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"}, private=True)
        self.other_key = RSAKey.generate_key(2048, {"kid": "one"}, private=True)
        self.codes: dict[str, dict[str, str]] = {}
        self.next: dict[str, Any] = {}

    def id_token(self, nonce: str) -> str:
        bad = self.next.get("bad")
        now = int(time.time())
        claims = {
            "iss": "http://elsewhere.example" if bad == "issuer" else self.issuer,
            "aud": "another-client" if bad == "audience" else CLIENT_ID,
            "exp": now - 3600 if bad == "expired" else now + 300,
            "iat": now - 7200 if bad == "expired" else now,
            "nonce": "another" if bad == "nonce" else nonce,
            **self.next.get("claims", {}),
        }
        if bad == "unsigned":
            parts = [{"alg": "none", "typ": "JWT"}, claims]
            return ".".join(_base64(json.dumps(part).encode()) for part in parts) + "."
        if bad == "symmetric":
            secret = OctKey.import_key(self.key.as_pem(private=False))
            return jwt.encode({"alg": "HS256", "kid": "one"}, claims, secret, algorithms=["HS256"])
        key = self.other_key if bad == "signature" else self.key
        return jwt.encode({"alg": "RS256", "kid": "one"}, claims, key)


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Handler(BaseHTTPRequestHandler):
    server: Provider

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path == "/.well-known/openid-configuration":
            return self._json(self._metadata())
        if url.path == "/keys":
            return self._json({"keys": [self.server.key.as_dict(private=False)]})
        if url.path == "/authorize":
            return self._authorize(query)
        return self._json({"error": "not_found"}, 404)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        if self.path == "/test/next":
            self.server.next = json.loads(body)
            return self._json({})
        if self.path == "/token":
            return self._token({name: values[0] for name, values in parse_qs(body).items()})
        return self._json({"error": "not_found"}, 404)

    def _metadata(self) -> dict[str, Any]:
        issuer = self.server.issuer
        return {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/authorize",
            "token_endpoint": f"{issuer}/token",
            "jwks_uri": f"{issuer}/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
        }

    def _authorize(self, query: dict[str, str]) -> None:
        complete = query.get("response_type") == "code" and query.get("client_id") == CLIENT_ID
        complete &= (
            query.get("code_challenge_method") == "S256" and "openid" in query.get("scope", "").split()
        )
        if not complete or not all(
            query.get(name) for name in ("state", "nonce", "code_challenge", "redirect_uri")
        ):
            return self._json({"error": "invalid_request"}, 400)
        if self.server.next.get("bad") == "denied":
            answer = {"error": "access_denied", "error_description": "<script>no</script>"}
        else:
            answer = {"code": secrets.token_urlsafe(16)}
            self.server.codes[answer["code"]] = query
        self.send_response(302)
        self.send_header(
            "Location", f"{query['redirect_uri']}?{urlencode({**answer, 'state': query['state']})}"
        )
        self.end_headers()
        return None

    def _token(self, form: dict[str, str]) -> None:
        basic = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        asked = self.server.codes.pop(form.get("code", ""), None)
        challenge = _base64(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if self.headers.get("Authorization") != f"Basic {basic}":
            return self._json({"error": "invalid_client"}, 401)
        if (
            not asked
            or challenge != asked["code_challenge"]
            or form.get("redirect_uri") != asked["redirect_uri"]
        ):
            return self._json({"error": "invalid_grant"}, 400)
        answer = {"access_token": secrets.token_urlsafe(16), "token_type": "Bearer", "expires_in": 300}
        if self.server.next.get("bad") != "no id_token":
            answer["id_token"] = self.server.id_token(asked["nonce"])
        return self._json(answer)

    def _json(self, answer: dict[str, Any], status: int = 200) -> None:
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


if __name__ == "__main__":
    provider = Provider()
    print(json.dumps({"issuer": provider.issuer}), flush=True)
    provider.serve_forever()
