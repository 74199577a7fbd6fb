"""How a directory names what is put into it: which namespace it forces, which prefix and suffix it adds."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from gitops.change import Tree
from gitops.errors import Reason, Refusal
from gitops.values import CLAIM, FluxPath
from gitops.walk import Walker

_PROBE_NAME = "hf-probe"
_PROBE_NAMESPACE = "hf-probe-namespace"
_PROBE = f"apiVersion: v1\nkind: {CLAIM}\nmetadata:\n  name: {_PROBE_NAME}\n  namespace: {_PROBE_NAMESPACE}\n"


@dataclass(frozen=True)
class Naming:
    """``namespace`` "": what a document states is kept."""

    namespace: str
    prefix: str
    suffix: str

    def written(self, live_name: str) -> str:
        """Name to write so that the object gets ``live_name``. Refuses where none does."""
        inner = live_name.removeprefix(self.prefix).removesuffix(self.suffix)
        if f"{self.prefix}{inner}{self.suffix}" != live_name or not inner:
            raise Refusal(
                Reason.NAMESPACE,
                f"The directory gives every object the prefix {self.prefix!r} and the suffix {self.suffix!r}; "
                f"nothing in it can be called {live_name}.",
                next_step="Choose another directory, or another name.",
            )
        return inner


def naming(tree: Tree, flux: FluxPath, directory: str) -> Naming:
    """What a Flux path does to names of objects in one of its directories, found out with a made-up object."""
    from gitops.add import put_file

    trial = tree.fork()
    path = posixpath.join(directory, "hf-probe-claim.yaml")
    put_file(trial, flux, directory, path, _PROBE)
    walk = Walker(trial, frozenset({CLAIM})).run(flux)
    for each in walk.instances:
        if each.path == path:
            before, _, after = each.name.partition(_PROBE_NAME)
            kept = each.namespace == _PROBE_NAMESPACE
            return Naming("" if kept else each.namespace, before, after)
    raise Refusal(
        Reason.TRANSFORMED, f"What is put into {directory or 'the root'} does not come out of the kustomization.",
        path=directory,
    )  # fmt: skip
