"""The kubelet of all nodes: mounts, starts, reports and ends pods."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from sandbox.controllers.core import Context, Controller
from sandbox.controllers.node import images, isolation, runtime
from sandbox.controllers.node.plan import BadContainer, build_spec
from sandbox.controllers.node.podstatus import phase_from, started_before, status_with
from sandbox.controllers.node.runtime import ContainerRun, PodRun
from sandbox.controllers.node.volumes import NotYet, PodVolumes
from sandbox.controllers.objects import (
    Object,
    age_s,
    annotations_of,
    copied,
    is_deleting,
    is_finished,
    name_of,
    namespace_of,
    phase_of,
    spec_of,
    status_of,
    timestamp,
    uid_of,
)
from sandbox.kinds import (
    CONFIG_MAPS,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    SECRETS,
    VOLUME_ATTACHMENTS,
)

log = logging.getLogger(__name__)

_BY = "kubelet"
_LOOK_AGAIN_S = 2.0
_STOP_S = 0.15

PodKey = tuple[str, str]


class Kubelet(Controller):
    """One key a pod. Its worker threads live as long as the process, as the containers' parent must."""

    name = "kubelet"
    workers = 4

    def __init__(self, context: Context, mode: str) -> None:
        super().__init__(context)
        self.mode = mode
        self.pods = self.watch(PODS)
        self.watch(VOLUME_ATTACHMENTS, self._waiting)
        self.watch(PERSISTENT_VOLUME_CLAIMS, self._waiting)
        self.watch(PERSISTENT_VOLUMES, self._waiting)
        self.watch(CONFIG_MAPS, self._waiting)
        self.watch(SECRETS, self._waiting)
        self.volumes = PodVolumes(context)
        self._runs: dict[str, PodRun] = {}
        self._uids: dict[PodKey, set[str]] = {}
        self._stopping: dict[PodKey, float] = {}
        self._lock = threading.Lock()

    def _waiting(self, item: Object) -> Iterator[PodKey]:
        namespace = namespace_of(item) or None
        for pod in self.pods.list(namespace):
            if spec_of(pod).get("nodeName") and phase_of(pod) in ("", "Pending"):
                yield namespace_of(pod), name_of(pod)

    def reconcile(self, key: PodKey) -> float | None:
        pod = self.pods.get(key[1], key[0])
        self._drop_others(key, uid_of(pod) if pod is not None else "")
        if pod is None or not spec_of(pod).get("nodeName"):
            return None
        if is_deleting(pod):
            return self._terminate(key, pod)
        if is_finished(pod):
            self._forget(uid_of(pod))
            return None
        return self._sync(key, pod)

    # -- bookkeeping ------------------------------------------------------------------------------

    def _drop_others(self, key: PodKey, uid: str) -> None:
        """Ends what earlier pods of this name left: their objects are gone."""
        with self._lock:
            known = self._uids.setdefault(key, set())
            gone = {entry for entry in known if entry != uid}
            known -= gone
            if uid:
                known.add(uid)
            if not known:
                del self._uids[key]
        for entry in gone:
            for run in self._runs.get(entry, PodRun("", self.context.data)).all:
                runtime.kill(run)
            self._forget(entry)
            self._clean(entry)

    def _forget(self, uid: str) -> None:
        self._runs.pop(uid, None)

    def _clean(self, uid: str) -> None:
        for folder in ("pods", "logs"):
            shutil.rmtree(self.context.data / folder / uid, ignore_errors=True)

    # -- running ----------------------------------------------------------------------------------

    def _sync(self, key: PodKey, pod: Object) -> float | None:
        run = self._runs.get(uid_of(pod))
        if run is None:
            if images.runs_processes(pod) and (started_before(pod) or self._left_traces(pod)):
                return self._after_loss(key, pod)
            if started_before(pod) and phase_of(pod) == "Running":
                return self._overdue(key, pod, None)
            run = self._new_run(pod)
        again_s = self._advance(key, pod, run)
        if (late_s := self._overdue(key, pod, run)) is not None:
            again_s = min(again_s or late_s, late_s)
        return again_s

    def _new_run(self, pod: Object) -> PodRun:
        directory = self.volumes.directory_of(pod)
        run = runtime.pod_run(uid_of(pod), spec_of(pod), directory, self.context.data)
        self._runs[uid_of(pod)] = run
        return run

    def _advance(self, key: PodKey, pod: Object, run: PodRun) -> float | None:
        """Starts what may start now, and reports. Returns when to look again."""
        again_s: float | None = None
        try:
            again_s = self._start_due(key, pod, run)
        except NotYet as error:
            again_s = _LOOK_AGAIN_S
            if error.warn:
                self._say(pod, "FailedMount", str(error), "Warning")
        held = annotations_of(pod).get(images.FAIL) == "not-ready"
        fresh = status_with(pod, run, phase_from(pod, run), ready=not held)
        self._report(pod, fresh)
        return again_s

    def _start_due(self, key: PodKey, pod: Object, run: PodRun) -> float | None:
        for item in run.init:
            if item.exit_code != 0:
                return self._step(key, pod, item)
        waits = [self._step(key, pod, item) for item in run.main]
        return min((wait for wait in waits if wait is not None), default=None)

    def _step(self, key: PodKey, pod: Object, run: ContainerRun) -> float | None:
        """One container: start it, start it again, or leave it."""
        if run.running:
            return self._kill_when_told(pod, run)
        if run.exit_code is not None:
            policy = spec_of(pod).get("restartPolicy", "Always")
            if policy == "Never" or (policy == "OnFailure" and run.exit_code == 0):
                return None
            if not runtime.restart_due(run):
                run.problem = (
                    "CrashLoopBackOff",
                    f"back-off restarting failed container {run.name} in pod {name_of(pod)}",
                )
                self._say(pod, "BackOff", run.problem[1], "Warning")
                return max(0.05, run.restart_due - time.monotonic())
            runtime.restarted(run)
        return self._start(key, pod, run)

    def _start(self, key: PodKey, pod: Object, run: ContainerRun) -> float | None:
        image = run.container.get("image", "")
        if images.is_missing(image) or annotations_of(pod).get(images.FAIL) == "image-pull":
            run.problem = ("ImagePullBackOff", f'Back-off pulling image "{image}"')
            self._say(pod, "Failed", f'Failed to pull image "{image}": not found', "Warning")
            return 5.0
        mounts = self.volumes.resolve(pod)
        runtime.prepare(run)
        try:
            spec = self._spec(pod, run, mounts)
        except BadContainer as error:
            run.problem = ("CreateContainerConfigError", str(error))
            self._say(pod, "Failed", f"Error: {error}", "Warning")
            return 5.0
        run.problem = None
        self._say(pod, "Pulled", f'Container image "{image}" already present on machine')
        self._say(pod, "Created", f"Created container: {run.name}")
        runtime.start(run, spec, lambda: self.queue.add(key))
        if run.waits and self._crashes(pod, run):
            return 0.05
        if run.running:
            self._say(pod, "Started", f"Started container {run.name}")
        else:
            self._say(pod, "Failed", f"Error: {run.message}", "Warning")
            return 0.05
        return self._kill_when_told(pod, run)

    def _spec(self, pod: Object, run: ContainerRun, mounts: dict[str, Path]) -> isolation.Spec | None:
        if not images.runs_processes(pod):
            return None
        return build_spec(self.context, pod, run.container, mounts, run.folder, self.mode)

    def _crashes(self, pod: Object, run: ContainerRun) -> bool:
        """Pretended containers: those of init and of Jobs end at once, those that shall fail do."""
        if annotations_of(pod).get(images.FAIL) == "crash":
            run.exit_code, run.reason, run.finished_at = 1, "Error", timestamp()
            return True
        init = any(entry["name"] == run.name for entry in spec_of(pod).get("initContainers") or [])
        if init or spec_of(pod).get("restartPolicy", "Always") != "Always":
            run.exit_code, run.reason, run.finished_at = 0, "Completed", timestamp()
            return True
        return False

    def _kill_when_told(self, pod: Object, run: ContainerRun) -> float | None:
        after = annotations_of(pod).get(images.OOM)
        if after is None or not run.running:
            return None
        left_s = float(after) - age_s(run.started_at)
        if left_s <= 0:
            runtime.kill(run, "OOMKilled")
            return None
        return left_s

    def _overdue(self, key: PodKey, pod: Object, run: PodRun | None) -> float | None:
        """The pod's own activeDeadlineSeconds."""
        del key
        deadline = spec_of(pod).get("activeDeadlineSeconds")
        started = status_of(pod).get("startTime")
        if deadline is None or not started:
            return None
        left_s = float(deadline) - age_s(started)
        if left_s > 0:
            return left_s
        for item in run.all if run else []:
            runtime.kill(item)
        message = "Pod was active on the node longer than the specified deadline"
        if run is None or not any(item.running for item in run.all):
            self._fail(pod, run, "DeadlineExceeded", message)
            return None
        return 0.1

    def _left_traces(self, pod: Object) -> bool:
        """A container was started here, though the sandbox died before it could report that."""
        return any((self.volumes.directory_of(pod) / "containers").glob(f"*/{runtime.SPEC_FILE}"))

    def _after_loss(self, key: PodKey, pod: Object) -> float | None:
        """The processes died with the sandbox: what the API still calls running has failed."""
        run = self._new_run(pod)
        known = {
            entry["name"]: entry
            for field in ("initContainerStatuses", "containerStatuses")
            for entry in status_of(pod).get(field) or []
        }
        for item in run.all:
            entry = known.get(item.name) or {}
            item.restarts = int(entry.get("restartCount") or 0)
            if not entry.get("containerID") and not (item.folder / runtime.SPEC_FILE).exists():
                continue
            ended = (entry.get("state") or {}).get("terminated")
            running = (entry.get("state") or {}).get("running") or {}
            item.started_at = (ended or running).get("startedAt") or timestamp()
            item.finished_at = (ended or {}).get("finishedAt") or timestamp()
            item.exit_code = int((ended or {}).get("exitCode", 255))
            item.reason = (ended or {}).get("reason", "Unknown")
            item.message = (ended or {}).get("message", "The container was lost when its node restarted")
        return self._advance(key, pod, run)

    # -- ending -----------------------------------------------------------------------------------

    def _terminate(self, key: PodKey, pod: Object) -> float | None:
        run = self._runs.get(uid_of(pod))
        live = [item for item in run.all if item.running] if run else []
        if run is None or not images.runs_processes(pod):
            wait_s = float(annotations_of(pod).get(images.STOP) or _STOP_S)
            left_s = self._since_deletion(key, wait_s)
            if left_s > 0:
                return left_s
            for item in live:
                runtime.ask_to_stop(item)
            return self._remove(pod, run)
        if not live:
            return self._remove(pod, run)
        if not run.stop_asked_at:
            run.stop_asked_at = time.monotonic()
            for item in live:
                self._say(pod, "Killing", f"Stopping container {item.name}")
                runtime.ask_to_stop(item)
        grace_s = float(pod["metadata"].get("deletionGracePeriodSeconds") or 0)
        left_s = run.stop_asked_at + grace_s - time.monotonic()
        if left_s <= 0:
            for item in live:
                runtime.kill(item)
            return 0.1
        return left_s

    def _since_deletion(self, key: PodKey, wait_s: float) -> float:
        with self._lock:
            since = self._stopping.setdefault(key, time.monotonic())
            left_s = since + wait_s - time.monotonic()
            if left_s <= 0:
                del self._stopping[key]
        return left_s

    def _remove(self, pod: Object, run: PodRun | None) -> float | None:
        """The last report, then the object goes (as far as its finalizers let it)."""
        if not is_finished(pod):
            self._fail_or_finish(pod, run)
        self._forget(uid_of(pod))
        self.context.delete(PODS, pod, grace_period_s=0)
        return None

    def _fail_or_finish(self, pod: Object, run: PodRun | None) -> None:
        if run is None:
            run = self._new_run(pod)
            for item in run.all:
                item.started_at = item.finished_at = timestamp()
                lost = images.runs_processes(pod)
                item.exit_code, item.reason = (137, "ContainerStatusUnknown") if lost else (0, "Completed")
        clean = all(item.exit_code == 0 for item in run.main)
        self._report(pod, status_with(pod, run, "Succeeded" if clean else "Failed"))

    def _fail(self, pod: Object, run: PodRun | None, reason: str, message: str) -> None:
        fresh = status_with(pod, run or self._new_run(pod), "Failed", reason=reason, message=message)
        self._report(pod, fresh)

    def _report(self, pod: Object, fresh: Object) -> None:
        if fresh.get("status") == pod.get("status"):
            return
        self.context.replace_status(PODS, copied(fresh))
        if phase_of(fresh) in ("Succeeded", "Failed") and not is_finished(pod):
            self._forget(uid_of(pod))

    def _say(self, pod: Object, reason: str, message: str, kind: str = "Normal") -> None:
        self.context.event(pod, PODS, kind, reason, message, _BY)
