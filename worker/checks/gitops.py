"""Checks of the Git side: who would undo or destroy what we do."""

from collections.abc import Iterable
from dataclasses import replace

from dashboard.ownership import ELSEWHERE
from gitops.errors import GitOpsError
from gitops.locate import declared
from migrations_app.models import GitMode
from migrations_app.rules import pushing
from worker import declarations, gitside, releasing
from worker.checks.check import Check, passed, stop, warn
from worker.context import Context
from worker.followed import not_followed

# What an application often needs beside its workloads and claims. Holdfast moves none of it.
_BESIDE = (
    "Service", "ConfigMap", "Secret", "SealedSecret", "ExternalSecret", "Ingress", "HTTPRoute",
    "IngressRoute", "ServiceAccount", "Role", "RoleBinding", "NetworkPolicy", "CiliumNetworkPolicy",
    "PodDisruptionBudget", "HorizontalPodAutoscaler", "ScaledObject", "CronJob", "Job", "Deployment",
    "StatefulSet", "DaemonSet", "PersistentVolumeClaim", "Certificate", "ServiceMonitor", "PodMonitor",
    "HelmRelease", "ResourceQuota", "LimitRange",
)  # fmt: skip
_SHOWN = 20


def owner(context: Context) -> Iterable[Check]:
    """The source's owner is healthy, ours to suspend, and the only one."""
    title = "GitOps owner of the source"
    found = context.migration.source_owner
    if not found:
        yield passed("gitops-owner", title, "No Kustomization and no HelmRelease holds the claims.")
        return
    what = f"{found['kind']} {found['namespace']}/{found['name']}"
    others = [f"{o['kind']} {o['namespace']}/{o['name']}" for o in found.get("others", [])]
    if others:
        yield stop(
            "gitops-owner",
            title,
            f"The claims and workloads belong to more than one owner: {what}, {', '.join(others)}.",
            "Move them one owner at a time.",
        )
        return
    if found["kind"] == "Application":
        yield stop(
            "gitops-owner",
            title,
            f"Argo CD application {found['name']} applies the claims or their workloads: it would put back whatever is scaled down or removed.",
            "Holdfast does not steer Argo CD. Hand the application over to Flux, or take the claims out of it first (Prune=false, then out of Git).",
            f"kubectl get applications.argoproj.io -A --field-selector metadata.name={found['name']}",
        )
        return
    if found["kind"] == "Helm":
        yield warn(
            "gitops-owner",
            title,
            f"Release {found['namespace']}/{found['name']} of Helm made it.",
            "Run no helm command on it while the data moves. At Release you take the claims out of it.",
            f"helm list -n {found['namespace']}",
        )
        return
    if found["kind"] == "HelmRelease":
        release = context.cluster.get_helm_release(found["namespace"], found["name"])
        if release is None or release.suspended:
            yield stop(
                "gitops-owner",
                title,
                f"{what} is missing or suspended already.",
                "Resume it, or ask who suspended it.",
            )
        else:
            yield warn(
                "gitops-owner",
                title,
                f"{what} holds it.",
                "Holdfast suspends it. At Release you change it in Git so that it no longer makes the claims.",
            )
        return
    kustomization = context.cluster.get_kustomization(found["namespace"], found["name"])
    if kustomization is None:
        yield stop("gitops-owner", title, f"{what} is not there.", "Run the checks again.")
    elif kustomization.suspended:
        yield stop(
            "gitops-owner",
            title,
            f"{what} is suspended already, by somebody else.",
            "Ask who suspended it and why; resume it before you start.",
            f"flux resume kustomization -n {found['namespace']} {found['name']}",
        )
    elif kustomization.ready is None or kustomization.ready.status != "True":
        reason = kustomization.ready.message if kustomization.ready else "no condition yet"
        not_ready = stop(
            "gitops-owner",
            title,
            f"{what} is not ready: {reason}",
            "Mend it first: while one object fails, nothing is pruned.",
            f"flux get kustomization -n {found['namespace']} {found['name']}",
        )
        yield replace(
            not_ready, passing=bool(kustomization.ready and kustomization.ready.status == "Unknown")
        )
    elif not kustomization.prune:
        yield warn(
            "gitops-owner",
            title,
            f"{what} does not prune.",
            "The workload has to be deleted by hand at release.",
        )
    else:
        yield passed("gitops-owner", title, f"{what} is ready, prunes, and is not suspended.")


def unsteered(context: Context) -> Iterable[Check]:
    """Owners that only labels name, and that Holdfast can neither see nor suspend."""
    title = "Owners that cannot be seen"
    facts = [transfer.facts.get("unsteered", {}) for transfer in context.transfers]
    elsewhere = sorted({name for each in facts for name in each.get("elsewhere", [])})
    instances = sorted({name for each in facts for name in each.get("argo_instance", [])})
    if elsewhere:
        yield warn(
            "gitops-unseen",
            title,
            f"Labels of the claims or their workloads name Kustomization {', '.join(elsewhere)}, which is not in this cluster. {ELSEWHERE}",
            "Where it lives in another cluster, suspend it there until the release is done, and take the source out of its Git then: "
            "it would start the application on the source again, and make the claims anew.",
        )
    if instances:
        yield warn(
            "gitops-unseen",
            title,
            f"Argo CD is installed, and label app.kubernetes.io/instance names {', '.join(instances)}: where Argo CD tracks by label, "
            "that is the application that applies the claims or their workloads.",
            "If there is such an application, hand it over first: Holdfast does not steer Argo CD, which would put back whatever is scaled down or removed.",
            "kubectl get applications.argoproj.io -A",
        )
    if not elsewhere and not instances:
        yield passed("gitops-unseen", title, "No label names one.")


def parents(context: Context) -> Iterable[Check]:
    """Those that would lift the owner's suspension rest with it, and so does all that they apply."""
    title = "Parents of the owner"
    migration = context.migration
    found = migration.source_owner.get("parents", [])
    if not found:
        yield passed("gitops-parents", title, "None would lift the suspension of the owner.")
        return
    names = ", ".join(f"Kustomization {one['namespace']}/{one['name']}" for one in found)
    chosen = {key: migration.destination_owner.get(key) for key in ("namespace", "name")}
    if any({key: one[key] for key in chosen} == chosen for one in found):
        yield stop(
            "gitops-parents",
            title,
            f"Git states spec.suspend below {names}, so it is suspended while the data moves, and it applies the destination, too.",
            "Take spec.suspend out of the source's Kustomization in Git, then run the checks again.",
        )
        return
    yield warn(
        "gitops-parents",
        title,
        f"Git states spec.suspend below {names}: it would lift the suspension, so it is suspended first, and nothing else of it is applied meanwhile.",
        "To keep it running, take spec.suspend out of the source's Kustomization in Git, then run the checks again.",
    )


def destination_owner(context: Context) -> Iterable[Check]:
    title = "GitOps owner of the destination"
    migration = context.migration
    if migration.git_mode == GitMode.NONE or migration.within_namespace:
        yield passed("gitops-destination", title, "None is needed.")
        return
    found = migration.destination_owner
    if not found:
        verdict = stop if migration.git_mode in {GitMode.DIRECT, GitMode.BRANCH} else warn
        yield verdict(
            "gitops-destination",
            title,
            "No Kustomization was chosen that applies the destination.",
            "Choose one on the Destination page, or create one in Git.",
        )
        return
    kustomization = context.cluster.get_kustomization(found["namespace"], found["name"])
    what = f"Kustomization {found['namespace']}/{found['name']}"
    source = {
        key: migration.source_owner.get(key) for key in ("source_kind", "source_namespace", "source_name")
    }
    if kustomization is None:
        yield stop(
            "gitops-destination", title, f"{what} does not exist.", "Create it in Git, or choose another one."
        )
    elif (found["namespace"], found["name"]) == (
        migration.source_owner.get("namespace"),
        migration.source_owner.get("name"),
    ):
        yield stop(
            "gitops-destination",
            title,
            f"{what} applies the source too: it is suspended while the data moves, so it cannot deploy the destination.",
            "Give the destination a Kustomization of its own.",
        )
    elif any(source.values()) and source != {key: getattr(kustomization, key) for key in source}:
        yield stop(
            "gitops-destination",
            title,
            f"{what} applies {kustomization.source_kind} {kustomization.source_name}, the source comes from {source['source_kind']} {source['source_name']}.",
            "Choose one that applies the same repository: a migration changes one repository.",
        )
    elif kustomization.suspended:
        yield stop(
            "gitops-destination", title, f"{what} is suspended.", "Resume it, or ask who suspended it."
        )
    else:
        yield passed("gitops-destination", title, f"{what} applies {kustomization.path}.")


def release_path(context: Context) -> Iterable[Check]:
    """The chosen path of release can work here."""
    title = "Path of release"
    found = list(releasing.of(context.migration).misfits(context))
    yield from [stop("release-path", title, each.text, each.next) for each in found] or [
        passed("release-path", title, f"{context.migration.release_text}.")
    ]


def repository(context: Context) -> Iterable[Check]:
    """The repository can be read, and the changes that the migration needs can be made with certainty."""
    title = "Git changes"
    migration = context.migration
    declared = migration.source_owner.get("kind") == "Kustomization"
    if migration.git_mode == GitMode.NONE:
        if declared:
            yield stop(
                "git-changes",
                title,
                "The application is declared in Git, but Git was set to “not in Git”: Flux would bring back what is removed.",
                "Choose how Git is changed on the Options page.",
            )
        else:
            yield passed("git-changes", title, "Nothing of it is in Git.")
        return
    row = gitside.row_for(migration)
    other = not_followed(context.cluster, migration.source_owner, row) if declared else ""
    if other:
        yield stop("git-changes", title, other, "Mend what Holdfast knows of the repository under Settings.")
        return
    if forbidden := pushing.too_much(row, migration.git_mode) if row else "":
        yield stop(
            "git-changes",
            title,
            forbidden,
            "Choose another way on the Options page, or ask an admin to allow it under Settings.",
        )
        return
    found = gitside.changes(context, releasing.of(migration).changes(migration))
    for problem in found.problems:
        by_hand = migration.git_mode == GitMode.MANUAL
        verdict = warn if by_hand else stop
        yield verdict("git-changes", title, problem.happened, problem.next, problem.command)
    if not found.problems:
        yield passed(
            "git-changes",
            title,
            f"{len(found.deploy_paths)} files change at Deploy, {len(found.release_paths)} at Release.",
        )


def left_behind(context: Context) -> Iterable[Check]:
    """What Git declares in the source beside what is moved: the application may not start without it."""
    title = "What stays in the source"
    migration = context.migration
    row = gitside.row_for(migration)
    owned = migration.source_owner.get("kind") == "Kustomization" and not migration.within_namespace
    if migration.git_mode == GitMode.NONE or not owned or row is None:
        yield passed("git-left-behind", title, "Nothing that Holdfast could see in Git.")
        return
    try:
        clone = gitside.repository(row)
        found = declared(clone.tree(clone.refresh()), declarations.flux_path(migration.source_owner), _BESIDE)
    except GitOpsError as error:
        yield warn("git-left-behind", title, f"It could not be read: {error.what}", "Look for yourself.")
        return
    moved = set(declarations.source_objects(migration))
    left = [ref for ref in found if ref not in moved and ref.namespace in {"", migration.source_namespace}]
    if not left:
        yield passed("git-left-behind", title, "Git declares nothing else there.")
        return
    names = [f"{ref.kind} {ref.name}" for ref in left]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    yield warn(
        "git-left-behind",
        title,
        f"Git declares these in {migration.source_namespace} too, and they are not moved: {', '.join(names[:_SHOWN])}{more}.",
        f"Add to {migration.destination_namespace} in Git what the application needs there, before Deploy.",
    )
