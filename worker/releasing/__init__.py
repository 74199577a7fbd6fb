"""How the source claims leave. A path is one module behind one interface; the release step asks for it by the migration.

What all have in common is in the step: the destination is there, the signature holds, the source hashes to what was
proven, and its volumes are on Retain, read back, before a path is asked for anything.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from migrations_app.models import GitMode, Migration, ReleasePath, Transfer
from worker.context import Context
from worker.declarations import GitChange
from worker.outcomes import Outcome
from worker.releasing.commits import Commits
from worker.releasing.helm import Helm
from worker.releasing.misfits import Misfit
from worker.releasing.orphan import Orphan
from worker.releasing.outside import Outside
from worker.releasing.suspended import Suspended


class Releases(Protocol):
    """What a path has to offer. `prepare` and `destroy` are ticked like a step: observe, at most one act, an outcome."""

    def changes(self, migration: Migration) -> Sequence[GitChange]:
        """The Git changes, in the order in which they are pushed; each is made on what the one before it leaves."""
        ...

    def planned(self, migration: Migration, transfer: Transfer) -> list[dict[str, Any]]:
        """What becomes of the claim, as rows of the plan."""
        ...

    def misfits(self, context: Context) -> Iterable[Misfit]:
        """Why this path cannot work for this migration."""
        ...

    def prepare(self, context: Context) -> Outcome | None:
        """Everything up to the first act after which the claims may go. None when that is next."""
        ...

    def destroy(self, context: Context) -> Outcome | None:
        """The rest. None when every claim is gone and its volume is Released and on Retain."""
        ...

    def still_gone(self, context: Context, transfer: Transfer) -> Outcome | None:
        """Whether anything would bring the claim back: Git declares it, an inventory holds it."""
        ...


_PATHS: dict[ReleasePath, Releases] = {
    ReleasePath.ORPHAN: Orphan(),
    ReleasePath.COMMITS: Commits(),
    ReleasePath.SUSPEND: Suspended(),
}


def of(migration: Migration) -> Releases:
    """The path of a migration: the chosen one where a Kustomization applies the source from Git."""
    kind = migration.source_owner.get("kind")
    if kind in {"HelmRelease", "Helm"}:
        return Helm()
    if kind != "Kustomization" or migration.git_mode == GitMode.NONE:
        return Outside()
    return _PATHS[ReleasePath(migration.release_path)]
