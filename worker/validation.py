"""Runs the validations that are asked for or due. A thread of the watcher, since probing thousands of claims outlasts a tick."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from datetime import timedelta

from django.conf import settings
from django.db import IntegrityError, OperationalError, connections, transaction
from django.utils import timezone

from audit.trail import Actor, record
from cluster.client import Cluster
from cluster.errors import ClusterError
from dashboard import models, validation
from dashboard.states import RunState
from dashboard.validation import Finding

log = logging.getLogger(__name__)
LOOK_EVERY_S = 2.0
WATCHER = Actor.system("watcher")
CHUNK = 200


class Validator:
    """Serves the runs of one cluster: `reader` reads policies, `prober` asks for dry-run deletions and has no other right."""

    def __init__(self, name: str, reader: Cluster, prober: Cluster) -> None:
        self.name = name
        self.reader = reader
        self.prober = prober
        self.stopped = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._serve, name="validation", daemon=True).start()

    def stop(self) -> None:
        self.stopped.set()

    def _serve(self) -> None:
        interrupted = False
        while not self.stopped.wait(LOOK_EVERY_S):
            try:
                interrupted = interrupted or self.fail_interrupted()
                self.once()
            except OperationalError as error:
                log.warning("The database is away: %s", error)
                connections.close_all()
            except Exception:
                log.exception("Validation failed.")

    def fail_interrupted(self) -> bool:
        """Ends runs that a former process left running."""
        left = models.ValidationRun.objects.filter(cluster__name=self.name, state=RunState.RUNNING)
        for run in left.select_related("cluster"):
            self._finish(run, [], "The watcher ended while it ran. Ask for another run.")
        return True

    def once(self) -> models.ValidationRun | None:
        """Runs what is requested or due; the run that ended, None when there was nothing to do."""
        row = models.Cluster.objects.filter(name=self.name).first()
        if row is None:
            return None
        self._schedule(row)
        run = row.validations.filter(state=RunState.REQUESTED).first()
        if run is None or not self._take(run):
            return None
        self._execute(run)
        return run

    def _schedule(self, row: models.Cluster) -> None:
        """Requests a run when the last one is older than HOLDFAST_VALIDATION_HOURS (0: only on demand)."""
        hours = settings.HOLDFAST_VALIDATION_HOURS
        last = row.validations.first()
        due = last is None or last.requested_at < timezone.now() - timedelta(hours=hours)
        if not hours or not due or row.listed_at is None or validation.open_run_of(row):
            return
        try:
            with transaction.atomic():
                run = models.ValidationRun.objects.create(cluster=row)
                record(
                    actor=WATCHER,
                    verb="validation.request",
                    kind="validation",
                    key=str(run.pk),
                    cluster=row.name,
                    after={"state": str(RunState.REQUESTED)},
                )
        except IntegrityError:
            log.info("A validation was requested at the same moment.")

    def _take(self, run: models.ValidationRun) -> bool:
        taken = models.ValidationRun.objects.filter(pk=run.pk, state=RunState.REQUESTED)
        return bool(taken.update(state=RunState.RUNNING, started_at=timezone.now()))

    def _execute(self, run: models.ValidationRun) -> None:
        findings: list[Finding] = []
        try:
            findings.extend(self._findings(run.cluster))
            error = "The watcher ended while it ran. Ask for another run." if self.stopped.is_set() else ""
        except ClusterError as problem:
            error = str(problem)
        except Exception:
            self._finish(run, findings, "It ended unexpectedly; the log of the watcher says why.")
            raise
        self._finish(run, findings, error)

    def _findings(self, row: models.Cluster) -> Iterator[Finding]:
        claims = list(models.Claim.objects.filter(cluster=row).present())
        yield from validation.protection_findings(claims)
        yield from validation.policy_findings(self.reader.admission())
        for claim in claims:
            if self.stopped.is_set():
                return
            found = validation.probe_finding(claim, self.prober.probe_delete(claim.namespace, claim.name))
            if found:
                yield found

    def _finish(self, run: models.ValidationRun, findings: list[Finding], error: str) -> None:
        """Saves everything at once: a run is either open, or complete with its history and its audit row."""
        with transaction.atomic():
            models.ValidationResult.objects.bulk_create([_row(run, f) for f in findings], batch_size=CHUNK)
            run.state = RunState.FAILED if error else RunState.FINISHED
            run.finished_at = timezone.now()
            run.answer = validation.worst(findings)
            run.summary, run.error = validation.summary(findings), error
            run.save(update_fields=["state", "finished_at", "answer", "summary", "error"])
            record(
                actor=WATCHER,
                verb="validation.finish",
                kind="validation",
                key=str(run.pk),
                cluster=run.cluster.name,
                after={"state": run.state, "answer": run.answer, "summary": run.summary, "error": error},
            )


def _row(run: models.ValidationRun, finding: Finding) -> models.ValidationResult:
    return models.ValidationResult(
        run=run,
        check_kind=finding.check,
        answer=finding.answer,
        subject=finding.subject,
        namespace=finding.namespace,
        title=finding.title[:200],
        detail=finding.detail,
        next=finding.next,
        command=finding.command,
        facts=finding.facts,
    )
