"""Checks of what the worker may do, each missing rule named."""

from collections.abc import Iterable, Mapping
from typing import Any

from cluster import errors
from cluster.client import Cluster
from cluster.values import Manifest, Rule
from migrations_app.models import GitMode
from worker import manifests
from worker.checks.check import Check, passed, stop
from worker.context import Context


def needed(context: Context) -> list[Rule]:
    """Every permission that this migration uses, by namespace."""
    migration = context.migration
    source, destination = migration.source_namespace, migration.destination_namespace
    rules = [
        Rule("create", "batch", "jobs", source),
        Rule("get", "batch", "jobs", source),
        Rule("delete", "batch", "jobs", source),
        Rule("list", "", "pods", source),
        Rule("get", "", "pods", source, "log"),
        Rule("list", "", "events", source),
        Rule("get", "", "persistentvolumes"),
        Rule("list", "", "persistentvolumes"),
        Rule("patch", "", "persistentvolumes"),
        Rule("list", "storage.k8s.io", "volumeattachments"),
    ]
    for namespace in dict.fromkeys((source, destination)):
        rules += [
            Rule(verb, "", "persistentvolumeclaims", namespace)
            for verb in ("get", "create", "patch", "delete")
        ]
    # Whether the application runs there, and whether anything still uses a claim that goes.
    rules.append(Rule("list", "", "pods", destination))
    kinds = {w["kind"] for t in context.transfers for w in t.facts.get("workloads", [])}
    if "Deployment" in kinds:
        rules += [
            Rule("get", "apps", "deployments", source),
            Rule("patch", "apps", "deployments", source, "scale"),
        ]
    if "StatefulSet" in kinds:
        rules += [
            Rule("get", "apps", "statefulsets", source),
            Rule("patch", "apps", "statefulsets", source, "scale"),
        ]
    if "CronJob" in kinds:
        rules.append(Rule("patch", "batch", "cronjobs", source))
    owner = migration.source_owner
    if owner.get("kind") == "Kustomization":
        rules += [
            Rule("get", "kustomize.toolkit.fluxcd.io", "kustomizations", owner["namespace"]),
            Rule("patch", "kustomize.toolkit.fluxcd.io", "kustomizations", owner["namespace"]),
            Rule("patch", "source.toolkit.fluxcd.io", "gitrepositories", owner["source_namespace"]),
        ]
        if migration.git_mode != GitMode.NONE and not migration.within_namespace:
            rules += _of_destination_owner(migration.destination_owner)
    elif owner.get("kind") == "HelmRelease":
        rules.append(Rule("patch", "helm.toolkit.fluxcd.io", "helmreleases", owner["namespace"]))
    rules += [
        Rule("patch", "kustomize.toolkit.fluxcd.io", "kustomizations", parent["namespace"])
        for parent in owner.get("parents", [])
    ]
    return list(dict.fromkeys(rules))


def _of_destination_owner(owner: Mapping[str, Any]) -> list[Rule]:
    """Deploy and Roll back ask the destination's Kustomization, if one was chosen, for a pass."""
    group = "kustomize.toolkit.fluxcd.io"
    verbs = ("get", "patch") if owner else ()
    return [Rule(verb, group, "kustomizations", owner["namespace"]) for verb in verbs]


def rules(context: Context) -> Iterable[Check]:
    title = "Access rules"
    wanted = needed(context)
    missing = context.cluster.can_i(wanted)
    yield from [
        stop(
            "access",
            title,
            f"The worker may not {rule}.",
            "Add the rule (docs/reference/rbac.md has the whole role).",
            _can_i(rule),
        )
        for rule in missing
    ] or [passed("access", title, f"All {len(wanted)} rules are granted.")]


def _can_i(rule: Rule) -> str:
    resource = (
        rule.resource
        + (f".{rule.group}" if rule.group else "")
        + (f"/{rule.subresource}" if rule.subresource else "")
    )
    where = f" -n {rule.namespace}" if rule.namespace else ""
    return f"kubectl auth can-i {rule.verb} {resource}{where}"


def mover_allowed(context: Context) -> Iterable[Check]:
    """Pod Security refuses pods, other rules may refuse Jobs: a dry run of the very objects is the only answer."""
    title = "The mover may run"
    jobs = _jobs(context)
    tried = ([manifests.pod_of(jobs[0])], jobs)
    problems = [found for each in tried if (found := _refused(context.cluster, title, each))]
    yield from problems or [passed("mover", title, "The server accepts its pod and its Jobs in a dry run.")]


def _jobs(context: Context) -> list[Manifest]:
    """A Job for each purpose. Those of other claims differ in names alone."""
    migration, transfer = context.migration, context.transfers[0]
    purposes = ["copy", "verify", "digest", *(["warm"] if migration.warm_passes else [])]
    return [
        manifests.mover_job(migration, transfer, purpose=purpose, attempt=1, final=purpose != "warm")
        for purpose in purposes
    ]


def _refused(cluster: Cluster, title: str, tried: Iterable[Manifest]) -> Check | None:
    """The first refusal among these; None when the server would take each, or has it."""
    for manifest in tried:
        try:
            cluster.dry_run_create(manifest)
        except errors.Denied as error:
            return _denied(title, manifest, error)
        except (errors.QuotaExceeded, errors.Invalid, errors.Forbidden) as error:
            return stop("mover", title, error.happened, error.next)
        except errors.AlreadyExists:
            continue
    return None


def _denied(title: str, manifest: Manifest, error: errors.Denied) -> Check:
    why = error.message or error.happened
    if manifest.kind == "Pod":
        return stop(
            "mover",
            title,
            f"Namespace {manifest.namespace} does not admit the mover: {why}",
            "A faithful copy has to keep owners, so it runs as root with a few capabilities: level baseline admits it.",
            f"kubectl get namespace {manifest.namespace} --show-labels",
        )
    return stop(
        "mover",
        title,
        f"Namespace {manifest.namespace} does not admit the mover's Job {manifest.name}: {why}",
        "Have the rule leave out Jobs with label app.kubernetes.io/managed-by=holdfast. It would be met when the application is down already.",
        error.command,
    )
