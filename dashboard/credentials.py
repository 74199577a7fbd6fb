"""Which files and variables may hold a repository's credentials. Whoever edits repositories chooses where they are sent to.

So Holdfast's own secrets are none of them: with the key of the database or of the sessions an admin could approve alone, unseen.
"""

import os
import posixpath
from pathlib import Path, PurePosixPath
from typing import Any

from django.conf import settings

from dashboard.states import CredentialsKind

_OWN_VARIABLES = ("HOLDFAST_", "PG", "KUBE", "REDIS_", "DATABASE_", "DJANGO_")
_FOR_GIT = "HOLDFAST_GIT_"
_OWN_PLACES = (
    *("/proc", "/sys", "/dev", "/run/secrets/kubernetes.io", "/var/run/secrets/kubernetes.io"),
    *("/run/secrets/holdfast", "/var/run/secrets/holdfast"),  # the tokens that deploy/kubernetes mounts there
)


def why_not(kind: str, name: str) -> str:
    """Why the reference cannot be used, as a sentence; empty when it can. The worker asks again: it alone sees where links lead."""
    own_variable = name.upper().startswith(_OWN_VARIABLES) and not name.startswith(_FOR_GIT)
    if kind == CredentialsKind.ENVIRONMENT and own_variable:
        return f"{name} is a secret of Holdfast itself. Use a variable of its own, such as {_FOR_GIT}TOKEN."
    if kind == CredentialsKind.FILE:
        path = PurePosixPath(name)
        # ..data and the like: where Kubernetes keeps the files of a mounted Secret, under a second name.
        if not path.is_absolute() or any(part.startswith("..") for part in path.parts) or "\x00" in name:
            return "Use an absolute path on the worker's machine, without .. in it."
        if _is_own(name):
            return f"{name} is a secret of Holdfast itself, or lies beside one. Use a file of its own."
    return ""


def _is_own(name: str) -> bool:
    """Whether the file, as it is written or where its links lead, lies in a place of Holdfast's own."""
    # Two slashes in front mean something of their own to POSIX, and normpath keeps them.
    written = posixpath.normpath("/" + name.lstrip("/"))
    places = [*_OWN_PLACES, *_own_files()]
    names = {written, os.path.realpath(written)}
    real = {place for each in places for place in (each, os.path.realpath(each))}
    return any(PurePosixPath(each).is_relative_to(place) for each in names for place in real)


def _own_files() -> list[str]:
    """The audit trail's key (whose directory Git tokens may share), the kubeconfig with all beside it, the worker's data, and the
    files that open the database."""
    places = [str(settings.HOLDFAST_DATA)]
    for database in settings.DATABASES.values():
        options: Any = database.get("OPTIONS") or {}
        places += [options[name] for name in ("sslkey", "passfile") if options.get(name)]
    if settings.HOLDFAST_AUDIT_KEY_FILE:
        places.append(settings.HOLDFAST_AUDIT_KEY_FILE)
    if settings.HOLDFAST_KUBECONFIG:
        beside = posixpath.dirname(settings.HOLDFAST_KUBECONFIG)
        places += [settings.HOLDFAST_KUBECONFIG, *([beside] if beside.strip("/") else [])]
    return [str(Path(place).expanduser().absolute()) for place in places]
