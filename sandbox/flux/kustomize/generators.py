"""configMapGenerator and secretGenerator, and the hash that ends their names."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from sandbox.flux.kustomize.errors import KustomizeError
from sandbox.flux.kustomize.resource import Resource

_ALPHABET = str.maketrans({"0": "g", "1": "h", "3": "k", "a": "m", "e": "t"})


def generate(kind: str, entry: dict[str, Any], common: dict[str, Any], directory: Path) -> Resource:
    """The ConfigMap or Secret of one generator entry. `common` is the kustomization's generatorOptions."""
    data, binary = _data(entry, directory)
    options = _options(common, entry.get("options") or {})
    body: dict[str, Any] = {"apiVersion": "v1", "kind": kind, "metadata": {"name": entry["name"]}}
    if entry.get("namespace"):
        body["metadata"]["namespace"] = entry["namespace"]
    for place in ("labels", "annotations"):
        if options.get(place):
            body["metadata"][place] = {key: str(value) for key, value in options[place].items()}
    if kind == "Secret":
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
        if encoded or binary:
            body["data"] = {**encoded, **binary}
        body["type"] = entry.get("type") or "Opaque"
    else:
        if data:
            body["data"] = data
        if binary:
            body["binaryData"] = binary
    if options.get("immutable"):
        body["immutable"] = True
    return Resource(
        body,
        hashed=not options.get("disableNameSuffixHash"),
        behavior=str(entry.get("behavior") or "create"),
    )


def _options(common: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    merged = {**common, **own}
    for place in ("labels", "annotations"):
        merged[place] = {**(common.get(place) or {}), **(own.get(place) or {})}
    return merged


def _data(entry: dict[str, Any], directory: Path) -> tuple[dict[str, str], dict[str, str]]:
    data: dict[str, str] = {}
    binary: dict[str, str] = {}
    for one in [*(entry.get("envs") or []), *([entry["env"]] if entry.get("env") else [])]:
        data.update(_env_lines(_read(directory, one).decode()))
    for literal in entry.get("literals") or []:
        key, equals, value = str(literal).partition("=")
        if not equals:
            raise KustomizeError(f"invalid literal source {literal}, expected key=value")
        data[key] = _unquoted(value)
    for one in entry.get("files") or []:
        key, equals, path = str(one).partition("=")
        if not equals:
            key, path = Path(key).name, key
        raw = _read(directory, path)
        try:
            data[key] = raw.decode()
        except UnicodeDecodeError:
            binary[key] = base64.b64encode(raw).decode()
    return data, binary


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value


def _env_lines(text: str) -> dict[str, str]:
    lines = (line.lstrip() for line in text.splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {key: value for key, equals, value in pairs if equals}


def _read(directory: Path, path: str) -> bytes:
    try:
        return (directory / path).read_bytes()
    except OSError as error:
        raise KustomizeError(f"evalsymlink failure on '{path}': {error.strerror}") from error


def combine(existing: Resource, fresh: Resource) -> None:
    """behavior: merge adds to what is there, replace takes its place."""
    for key in ("data", "binaryData"):
        values = fresh.body.get(key) or {}
        old = existing.body.get(key) or {} if fresh.behavior == "merge" else {}
        if values or old:
            existing.body[key] = {**old, **values}
    for place in ("labels", "annotations"):
        added = fresh.metadata.get(place)
        if added:
            existing.metadata[place] = {**(existing.metadata.get(place) or {}), **added}
    existing.hashed = existing.hashed or fresh.hashed


def hash_suffix(body: dict[str, Any]) -> str:
    """The ten characters that kustomize puts behind a generated name."""
    # The name is left out of what is hashed, as the program itself does it.
    content: dict[str, Any] = {"kind": body["kind"], "name": ""}
    content["data"] = body.get("data") or ""
    if body["kind"] == "Secret":
        content["type"] = body.get("type", "Opaque")
    if body.get("binaryData"):
        content["binaryData"] = body["binaryData"]
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return hashlib.sha256(text.encode()).hexdigest().translate(_ALPHABET)[:10]
