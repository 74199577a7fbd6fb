"""Release: the source goes, in an order in which neither Flux nor a crash can lose its data.

Path P1 of domain fact A6. Before anything: the signature still holds, the source hashes to what was proven, every
source volume is on Retain and was read back so. Then Git; then Flux applies it and drops the claims from its inventory
while they are still protected; only then is each claim unprotected and deleted, by UID and resourceVersion.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from django.utils import timezone

from cluster.flux import flux_protected
from cluster.values import Claim, Manifest
from migrations_app.actions import signing
from migrations_app.models import GitMode, SignOffRequest, Transfer
from migrations_app.problems import Problem, Refused
from migrations_app.rules.signoff import why_void
from worker import copying, flux, gitside, manifests, movers, owners, stillness
from worker.context import WORKER, Context
from worker.outcomes import Again, Done, GoBack, Outcome, Stop, Wait

Live = SignOffRequest.State
PROTECTION_KEYS = (
    "kustomize.toolkit.fluxcd.io/prune",
    "kustomize.toolkit.fluxcd.io/reconcile",
    "kustomize.toolkit.fluxcd.io/ssa",
)
WAS_POLICY = "holdfast.dev/reclaim-policy"
# How old the look at the source may be when the first claim is deleted.
HASH_HOLDS = timedelta(minutes=15)


def tick(context: Context) -> Outcome:
    return (
        _check_destination(context)
        or _signed(context)
        or _hash_source(context)
        or _retain_volumes(context)
        or _use_signature(context)
        or _remove_from_git(context)
        or _delete_claims(context)
        or _finish(context)
    )


def _check_destination(context: Context) -> Outcome | None:
    """The data's new home is looked at before each act against the old one."""
    for transfer in context.transfers:
        claim = context.cluster.get_claim(context.migration.destination_namespace, transfer.destination_name)
        lost = claim is None or claim.uid != transfer.destination_uid or claim.deleting
        if lost or claim.phase != "Bound" or claim.volume_name != transfer.staging_volume:  # type: ignore[union-attr]
            return Stop(
                Problem(
                    f"Destination claim {transfer.destination_name} is gone, replaced or no longer bound.",
                    "The source still has its data: nothing more of it is deleted.",
                    "Find out what happened to the destination. Roll back if nothing was deleted yet.",
                    f"kubectl describe pvc -n {context.migration.destination_namespace} {transfer.destination_name}",
                    "destination-lost",
                )
            )
    return None


def _signed(context: Context) -> Outcome | None:
    request = context.migration.sign_off_requests.order_by("-id").first()
    if request is not None and request.state == Live.USED:
        return None
    if request is None or request.state != Live.APPROVED:
        return GoBack("sign-off", "There is no approved sign-off.")
    reason = why_void(request)
    if reason:
        signing.withdraw(request, reason, actor=WORKER)
        return GoBack("sign-off", f"The sign-off no longer holds. {reason}")
    return None


def _remaining(context: Context) -> list[Transfer]:
    """The transfers whose source claim is still there and not on its way out."""
    found = []
    for transfer in context.transfers:
        claim = context.cluster.get_claim(context.migration.source_namespace, transfer.source_name)
        if claim is not None and claim.uid == transfer.source_uid and not claim.deleting:
            found.append(transfer)
    return found


def _hash_source(context: Context) -> Outcome | None:
    """The source must still be what was proven: a write since then would be lost with it.

    Asked of everything that is still there, in each attempt, and once more when Git took long: a merge may take days.
    """
    remaining = _remaining(context) if _deletion_began(context) else context.transfers
    still = stillness.check(context, remaining)
    if still is not None:
        _void(context, "The source is in use again or was replaced: it may have been written to.")
        return still
    number = context.memory.setdefault("hash_number", 1)
    if context.memory.get("hashed_at"):
        age = timezone.now() - datetime.fromisoformat(context.memory["hashed_at"])
        if age < HASH_HOLDS or _deletion_began(context):
            return None
        context.memory.update(hashed_at="", hash_read=False, hash_number=number + 1)
        return Again("Git took long: the source is hashed again.", after_s=0.1)

    def render(transfer: Transfer) -> Manifest:
        attempt = context.run.attempt
        return manifests.mover_job(
            context.migration, transfer, purpose="digest", attempt=attempt, sequence=number
        )

    if not context.memory.get("hash_read"):
        outcome = _compare_hashes(context, render, remaining)
        if outcome is not None:
            return outcome
        context.memory["hash_read"] = True
    # A finished pod would hold the source claim for ever.
    left = movers.remove_every(context)
    if left is not None:
        return left
    context.memory["hashed_at"] = timezone.now().isoformat()
    return Again("The source still hashes to what was proven.", after_s=0.1)


def _compare_hashes(
    context: Context, render: Callable[[Transfer], Manifest], transfers: list[Transfer]
) -> Outcome | None:
    results = copying.run_all(context, render, transfers=transfers)
    if not isinstance(results, dict):
        return results
    copying.remember_results(context, results, "source-digest")
    for transfer in transfers:
        result = results[transfer.number]
        for key, proven in (
            ("content_digest", transfer.content_digest),
            ("metadata_digest", transfer.metadata_digest),
        ):
            if result.get("outcome") != "done" or not proven or result.get(key) != proven:
                _void(context, f"{transfer.source_name} was written to after it was proven.")
                return Stop(
                    Problem(
                        f"{transfer.source_name} is no longer what was proven: its {key.replace('_', ' ')} has changed.",
                        "Nothing of it was deleted. Source and destination are both there, and they differ.",
                        "Find out who wrote to the source. Roll back to bring the application back to it, or abort and compare by hand.",
                        code="source-written",
                    )
                )
    return None


def _void(context: Context, reason: str) -> None:
    request = context.migration.sign_off_requests.order_by("-id").first()
    if request is not None:
        signing.withdraw(request, reason, actor=WORKER)


def _deletion_began(context: Context) -> bool:
    return context.migration.intents.filter(step="release", verb="claim.delete").exists()


def _retain_volumes(context: Context) -> Outcome | None:
    for transfer in context.transfers:
        volume = context.cluster.get_volume(transfer.source_volume)
        if volume is None or volume.uid != transfer.source_volume_uid:
            return Stop(
                Problem(
                    f"Volume {transfer.source_volume} of {transfer.source_name} is gone or another one.",
                    "Nothing more is deleted.",
                    "Find out what happened to the volume.",
                    f"kubectl get pv {transfer.source_volume} -o yaml",
                    "volume-lost",
                )
            )
        if volume.reclaim_policy != "Retain":
            context.act(
                key=f"release/retain/{volume.name}",
                verb="volume.retain",
                ref=volume.ref,
                before={"reclaim_policy": volume.reclaim_policy},
                after={"reclaim_policy": "Retain"},
                call=lambda volume=volume: context.cluster.set_reclaim_policy(  # type: ignore[misc]
                    volume, "Retain", annotations={WAS_POLICY: volume.reclaim_policy}
                ),
            )
            return Again(f"Volume {volume.name} is kept, whatever happens to its claim.", after_s=0.1)
    return None


def _use_signature(context: Context) -> Outcome | None:
    request = context.migration.sign_off_requests.order_by("-id").first()
    if request is None:
        return GoBack("sign-off", "There is no sign-off.")
    try:
        signing.use(request, actor=WORKER)
    except Refused as refusal:
        return GoBack("sign-off", refusal.reason)
    return None


def _remove_from_git(context: Context) -> Outcome | None:
    """P1: the removal is applied while the claims are still protected, so Flux drops them and deletes nothing."""
    migration = context.migration
    owner = migration.source_owner
    if migration.git_mode == GitMode.NONE or owner.get("kind") != "Kustomization":
        return None
    moved = owners.check(context, owner)
    if moved is not None:
        return moved
    if context.memory.get("git_done"):
        return None
    protect = _protect_all(context) if not _deletion_began(context) else None
    if protect is not None:
        return protect
    gone = _check_deployed(context)
    if gone is not None:
        return gone
    found = gitside.arrival(context, gitside.removed, owner)
    if not found.in_branch:
        return _push_removal(context)
    if not _arrived_once(context):
        context.evidence("git-arrived", {"head": found.head})
    # The artifact first: resumed on an old one, Flux would start the application on the source again.
    if not found.in_artifact:
        return flux.bring(context, owner, found, key="release")
    resumed = flux.resume_owner(context, owner)
    if resumed is not None:
        return resumed
    applied = flux.apply(context, owner, found.artifact, key="release")
    if applied is not None:
        return applied
    return _check_dropped(context)


def _push_removal(context: Context) -> Outcome:
    """Git still declares the source: the removal is on its way, or somebody took it back."""
    migration = context.migration
    if _arrived_once(context):
        return Stop(_readded(context))
    if migration.git_mode == GitMode.MANUAL:
        return Wait(
            "Apply the Release change to Git (the patch is under Plan).", "migrations.edit", after_s=10
        )
    if not context.memory.get("release_commit"):
        summary = f"Remove {migration.application} from {migration.source_namespace}"
        pushed = gitside.push(context, key="release", make=gitside.make_release(migration), summary=summary)
        return Again(f"Pushed {pushed.commit[:12]} to {context.memory['release_branch']}.", after_s=0.5)
    if migration.git_mode == GitMode.DIRECT:
        return Stop(_readded(context))
    return Wait(f"Merge branch {context.memory['release_branch']}.", "migrations.edit", after_s=10)


def _arrived_once(context: Context) -> bool:
    """The removal was seen in the branch that the cluster follows, in this or an earlier attempt."""
    return context.migration.evidence.filter(kind="git-arrived").exists()


def _readded(context: Context) -> Problem:
    namespace = context.migration.source_namespace
    return Problem(
        f"Somebody declared {context.migration.application} in {namespace} in Git again, after it was removed there.",
        "No source claim is deleted while Git declares it. Its volumes are on Retain.",
        "Find out who did it and why. Remove it from Git again, then retry; or leave it there and use Undo.",
        code="source-readded",
    )


def _check_deployed(context: Context) -> Outcome | None:
    """Whoever took the destination out of Git meanwhile may not want it: the source is not deleted then."""
    deployed = context.migration.evidence.filter(kind="deployed").order_by("-id").first()
    if deployed is None or not deployed.data.get("in_git"):
        return None
    moved = owners.check(context, context.migration.destination_owner)
    if moved is not None:
        return moved
    if gitside.arrival(context, gitside.deployed, context.migration.destination_owner).in_branch:
        return None
    return Stop(
        Problem(
            f"Git does not declare {context.migration.application} in {context.migration.destination_namespace} any more.",
            "No source claim is deleted. The destination claims are protected.",
            "Find out who removed it. Put it back and retry, or use Undo.",
            code="destination-undeclared",
        )
    )


def _protect_all(context: Context) -> Outcome | None:
    """Every source claim carries the mark before Flux sees the removal: what it skips it forgets, and that is wanted."""
    for transfer in context.transfers:
        claim = _source_claim(context, transfer)
        if isinstance(claim, Claim) and not flux_protected(claim.labels, claim.annotations):
            context.act(
                key=f"release/protect/{claim.name}",
                verb="claim.protect",
                ref=claim.ref,
                before={"annotations": _marks(claim)},
                after=dict(manifests.PROTECT),
                call=lambda claim=claim: context.cluster.annotate(  # type: ignore[misc]
                    claim.ref, manifests.PROTECT, resource_version=claim.resource_version
                ),
            )
            return Again(f"{claim.name} is protected while Git changes.", after_s=0.1)
    return None


def _marks(claim: Claim) -> dict[str, str]:
    return {key: claim.annotations[key] for key in PROTECTION_KEYS if key in claim.annotations}


def _check_dropped(context: Context) -> Outcome | None:
    """The claims have left the inventory and are still there: from now on Flux has nothing to do with them."""
    owner = context.migration.source_owner
    kustomization = context.cluster.get_kustomization(owner["namespace"], owner["name"])
    for transfer in context.transfers:
        claim = _source_claim(context, transfer)
        if claim is None and _deletion_began(context):
            continue
        if claim is None:
            return Stop(_vanished(transfer))
        if not isinstance(claim, Claim):
            return claim
        held = kustomization is not None and kustomization.holds(
            "PersistentVolumeClaim", claim.namespace, claim.name
        )
        if held and transfer.declared_in_git:
            return Again(
                f"Waiting until {owner['name']} has dropped {claim.name} from its inventory.", after_s=1.0
            )
    context.evidence(
        "git-removed",
        {
            "kustomization": f"{owner['namespace']}/{owner['name']}",
            "applied": kustomization.applied_revision if kustomization else "",
            "claims_still_there": [t.source_name for t in context.transfers],
        },
    )
    context.memory["git_done"] = True
    return Again("Git and Flux no longer know the source. Its claims are still there.", after_s=0.1)


def _vanished(transfer: Transfer) -> Problem:
    return Problem(
        f"Claim {transfer.source_name} was deleted while Git changed, not by Holdfast.",
        f"Its volume {transfer.source_volume} is on Retain: the data is there.",
        "Use Undo to rebuild the claim.",
        f"kubectl get pv {transfer.source_volume}",
        "claim-vanished",
    )


def _delete_claims(context: Context) -> Outcome | None:
    for transfer in context.transfers:
        claim = _source_claim(context, transfer)
        if claim is None:
            released = _check_released(context, transfer)
            if released is not None:
                return released
            continue
        if not isinstance(claim, Claim):
            return claim
        if not claim.deleting:
            taken_back = _check_still_removed(context, transfer)
            if taken_back is not None:
                return taken_back
        if claim.deleting:
            holders = stillness.holders(context, claim.namespace, claim.name)
            who = f" It is held by {', '.join(p.name for p in holders)}." if holders else ""
            return Again(f"Waiting for {claim.name} to be gone.{who}", after_s=0.5)
        return _delete_one(context, transfer, claim)
    return None


def _check_still_removed(context: Context, transfer: Transfer) -> Outcome | None:
    """Right before each act against a claim: Flux does not hold it, and Git does not declare it."""
    migration, owner = context.migration, context.migration.source_owner
    if migration.git_mode == GitMode.NONE or owner.get("kind") != "Kustomization":
        return None
    kustomization = context.cluster.get_kustomization(owner["namespace"], owner["name"])
    if kustomization is not None and kustomization.holds(
        "PersistentVolumeClaim", migration.source_namespace, transfer.source_name
    ):
        return Stop(_readded(context))
    if not gitside.arrival(context, gitside.removed, owner).in_branch:
        return Stop(_readded(context))
    return None


def _source_claim(context: Context, transfer: Transfer) -> Claim | Outcome | None:
    """The claim that was signed for; None when it is gone; a problem when another one bears its name."""
    claim = context.cluster.get_claim(context.migration.source_namespace, transfer.source_name)
    if claim is None or claim.uid == transfer.source_uid:
        return claim
    return Stop(
        Problem(
            f"Claim {claim.namespace}/{claim.name} is another one than was signed for: somebody made it again.",
            f"It was not touched. Volume {transfer.source_volume} is on Retain.",
            "Find out who made it. Remove it or keep it, then retry.",
            f"kubectl get pvc -n {claim.namespace} {claim.name} -o yaml",
            "source-replaced",
        )
    )


def _delete_one(context: Context, transfer: Transfer, claim: Claim) -> Outcome:
    """Unprotect, then delete: with the volume read again as Retain, no pod on it, and the very object that was signed for."""
    volume = context.cluster.get_volume(transfer.source_volume)
    pods = stillness.holders(context, claim.namespace, claim.name)
    if pods:
        names = ", ".join(pod.name for pod in pods)
        return Wait(
            f"Delete {names}: a pod that names {claim.name}, finished or not, keeps the claim from going.",
            "migrations.edit",
            after_s=2,
        )
    if volume is None or volume.reclaim_policy != "Retain" or volume.uid != transfer.source_volume_uid:
        return Again(f"Volume {transfer.source_volume} is not on Retain; it is set again.", after_s=0.2)
    if claim.volume_name != volume.name or volume.claim_ref is None or volume.claim_ref.uid != claim.uid:
        return Stop(
            Problem(
                f"{claim.name} and volume {volume.name} do not name each other any more.",
                "The claim was not deleted.",
                "Find out who changed the binding.",
                f"kubectl get pv {volume.name} -o yaml",
                "binding-changed",
            )
        )
    marks = dict.fromkeys(_marks(claim))
    label_marks = {key: None for key in PROTECTION_KEYS if key in claim.labels}
    if marks:
        context.act(
            key=f"release/unprotect/{claim.name}",
            verb="claim.unprotect",
            ref=claim.ref,
            before={"annotations": _marks(claim)},
            call=lambda: context.cluster.annotate(claim.ref, marks, resource_version=claim.resource_version),
        )
        return Again(f"Lifted the protection of {claim.name}.", after_s=0.05)
    if label_marks:
        context.act(
            key=f"release/unprotect-label/{claim.name}",
            verb="claim.unprotect",
            ref=claim.ref,
            before={"labels": {key: claim.labels[key] for key in label_marks}},
            call=lambda: context.cluster.label(
                claim.ref, label_marks, resource_version=claim.resource_version
            ),
        )
        return Again(f"Lifted the protection of {claim.name}.", after_s=0.05)
    manifest = context.cluster.get_object("v1", "PersistentVolumeClaim", claim.namespace, claim.name)
    context.act(
        key=f"release/claim.delete/{claim.name}",
        verb="claim.delete",
        ref=claim.ref,
        before={
            "claim": manifest.body if manifest else "",
            "volume": volume.spec_json,
            "volume_name": volume.name,
        },
        call=lambda: context.cluster.delete(claim.ref, resource_version=claim.resource_version),
    )
    return Again(f"Deleted {claim.name}; its volume {volume.name} stays.", after_s=0.2)


def _check_released(context: Context, transfer: Transfer) -> Outcome | None:
    volume = context.cluster.get_volume(transfer.source_volume)
    if volume is None or volume.uid != transfer.source_volume_uid or volume.reclaim_policy != "Retain":
        return Stop(
            Problem(
                f"Volume {transfer.source_volume} is gone, replaced or not on Retain after its claim was deleted.",
                "The destination has a proven copy of the data.",
                "Look at the volume now.",
                f"kubectl get pv {transfer.source_volume} -o yaml",
                "volume-lost",
            )
        )
    if volume.phase != "Released":
        return Again(f"Waiting for volume {volume.name} to be released: it is {volume.phase}.", after_s=0.5)
    return None


def _finish(context: Context) -> Outcome:
    for transfer in context.transfers:
        taken_back = _check_still_removed(context, transfer)
        if taken_back is not None:
            return taken_back
    # Without Git nothing has resumed the owner yet; suspended for ever would be a trap for the next person.
    resumed = flux.resume_owner(context, context.migration.source_owner)
    if resumed is not None:
        return resumed
    context.evidence(
        "released",
        {
            "claims": [f"{context.migration.source_namespace}/{t.source_name}" for t in context.transfers],
            "volumes": {t.source_volume: "Retain, Released" for t in context.transfers},
        },
    )
    return Done("The source is released. Its volumes are kept.")
