"""What Git says of every claim of a Kustomization, compared by the worker, which holds the clones and their credentials.

The watcher reads the answers from PostgreSQL: it needs neither Git nor a right to it, and a slow server never holds its watch up.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.db import connection
from django.utils import timezone

from cluster.client import Cluster
from cluster.errors import ClusterError
from cluster.flux import SSA, GitSource, Kustomization, flux_protected
from dashboard import models
from dashboard.protection import Declared
from dashboard.states import Owner
from gitops.change import Tree
from gitops.errors import GitOpsError, Refusal
from gitops.locate import locate
from gitops.repository import Repository
from gitops.values import CLAIM, FluxPath, ObjectRef
from gitops.walk import Instance, Walker
from worker.app import COMPARE_HARD_LIMIT_S, COMPARE_SOFT_LIMIT_S, app
from worker.clusters import adapter
from worker.followed import NOT_COMPARED, Key, repository_problem
from worker.gitside import Limits, repository

log = logging.getLogger(__name__)

LOCK_CLASS = 0x67697473  # "gits"
VARIABLE = "${"
# Far below the limit of the task: a server that never answers must leave time for the other repositories.
LIMITS = Limits(git_s=20, clone_s=120, lock_s=10)
NOTED_EVERY_S = 60  # how exactly the age of an answer that stays the same is kept


@app.task(  # type: ignore[untyped-decorator]
    name="worker.declared.refresh", soft_time_limit=COMPARE_SOFT_LIMIT_S, time_limit=COMPARE_HARD_LIMIT_S
)
def refresh_all() -> None:
    """Compares the cluster with its Git repositories. One process at a time; others leave it to that one."""
    row = models.Cluster.objects.filter(name=settings.HOLDFAST_CLUSTER_NAME).first()
    if row is None:
        return
    try:
        with _alone(row) as ours:
            if ours:
                refresh(row, adapter(row.name))
    except ClusterError as error:
        log.warning("Git was not compared with cluster %s: %s", row.name, error.happened)
    except SoftTimeLimitExceeded:
        log.warning(
            "Git was not compared as a whole with cluster %s within %s s; it goes on.",
            row.name,
            COMPARE_SOFT_LIMIT_S,
        )


def known(row: models.Cluster) -> dict[Key, Declared]:
    """What was compared last, for the assessment of claims."""
    return {
        (one.namespace, one.name): Declared(one.found, one.protected, one.where, one.why, one.once)
        for one in row.declarations.all()
    }


def flux_of(kustomization: Kustomization) -> FluxPath:
    """The directory that a live Kustomization applies, with every option that changes names and annotations."""
    return FluxPath(
        kustomization.path.removeprefix("./").strip("/"),
        target_namespace=kustomization.target_namespace,
        name_prefix=kustomization.name_prefix,
        name_suffix=kustomization.name_suffix,
        substitute=kustomization.substitute,
        substitute_from=kustomization.substitute_from,
        components=kustomization.components,
        patches=tuple((dict(target), patch) for target, patch in kustomization.patches),
        common_annotations=kustomization.common_annotations,
        common_labels=kustomization.common_labels,
        source=kustomization.source_name,
    )


def compare(tree: Tree, flux: FluxPath, claims: Iterable[Key]) -> dict[Key, Declared]:
    """What a tree says of each claim. One walk for all of them; what cannot be told says why."""
    try:
        walk = Walker(tree, frozenset({CLAIM})).run(flux)
    except Refusal as refusal:
        return {key: Declared(False, why=f"Cannot tell what Git says: {refusal.what}") for key in claims}
    alive: dict[Key, list[Instance]] = {}
    for instance in walk.instances:
        if not instance.deleted:
            alive.setdefault((instance.namespace, instance.name), []).append(instance)
    found = {}
    for key in claims:
        here = alive.get(key, [])
        sure = len(here) == 1 and not here[0].doubts
        found[key] = _declared(here[0]) if sure else _unsure(tree, flux, key)
    return found


def _declared(instance: Instance) -> Declared:
    """Of one declaration that is certain. A value that variables fill in is none."""
    stated = [instance.annotations, instance.labels]
    for pairs in stated:
        for key, value in pairs.items():
            if "toolkit.fluxcd.io/" in key and VARIABLE in value:
                why = f"Cannot tell what Git says: {instance.path} sets {key} to {value}, which a variable fills in."
                return Declared(False, where=instance.path, why=why)
    return Declared(
        True,
        flux_protected(instance.labels, instance.annotations) is not None,
        instance.path,
        once=any(pairs.get(SSA, "").casefold() == "ifnotpresent" for pairs in stated),
    )


def _unsure(tree: Tree, flux: FluxPath, key: Key) -> Declared:
    try:
        declaration = locate(tree, flux, ObjectRef.claim(*key))
    except Refusal as refusal:
        return Declared(False, where=refusal.path, why=f"Cannot tell what Git says: {refusal.what}")
    return Declared(
        True, flux_protected(declaration.labels, declaration.annotations) is not None, declaration.path
    )


def refresh(row: models.Cluster, cluster: Cluster) -> int:
    """Compares all claims of Kustomizations of one cluster; how many answers were written. Raises `ClusterError`."""
    groups = _claims_by_owner(row)
    kustomizations = {(k.namespace, k.name): k for k in cluster.list_kustomizations(fresh=False)}
    sources = {(s.namespace, s.name): s for s in cluster.list_git_sources(fresh=False)}
    clones = _Clones(row, sources)
    written = 0
    for owner, claims in _in_turn(row, groups):
        kustomization = kustomizations.get(owner)
        # What there is no time for comes first next time.
        if kustomization is not None and (not clones.out_of_time or clones.asked(kustomization)):
            written += _refresh_group(row, kustomization, claims, clones)
    _forget(row, {key for claims in groups.values() for key in claims})
    return written


def _claims_by_owner(row: models.Cluster) -> dict[Key, list[Key]]:
    """Kustomization → the claims that it holds, as the watcher has them."""
    groups: dict[Key, list[Key]] = {}
    rows = models.Claim.objects.filter(cluster=row, owner_kind=Owner.KUSTOMIZATION).present()
    for owner_namespace, owner_name, namespace, name in rows.values_list(
        "owner_namespace", "owner_name", "namespace", "name"
    ):
        groups.setdefault((owner_namespace, owner_name), []).append((namespace, name))
    return groups


def _in_turn(row: models.Cluster, groups: Mapping[Key, list[Key]]) -> list[tuple[Key, list[Key]]]:
    """Kustomizations whose repository could not be read last time come last: others must not wait for it again."""
    unread = set(row.declarations.filter(commit="").values_list("owner", flat=True))
    return sorted(groups.items(), key=lambda group: "/".join(group[0]) in unread)


@dataclass(frozen=True)
class Opened:
    """A repository at its newest commit, or why there is none."""

    clone: Repository | None = None
    commit: str = ""
    why: str = ""


class _Clones:
    """Fetches each repository at most once a refresh, and reads each commit at most once."""

    def __init__(self, row: models.Cluster, sources: Mapping[Key, GitSource]) -> None:
        self.rows = {(r.source_namespace, r.source_name): r for r in row.repositories.all()}
        self.sources = sources
        self.opened: dict[Key, Opened] = {}
        self.trees: dict[Key, Tree] = {}
        self.out_of_time = False

    def asked(self, kustomization: Kustomization) -> bool:
        """Whether the repository behind it was opened, or tried, in this refresh."""
        return (kustomization.source_namespace, kustomization.source_name) in self.opened

    def of(self, kustomization: Kustomization) -> Opened:
        why = repository_problem(kustomization, self.rows, self.sources)
        if why:
            return Opened(why=why)
        key = (kustomization.source_namespace, kustomization.source_name)
        if key not in self.opened:
            self.opened[key] = self._open(self.rows[key])
        return self.opened[key]

    def _open(self, row: models.GitRepository) -> Opened:
        try:
            clone = repository(row, LIMITS)
            return Opened(clone, clone.refresh())
        except GitOpsError as error:
            what = error.what
        except SoftTimeLimitExceeded:
            self.out_of_time = True
            what = "It took longer than the comparison may take."
        log.warning("Repository %s was not read: %s", row.name, what)
        return Opened(why=f"{NOT_COMPARED}Repository {row.name} could not be read. {what}")

    def tree(self, kustomization: Kustomization, opened: Opened) -> Tree:
        key = (kustomization.source_namespace, kustomization.source_name)
        if key not in self.trees and opened.clone is not None:
            self.trees[key] = opened.clone.tree(opened.commit)
        return self.trees[key]


def _refresh_group(
    row: models.Cluster, kustomization: Kustomization, claims: list[Key], clones: _Clones
) -> int:
    """Compares the claims of one Kustomization, unless neither Git nor it nor they have changed since."""
    opened = clones.of(kustomization)
    flux = flux_of(kustomization)
    basis = hashlib.sha256(repr((opened.commit, opened.why, flux, sorted(claims))).encode()).hexdigest()
    owner = f"{kustomization.namespace}/{kustomization.name}"
    same = row.declarations.filter(owner=owner, basis=basis)
    if same.count() == len(claims):
        now = timezone.now()
        same.filter(compared_at__lt=now - timedelta(seconds=NOTED_EVERY_S)).update(compared_at=now)
        return 0
    if opened.clone is None:
        found = {key: Declared(False, why=opened.why) for key in claims}
    else:
        try:
            found = compare(clones.tree(kustomization, opened), flux, claims)
        except GitOpsError as error:
            found = {key: Declared(False, why=f"Cannot tell what Git says: {error.what}") for key in claims}
    _save(row, owner, found, commit=opened.commit, basis=basis)
    return len(found)


def _save(row: models.Cluster, owner: str, found: Mapping[Key, Declared], *, commit: str, basis: str) -> None:
    now = timezone.now()
    rows = [
        models.GitDeclaration(
            cluster=row,
            namespace=namespace,
            name=name,
            owner=owner,
            found=one.found,
            protected=one.protected,
            once=one.once,
            # PostgreSQL keeps no NUL, which a quoted value may have.
            where=one.where.replace("\x00", ""),
            why=one.why.replace("\x00", ""),
            commit=commit,
            basis=basis,
            compared_at=now,
        )
        for (namespace, name), one in found.items()
    ]
    columns = ["owner", "found", "protected", "once", "where", "why", "commit", "basis", "compared_at"]
    models.GitDeclaration.objects.bulk_create(
        rows,
        batch_size=500,
        update_conflicts=True,
        unique_fields=["cluster", "namespace", "name"],
        update_fields=columns,
    )


def _forget(row: models.Cluster, kept: set[Key]) -> None:
    """Answers about claims that no Kustomization holds any more."""
    stale = [
        pk for pk, *key in row.declarations.values_list("pk", "namespace", "name") if tuple(key) not in kept
    ]
    row.declarations.filter(pk__in=stale).delete()


@contextmanager
def _alone(row: models.Cluster) -> Iterator[bool]:
    """True for one process a cluster at a time. PostgreSQL frees the lock when the process ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [LOCK_CLASS, row.pk])
        ours = bool(cursor.fetchone()[0])
    try:
        yield ours
    finally:
        if ours:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [LOCK_CLASS, row.pk])
