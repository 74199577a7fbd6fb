"""Who calls: bearer tokens of the sandbox's own identities and of service accounts, and impersonation."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from pathlib import Path
from typing import Any

from sandbox.apiserver.call import Call, User
from sandbox.apiserver.errors import StatusError
from sandbox.apiserver.store import Store

Json = dict[str, Any]

MASTERS = "system:masters"
AUTHENTICATED = "system:authenticated"
# Users of the kubeconfig, with their groups.
PEOPLE: dict[str, tuple[str, ...]] = {
    "admin": (MASTERS,),
    "holdfast-worker": (),
    "holdfast-watcher": (),
    "holdfast-prober": (),
}
# Users of the sandbox's own programs, each in a kubeconfig of its own.
PROGRAMS: dict[str, tuple[str, ...]] = {
    "controllers": (MASTERS,),
    "flux": (MASTERS,),
    "kyverno": (MASTERS,),
    "scenario": (MASTERS,),
}


class Tokens:
    """The tokens of people and programs, made at the first start and kept in a file that only the owner reads."""

    def __init__(self, folder: Path) -> None:
        path = folder / "tokens.json"
        known: Json = json.loads(path.read_text()) if path.exists() else {}
        for name in ("signing-key", *PEOPLE, *(f"sandbox:{name}" for name in PROGRAMS)):
            known.setdefault(name, secrets.token_urlsafe(32))
        path.touch(mode=0o600)
        path.write_text(json.dumps(known, indent=1))
        self._key = known.pop("signing-key").encode()
        self.by_user: dict[str, str] = known
        self._users = {token: self._user(name) for name, token in known.items()}

    @staticmethod
    def _user(name: str) -> User:
        groups = PEOPLE.get(name) or PROGRAMS.get(name.removeprefix("sandbox:"), ())
        return User(name, (*groups, AUTHENTICATED))

    def issue(self, namespace: str, name: str, uid: str, seconds: int) -> str:
        """A token of a service account, as `kubectl create token` gets it."""
        claims = {"ns": namespace, "sa": name, "uid": uid, "exp": int(time.time()) + seconds}
        payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=")
        return f"sa.{payload.decode()}.{self._sign(payload)}"

    def _sign(self, payload: bytes) -> str:
        return hmac.new(self._key, payload, hashlib.sha256).hexdigest()

    def find(self, token: str, store: Store) -> User | None:
        """The user of a token; None for one that is unknown, expired, or of a service account that is gone."""
        if user := self._users.get(token):
            return user
        parts = token.split(".")
        if (
            len(parts) != 3
            or parts[0] != "sa"
            or not hmac.compare_digest(self._sign(parts[1].encode()), parts[2])
        ):
            return None
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        entry = store.get(("", "serviceaccounts"), claims["ns"], claims["sa"])
        if claims["exp"] < time.time() or entry is None or entry.uid != claims["uid"]:
            return None
        return service_account(claims["ns"], claims["sa"], claims["uid"])


def service_account(namespace: str, name: str, uid: str = "") -> User:
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)
    return User(f"system:serviceaccount:{namespace}:{name}", groups, uid)


def authenticate(call: Call, tokens: Tokens, store: Store) -> User:
    """The caller. StatusError 401 without a known token."""
    scheme, _, token = call.headers.get("authorization", "").partition(" ")
    user = tokens.find(token.strip(), store) if scheme.lower() == "bearer" else None
    if user is None:
        raise StatusError(401, "Unauthorized", "Unauthorized")
    return user


def impersonated(call: Call, groups: list[str]) -> User | None:
    """Whom the caller wants to be, by the Impersonate headers; None when nobody else."""
    name = call.headers.get("impersonate-user")
    if not name:
        return None
    if name.startswith("system:serviceaccount:") and name.count(":") == 3:
        _, _, namespace, account = name.split(":")
        return service_account(namespace, account) if not groups else User(name, (*groups, AUTHENTICATED))
    return User(name, tuple(dict.fromkeys((*groups, AUTHENTICATED))))
