"""CronJobs: starts Jobs by schedule unless suspended, and keeps status.active true."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sandbox.controllers.core import Context, Controller
from sandbox.controllers.objects import (
    Object,
    copied,
    is_controlled_by,
    is_deleting,
    name_of,
    namespace_of,
    now,
    owner_reference,
    parsed_time,
    spec_of,
    status_of,
    timestamp,
    uid_of,
)
from sandbox.controllers.workloads.jobstatus import finished_reason
from sandbox.controllers.workloads.replicas import owner_keys
from sandbox.kinds import CRON_JOBS, JOBS

_ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]


class CronJobs(Controller):
    name = "cronjobs"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.crons = self.watch(CRON_JOBS)
        self.jobs = self.watch(JOBS, lambda job: owner_keys(job, "CronJob"))

    def reconcile(self, key: tuple[str, str]) -> float | None:
        cron = self.crons.get(key[1], key[0])
        if cron is None or is_deleting(cron):
            return None
        jobs = [job for job in self.jobs.list(key[0]) if is_controlled_by(job, cron)]
        self._report(cron, jobs)
        self._trim(cron, jobs)
        if spec_of(cron).get("suspend"):
            return None
        wanted = parse_schedule(spec_of(cron)["schedule"])
        last = status_of(cron).get("lastScheduleTime") or cron["metadata"]["creationTimestamp"]
        due = next_time(wanted, max(parsed_time(last), now() - timedelta(minutes=2)))
        if due is None:
            return None
        if due <= now():
            self._start(cron, due, [job for job in jobs if not finished_reason(job)])
            return 1.0
        return (due - now()).total_seconds() + 0.05

    def _start(self, cron: Object, due: datetime, active: list[Object]) -> None:
        policy = spec_of(cron).get("concurrencyPolicy", "Allow")
        if policy == "Replace":
            for job in active:
                self.context.delete(JOBS, job, propagation="Background")
        if policy != "Forbid" or not active:
            template = copied(spec_of(cron)["jobTemplate"])
            name = f"{name_of(cron)}-{int(due.timestamp()) // 60}"
            meta = template.get("metadata") or {}
            body = {
                "metadata": {
                    "name": name,
                    "labels": meta.get("labels") or {},
                    "annotations": meta.get("annotations") or {},
                    "ownerReferences": [owner_reference(cron, "batch/v1", "CronJob")],
                },
                "spec": template["spec"],
            }
            if self.jobs.get(name, namespace_of(cron)) is None:
                self.context.create(JOBS, body, namespace_of(cron))
                message = f"Created job {name}"
                self.context.event(
                    cron, CRON_JOBS, "Normal", "SuccessfulCreate", message, "cronjob-controller"
                )
        fresh = copied(self.crons.get(name_of(cron), namespace_of(cron)) or cron)
        fresh.setdefault("status", {})["lastScheduleTime"] = timestamp(due)
        self.context.replace_status(CRON_JOBS, fresh)

    def _trim(self, cron: Object, jobs: list[Object]) -> None:
        for kind, field, default in (
            ("Complete", "successfulJobsHistoryLimit", 3),
            ("Failed", "failedJobsHistoryLimit", 1),
        ):
            ended = [job for job in jobs if finished_reason(job) == kind and not is_deleting(job)]
            ended.sort(key=lambda job: job["metadata"]["creationTimestamp"])
            limit = int(spec_of(cron).get(field, default))
            for job in ended[: max(0, len(ended) - limit)]:
                self.context.delete(JOBS, job, propagation="Background")

    def _report(self, cron: Object, jobs: list[Object]) -> None:
        active = [
            {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "name": name_of(job),
                "namespace": namespace_of(job),
                "uid": uid_of(job),
            }
            for job in jobs
            if not finished_reason(job)
        ]
        fresh = copied(cron)
        status = fresh.setdefault("status", {})
        status["active"] = active
        if not active:
            status.pop("active")
        if status != status_of(cron):
            self.context.replace_status(CRON_JOBS, fresh)


Schedule = tuple[set[int], set[int], set[int], set[int], set[int], bool, bool]


def parse_schedule(text: str) -> Schedule:
    """Five fields, names, steps, lists and the @ forms. ValueError otherwise."""
    fields = _ALIASES.get(text.strip(), text).split()
    if len(fields) != 5:
        raise ValueError(f"not a schedule: {text!r}")
    minute, hour, day, month, weekday = (
        _field(field, low, high) for field, (low, high) in zip(fields, _RANGES, strict=True)
    )
    return minute, hour, day, month, weekday, fields[2].startswith("*"), fields[4].startswith("*")


def _field(text: str, low: int, high: int) -> set[int]:
    found: set[int] = set()
    for part in text.lower().split(","):
        span, _, step = part.partition("/")
        if span in ("*", "?"):
            first, last = low, high
        else:
            left, _, right = span.partition("-")
            first = _number(left)
            last = _number(right) if right else (high if step else first)
        found.update(range(first, last + 1, int(step or 1)))
    return {number % 7 for number in found} if high == 6 else found


def _number(text: str) -> int:
    if text in _MONTHS:
        return _MONTHS.index(text) + 1
    return _DAYS.index(text) if text in _DAYS else int(text)


def next_time(schedule: Schedule, after: datetime) -> datetime | None:
    """The first minute after a moment that the schedule names, within a year. Times are UTC."""
    minute, hour, day, month, weekday, any_day, any_weekday = schedule
    moment = after.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
    limit = moment + timedelta(days=366)
    while moment < limit:
        in_day, in_week = moment.day in day, (moment.weekday() + 1) % 7 in weekday
        fits = (in_day and in_week) if any_day or any_weekday else (in_day or in_week)
        if moment.month not in month or not fits:
            moment = moment.replace(hour=0, minute=0) + timedelta(days=1)
        elif moment.hour not in hour:
            moment = moment.replace(minute=0) + timedelta(hours=1)
        elif moment.minute not in minute:
            moment += timedelta(minutes=1)
        else:
            return moment
    return None
