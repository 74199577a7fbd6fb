"""Sets one scalar field of a declared object."""

from __future__ import annotations

from gitops import edit
from gitops.change import Change, Tree
from gitops.errors import Reason, Refusal
from gitops.locate import find, find_editable
from gitops.values import FluxPath, ObjectRef
from gitops.yamltext import Path


def set_field(
    tree: Tree, flux: FluxPath, ref: ObjectRef, field: Path, value: str, *, number: bool = False
) -> Change:
    """Give the field at a path such as ``("spec", "replicas")`` a value in the document of ``ref``.

    The field must be written there. Refuses a document that is shared, or a field that the tree sets again.
    """
    found = find_editable(tree, flux, ref)
    if found.declaration.owner_level != -1:
        raise Refusal(
            Reason.SHARED, f"{found.instance.path} is also used by {', '.join(found.declaration.shared_with)}.",
            path=found.instance.path,
        )  # fmt: skip
    if found.instance.touched and field[0] != "metadata":
        where, what = found.instance.touched[0]
        raise Refusal(
            Reason.TRANSFORMED, f"{where or 'A kustomization'} changes {ref} further ({what}).", path=where
        )
    path = field if found.instance.item is None else ("items", found.instance.item, *field)
    edited = edit.set_scalar(found.instance.file, found.instance.document, path, value, number=number)
    trial = tree.fork()
    trial.write(found.instance.path, edited.content)
    if field[0] != "metadata":
        find(trial, flux, ref)
    change = trial.change(f"Set {'.'.join(map(str, field))} of {ref} to {value}", since=tree)
    tree.adopt(trial)
    return change
