"""What the sandbox does for an image: which command it stands for, and whether a process runs at all."""

from __future__ import annotations

import sys
from pathlib import Path

from sandbox.controllers.objects import Object, annotations_of, controller_of

PREFIX = "sandbox.holdfast.dev"
FAIL = f"{PREFIX}/fail"  # image-pull | crash | not-ready
RUN = f"{PREFIX}/run"  # "true": run the processes of a workload's pod
OOM = f"{PREFIX}/oom-kill-after-seconds"
STOP = f"{PREFIX}/stop-seconds"  # how long a pod without processes takes to go away

REPOSITORY = Path(__file__).resolve().parents[3]

_SHELLS = ("alpine", "busybox", "debian", "ubuntu", "bash", "rsync")
_WRITER = (
    "trap 'exit 0' TERM; i=0; while :; do "
    'i=$((i+1)); echo "$(date -u +%Y-%m-%dT%H:%M:%S.%NZ) $HOSTNAME beat $i" >> /data/heartbeat.log; '
    "sleep 1 & wait $!; done"
)


def short_name(image: str) -> str:
    """`registry.example/team/alpine:3@sha256:..` -> `alpine`."""
    return image.partition("@")[0].rsplit("/", 1)[-1].partition(":")[0]


def is_mover(image: str) -> bool:
    return short_name(image).startswith("holdfast-mover")


def is_missing(image: str) -> bool:
    """An image that no registry has, for tests: `sandbox/missing`, or any with the tag `missing`."""
    return image.startswith("sandbox/missing") or image.endswith(":missing")


def runs_processes(pod: Object) -> bool:
    """Pods of Jobs and bare pods run; pods of workloads only pretend, unless an image or annotation asks."""
    if annotations_of(pod).get(RUN) == "true":
        return True
    containers = pod["spec"].get("containers") or []
    if any(container.get("image", "").startswith("sandbox/writer") for container in containers):
        return True
    owner = controller_of(pod)
    return owner is None or owner.get("kind") == "Job"


def command_of(container: Object) -> list[str] | None:
    """The command line, entry points of images included. None: the image stands for a process that only waits."""
    image = container.get("image", "")
    command, arguments = container.get("command") or [], container.get("args") or []
    if not command:
        command = _entry_point(image, bool(arguments))
        if command is None:
            return None
    line = [*command, *arguments]
    if is_mover(image) and Path(line[0]).name in ("python", "python3"):
        line[0] = sys.executable
    return [str(part) for part in line]


def _entry_point(image: str, has_arguments: bool) -> list[str] | None:
    if image.startswith("sandbox/writer"):
        return ["/bin/sh", "-c", _WRITER]
    if image.startswith("sandbox/fail"):
        return ["/bin/sh", "-c", "echo failing as asked; exit 1"]
    if is_mover(image):
        return ["python", "-m", "mover"]
    if short_name(image) in _SHELLS:
        return [] if has_arguments else ["/bin/sh"]
    return None


def environment_of(image: str) -> dict[str, str]:
    base = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
    if is_mover(image):
        base["PATH"] = f"{Path(sys.executable).parent}:{base['PATH']}"
        base["PYTHONPATH"] = str(REPOSITORY)
        base["PYTHONUNBUFFERED"] = "1"
        base["PYTHONDONTWRITEBYTECODE"] = "1"
    return base


def host_directories(image: str) -> list[Path]:
    """What an image needs of this machine beyond its system directories."""
    if not is_mover(image):
        return []
    wanted = [Path(sys.base_prefix), Path(sys.prefix), REPOSITORY / "mover"]
    system = ("/usr", "/bin", "/lib", "/etc")
    kept = [path for path in wanted if not any(path.is_relative_to(top) for top in system)]
    return list(dict.fromkeys(kept))
