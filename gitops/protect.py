"""The Git change that protects a claim for good, by who makes the claim."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from gitops import edit
from gitops.change import Change, Tree
from gitops.errors import Reason, Refusal
from gitops.exempt import PROTECTED, check_prune, patch_at_owner, set_in_document, set_prune
from gitops.kustomization import kustomization_path, load
from gitops.locate import find, find_editable
from gitops.patches import add_entry
from gitops.renderers import HELM_KEEP, keeps
from gitops.values import CLAIM, PRUNE_KEY, FluxPath, ObjectRef
from gitops.walk import normal

HOW = ("auto", "document", "patch", "transformer")


def protect(tree: Tree, flux: FluxPath, ref: ObjectRef, how: str = "auto") -> Change:
    """Make Flux keep ``ref`` when it leaves Git.

    ``how``: ``document`` writes the annotation where the claim is declared, ``patch`` adds a patch for this claim to
    the kustomization, ``transformer`` makes the kustomization of the Flux path annotate every claim, now and later;
    ``auto`` takes the document, or a patch where the document is shared or overruled.
    """
    summary = f"Protect {ref} from pruning"
    if how == "auto":
        return set_prune(tree, flux, ref, PROTECTED, summary)
    found = find_editable(tree, flux, ref)
    trial = tree.fork()
    if how == "document":
        set_in_document(trial, found, "annotations", PROTECTED)
    elif how == "patch":
        patch_at_owner(trial, found, PROTECTED)
    elif how == "transformer":
        _add_transformer(trial, flux)
    else:
        raise ValueError(how)
    check_prune(trial, flux, ref, wanted=True)
    change = trial.change(summary, since=tree)
    tree.adopt(trial)
    return change


def _add_transformer(tree: Tree, flux: FluxPath) -> None:
    directory = normal(flux.path)
    existing = kustomization_path(tree, directory)
    if existing is None:
        raise Refusal(
            Reason.MISSING, f"{directory or 'The root'} has no kustomization file that could name a transformer.",
            path=directory, next_step="Add one, or put the annotation into the claim's document.",
        )  # fmt: skip
    level = load(tree, existing)
    path = posixpath.join(directory, "protect-claims.yaml")
    if tree.exists(path):
        raise Refusal(Reason.EXISTS, f"{path} exists already.", path=path)
    lines = [
        "apiVersion: builtin", "kind: AnnotationsTransformer", "metadata:", "  name: protect-claims", "annotations:",
        f"  {PRUNE_KEY}: {PROTECTED}", "fieldSpecs:", f"  - kind: {CLAIM}", "    path: metadata/annotations",
        "    create: true", "",
    ]  # fmt: skip
    tree.write(path, level.file.newline.join(lines).encode())
    add_entry(tree, level, "transformers", path)


def protect_helm_release(tree: Tree, flux: FluxPath, release: ObjectRef, claim: str = "") -> Change:
    """Add a post-renderer to a HelmRelease that keeps the chart's claims (or one ``claim``).

    Helm itself looks at ``helm.sh/resource-policy: keep``; the prune annotation is set as well, for the policies that
    look at it.
    """
    found = find_editable(tree, flux, release)
    if found.declaration.owner_level != -1:
        raise Refusal(
            Reason.SHARED, f"{found.instance.path} is also used by {', '.join(found.declaration.shared_with)}.",
            path=found.instance.path, by_hand=_post_renderer(claim),
        )  # fmt: skip
    if found.instance.item is not None:
        raise Refusal(Reason.UNCERTAIN, f"{release} is part of a List.", by_hand=_post_renderer(claim))
    path = ("spec", "postRenderers")
    if keeps(found.instance.node, claim):
        raise Refusal(
            Reason.EXISTS, f"{release} has a post-renderer that sets {HELM_KEEP} on {claim or 'its claims'} already.",
            path=found.instance.path, next_step="Look at the live claim, and at the HelmRelease, if the mark is not there.",
        )  # fmt: skip
    trial = tree.fork()
    edited = edit.append_item(found.instance.file, found.instance.document, path, _post_renderer(claim))
    trial.write(found.instance.path, edited.content)
    find(trial, flux, release)
    change = trial.change(f"Keep the claims of {release}", since=tree)
    tree.adopt(trial)
    return change


def _post_renderer(claim: str) -> str:
    target = ["      - target:", f"          kind: {CLAIM}"]
    target += [f"          name: {claim.replace('.', chr(92) + '.')}"] if claim else []
    lines = [
        "kustomize:", "  patches:", *(line[2:] for line in target), "      patch: |-", "        apiVersion: v1",
        f"        kind: {CLAIM}", "        metadata:", "          name: any", "          annotations:",
        f"            {HELM_KEEP}: keep", f"            {PRUNE_KEY}: {PROTECTED}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Advice:
    """What keeps a claim that no file of the repository declares. ``by_hand`` is YAML to start from."""

    what: str
    by_hand: str = ""


_RETAIN = "spec:\n  persistentVolumeReclaimPolicy: Retain\n"
_WHEN_DELETED = (
    "spec:\n  persistentVolumeClaimRetentionPolicy:\n    whenDeleted: Retain\n    whenScaled: Retain\n"
)


_ARGO_OPTIONS, _ARGO_KEEP = "argocd.argoproj.io/sync-options", "Prune=false,Delete=false"


def advice(owner: str) -> Advice:
    """By the owner's kind: what protects a claim that Git does not declare itself."""
    if owner == "StatefulSet":
        return Advice(
            "A StatefulSet makes this claim from a template; Flux never prunes it, and an annotation in Git does not "
            "reach it. Keep its retention policy at Retain, set the volume's reclaim policy to Retain, and protect it "
            "with an admission policy.", _WHEN_DELETED,
        )  # fmt: skip
    if owner == "Helm":
        return Advice(
            "A release of Helm made this claim, and no HelmRelease of Flux: Flux never touches it. Set the chart's own value, or give "
            f"the helm command a --post-renderer, so that the claim gets {HELM_KEEP}: keep with the next upgrade.",
            f"metadata:\n  annotations:\n    {HELM_KEEP}: keep\n",
        )  # fmt: skip
    if owner == "Argo CD":
        return Advice(
            "An Argo CD application applies this claim; Flux never touches it. Where Git declares the claim, give it the annotation "
            f"{_ARGO_OPTIONS}: {_ARGO_KEEP}, and set the volume's reclaim policy to Retain.",
            f"metadata:\n  annotations:\n    {_ARGO_OPTIONS}: {_ARGO_KEEP}\n",
        )  # fmt: skip
    if owner == "HelmRelease":
        return Advice(
            "A Helm chart makes this claim. Add a post-renderer to the HelmRelease, or set the chart's own value, so "
            f"that the claim gets {HELM_KEEP}: keep.", _post_renderer(""),
        )  # fmt: skip
    if owner == "":
        return Advice(
            "Nobody declares this claim: Flux never prunes it. Add it to Git so that it is protected, or set its "
            "volume's reclaim policy to Retain.", _RETAIN,
        )  # fmt: skip
    return Advice(
        f"{owner} makes this claim and may delete it. Look for a retention setting of its own; set the volume's "
        "reclaim policy to Retain, and protect the claim with an admission policy.", _RETAIN,
    )  # fmt: skip
