"""Checks of the source claims themselves."""

from collections.abc import Iterable

from cluster.flux import flux_protected
from dashboard.protection import HELM_POLICY
from migrations_app.rules.claims import holders
from worker import facts
from worker.checks.check import Check, passed, stop, warn
from worker.context import Context


def bound(context: Context) -> Iterable[Check]:
    """Bound, not on its way out, and the volume agrees."""
    title = "Claims are bound"
    problems = []
    for transfer in context.transfers:
        where = f"{context.migration.source_namespace}/{transfer.source_name}"
        claim = context.cluster.get_claim(context.migration.source_namespace, transfer.source_name)
        volume = context.cluster.get_volume(transfer.source_volume)
        if claim is None or volume is None or claim.phase != "Bound":
            problems.append(
                stop("claim-bound", title, f"{where} is not bound.", "Find out why, or leave it out.")
            )
        elif claim.deleting or volume.deleting:
            problems.append(
                stop(
                    "claim-bound",
                    title,
                    f"{where} is being deleted: it goes away when the last pod that uses it goes.",
                    "Set its volume to Retain now, then restore the claim before you move it.",
                    f'kubectl patch pv {volume.name} -p \'{{"spec":{{"persistentVolumeReclaimPolicy":"Retain"}}}}\'',
                )
            )
        elif volume.claim_ref is None or volume.claim_ref.uid != claim.uid:
            problems.append(
                stop(
                    "claim-bound",
                    title,
                    f"{where} and volume {volume.name} do not name each other.",
                    "Another claim may own the volume. Mend the binding first.",
                    f"kubectl get pv {volume.name} -o yaml",
                )
            )
    yield from problems or [passed("claim-bound", title, "Each claim and its volume name each other.")]


def ordinary(context: Context) -> Iterable[Check]:
    """A file system, not in a resize, not owned by something that makes it again or collects it."""
    title = "Claims can be copied"
    problems = []
    for transfer in context.transfers:
        where = f"{context.migration.source_namespace}/{transfer.source_name}"
        claim = context.cluster.get_claim(context.migration.source_namespace, transfer.source_name)
        if claim is None:
            continue
        if claim.volume_mode == "Block":
            problems.append(
                stop(
                    "claim-ordinary",
                    title,
                    f"{where} is a block volume: it has no files that could be compared.",
                    "Move it with the tools of the application that writes to it.",
                )
            )
        if claim.resizing:
            problems.append(
                stop(
                    "claim-ordinary",
                    title,
                    f"{where} is being resized.",
                    "Wait until the resize is finished, then run the checks again.",
                    f"kubectl describe pvc -n {claim.namespace} {claim.name}",
                )
            )
        owners = ", ".join(f"{owner.kind} {owner.name}" for owner in claim.owner_references)
        if owners:
            problems.append(
                stop(
                    "claim-ordinary",
                    title,
                    f"{where} is owned by {owners}: it would be made again, or deleted together with its owner.",
                    "Move it with the operator that owns it, or take the owner reference off first.",
                )
            )
        if "ReadWriteOncePod" in claim.access_modes and context.migration.warm_passes:
            problems.append(
                stop(
                    "claim-ordinary",
                    title,
                    f"{where} admits one pod only (ReadWriteOncePod), so it cannot be copied while it is in use.",
                    "Set warm passes to 0.",
                )
            )
    yield from problems or [
        passed("claim-ordinary", title, "File systems, no resize, no owner that would make them again.")
    ]


def alone(context: Context) -> Iterable[Check]:
    """No other volume names the same storage: what writes through it could not be seen, and would lose it at a purge."""
    title = "Storage belongs to the claims alone"
    problems = []
    volumes = {volume.name: volume for volume in context.cluster.list_volumes()}
    for transfer in context.transfers:
        mine = volumes.get(transfer.source_volume)
        if mine is None or not mine.volume_handle:
            continue
        storage = (mine.driver, mine.volume_handle)
        others = [
            v for v in volumes.values() if v.name != mine.name and (v.driver, v.volume_handle) == storage
        ]
        for other in others:
            verdict = stop if other.phase == "Bound" else warn
            problems.append(
                verdict(
                    "claim-alone",
                    title,
                    f"Volume {other.name} ({other.phase}) is the same storage as {mine.name} of {transfer.source_name}: "
                    "a pod that uses it could write unseen.",
                    "Stop what uses it, then delete that volume object; its storage stays where its policy is Retain.",
                    f"kubectl get pv {other.name} -o yaml",
                )
            )
    yield from problems or [passed("claim-alone", title, "No other volume names the same storage.")]


def free(context: Context) -> Iterable[Check]:
    """No other migration holds them."""
    title = "Claims are free"
    held = holders(context.migration)
    yield from [
        stop(
            "claim-free",
            title,
            f"{claim} is held by migration {other}.",
            "Finish or roll back that one first.",
        )
        for claim, other in held
    ] or [passed("claim-free", title, "No other migration holds one of them.")]


def protected(context: Context) -> Iterable[Check]:
    """Protection of the source until sign-off. Missing protection does not stop a move, but should be known."""
    title = "Claims are protected until sign-off"
    flux, helm, others, volumes = [], [], [], []
    for transfer in context.transfers:
        claim = context.cluster.get_claim(context.migration.source_namespace, transfer.source_name)
        if claim is None:
            continue
        kind = transfer.facts.get("owner", {}).get("kind")
        marked = flux_protected(claim.labels, claim.annotations)
        if kind in {"HelmRelease", "Helm"}:
            # Flux's mark means nothing to Helm.
            if claim.annotations.get(HELM_POLICY, "").strip().lower() != "keep":
                helm.append(claim.name)
        elif kind == "Kustomization" or facts.elsewhere(context.cluster, claim):
            if not marked:
                flux.append(claim.name)
        elif not marked and transfer.facts["volume"]["reclaim_policy"] != "Retain":
            others.append(claim.name)
            volumes.append(transfer.source_volume)
    if flux:
        yield warn(
            "claim-protected",
            title,
            f"Nothing keeps Flux from pruning {', '.join(flux)} while the migration runs.",
            "Protect them in Git first (see the claim's page).",
        )
    if helm:
        yield warn(
            "claim-protected",
            title,
            f"Helm deletes {', '.join(helm)} when the release is uninstalled or its chart drops them.",
            f"Have the chart give them {HELM_POLICY}: keep first (see the claim's page).",
        )
    if others:
        yield warn(
            "claim-protected",
            title,
            f"Flux does not prune {', '.join(others)}. But kubectl delete, of a claim or of namespace "
            f"{context.migration.source_namespace}, destroys the data: there is no protecting mark, and the volume is not on Retain.",
            "Set the volumes to Retain before you start; Release does it in any case.",
            f'kubectl patch pv {" ".join(volumes)} -p \'{{"spec":{{"persistentVolumeReclaimPolicy":"Retain"}}}}\'',
        )
    if not (flux or helm or others):
        yield passed(
            "claim-protected",
            title,
            "Each carries the mark that its owner honours, or its volume is on Retain.",
        )
