"""Runs mover Jobs: creates or adopts them, keeps their logs and progress, reads their verdict.

Success is the Job's condition together with the mover's own result. Never an exit code alone, never a log line alone.
"""

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Max
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from cluster.errors import AlreadyExists, NotFound
from cluster.values import JobStatus, Manifest, Pod, Ref
from migrations_app.models import LogLine, Transfer
from migrations_app.problems import Problem
from worker.context import Context
from worker.manifests import LABEL
from worker.outcomes import Again

# A pod that has not started by then gets its events shown; it is still waited for.
SLOW_START = timedelta(seconds=20)
LOG_BYTES_A_TICK = 256 * 1024


@dataclass(frozen=True)
class Verdict:
    """How a mover Job stands. `result` is the mover's JSON once it ended; `problem` is set when it failed."""

    state: str  # running, done, failed
    message: str = ""
    result: dict[str, Any] | None = None
    problem: Problem | None = None


def run(context: Context, transfer: Transfer, manifest: Manifest) -> Verdict:
    """Creates the Job if it is not there, and tells how it stands."""
    job = context.cluster.get_job(manifest.namespace, manifest.name)
    if job is None:
        _create(context, manifest)
        return Verdict("running", f"{transfer.source_name}: the Job is created.")
    _check_ours(context, job)
    pods = context.cluster.pods_of_job(job)
    if pods:
        _keep_log(context, transfer, manifest.name, pods[0])
    if not job.result:
        return Verdict("running", _waiting_for(context, transfer, job, pods))
    result = _result(context, manifest.name, pods)
    if job.result == "Failed":
        return Verdict("failed", result=result, problem=_failure(transfer, manifest, job, result))
    if result is None:
        return Verdict("failed", problem=_no_result(transfer, manifest))
    return Verdict("done", result=result)


def remove(context: Context, manifest: Manifest) -> bool:
    """Deletes a Job that ended, with its pods, since a finished pod still holds the claims. True when all are gone."""
    job = context.cluster.get_job(manifest.namespace, manifest.name)
    pods = context.cluster.list_pods(
        manifest.namespace, label_selector=f"batch.kubernetes.io/job-name={manifest.name}"
    )
    if job is None:
        return not pods
    if not job.deleting:
        _check_ours(context, job)
        try:
            context.act(
                key=f"{context.run.step}/job.delete/{manifest.name}",
                verb="job.delete",
                ref=job.ref,
                call=lambda: context.cluster.delete(job.ref, propagation="Background"),
            )
        except NotFound:
            return False
    return False


def _create(context: Context, manifest: Manifest) -> None:
    try:
        context.act(
            key=f"{context.run.step}/job.create/{manifest.name}",
            verb="job.create",
            ref=manifest.ref,
            call=lambda: context.cluster.create(manifest),
            after={"command": manifest.data["spec"]["template"]["spec"]["containers"][0]["command"]},
        )
    except AlreadyExists as error:
        # Created by a tick that died before it could say so: adopted, if it is ours.
        if error.labels.get(LABEL) != context.migration.reference:
            raise


def _check_ours(context: Context, job: JobStatus) -> None:
    if job.labels.get(LABEL) != context.migration.reference:
        raise AlreadyExists(
            f"Job {job.namespace}/{job.name} exists and does not belong to this migration.",
            safe="It was not touched.",
            next="Find out who made it, remove it, then retry.",
            existing=Ref(job.ref.api_version, job.kind, job.namespace, job.name, job.uid),
            labels=dict(job.labels),
            annotations=dict(job.annotations),
        )


def _keep_log(context: Context, transfer: Transfer, job_name: str, pod: Pod) -> None:
    """Stores new log lines, and the last progress among them."""
    known = LogLine.objects.filter(migration=context.migration, job=job_name)
    last = known.aggregate(last=Max("at"))["last"]
    lines = context.cluster.pod_logs(
        pod.namespace, pod.name, "mover", since=last, limit_bytes=LOG_BYTES_A_TICK
    )
    # The server repeats lines of the last moment: those that are kept already are left out.
    repeated = set(known.filter(at=last).values_list("text", flat=True)) if last else set()
    fresh = [
        (at, text) for at, text in lines if last is None or at > last or (at == last and text not in repeated)
    ]
    LogLine.objects.bulk_create(
        LogLine(
            migration=context.migration,
            transfer=transfer,
            step=context.run.step,
            attempt=context.run.attempt,
            job=job_name,
            at=at,
            text=text,
        )
        for at, text in fresh
    )
    progress = [found for _, text in fresh if (found := _parsed(text)) and found.get("t") == "progress"]
    if progress:
        transfer.progress = {
            **progress[-1],
            "job": job_name,
            "step": context.run.step,
            "at": timezone.now().isoformat(),
        }
        transfer.save(update_fields=["progress"])


def _result(context: Context, job_name: str, pods: list[Pod]) -> dict[str, Any] | None:
    """The mover's result: the whole from its log, else the summary from its termination message."""
    lines = LogLine.objects.filter(
        migration=context.migration, job=job_name, text__startswith='{"t":"result"'
    )
    last = lines.order_by("-at", "-id").values_list("text", flat=True).first()
    found = _parsed(last) if last else None
    if found is not None:
        return found
    for pod in pods:
        for container in pod.containers:
            if container.name == "mover" and container.state == "terminated":
                summary = _parsed(container.message)
                if summary is not None:
                    return summary
    return None


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _waiting_for(context: Context, transfer: Transfer, job: JobStatus, pods: list[Pod]) -> str:
    """A sentence for a Job that runs; for one that does not start, the reason that the cluster gives."""
    name = transfer.source_name
    if pods and pods[0].phase == "Running":
        at = parse_datetime(transfer.progress.get("at", "")) if transfer.progress else None
        return f"{name}: the mover is at work." if at else f"{name}: the mover has started."
    started = job.started_at or job.created_at
    if started and timezone.now() - started < SLOW_START:
        return f"{name}: waiting for the pod to start."
    events = context.cluster.events_of(pods[0].uid if pods else job.uid, job.namespace)
    warnings = [event for event in events if event.type == "Warning"]
    reason = (
        f"{warnings[-1].reason}: {warnings[-1].message}" if warnings else "the cluster gives no reason yet"
    )
    return f"{name}: the pod has not started. {reason}"


def _failure(
    transfer: Transfer, manifest: Manifest, job: JobStatus, result: dict[str, Any] | None
) -> Problem:
    errors = (result or {}).get("errors") or []
    detail = (
        "; ".join(f"{e['path']}: {e['reason']}" for e in errors[:3]) or f"{job.reason} {job.message}".strip()
    )
    return Problem(
        f"The mover of {transfer.source_name} failed. {detail}",
        "The source was mounted read-only and is unchanged.",
        "Mend the cause, then retry: the next run completes what is there.",
        f"kubectl logs -n {manifest.namespace} job/{manifest.name}",
        "mover-failed",
    )


def _no_result(transfer: Transfer, manifest: Manifest) -> Problem:
    return Problem(
        f"The mover of {transfer.source_name} ended without a result that can be read.",
        "The source was mounted read-only and is unchanged. Nothing counts as copied or proven.",
        "Retry.",
        f"kubectl logs -n {manifest.namespace} job/{manifest.name}",
        "mover-silent",
    )


def remove_every(context: Context) -> Again | None:
    """Removes all Jobs and pods of this migration, those of failed attempts too: a finished pod holds its claims."""
    namespace = context.migration.source_namespace
    selector = f"{LABEL}={context.migration.reference}"
    jobs = context.cluster.list_jobs(namespace, label_selector=selector)
    for job in jobs:
        if not job.deleting:
            context.act(
                key=f"{context.run.step}/job.delete/{job.name}",
                verb="job.delete",
                ref=job.ref,
                call=lambda job=job: context.cluster.delete(job.ref, propagation="Background"),  # type: ignore[misc]
            )
    pods = context.cluster.list_pods(namespace, label_selector=selector)
    if jobs or pods:
        return Again(f"Waiting for {len(pods)} mover pods to be gone.", after_s=0.5)
    return None
