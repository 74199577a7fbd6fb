"""Turns a container of a pod into what the launcher runs: command, mounts, identity, capabilities."""

from __future__ import annotations

import base64
import os
import re
from pathlib import Path

from sandbox.controllers.core import Context
from sandbox.controllers.node.images import command_of, environment_of, host_directories
from sandbox.controllers.node.isolation import Bind, Spec
from sandbox.controllers.node.volumes import inside
from sandbox.controllers.objects import (
    Object,
    annotations_of,
    labels_of,
    name_of,
    namespace_of,
    spec_of,
    uid_of,
)
from sandbox.kinds import CONFIG_MAPS, SECRETS

_CAPABILITIES = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
]
# What container runtimes give when nothing is said.
_DEFAULT = frozenset(
    [
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "SETGID",
        "SETUID",
        "SETPCAP",
        "NET_BIND_SERVICE",
        "NET_RAW",
        "SYS_CHROOT",
        "MKNOD",
        "AUDIT_WRITE",
        "SETFCAP",
    ]
)
TERMINATION_LOG = "/dev/termination-log"
_REFERENCE = re.compile(r"\$\((\w+)\)|\$\$")


class BadContainer(Exception):
    """The container's description cannot be run (CreateContainerConfigError); says why."""


def build_spec(
    context: Context, pod: Object, container: Object, volumes: dict[str, Path], folder: Path, mode: str
) -> Spec | None:
    """None when the image stands for a process that only waits. `folder` is the container's own directory."""
    argv = command_of(container)
    if argv is None:
        return None
    env = _environment(context, pod, container)
    argv = [_expand(part, env) for part in argv]
    binds = _mounts(pod, container, volumes, folder)
    if mode == "paths":
        env = {key: _rewrite(value, binds) for key, value in env.items()}
        argv = [_rewrite(part, binds) for part in argv]
    binds += [
        Bind(str(path), str(path), read_only=True) for path in host_directories(container.get("image", ""))
    ]
    security = {**(spec_of(pod).get("securityContext") or {}), **(container.get("securityContext") or {})}
    uid = int(security.get("runAsUser") or 0)
    gid = int(security.get("runAsGroup") or 0)
    groups = [*(security.get("supplementalGroups") or [])]
    if security.get("fsGroup") is not None:
        groups.append(security["fsGroup"])
    if security.get("runAsNonRoot") and uid == 0:
        raise BadContainer("container has runAsNonRoot and image will run as root")
    cwd = container.get("workingDir") or "/"
    return Spec(
        mode=mode,
        root=str(folder / "root"),
        argv=argv,
        env=env,
        binds=sorted(binds, key=lambda bind: bind.target.count("/") if bind.target != "/" else 0),
        cwd=_rewrite(cwd, binds) if mode == "paths" else cwd,
        uid=uid,
        gid=gid,
        groups=groups,
        capabilities=_capabilities(security, uid),
        no_new_privileges=security.get("allowPrivilegeEscalation") is False,
        read_only_root=bool(security.get("readOnlyRootFilesystem")),
        hostname=name_of(pod)[:63],
    )


def _capabilities(security: Object, uid: int) -> list[int] | None:
    if security.get("privileged"):
        return None
    wanted = security.get("capabilities") or {}
    dropped, added = set(wanted.get("drop") or []), set(wanted.get("add") or [])
    kept = set() if "ALL" in dropped else set(_DEFAULT) - {name.removeprefix("CAP_") for name in dropped}
    kept |= set(_CAPABILITIES) if "ALL" in added else {name.removeprefix("CAP_") for name in added}
    if os.geteuid() != 0:
        # In a user namespace nothing beyond it can be reached; reading back own files must stay possible.
        kept |= {"CHOWN", "DAC_OVERRIDE", "FOWNER"} if uid == 0 and "ALL" not in dropped else set()
    return [number for number, name in enumerate(_CAPABILITIES) if name in kept]


def _mounts(pod: Object, container: Object, volumes: dict[str, Path], folder: Path) -> list[Bind]:
    sources = {volume["name"]: volume for volume in spec_of(pod).get("volumes") or []}
    binds = []
    for mount in container.get("volumeMounts") or []:
        directory = volumes[mount["name"]]
        claim = sources[mount["name"]].get("persistentVolumeClaim") or {}
        if mount.get("subPath"):
            directory = _sub_path(directory, mount["subPath"])
        read_only = bool(mount.get("readOnly") or claim.get("readOnly"))
        binds.append(Bind(str(directory), mount["mountPath"].rstrip("/") or "/", read_only))
    log = container.get("terminationMessagePath") or TERMINATION_LOG
    return [*binds, Bind(str(folder / "termination-log"), log)]


def _sub_path(directory: Path, relative: str) -> Path:
    try:
        target = inside(directory, relative)
    except ValueError as error:
        raise BadContainer(f"failed to prepare subPath: {error}") from error
    if not target.exists():
        target.mkdir(parents=True)
    return target


def _rewrite(text: str, binds: list[Bind]) -> str:
    """Replaces mount paths where they stand as whole path components."""
    for bind in sorted(binds, key=lambda bind: -len(bind.target)):
        path = rf"(?<![\w.\-/]){re.escape(bind.target)}(?![\w.\-])"
        text = re.sub(path, bind.source.replace("\\", r"\\"), text)
    return text


def _environment(context: Context, pod: Object, container: Object) -> dict[str, str]:
    env = {**environment_of(container.get("image", "")), "HOSTNAME": name_of(pod)}
    for source in container.get("envFrom") or []:
        env.update(_env_from(context, pod, source))
    for entry in container.get("env") or []:
        if "value" in entry or "valueFrom" not in entry:
            env[entry["name"]] = _expand(str(entry.get("value") or ""), env)
        else:
            value = _value_from(context, pod, entry["valueFrom"])
            if value is not None:
                env[entry["name"]] = value
    return env


def _expand(text: str, env: dict[str, str]) -> str:
    """$(NAME) as Kubernetes expands it; unknown names stay, $$ is $."""

    def replace(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        return env.get(found[1], found[0])

    return _REFERENCE.sub(replace, text)


def _env_from(context: Context, pod: Object, source: Object) -> dict[str, str]:
    prefix = source.get("prefix") or ""
    for field, resource in (("configMapRef", CONFIG_MAPS), ("secretRef", SECRETS)):
        if field in source:
            found = context.client.find(resource, source[field]["name"], namespace_of(pod))
            if found is None and not source[field].get("optional"):
                raise BadContainer(f'{resource.kind.lower()} "{source[field]["name"]}" not found')
            data = (found or {}).get("data") or {}
            return {prefix + key: _decoded(resource.kind, value) for key, value in data.items()}
    return {}


def _value_from(context: Context, pod: Object, source: Object) -> str | None:
    if "fieldRef" in source:
        return _field(pod, source["fieldRef"]["fieldPath"])
    for field, resource in (("configMapKeyRef", CONFIG_MAPS), ("secretKeyRef", SECRETS)):
        if field in source:
            wanted = source[field]
            found = context.client.find(resource, wanted["name"], namespace_of(pod))
            value = ((found or {}).get("data") or {}).get(wanted["key"])
            if value is None:
                if wanted.get("optional"):
                    return None
                raise BadContainer(f"couldn't find key {wanted['key']} in {resource.kind} {wanted['name']}")
            return _decoded(resource.kind, value)
    return None


def _decoded(kind: str, value: str) -> str:
    return base64.b64decode(value).decode(errors="replace") if kind == "Secret" else value


def _field(pod: Object, path: str) -> str:
    if found := re.fullmatch(r"metadata\.(labels|annotations)\['(.+)'\]", path):
        source = labels_of(pod) if found[1] == "labels" else annotations_of(pod)
        return source.get(found[2], "")
    values = {
        "metadata.name": name_of(pod),
        "metadata.namespace": namespace_of(pod),
        "metadata.uid": uid_of(pod),
        "spec.nodeName": spec_of(pod).get("nodeName", ""),
        "spec.serviceAccountName": spec_of(pod).get("serviceAccountName", ""),
        "status.podIP": (pod.get("status") or {}).get("podIP", ""),
        "status.hostIP": (pod.get("status") or {}).get("hostIP", ""),
    }
    return str(values.get(path, ""))
