"""The claims are made by a chart: Helm has to let go of them first, which only a person can bring about.

Facts A7: an upgrade that no longer makes a claim looks at `helm.sh/resource-policy: keep` on the live object, which Holdfast
sets. An uninstall looks at the release as it was stored: there `keep` has to come from the chart, its values, or a
post-renderer. Holdfast never reads Secrets, so it cannot see the stored release, and says so.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from cluster.flux import HelmRelease
from cluster.values import Claim
from migrations_app.models import Migration, Transfer
from migrations_app.problems import Problem
from worker import suspension
from worker.context import Context
from worker.declarations import GitChange
from worker.outcomes import Again, Outcome, Stop, Wait
from worker.releasing import claims, rows
from worker.releasing.misfits import Misfit, needs_kustomization
from worker.releasing.outside import Outside

KEEP = {"helm.sh/resource-policy": "keep"}
KIND = "PersistentVolumeClaim"


class Helm(Outside):
    """A gate first; then Holdfast deletes the claims, as on the first path."""

    def changes(self, migration: Migration) -> Sequence[GitChange]:
        return ()

    def planned(self, migration: Migration, transfer: Transfer) -> list[dict[str, Any]]:
        namespace, name = migration.source_namespace, transfer.source_name
        command = f"kubectl annotate pvc -n {namespace} {name} helm.sh/resource-policy=keep"
        kept = rows.changed("release", "let Helm keep it", KIND, namespace, name, command)
        return [kept, rows.lifted(migration, transfer), rows.deleted(migration, transfer)]

    def misfits(self, context: Context) -> Iterable[Misfit]:
        return needs_kustomization(context)

    def prepare(self, context: Context) -> Outcome | None:
        """Helm no longer makes the claims, and they are still there."""
        if claims.began(context) or context.memory.get("let_go"):
            return None
        kept = _keep_all(context)
        if kept is not None:
            return kept
        waits = _plain(context) if context.migration.source_owner["kind"] == "Helm" else _flux(context)
        if waits is not None:
            return waits
        context.evidence("helm-let-go", {"owner": _what(context), "claims": _names(context)})
        context.memory["let_go"] = True
        return Again("Helm no longer makes the claims. They are still there.", after_s=0.1)

    def still_gone(self, context: Context, transfer: Transfer) -> Outcome | None:
        release = _release(context)
        if release is None or not _held(release, context, transfer):
            return None
        return Stop(
            Problem(
                f"{_what(context)} makes {transfer.source_name} again.",
                "No source claim is deleted while it does. Its volumes are on Retain.",
                "Find out who put it back and why. Take it out again, then retry; or leave it there and use Undo.",
                f"kubectl get helmrelease -n {release.namespace} {release.name} -o yaml",
                "source-readded",
            )
        )


def _keep_all(context: Context) -> Outcome | None:
    """An upgrade of Helm reads this on the live claim. A claim that is gone by now was not deleted by us."""
    for transfer in context.transfers:
        claim = claims.get(context, transfer)
        if claim is None:
            return claims.vanished(context, transfer)
        if not isinstance(claim, Claim):
            return claim
        if claim.deleting:
            return claims.vanished(context, transfer)
        if claim.annotations.get("helm.sh/resource-policy") != "keep":
            context.act(
                key=f"release/keep/{claim.name}",
                verb="claim.keep",
                ref=claim.ref,
                after=KEEP,
                call=lambda claim=claim: context.cluster.annotate(  # type: ignore[misc]
                    claim.ref, KEEP, resource_version=claim.resource_version
                ),
            )
            return Again(f"Helm keeps {claim.name} when an upgrade no longer makes it.", after_s=0.1)
    return None


def _flux(context: Context) -> Outcome | None:
    """A HelmRelease: its inventory says when it has let go. One that is gone makes nothing any more."""
    release = _release(context)
    if release is None:
        return None
    if release.keeps_inventory and not any(_held(release, context, t) for t in context.transfers):
        return None
    if not release.keeps_inventory and _confirmed(context):
        return None
    if release.suspended and not suspension.ours(context, release):
        return Wait(
            f"Resume {release.ref}: it was changed, or suspended anew, since Holdfast suspended it, so a person has to lift that. "
            f"It must not start the application in {context.migration.source_namespace} again.",
            "migrations.edit",
            after_s=5,
        )
    return Wait(f"{_instruction(context)}{_then(context, release)}", "migrations.edit", after_s=5)


def _plain(context: Context) -> Outcome | None:
    """A release of Helm alone: nothing in the cluster but its Secrets says what it makes, so a person says so."""
    if _confirmed(context):
        return None
    return Wait(f"{_instruction(context)} Then continue.", "migrations.edit", after_s=10)


def _then(context: Context, release: HelmRelease) -> str:
    if release.keeps_inventory:
        return ""
    context.memory["asked"] = True
    return " It keeps no inventory in which that could be seen: continue when Helm has applied it."


def _confirmed(context: Context) -> bool:
    """Whether somebody continued after the question was shown; not before."""
    if context.memory.get("asked"):
        return bool(context.memory.get("go_by"))
    context.memory.pop("go_by", None)
    context.memory["asked"] = context.migration.source_owner["kind"] == "Helm"
    return False


def _instruction(context: Context) -> str:
    """What the person has to change, and what must not happen."""
    names, namespace = ", ".join(_names(context)), context.migration.source_namespace
    where = "" if context.migration.source_owner["kind"] == "Helm" else " in Git"
    bare = [
        t.source_name
        for t in context.transfers
        if t.facts.get("claim", {}).get("annotations", {}).get("helm.sh/resource-policy", "") != "keep"
    ]
    removing = (
        f" Do not uninstall it: the release as Helm stored it may not keep {', '.join(bare)}. First let the chart, its values or "
        "a post-renderer set helm.sh/resource-policy: keep."
        if bare
        else " Or remove the release: the claims carried helm.sh/resource-policy: keep before Holdfast came."
    )
    return (
        f"Change {_what(context)}{where} so that it makes neither {names} nor the workloads that use them in {namespace} "
        f"any more.{removing}"
    )


def _names(context: Context) -> list[str]:
    return [t.source_name for t in context.transfers]


def _what(context: Context) -> str:
    owner = context.migration.source_owner
    kind = "release" if owner["kind"] == "Helm" else owner["kind"]
    return f"{kind} {owner['namespace']}/{owner['name']}"


def _release(context: Context) -> HelmRelease | None:
    owner = context.migration.source_owner
    if owner["kind"] != "HelmRelease":
        return None
    return context.cluster.get_helm_release(owner["namespace"], owner["name"])


def _held(release: HelmRelease, context: Context, transfer: Transfer) -> bool:
    wanted = (KIND, context.migration.source_namespace, transfer.source_name)
    return any((e.kind, e.namespace, e.name) == wanted for e in release.inventory)
