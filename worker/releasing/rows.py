"""Rows of the plan that the paths of release have in common."""

from typing import Any

from migrations_app.models import Migration, Transfer


def changed(step: str, verb: str, kind: str, namespace: str, name: str, command: str) -> dict[str, Any]:
    """One object that is changed, not created: `command` is the kubectl equivalent."""
    return {
        "step": step,
        "verb": verb,
        "kind": kind,
        "namespace": namespace,
        "name": name,
        "yaml": "",
        "command": command,
    }


def lifted(migration: Migration, transfer: Transfer) -> dict[str, Any]:
    """The protection of the source claim is taken off."""
    namespace, name = migration.source_namespace, transfer.source_name
    command = f"kubectl annotate pvc -n {namespace} {name} kustomize.toolkit.fluxcd.io/prune-"
    return changed("release", "lift protection", "PersistentVolumeClaim", namespace, name, command)


def deleted(migration: Migration, transfer: Transfer) -> dict[str, Any]:
    """Holdfast deletes the source claim."""
    namespace, name = migration.source_namespace, transfer.source_name
    command = f"kubectl delete pvc -n {namespace} {name}"
    return changed("release", "delete", "PersistentVolumeClaim", namespace, name, command)


def pruned(migration: Migration, transfer: Transfer, when: str) -> dict[str, Any]:
    """Flux deletes the source claim."""
    namespace, name = migration.source_namespace, transfer.source_name
    owner = migration.source_owner
    command = f"flux reconcile kustomization -n {owner['namespace']} {owner['name']} --with-source  # {when}"
    return changed("release", "leave to Flux to delete", "PersistentVolumeClaim", namespace, name, command)
