"""Who owns which field: metadata.managedFields, for plain writes and for server-side apply.

A field is a path of elements as in fieldsV1: `f:name` (a field), `k:{"name":"x"}` (an item of a keyed
list), `v:"x"` (an item of a set). An object is flattened into path -> value; ownership is a set of paths.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from typing import Any

from sandbox.apiserver.errors import Cause, StatusError
from sandbox.apiserver.listtypes import ListTypes

Json = dict[str, Any]
Path = tuple[str, ...]

_UNOWNED_METADATA = frozenset(
    {
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "generation",
        "selfLink",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "managedFields",
    }
)
_PRESENT = "\0present"


def flatten(item: Json, types: ListTypes) -> dict[Path, Any]:
    """Every ownable field of an object with its value."""
    found: dict[Path, Any] = {}
    for key, value in item.items():
        if key in ("apiVersion", "kind"):
            continue
        if key == "metadata":
            value = {name: entry for name, entry in value.items() if name not in _UNOWNED_METADATA}
            if not value:
                continue
        _flatten(value, (key,), (f"f:{key}",), types, found)
    return found


def _flatten(value: Any, names: Path, path: Path, types: ListTypes, found: dict[Path, Any]) -> None:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            _flatten(inner, (*names, key), (*path, f"f:{key}"), types, found)
    elif isinstance(value, list) and value and (keys := types.keys(names, value)) is not None:
        for inner in value:
            element = item_element(inner, keys)
            found[*path, element] = _PRESENT
            if keys and isinstance(inner, dict):
                _flatten_item(inner, names, (*path, element), types, found)
    else:
        found[path] = value


def _flatten_item(inner: Json, names: Path, path: Path, types: ListTypes, found: dict[Path, Any]) -> None:
    for key, value in inner.items():
        _flatten(value, (*names, key), (*path, f"f:{key}"), types, found)


def item_element(item: Any, keys: tuple[str, ...]) -> str:
    """The path element of a list item."""
    if not keys or not isinstance(item, dict):
        return "v:" + json.dumps(item, separators=(",", ":"))
    picked = {key: item.get(key, "TCP" if key == "protocol" else None) for key in sorted(keys)}
    picked = {key: value for key, value in picked.items() if value is not None}
    return "k:" + json.dumps(picked, separators=(",", ":"))


def to_tree(paths: set[Path]) -> Json:
    """fieldsV1 of a set of paths."""
    tree: Json = {}
    for path in sorted(paths):
        node = tree
        for element in path:
            node = node.setdefault(element, {})
        node["."] = {}
    _drop_lone_dots(tree)
    return tree


def _drop_lone_dots(node: Json) -> None:
    for child in node.values():
        if list(child) == ["."]:
            child.clear()
        else:
            _drop_lone_dots(child)


def from_tree(tree: Json) -> set[Path]:
    found: set[Path] = set()
    _collect(tree, (), found)
    return found


def _collect(node: Json, path: Path, found: set[Path]) -> None:
    for element, child in node.items():
        if element == ".":
            found.add(path)
        elif child:
            _collect(child, (*path, element), found)
        else:
            found.add((*path, element))


@dataclass
class Owner:
    """One entry of managedFields."""

    manager: str
    operation: str
    api_version: str
    subresource: str
    time: str
    paths: set[Path]

    @classmethod
    def parse(cls, entry: Json) -> Owner:
        return cls(
            entry.get("manager", ""),
            entry.get("operation", "Update"),
            entry.get("apiVersion", ""),
            entry.get("subresource", ""),
            entry.get("time", ""),
            from_tree(entry.get("fieldsV1") or {}),
        )

    def to_json(self) -> Json:
        entry: Json = {
            "manager": self.manager,
            "operation": self.operation,
            "apiVersion": self.api_version,
            "time": self.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": to_tree(self.paths),
        }
        if self.subresource:
            entry["subresource"] = self.subresource
        return entry


@dataclass(frozen=True)
class Writer:
    """Who writes: the field manager, in which API version, through which subresource, at what time."""

    manager: str
    api_version: str
    subresource: str
    time: str


def owners_of(item: Json | None) -> list[Owner]:
    if item is None:
        return []
    return [Owner.parse(entry) for entry in item["metadata"].get("managedFields") or [] if entry]


def base_owners(live: Json | None, new: Json) -> list[Owner]:
    """The owners to start from in an update: a writer may edit them, or clear them with [] or [{}]."""
    given = new["metadata"].get("managedFields")
    if given is None:
        return owners_of(live)
    return [Owner.parse(entry) for entry in given if entry]


def record_update(live: Json | None, new: Json, writer: Writer, types: ListTypes) -> None:
    """Sets managedFields of `new` for a plain write that turns `live` into it."""
    owners = base_owners(live, new)
    before = flatten(live, types) if live else {}
    after = flatten(new, types)
    removed = before.keys() - after.keys()
    changed = {path for path, value in after.items() if path not in before or before[path] != value}
    mine = _find(owners, writer, "Update")
    for owner in owners:
        if owner is not mine:
            owner.paths -= changed
            owner.paths -= removed
    if mine is None and changed:
        mine = Owner(writer.manager, "Update", writer.api_version, writer.subresource, writer.time, set())
        owners.append(mine)
    if mine is not None and (changed - mine.paths or removed & mine.paths):
        mine.paths = (mine.paths | changed) - removed
        mine.time = writer.time
    elif mine is not None:
        mine.paths |= changed
    _store(new, owners)


def _find(owners: list[Owner], writer: Writer, operation: str) -> Owner | None:
    for owner in owners:
        if (owner.manager, owner.operation, owner.subresource) == (
            writer.manager,
            operation,
            writer.subresource,
        ):
            return owner
    return None


def _store(item: Json, owners: list[Owner]) -> None:
    kept = [owner.to_json() for owner in owners if owner.paths]
    if kept:
        item["metadata"]["managedFields"] = kept
    else:
        item["metadata"].pop("managedFields", None)


# -- server-side apply -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Applied:
    """What an apply makes of an object, and the owners to record once the object is complete."""

    item: Json
    owners: list[Owner]


def apply(live: Json | None, config: Json, writer: Writer, types: ListTypes, *, force: bool) -> Applied:
    """Merges an applied configuration into an object. StatusError 409 when another manager owns what changes."""
    wanted = flatten(config, types)
    owners = owners_of(live)
    if live is not None and not owners:
        owners = [_before_first_apply(live, writer, types)]
    mine = _find(owners, writer, "Apply")
    others = [owner for owner in owners if owner is not mine]
    before = flatten(live, types) if live else {}
    changing = {path for path, value in wanted.items() if path not in before or before[path] != value}
    conflicts = _conflicts(others, changing)
    if conflicts and not force:
        raise _conflict_error(conflicts)
    for owner in others:
        owner.paths -= changing
    held = set().union(*(owner.paths for owner in others)) if others else set()
    dropped = (mine.paths if mine else set()) - wanted.keys() - held
    merged = _merge(copy.deepcopy(live) if live else {}, config, (), types)
    # Items before their fields: without its key fields an item could not be found any more.
    for path in sorted(dropped, key=len):
        if not _is_key_field(path):
            _remove_path(merged, path, held | wanted.keys())
    if mine is None:
        mine = Owner(writer.manager, "Apply", writer.api_version, writer.subresource, writer.time, set())
        owners.append(mine)
    if mine.paths != set(wanted) or changing:
        mine.time = writer.time
    mine.paths = set(wanted)
    mine.api_version = writer.api_version
    return Applied(merged, owners)


def record_apply(item: Json, applied: Applied) -> None:
    """Sets managedFields after an apply."""
    _store(item, applied.owners)


def _before_first_apply(live: Json, writer: Writer, types: ListTypes) -> Owner:
    paths = set(flatten(live, types))
    return Owner("before-first-apply", "Update", writer.api_version, "", writer.time, paths)


def _conflicts(others: list[Owner], changing: set[Path]) -> list[tuple[Owner, Path]]:
    # An item's mere presence is never in conflict, only the values in it.
    return [
        (owner, path)
        for owner in others
        for path in sorted(owner.paths & changing)
        if not path[-1].startswith(("k:", "v:"))
    ]


def _conflict_error(conflicts: list[tuple[Owner, Path]]) -> StatusError:
    causes = []
    for owner, path in conflicts:
        through = f' with subresource "{owner.subresource}"' if owner.subresource else ""
        message = f'conflict with "{owner.manager}"{through} using {owner.api_version}'
        causes.append(Cause("FieldManagerConflict", message, dotted(path)))
    count = f"{len(causes)} conflict{'s' if len(causes) != 1 else ''}"
    text = f"{causes[0].message}: {causes[0].field}" if len(causes) == 1 else "conflicts " + _grouped(causes)
    details = {"causes": [cause.to_json() for cause in causes]}
    return StatusError(409, "Conflict", f"Apply failed with {count}: {text}", details)


def _grouped(causes: list[Cause]) -> str:
    groups: dict[str, list[str]] = {}
    for cause in causes:
        groups.setdefault(cause.message.removeprefix("conflict "), []).append(f"- {cause.field}")
    return "\n".join(f"{head}:\n" + "\n".join(fields) for head, fields in groups.items())


def dotted(path: Path) -> str:
    """A path as messages show it: .spec.containers[name="x"].image"""
    text = ""
    for element in path:
        kind, _, rest = element.partition(":")
        if kind == "f":
            text += f".{rest}"
        elif kind == "k":
            pairs = json.loads(rest).items()
            text += "[" + ",".join(f"{key}={json.dumps(value)}" for key, value in pairs) + "]"
        else:
            text += f"[={rest}]"
    return text


def _merge(live: Any, config: Any, names: Path, types: ListTypes) -> Any:
    if isinstance(config, dict):
        merged = live if isinstance(live, dict) else {}
        for key, value in config.items():
            if value is None and key not in merged:
                continue
            merged[key] = _merge(merged.get(key), value, (*names, key), types)
        return merged
    if isinstance(config, list) and names and (keys := types.keys(names, config)) is not None:
        return _merge_items(live if isinstance(live, list) else [], config, names, keys, types)
    return copy.deepcopy(config)


def _merge_items(live: list[Any], config: list[Any], names: Path, keys: Path, types: ListTypes) -> list[Any]:
    places = {item_element(item, keys): index for index, item in enumerate(live)}
    merged = list(live)
    for item in config:
        place = places.get(item_element(item, keys))
        if place is None:
            merged.append(copy.deepcopy(item))
        elif keys:
            merged[place] = _merge(merged[place], item, names, types)
    return merged


def _is_key_field(path: Path) -> bool:
    """Whether a path is a field by which its list item is known."""
    if len(path) < 2 or not path[-2].startswith("k:"):
        return False
    return path[-1].removeprefix("f:") in json.loads(path[-2][2:])


def _remove_path(item: Json, path: Path, kept: set[Path]) -> None:
    """Removes what a path leads to, unless something under it is kept; and the containers it leaves empty."""
    if any(other[: len(path)] == path for other in kept):
        return
    trail: list[tuple[Any, Any]] = []
    node: Any = item
    for element in path:
        place = _locate(node, element)
        if place is None:
            return
        trail.append((node, place))
        node = node[place]
    for container, place in reversed(trail):
        del container[place]
        if container:
            return


def _locate(node: Any, element: str) -> Any:
    """The key or index in a container that an element of a path means; None when it is not there."""
    kind, _, rest = element.partition(":")
    if kind == "f":
        return rest if isinstance(node, dict) and rest in node else None
    if not isinstance(node, list):
        return None
    wanted = json.loads(rest)
    for index, item in enumerate(node):
        if kind == "v" and item == wanted:
            return index
        if kind == "k" and isinstance(item, dict) and _has_keys(item, wanted):
            return index
    return None


def _has_keys(item: Json, wanted: Json) -> bool:
    return all(item.get(key, "TCP" if key == "protocol" else None) == value for key, value in wanted.items())
