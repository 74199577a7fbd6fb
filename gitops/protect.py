"""The Git change that protects a claim for good, by who makes the claim."""

from __future__ import annotations

from gitops.change import Change, Tree
from gitops.exempt import PROTECTED, set_prune
from gitops.values import FluxPath, ObjectRef

HOW = ("auto", "document", "patch", "transformer")


def protect(tree: Tree, flux: FluxPath, ref: ObjectRef, how: str = "auto") -> Change:
    """Make Flux keep ``ref`` when it leaves Git."""
    return set_prune(tree, flux, ref, PROTECTED, f"Protect {ref} from pruning")
