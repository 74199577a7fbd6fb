"""Reads the parts of a kubeconfig that the sandbox's client needs: the server, a token, TLS material."""

from __future__ import annotations

import base64
import os
import ssl
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml


def named(entries: Sequence[Mapping[str, Any]], name: str, inner: str) -> dict[str, Any]:
    for entry in entries:
        if entry["name"] == name:
            return dict(entry[inner])
    raise KeyError(f"the kubeconfig has no {inner} named {name!r}")


def tls_of(cluster: Mapping[str, Any], user: Mapping[str, Any]) -> ssl.SSLContext | bool:
    """The trust and the client certificate of a kubeconfig; True for a plain one."""
    if not str(cluster["server"]).startswith("https"):
        return True
    context = ssl.create_default_context()
    if data := cluster.get("certificate-authority-data"):
        context.load_verify_locations(cadata=base64.b64decode(data).decode())
    elif file := cluster.get("certificate-authority"):
        context.load_verify_locations(cafile=file)
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if user.get("client-certificate-data"):
        with tempfile.TemporaryDirectory() as folder:
            certificate, key = Path(folder, "crt"), Path(folder, "key")
            certificate.write_bytes(base64.b64decode(user["client-certificate-data"]))
            key.touch(mode=0o600)
            key.write_bytes(base64.b64decode(user["client-key-data"]))
            context.load_cert_chain(certificate, key)
    elif user.get("client-certificate"):
        context.load_cert_chain(user["client-certificate"], user["client-key"])
    return context


def write_kubeconfig(
    path: Path, url: str, authority_data: str, tokens: Mapping[str, str], current: str
) -> None:
    """Writes a kubeconfig with one context a user, readable by its owner alone. `authority_data` is base64."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "sandbox", "cluster": {"server": url, "certificate-authority-data": authority_data}}
        ],
        "users": [{"name": name, "user": {"token": token}} for name, token in tokens.items()],
        "contexts": [{"name": name, "context": {"cluster": "sandbox", "user": name}} for name in tokens],
        "current-context": current,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.touch(mode=0o600)
    fresh.write_text(yaml.safe_dump(config, sort_keys=False))
    fresh.replace(path)
