"""Changes that people make to the dashboard's own settings, each with its audit event."""

from typing import Any

from django.db import transaction

from audit.trail import Actor, record
from dashboard.models import Cluster, GitRepository
from migrations_app.problems import Refused

_FIELDS = (
    "name",
    "url",
    "branch",
    "source_namespace",
    "source_name",
    "credentials_kind",
    "credentials_name",
    "push_policy",
)


def _snapshot(row: GitRepository) -> dict[str, Any]:
    return {field: str(getattr(row, field)) for field in _FIELDS}


def save_repository(
    *, by: Actor, cluster: Cluster, name: str, only_new: bool = False, **values: str
) -> GitRepository:
    """Adds the repository of that name, or changes it. `values`: the other fields of the model.

    With `only_new` a name that is known is refused: nobody who adds one means to change what migrations rely on.
    """
    with transaction.atomic():
        # One at a time: two that add the same name would both find it free.
        Cluster.objects.select_for_update(no_key=True).get(pk=cluster.pk)
        row = GitRepository.objects.select_for_update(no_key=True).filter(cluster=cluster, name=name).first()
        if row is not None and only_new:
            raise Refused(
                f"There is a repository {name} already. Nothing was changed.",
                next="Choose another name, or open that one in the list.",
            )
        before = _snapshot(row) if row else None
        row = row or GitRepository(cluster=cluster, name=name)
        for key, value in values.items():
            setattr(row, key, value)
        row.save()
        record(
            actor=by,
            verb="repository.change" if before else "repository.add",
            kind="repository",
            key=name,
            cluster=cluster.name,
            before=before,
            after=_snapshot(row),
        )
        return row


def remove_repository(*, by: Actor, repository: GitRepository) -> None:
    """Forgets a repository. Nothing in Git changes; migrations that need it say so at their next step."""
    with transaction.atomic():
        before = _snapshot(repository)
        repository.delete()
        record(
            actor=by,
            verb="repository.remove",
            kind="repository",
            key=repository.name,
            cluster=repository.cluster.name,
            before=before,
        )
