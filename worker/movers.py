"""Runs mover Jobs: creates or adopts them, keeps their logs and progress, reads their verdict.

Success is the Job's condition together with the mover's own result. Never an exit code alone, never a log line alone.
"""

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Max
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from audit.canonical import plain
from cluster.errors import AlreadyExists, NotFound, Unavailable
from cluster.values import JobStatus, Manifest, Pod, Ref
from migrations_app.models import LogLine, Transfer
from migrations_app.problems import Problem
from migrations_app.states import IntentState
from worker.context import LABEL, Context
from worker.outcomes import Again

# A pod that has not started by then gets its events shown; it is still waited for.
SLOW_START = timedelta(seconds=20)
# So long is asked for the rest of a log that is not given: the node may be gone, or have cleaned it up.
LOG_PATIENCE = timedelta(minutes=1)
LOG_BYTES_A_TICK = 256 * 1024
AT_WORK = ": the mover is at work."
JOB_NAME = "batch.kubernetes.io/job-name"


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
    _check_ours(context, job, _key(context, manifest))
    pods = sorted(context.cluster.pods_of_job(job), key=lambda pod: (str(pod.created_at), pod.name))
    fresh = sum(_keep_log(context, transfer, manifest.name, pod) for pod in pods)
    # A condition alone is not the end: nothing is judged, removed or begun beside a pod that still writes.
    if not job.result or job.active or any(not pod.finished for pod in pods):
        return Verdict("running", _waiting_for(context, transfer, job, pods))
    result, complete = _result(context, job, pods)
    if not complete and fresh:
        return Verdict("running", f"{transfer.source_name}: the rest of the mover's log is read.")
    if job.result == "Failed":
        return Verdict("failed", result=result, problem=_failure(transfer, manifest, job, result))
    if result is None:
        return Verdict("failed", problem=_no_result(transfer, manifest))
    return Verdict("done", result=result)


def remove(context: Context, manifest: Manifest) -> bool:
    """Deletes a Job that ended, with its pods, since a finished pod still holds the claims. True when all are gone."""
    job = context.cluster.get_job(manifest.namespace, manifest.name)
    pods = context.cluster.list_pods(manifest.namespace, label_selector=f"{JOB_NAME}={manifest.name}")
    if job is None:
        return not pods
    _check_ours(context, job)
    _delete(context, job)
    return False


def _create(context: Context, manifest: Manifest) -> None:
    command = manifest.data["spec"]["template"]["spec"]["containers"][0]["command"]
    context.create(manifest, key=_key(context, manifest), verb="job.create", after={"command": command})


def _key(context: Context, manifest: Manifest) -> str:
    return f"{context.run.step}/job.create/{manifest.name}"


def _check_ours(context: Context, job: JobStatus, key: str = "") -> None:
    """By its label; with the `key` of its creation also that we meant to make it, and that it is the one that we made."""
    ours = job.labels.get(LABEL) == context.migration.reference
    if ours and key:
        made = context.migration.intents.filter(key=key).first()
        ours = made is not None and (made.state != IntentState.DONE or made.uid == job.uid)
    if not ours:
        raise AlreadyExists(
            f"Job {job.namespace}/{job.name} exists and does not belong to this migration.",
            safe="It was not touched.",
            next="Find out who made it, remove it, then retry.",
            existing=Ref(job.ref.api_version, job.kind, job.namespace, job.name, job.uid),
            labels=dict(job.labels),
            annotations=dict(job.annotations),
        )


def _keep_log(context: Context, transfer: Transfer, job_name: str, pod: Pod) -> int:
    """Stores new log lines, and the last progress among them. How many lines were new."""
    known = LogLine.objects.filter(migration=context.migration, job=job_name)
    last = known.aggregate(last=Max("at"))["last"]
    lines = _new_lines(context, pod, last)
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
    return len(fresh)


def _new_lines(context: Context, pod: Pod, since: datetime | None) -> list[tuple[datetime, str]]:
    """What the pod has said since. Of a finished one that its node cannot give for a while, nothing more: its summary is enough."""
    mark = f"log_away/{pod.uid}"
    try:
        lines = context.cluster.pod_logs(
            pod.namespace, pod.name, "mover", since=since, limit_bytes=LOG_BYTES_A_TICK
        )
    except Unavailable:
        began = datetime.fromisoformat(context.memory.setdefault(mark, timezone.now().isoformat()))
        # A clock that was set back must not make it look younger for ever.
        if not pod.finished or abs(timezone.now() - began) < LOG_PATIENCE:
            raise
        return []
    context.memory.pop(mark, None)
    return lines


# What the result in a log and the summary of the pod that decided must agree about.
_SAME = ("program", "command", "outcome", "content_digest", "metadata_digest", "differences_total")


def _result(context: Context, job: JobStatus, pods: list[Pod]) -> tuple[dict[str, Any] | None, bool]:
    """The mover's result, and whether it is whole: from its log, else the summary from its termination message.

    A Job may have had several pods. The one whose end decided is believed; what another one printed is not.
    """
    lines = LogLine.objects.filter(
        migration=context.migration, job=job.name, text__startswith='{"t":"result"'
    )
    last = lines.order_by("-at", "-id").values_list("text", flat=True).first()
    logged = _parsed(last) if last else None
    summary = _summary([pod for pod in pods if job.result != "Complete" or pod.phase == "Succeeded"])
    if logged is None:
        return summary, False
    if summary is not None and any(logged.get(key) != summary.get(key) for key in _SAME):
        return summary, False
    return logged, True


def _summary(pods: list[Pod]) -> dict[str, Any] | None:
    """The termination message of the last of the pods that left one."""
    for pod in reversed(pods):
        for container in pod.containers:
            if container.name == "mover" and container.state == "terminated":
                found = _parsed(container.message)
                if found is not None and found.get("program") == "holdfast-mover":
                    return found
    return None


def _parsed(text: str) -> dict[str, Any] | None:
    """The JSON object in a line, as PostgreSQL can keep it: no NUL, no half surrogate, no NaN. None for any other line."""
    try:
        found = plain(json.loads(text))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _waiting_for(context: Context, transfer: Transfer, job: JobStatus, pods: list[Pod]) -> str:
    """A sentence for a Job that runs; for one that does not start, the reason that the cluster gives."""
    name = transfer.source_name
    if pods and pods[0].phase == "Running":
        at = parse_datetime(transfer.progress.get("at", "")) if transfer.progress else None
        return f"{name}{AT_WORK}" if at else f"{name}: the mover has started."
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
        _delete(context, job)
    pods = context.cluster.list_pods(namespace, label_selector=selector)
    if jobs or pods:
        return _waiting_for_pods(jobs, pods, "")
    return None


def remove_others(context: Context, keep: set[str]) -> Again | None:
    """Removes this migration's Jobs that are not in `keep`: a mover of an earlier attempt must not write beside this one."""
    namespace = context.migration.source_namespace
    selector = f"{LABEL}={context.migration.reference}"
    jobs = [j for j in context.cluster.list_jobs(namespace, label_selector=selector) if j.name not in keep]
    for job in jobs:
        _delete(context, job)
    pods = [
        pod
        for pod in context.cluster.list_pods(namespace, label_selector=selector)
        if pod.labels.get(JOB_NAME) not in keep
    ]
    if jobs or pods:
        return _waiting_for_pods(jobs, pods, " of an earlier attempt")
    return None


def _waiting_for_pods(jobs: list[JobStatus], pods: list[Pod], which: str) -> Again:
    """A pod whose Job was deleted without it is nobody's: it stays for ever, and is named."""
    orphans = [pod for pod in pods if not jobs and pod.finished and not pod.deleting]
    # The pods of a Job may be gone before it is.
    number, kind = (len(pods), "pod") if pods else (len(jobs), "Job")
    said = f"Waiting for {number} mover {kind}{'' if number == 1 else 's'}{which} to be gone."
    if orphans:
        names = " ".join(pod.name for pod in orphans)
        said += f" Their Job is gone already, so delete them: kubectl delete pod -n {orphans[0].namespace} {names}"
    return Again(said, after_s=0.5 if not orphans else 2.0)


def _delete(context: Context, job: JobStatus) -> None:
    """Deletes a Job of ours with its pods. Gone already is as good."""
    if job.deleting:
        return
    with suppress(NotFound):
        context.act(
            key=f"{context.run.step}/job.delete/{job.name}",
            verb="job.delete",
            ref=job.ref,
            call=lambda: context.cluster.delete(job.ref, propagation="Background"),
        )
