"""What the post-renderers of a HelmRelease do to one of its claims, as far as Helm keeping it is concerned."""

from __future__ import annotations

from collections.abc import Iterator

from gitops import edit
from gitops.errors import Refusal
from gitops.patching import Patch, apply_patch
from gitops.selectors import Selector
from gitops.values import CLAIM
from gitops.walk import Instance
from gitops.yamltext import Node, parse

HELM_KEEP = "helm.sh/resource-policy"


def keeps(release: Node, claim: str) -> bool:
    """Whether the post-renderers make Helm keep the claim ("": every claim). What is not certain counts as a no.

    The chart's claim is not known here beyond its name: a target with a namespace, labels or annotations may miss it.
    """
    instance = _probe(claim)
    try:
        for patch in _patches(release, claim):
            apply_patch(patch, [instance], "post-renderer")
    except Refusal:
        return False
    kept = instance.annotations.get(HELM_KEEP, "").strip().lower() == "keep"
    return kept and not instance.doubts and not instance.deleted


def _probe(claim: str) -> Instance:
    text = f"apiVersion: v1\nkind: {CLAIM}\nmetadata:\n  name: {edit.written_scalar(claim)}\n"
    file = parse("post-renderers", text.encode())
    (_, node), *_ = file.roots()
    return Instance(file.path, 0, None, node, file, claim, "", {}, {})


def _patches(release: Node, claim: str) -> Iterator[Patch]:
    """In the order in which Flux applies them, without those that may miss the claim."""
    for renderer in release.elements("spec", "postRenderers"):
        for field in ("patchesStrategicMerge", "patches", "patchesJson6902"):
            for item in renderer.elements("kustomize", field):
                yield from _patch(item, field, claim)


def _patch(item: Node, field: str, claim: str) -> Iterator[Patch]:
    target = item.at("target")
    selector = Selector.of_node(target) if target is not None and not target.is_null else None
    if selector is None and not claim:
        return  # it names one claim
    if selector is not None and (selector.namespace or selector.labels or selector.annotations):
        return
    if field == "patches":
        roots = parse("post-renderers", item.text("patch").encode()).roots()
        yield from (Patch(selector, root, "", "a post-renderer") for _, root in roots)
    else:
        body = item.real if field == "patchesStrategicMerge" else item.at("patch")
        if body is not None and body.real.kind in ("map", "list"):
            yield Patch(selector, body.real, "", "a post-renderer")
