"""What a step gets: the migration under lease, the cluster, and the one way to change anything."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, TypeVar

from django.db import transaction
from django.utils import timezone

from audit.trail import Actor, record
from cluster.client import Cluster
from cluster.errors import AlreadyExists, ClusterError, Unavailable
from cluster.values import Manifest, Ref
from gitops.errors import GitOpsError, PushConflict, PushRejected, RepositoryError
from migrations_app.models import Evidence, Intent, Migration, StepRun, Transfer
from migrations_app.models.evidence import digest_of
from migrations_app.states import IntentState
from worker.lease import check_held

T = TypeVar("T")
WORKER = Actor.system("worker")
# What we create carries the migration's reference in this label.
LABEL = "holdfast.dev/migration"


class Context:
    """One tick of one step. Evidence is saved with the outcome, in one transaction; intents before and after each act."""

    def __init__(self, migration: Migration, run: StepRun, cluster: Cluster) -> None:
        self.migration = migration
        self.run = run
        self.cluster = cluster
        self.new_evidence: list[Evidence] = []
        self.heads: dict[int, str] = {}  # of repositories, by primary key, as fetched in this tick

    @cached_property
    def transfers(self) -> list[Transfer]:
        return list(self.migration.transfers.all())

    @property
    def memory(self) -> dict[str, Any]:
        """What this attempt has to know at its next tick. Saved with the outcome, or at once by `remember`."""
        memory: dict[str, Any] = self.run.memory
        return memory

    def remember(self, **values: Any) -> None:
        """Saves values in the attempt's memory now: for what must not be lost between an act and the outcome."""
        with transaction.atomic():
            check_held(self.migration)
            self.run.memory.update(values)
            self.run.save(update_fields=["memory"])

    def keep(self, *fields: str) -> None:
        """Saves fields of the migration now, only while the lease holds: a slow tick never writes over what came later."""
        with transaction.atomic():
            check_held(self.migration)
            self.migration.save(update_fields=list(fields))

    def evidence(self, kind: str, data: Mapping[str, Any], transfer: Transfer | None = None) -> Evidence:
        """Keeps an observation. It is saved together with the outcome of this tick."""
        found = Evidence(
            migration=self.migration,
            transfer=transfer,
            step=self.run.step,
            attempt=self.run.attempt,
            kind=kind,
            data=dict(data),
            digest=digest_of(data),
        )
        self.new_evidence.append(found)
        return found

    def act(
        self,
        *,
        key: str,
        verb: str,
        ref: Ref,
        call: Callable[[], T],
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> T:
        """The one way to change the cluster or Git: records the intent, calls, records the answer.

        `key` names the act within the migration. An act that is made again keeps what was recorded `before` the
        first time: that is what Roll back restores. When no answer came the intent stays open, and the next tick
        observes what became of it.
        """
        intent = self._intend(key=key, verb=verb, ref=ref, before=before or {}, after=after or {})
        try:
            result = call()
        except (ClusterError, GitOpsError) as error:
            if not _maybe_done(error):
                self._answer(intent, IntentState.FAILED, str(error))
            raise
        uid = getattr(result, "uid", "") or ref.uid
        self._answer(intent, IntentState.DONE, uid=uid if isinstance(uid, str) else "")
        return result

    def create(self, manifest: Manifest, *, key: str, verb: str, after: Mapping[str, Any]) -> Ref:
        """Creates an object of ours, or adopts the one that a tick made which died before it could say so.

        `AlreadyExists` is raised for an object that does not carry this migration's reference.
        """

        def call() -> Ref:
            try:
                return self.cluster.create(manifest)
            except AlreadyExists as error:
                if error.labels.get(LABEL) != self.migration.reference:
                    raise
                return error.existing

        return self.act(key=key, verb=verb, ref=manifest.ref, call=call, after=after)

    def _intend(
        self, *, key: str, verb: str, ref: Ref, before: Mapping[str, Any], after: Mapping[str, Any]
    ) -> Intent:
        with transaction.atomic():
            check_held(self.migration)
            intent, _ = Intent.objects.get_or_create(
                migration=self.migration,
                key=key,
                defaults={
                    "step": self.run.step,
                    "verb": verb,
                    "kind": ref.kind,
                    "namespace": ref.namespace,
                    "name": ref.name,
                    "uid": ref.uid,
                    "before": dict(before),
                    "after": dict(after),
                },
            )
            if intent.state != IntentState.INTENDED:
                intent.state = IntentState.INTENDED
                intent.save(update_fields=["state"])
            self._audit(intent, "intended")
        return intent

    def _answer(self, intent: Intent, state: IntentState, error: str = "", *, uid: str = "") -> None:
        # No lease is asked for here: what happened in the cluster is recorded whoever works on it now.
        with transaction.atomic():
            intent.state = state
            intent.error = error
            intent.answered_at = timezone.now()
            # An object that was made anew under the same name is the one that is ours now.
            intent.uid = uid or intent.uid
            intent.save(update_fields=["state", "error", "answered_at", "uid"])
            self._audit(intent, error or state.label.lower())

    def _audit(self, intent: Intent, note: str) -> None:
        record(
            actor=WORKER,
            verb=intent.verb,
            kind=intent.kind,
            key=f"{intent.namespace}/{intent.name}" if intent.namespace else intent.name,
            namespace=intent.namespace or self.migration.source_namespace,
            cluster=self.migration.cluster.name,
            before=intent.before,
            after={
                **intent.after,
                "migration": self.migration.reference,
                "step": intent.step,
                "uid": intent.uid,
            },
            note=note,
        )


def _maybe_done(error: ClusterError | GitOpsError) -> bool:
    """Whether the act may have happened all the same: the answer was lost. Git says for certain only what it refused."""
    if isinstance(error, ClusterError):
        return isinstance(error, Unavailable) and error.maybe_done
    return isinstance(error, RepositoryError) and not isinstance(error, PushRejected | PushConflict)
