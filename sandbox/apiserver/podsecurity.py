"""PodSecurity admission: the baseline and restricted profiles, by labels of the namespace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.apiserver.attributes import Attributes
from sandbox.apiserver.call import Call
from sandbox.apiserver.errors import forbidden
from sandbox.apiserver.store import Store

Json = dict[str, Any]

_PREFIX = "pod-security.kubernetes.io/"
_RANK = {"privileged": 0, "baseline": 1, "restricted": 2}
_BASELINE_CAPABILITIES = frozenset(
    [
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    ]
)
_SAFE_VOLUMES = frozenset(
    [
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ]
)
_TEMPLATES: dict[tuple[str, str], tuple[str, ...]] = {
    ("apps", "deployments"): ("spec", "template"),
    ("apps", "statefulsets"): ("spec", "template"),
    ("apps", "daemonsets"): ("spec", "template"),
    ("apps", "replicasets"): ("spec", "template"),
    ("batch", "jobs"): ("spec", "template"),
    ("batch", "cronjobs"): ("spec", "jobTemplate", "spec", "template"),
}


def check(store: Store, call: Call, attributes: Attributes) -> None:
    """StatusError 403 for a pod that the namespace does not allow; a Warning header for what makes such pods."""
    if attributes.new is None or attributes.subresource or not attributes.namespace:
        return
    entry = store.get(("", "namespaces"), "", attributes.namespace)
    labels = entry.labels if entry else {}
    enforce = labels.get(f"{_PREFIX}enforce", "privileged")
    warn = labels.get(f"{_PREFIX}warn", enforce)
    if attributes.resource.table == ("", "pods") and attributes.operation == "CREATE":
        _check_pod(call, attributes, labels, enforce, warn)
    elif path := _TEMPLATES.get(attributes.resource.table):
        template: Any = attributes.new
        for part in path:
            template = (template or {}).get(part)
        problems = violations((template or {}).get("spec") or {}, warn)
        if problems:
            call.warnings.append(
                f'would violate PodSecurity "{_profile(labels, "warn", warn)}": {", ".join(problems)}'
            )


def _check_pod(call: Call, attributes: Attributes, labels: dict[str, str], enforce: str, warn: str) -> None:
    spec = (attributes.new or {}).get("spec") or {}
    if problems := violations(spec, enforce):
        why = f'violates PodSecurity "{_profile(labels, "enforce", enforce)}": {", ".join(problems)}'
        raise forbidden("", "pods", attributes.name, why)
    if problems := violations(spec, warn):
        call.warnings.append(
            f'would violate PodSecurity "{_profile(labels, "warn", warn)}": {", ".join(problems)}'
        )


def _profile(labels: dict[str, str], mode: str, level: str) -> str:
    return f"{level}:{labels.get(f'{_PREFIX}{mode}-version', 'latest')}"


def violations(spec: Json, level: str) -> list[str]:
    """What a pod does that a level forbids, in the words of the real admission."""
    rank = _RANK.get(level, 0)
    checks = _BASELINE if rank else []
    if rank == 2:
        checks = [check for check in _BASELINE if check is not _capabilities] + _RESTRICTED
    containers = (spec.get("initContainers") or []) + (spec.get("containers") or [])
    return [text for check in checks if (text := check(spec, containers))]


def _names(containers: list[Json], bad: Callable[[Json], bool]) -> list[str]:
    return [one.get("name", "") for one in containers if bad(one.get("securityContext") or {})]


def _who(names: list[str]) -> str:
    quoted = ", ".join(f'"{name}"' for name in names)
    return f"container {quoted}" if len(names) == 1 else f"containers {quoted}"


def _host_namespaces(spec: Json, _: list[Json]) -> str:
    used = [f"{name}=true" for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    return f"host namespaces ({', '.join(used)})" if used else ""


def _privileged(_: Json, containers: list[Json]) -> str:
    names = _names(containers, lambda context: bool(context.get("privileged")))
    return f"privileged ({_who(names)} must not set securityContext.privileged=true)" if names else ""


def _capabilities(_: Json, containers: list[Json]) -> str:
    extra: set[str] = set()

    def bad(context: Json) -> bool:
        added = set((context.get("capabilities") or {}).get("add") or ()) - _BASELINE_CAPABILITIES
        extra.update(added)
        return bool(added)

    names = _names(containers, bad)
    if not names:
        return ""
    listed = ", ".join(f'"{name}"' for name in sorted(extra))
    return f"non-default capabilities ({_who(names)} must not include {listed} in securityContext.capabilities.add)"


def _host_paths(spec: Json, _: list[Json]) -> str:
    names = [f'"{one["name"]}"' for one in spec.get("volumes") or () if "hostPath" in one]
    if not names:
        return ""
    return f"hostPath volumes (volume{'s' if len(names) > 1 else ''} {', '.join(names)})"


def _seccomp_unconfined(spec: Json, containers: list[Json]) -> str:
    def unconfined(context: Json) -> bool:
        return (context.get("seccompProfile") or {}).get("type") == "Unconfined"

    names = _names(containers, unconfined)
    subjects = (["pod"] if unconfined(spec.get("securityContext") or {}) else []) + (
        [_who(names)] if names else []
    )
    if not subjects:
        return ""
    return f'seccompProfile ({" and ".join(subjects)} must not set securityContext.seccompProfile.type to "Unconfined")'


def _host_ports(_: Json, containers: list[Json]) -> str:
    names = [
        one["name"] for one in containers if any(port.get("hostPort") for port in one.get("ports") or ())
    ]
    return f"hostPort ({_who(names)} uses hostPorts)" if names else ""


def _escalation(_: Json, containers: list[Json]) -> str:
    names = _names(containers, lambda context: context.get("allowPrivilegeEscalation") is not False)
    if not names:
        return ""
    return f"allowPrivilegeEscalation != false ({_who(names)} must set securityContext.allowPrivilegeEscalation=false)"


def _all_dropped(_: Json, containers: list[Json]) -> str:
    keeping = _names(
        containers, lambda context: "ALL" not in ((context.get("capabilities") or {}).get("drop") or ())
    )
    extra: set[str] = set()

    def adds(context: Json) -> bool:
        added = set((context.get("capabilities") or {}).get("add") or ()) - {"NET_BIND_SERVICE"}
        extra.update(added)
        return bool(added)

    adding = _names(containers, adds)
    parts = [f'{_who(keeping)} must set securityContext.capabilities.drop=["ALL"]'] if keeping else []
    if adding:
        listed = ", ".join(f'"{name}"' for name in sorted(extra))
        parts.append(f"{_who(adding)} must not include {listed} in securityContext.capabilities.add")
    return f"unrestricted capabilities ({'; '.join(parts)})" if parts else ""


def _volume_types(spec: Json, _: list[Json]) -> str:
    bad = []
    for one in spec.get("volumes") or ():
        kinds = set(one) - {"name"}
        if kinds - _SAFE_VOLUMES:
            bad.append((one["name"], sorted(kinds - _SAFE_VOLUMES)[0]))
    if not bad:
        return ""
    names = ", ".join(f'"{name}"' for name, _ in bad)
    kinds_text = ", ".join(f'"{kind}"' for kind in sorted({kind for _, kind in bad}))
    plural = "s" if len(bad) > 1 else ""
    return f"restricted volume types (volume{plural} {names} use{'' if plural else 's'} restricted volume type{plural} {kinds_text})"


def _non_root(spec: Json, containers: list[Json]) -> str:
    pod = (spec.get("securityContext") or {}).get("runAsNonRoot")
    explicit = _names(containers, lambda context: context.get("runAsNonRoot") is False)
    if explicit:
        return f"runAsNonRoot != true ({_who(explicit)} must not set securityContext.runAsNonRoot=false)"
    names = _names(containers, lambda context: context.get("runAsNonRoot") is None)
    if pod is True or not names:
        return ""
    return f"runAsNonRoot != true (pod or {_who(names)} must set securityContext.runAsNonRoot=true)"


def _root_user(spec: Json, containers: list[Json]) -> str:
    names = _names(containers, lambda context: context.get("runAsUser") == 0)
    pod = (spec.get("securityContext") or {}).get("runAsUser") == 0
    subjects = (["pod"] if pod else []) + ([_who(names)] if names else [])
    return f"runAsUser=0 ({' and '.join(subjects)} must not set runAsUser=0)" if subjects else ""


def _seccomp(spec: Json, containers: list[Json]) -> str:
    good = ("RuntimeDefault", "Localhost")
    pod = ((spec.get("securityContext") or {}).get("seccompProfile") or {}).get("type")
    names = _names(
        containers, lambda context: (context.get("seccompProfile") or {}).get("type", pod) not in good
    )
    if not names:
        return ""
    return f'seccompProfile (pod or {_who(names)} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")'


_BASELINE = [_host_namespaces, _privileged, _capabilities, _host_paths, _host_ports, _seccomp_unconfined]
_RESTRICTED = [_escalation, _all_dropped, _volume_types, _non_root, _root_user, _seccomp]
