"""Adds an object to Git: a new file and its entry, or one more document of an existing file."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence

from gitops import edit
from gitops.change import Change, Tree, resolve
from gitops.errors import Reason, Refusal, offering
from gitops.kustomization import kustomization_path, load
from gitops.locate import find
from gitops.patches import add_entry
from gitops.values import FluxPath, ObjectRef
from gitops.walk import normal
from gitops.yamltext import YamlFile, parse


def claim_text(
    *,
    name: str,
    namespace: str = "",
    size: str,
    storage_class: str = "",
    access_modes: Sequence[str] = ("ReadWriteOnce",),
    volume_mode: str = "",
    volume_name: str = "",
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> str:
    """Manifest of a claim. ``size`` is a Kubernetes quantity such as 10Gi; empty values are left out."""
    lines = [
        "apiVersion: v1",
        "kind: PersistentVolumeClaim",
        "metadata:",
        *edit.entries({"name": name}, "  "),
    ]
    lines += edit.entries({"namespace": namespace}, "  ") if namespace else []
    for key, values in (("labels", labels), ("annotations", annotations)):
        lines += [f"  {key}:", *edit.entries(values, "    ")] if values else []
    lines += ["spec:", "  accessModes:", *(f"    - {mode}" for mode in access_modes)]
    lines += ["  resources:", "    requests:", f"      storage: {_quantity(size)}"]
    wanted = {"storageClassName": storage_class, "volumeMode": volume_mode, "volumeName": volume_name}
    lines += edit.entries({key: value for key, value in wanted.items() if value}, "  ")
    return "\n".join(lines) + "\n"


def _quantity(size: str) -> str:
    if not re.fullmatch(r"\d+(\.\d+)?([kKMGTPE]i?|m)?", size):
        raise Refusal(Reason.UNCERTAIN, f"{size} is not a size such as 10Gi.")
    return f'"{size}"' if re.fullmatch(r"[\d.]+|\d+E", size) else size


def add(
    tree: Tree,
    flux: FluxPath,
    ref: ObjectRef,
    text: str,
    *,
    directory: str | None = None,
    file_name: str | None = None,
    append_to: str | None = None,
) -> Change:
    """Declare ``ref`` with the manifest ``text`` under a Flux path.

    ``directory`` (from the root; default: the Flux path itself) receives a new file ``file_name``, and its kustomization
    an entry; a directory without a kustomization gets one where its parents do not list files by themselves.
    ``append_to`` names an existing file that gets one more document instead. Refuses what would end up in another
    namespace, under another name, or is there already.
    """
    place = resolve("", directory) if directory is not None else normal(flux.path)
    _new(tree, flux, ref)
    trial = tree.fork()
    with offering(lambda: text):
        if append_to is not None:
            path = resolve("", append_to)
            file = parse(path, trial.read(path))
            _unsealed(file)
            trial.write(path, edit.append_document(file, text).content)
        else:
            put_file(trial, flux, place, _free_name(trial, place, file_name or default_file_name(ref)), text)
        _lands(trial, flux, ref, place)
    change = trial.change(f"Add {ref}", since=tree)
    tree.adopt(trial)
    return change


def default_file_name(ref: ObjectRef) -> str:
    short = {"PersistentVolumeClaim": "pvc"}.get(ref.kind, ref.kind.lower())
    return f"{ref.name}-{short}.yaml" if not ref.name.endswith(f"-{short}") else f"{ref.name}.yaml"


def _new(tree: Tree, flux: FluxPath, ref: ObjectRef) -> None:
    try:
        existing = find(tree, flux, ref)
    except Refusal as refusal:
        if refusal.reason == Reason.DECLARED_TWICE:
            raise
        return
    raise Refusal(
        Reason.EXISTS, f"{existing.instance.path} declares {ref} already.", path=existing.instance.path
    )


def _unsealed(file: YamlFile) -> None:
    if any(root.at("sops", "mac") is not None for _, root in file.roots()):
        raise Refusal(Reason.ENCRYPTED, f"{file.path} is encrypted with SOPS.", path=file.path)


def _free_name(tree: Tree, place: str, name: str) -> str:
    path = resolve(place, name)
    if tree.exists(path):
        raise Refusal(
            Reason.EXISTS,
            f"{path} exists already.",
            path=path,
            next_step="Choose another file name, or append to it.",
        )
    return path


def put_file(tree: Tree, flux: FluxPath, place: str, path: str, text: str) -> None:
    """Write a new file and the entries that make Flux see it."""
    top = normal(flux.path)
    if place != top and top and not place.startswith(f"{top}/"):
        raise Refusal(Reason.OUTSIDE, f"{place} does not lie under {top}, which Flux applies.", path=place)
    existing = kustomization_path(tree, place)
    newline = "\n"
    if existing is not None:
        level = load(tree, existing)
        newline = level.file.newline
        add_entry(tree, level, "resources", path)
    elif place != top and (parent := _listing_parent(tree, top, place)) is not None:
        made = posixpath.join(place, "kustomization.yaml")
        tree.write(made, _made_kustomization(posixpath.basename(path)).encode())
        add_entry(tree, load(tree, parent), "resources", place)
    tree.write(path, text.replace("\r\n", "\n").replace("\n", newline).encode())


def _made_kustomization(entry: str) -> str:
    return (
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n"
        f"  - {edit.written_scalar(entry)}\n"
    )


def _listing_parent(tree: Tree, top: str, place: str) -> str | None:
    """The nearest kustomization above a directory, up to the Flux path; None where Flux lists all files by itself."""
    while place and place != top:
        place = posixpath.dirname(place)
        found = kustomization_path(tree, place)
        if found is not None:
            return found
    return None


def _lands(tree: Tree, flux: FluxPath, ref: ObjectRef, place: str) -> None:
    """Refuse where the tree does not make exactly ``ref`` out of what was added."""
    try:
        find(tree, flux, ref)
    except Refusal as refusal:
        if refusal.reason != Reason.NOT_FOUND:
            raise
        raise Refusal(
            Reason.NAMESPACE, f"What is added in {place or 'the root'} would not become {ref}: a kustomization there "
            "sets another namespace, prefix or suffix.", path=place,
            next_step="Choose a directory whose kustomization has the right namespace.",
        ) from refusal  # fmt: skip
