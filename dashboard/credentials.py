"""Which files and variables may hold a repository's credentials. Whoever edits repositories chooses where they are sent to.

So Holdfast's own secrets are none of them: with the key of the database or of the sessions an admin could approve alone, unseen.
"""

from pathlib import PurePosixPath

from django.conf import settings

from dashboard.states import CredentialsKind

_OWN_VARIABLES = ("HOLDFAST_", "PG", "KUBE", "REDIS_", "DATABASE_", "DJANGO_")
_FOR_GIT = "HOLDFAST_GIT_"
_OWN_PLACES = (
    *("/proc", "/sys", "/dev", "/run/secrets/kubernetes.io", "/var/run/secrets/kubernetes.io"),
    *("/run/secrets/holdfast", "/var/run/secrets/holdfast"),  # the tokens that deploy/kubernetes mounts there
)


def why_not(kind: str, name: str) -> str:
    """Why the reference cannot be used, as a sentence; empty when it can."""
    own_variable = name.upper().startswith(_OWN_VARIABLES) and not name.startswith(_FOR_GIT)
    if kind == CredentialsKind.ENVIRONMENT and own_variable:
        return f"{name} is a secret of Holdfast itself. Use a variable of its own, such as {_FOR_GIT}TOKEN."
    if kind == CredentialsKind.FILE:
        path = PurePosixPath(name)
        if not path.is_absolute() or ".." in path.parts or "\x00" in name:
            return "Use an absolute path on the worker's machine, without .. in it."
        own = [settings.HOLDFAST_KUBECONFIG, settings.HOLDFAST_AUDIT_KEY_FILE]
        if any(path.is_relative_to(place) for place in (*_OWN_PLACES, *filter(None, own))):
            return f"{name} is a secret of Holdfast itself. Use a file of its own."
    return ""
