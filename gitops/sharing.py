"""Who else uses a file: an edit of a shared base would change, or delete, objects that nobody asked about."""

from __future__ import annotations

import posixpath
from collections.abc import Callable

from gitops.change import Tree, resolve
from gitops.errors import Refusal
from gitops.flux import Repositories, Stated, stated
from gitops.kustomization import (
    FILE_NAMES,
    RESOURCE_FIELDS,
    Kustomization,
    is_remote,
    kustomization_path,
    load,
)
from gitops.values import FluxPath
from gitops.walk import Instance, Walk, normal, outermost


class Users:
    """Finds other kustomizations, and other Flux Kustomizations, that use a file or a directory."""

    def __init__(self, tree: Tree, flux: FluxPath) -> None:
        self.tree = tree
        self.flux = flux
        self._levels: list[Kustomization] | None = None
        self._flux: list[Stated] | None = None

    def owner_level(self, instance: Instance, walk: Walk) -> tuple[int | None, tuple[str, ...]]:
        """(lowest level that this object alone uses, who else uses the levels below it).

        -1: nobody else uses the file. Otherwise a position in the instance's listings. None: even the top is shared.
        """
        others = [self._others(instance, position, walk) for position in range(len(instance.listings) + 1)]
        shared = [position for position, users in enumerate(others) if users]
        if not shared:
            return -1, ()
        highest = shared[-1]
        names = tuple(sorted({name for users in others for name in users}))
        # others[n] are users of the thing at height n: 0 is the file, n is the n-th kustomization above it.
        return (highest if highest < len(instance.listings) else None), names

    def _others(self, instance: Instance, height: int, walk: Walk) -> set[str]:
        path = instance.path if height == 0 else instance.listings[height - 1].kustomization
        if not path:
            return self._flux_users() if height == len(instance.listings) else set()
        expected = instance.listings[height].kustomization if height < len(instance.listings) else None
        others = self._listing(path) - ({expected} if expected is not None else set())
        if self._twice_inside(instance, height, walk):
            others.add(expected or path)
        others |= self._using(path)
        top = height == len(instance.listings)
        others |= self._flux_users() if top else set()
        return others | self._applied_apart(path)

    def _applied_apart(self, path: str) -> set[str]:
        """Flux Kustomizations of other directories that apply this file, or the directory of this kustomization."""
        mine = normal(self.flux.path)
        is_level = posixpath.basename(path) in FILE_NAMES
        users: set[str] = set()
        for where, applied in ((each.where, each.flux.path) for each in self._applied()):
            if applied == mine:
                continue
            if is_level and applied == posixpath.dirname(path):
                users.add(where)
            elif _inside(path, applied) and kustomization_path(self.tree, applied) is None:
                found = outermost(self.tree, applied, path)
                if found == (path if is_level else None):
                    users.add(where)
        return users

    def _twice_inside(self, instance: Instance, height: int, walk: Walk) -> bool:
        """Whether the same document reaches the top of this tree more than once, by ways that part at this height."""
        mine = [(each.kustomization, each.entry) for each in instance.listings[height:]]
        for other in walk.instances:
            if other is instance or (other.path, other.document, other.item) != (
                instance.path, instance.document, instance.item,
            ):  # fmt: skip
                continue
            lower = [each.kustomization for each in other.listings[:height]]
            if lower == [each.kustomization for each in instance.listings[:height]]:
                theirs = [(each.kustomization, each.entry) for each in other.listings[height:]]
                if theirs != mine and theirs[:1] != mine[:1]:
                    return True
        return False

    def _listing(self, path: str) -> set[str]:
        """Paths of kustomization files, anywhere in the repository, that list this file or directory."""
        return self._naming(
            path, lambda level: [each for *_, each in level.entries(*RESOURCE_FIELDS, "components")]
        )

    def _using(self, path: str) -> set[str]:
        """Kustomizations that use it otherwise: as a patch, as text of a ConfigMap, as a transformer."""
        return self._naming(path, Kustomization.other_files)

    def _naming(self, path: str, entries: Callable[[Kustomization], list[str]]) -> set[str]:
        directory = posixpath.dirname(path)
        is_level = posixpath.basename(path) in FILE_NAMES
        users: set[str] = set()
        for level in self._all_levels():
            for entry in entries(level):
                if is_remote(entry):
                    continue
                try:
                    named = resolve(level.directory, entry)
                except Refusal:
                    continue
                if named == path or (is_level and named == directory):
                    users.add(level.path)
        return users

    def _all_levels(self) -> list[Kustomization]:
        if self._levels is None:
            self._levels = []
            for path in self.tree.paths():
                if posixpath.basename(path) in FILE_NAMES:
                    try:
                        self._levels.append(load(self.tree, path))
                    except Refusal:
                        continue  # a broken kustomization elsewhere builds nothing
        return self._levels

    def _flux_users(self) -> set[str]:
        """Flux Kustomizations in the repository, where several apply the directory of this Flux path."""
        mine = normal(self.flux.path)
        users = [each for each in self._applied() if each.flux.path == mine]
        # One of another source's name is not the one that was asked for, which the repository may not state.
        foreign = any(self.flux.source and each.flux.source not in ("", self.flux.source) for each in users)
        return {each.where for each in users} if len(users) > 1 or foreign else set()

    def _applied(self) -> list[Stated]:
        if self._flux is None:
            self._flux = applying(self.tree, self.flux.source)
        return self._flux


def _inside(path: str, directory: str) -> bool:
    return not directory or path.startswith(f"{directory}/")


def flux_kustomizations(tree: Tree, source: str = "") -> list[tuple[str, str]]:
    """(``file: namespace/name``, normal path) of every Flux Kustomization that `applying` gives."""
    return [(each.where, each.flux.path) for each in applying(tree, source)]


def applying(tree: Tree, source: str = "") -> list[Stated]:
    """Every Flux Kustomization that the repository states.

    With ``source``, without those that surely apply another repository than the source of that name: one repository
    may have several sources, and a Kustomization of each would lose what is removed.
    """
    repositories = Repositories(tree)
    return [each for each in stated(tree) if not repositories.surely_another(each, source)]
