"""Signed checkpoints: the head of the chain, kept outside the database, so that cutting its end off or rewriting it shows.

A checkpoint is one JSON line `{"at", "form", "hash", "sequence", "signature"}`; the signature is Ed25519 (base64) over the
canonical JSON of the other four. The key belongs to the user: `openssl genpkey -algorithm ed25519 -out audit.pem`.
"""

import base64
import binascii
import fcntl
import json
import logging
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from django.conf import settings

from audit.canonical import START, instant
from audit.chain import Mark, Problem
from audit.models import Event

FORM = "holdfast-checkpoint-1"
log = logging.getLogger("holdfast.audit.checkpoint")
LOGGED_AS = "audit checkpoint "


class KeyProblem(Exception):
    """The key file cannot be used; the text says what to do."""


def write() -> str | None:
    """Sign the head as it is now, append it to the checkpoint file and log it; the line, or None without a key.

    The worker calls this on a schedule. The line is on the disk when this returns. Raises `KeyProblem`, `OSError`.
    """
    if not settings.HOLDFAST_AUDIT_KEY_FILE:
        return None
    key = private_key(Path(settings.HOLDFAST_AUDIT_KEY_FILE))
    head = Event.objects.order_by("-sequence").values_list("sequence", "hash").first() or (0, START)
    line = signed_line(key, sequence=head[0], hash_=head[1], at=datetime.now(UTC))
    if settings.HOLDFAST_AUDIT_CHECKPOINT_FILE:
        _append(Path(settings.HOLDFAST_AUDIT_CHECKPOINT_FILE), line)
    log.info("%s%s", LOGGED_AS, line)
    return line


def say_at_start() -> None:
    """Log whether checkpoints will be written: without a key nothing else would ever tell."""
    if not settings.HOLDFAST_AUDIT_KEY_FILE:
        log.warning(
            "no audit checkpoints are written: HOLDFAST_AUDIT_KEY_FILE is not set."
            " Without them the end of the trail can be cut off unseen (docs/how-to/run-for-real.md)"
        )
        return
    try:
        private_key(Path(settings.HOLDFAST_AUDIT_KEY_FILE))
    except KeyProblem as problem:
        log.error("no audit checkpoints are written: %s", problem)
    else:
        log.info("audit checkpoints are written every %s minutes", settings.HOLDFAST_AUDIT_CHECKPOINT_MINUTES)


def signed_line(key: Ed25519PrivateKey, *, sequence: int, hash_: str, at: datetime) -> str:
    """One checkpoint as its JSON line, without the line end."""
    body = {"at": instant(at), "form": FORM, "hash": hash_, "sequence": sequence}
    signature = base64.b64encode(key.sign(_bytes(body))).decode()
    return _bytes({**body, "signature": signature}).decode()


def read_own() -> tuple[list[Mark], list[Problem]]:
    """What this installation has written itself, by its own key; nothing where it writes none. Raises `KeyProblem`, `OSError`."""
    if not (settings.HOLDFAST_AUDIT_KEY_FILE and settings.HOLDFAST_AUDIT_CHECKPOINT_FILE):
        return [], []
    key = private_key(Path(settings.HOLDFAST_AUDIT_KEY_FILE)).public_key()
    with Path(settings.HOLDFAST_AUDIT_CHECKPOINT_FILE).open(encoding="utf-8", errors="replace") as lines:
        return read(lines, key)


def read(lines: Iterable[str], key: Ed25519PublicKey) -> tuple[list[Mark], list[Problem]]:
    """The heads that checkpoints name, and a problem for each line whose signature does not hold.

    Lines of a log may still have in front of them what the log put there.
    """
    marks: list[Mark] = []
    problems: list[Problem] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        mark = _mark(line.rpartition(LOGGED_AS)[2], key)
        if mark is None:
            problems.append(Problem(0, f"checkpoint line {number} is damaged or not signed by this key"))
        elif mark.sequence > 0:
            marks.append(mark)
    return _consistent(marks, problems)


def _consistent(marks: list[Mark], problems: list[Problem]) -> tuple[list[Mark], list[Problem]]:
    """Two signed heads of one number with different hashes prove a rewritten trail, whatever the database says now."""
    seen: dict[int, str] = {}
    for mark in marks:
        if seen.setdefault(mark.sequence, mark.hash) != mark.hash:
            problems.append(
                Problem(
                    mark.sequence, "two signed checkpoints disagree: the trail was rewritten between them"
                )
            )
    return [Mark(sequence, hash_) for sequence, hash_ in seen.items()], problems


def _mark(line: str, key: Ed25519PublicKey) -> Mark | None:
    try:
        body: dict[str, Any] = json.loads(line)
        signature = base64.b64decode(body.pop("signature"), validate=True)
        key.verify(signature, _bytes(body))
        if body["form"] != FORM:
            return None
        return Mark(int(body["sequence"]), str(body["hash"]))
    except (ValueError, KeyError, TypeError, AttributeError, InvalidSignature, binascii.Error):
        return None


def _bytes(body: dict[str, Any]) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()


def _append(path: Path, line: str) -> None:
    with path.open("a", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())


def private_key(path: Path) -> Ed25519PrivateKey:
    """The Ed25519 key in a PEM file. Raises `KeyProblem`."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise KeyProblem(
            f"{path} is not a readable private key: {error}. Make one: openssl genpkey -algorithm ed25519"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyProblem(f"{path} holds another kind of key. Make one: openssl genpkey -algorithm ed25519")
    return key


def public_key(path: Path) -> Ed25519PublicKey:
    """The Ed25519 public key in a PEM file. Raises `KeyProblem`."""
    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise KeyProblem(
            f"{path} is not a readable public key: {error}. Make it: openssl pkey -in KEY -pubout"
        ) from error
    if not isinstance(key, Ed25519PublicKey):
        raise KeyProblem(f"{path} holds another kind of key. Make it: openssl pkey -in KEY -pubout")
    return key
