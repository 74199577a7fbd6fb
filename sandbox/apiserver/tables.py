"""Server-side printing: the Table that kubectl shows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from sandbox.apiserver import cells as cells_of_kinds
from sandbox.apiserver import columns, jsonpaths
from sandbox.apiserver.resources import ResourceType

Json = dict[str, Any]

_AGE_PATH = ".metadata.creationTimestamp"


def wants_table(accept: str) -> bool:
    return "as=Table" in accept


def table(resource: ResourceType, items: Iterable[Json], metadata: Json, include: str) -> bytes:
    """A Table of objects; `include` is the includeObject parameter."""
    definitions, cells = _printer(resource)
    rows = []
    for item in items:
        row: Json = {"cells": cells(item)}
        if include == "Object":
            row["object"] = item
        elif include != "None":
            partial = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
            row["object"] = {**partial, "metadata": item["metadata"]}
        rows.append(row)
    return msgspec.json.encode(
        {
            "kind": "Table",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": metadata,
            "columnDefinitions": definitions,
            "rows": rows,
        }
    )


def _printer(resource: ResourceType) -> tuple[list[Json], columns.Cells]:
    if resource.custom:
        return _custom_printer(resource)
    if resource.table in columns.COLUMNS:
        chosen = columns.COLUMNS[resource.table]
    else:
        created = resource.group in ("rbac.authorization.k8s.io", "apiextensions.k8s.io")
        chosen = columns.CREATED_AT if created else columns.DEFAULT
    definitions = [_definition(name) for name in chosen.names]
    if resource.table == columns.EVENTS:
        return definitions, chosen.cells
    return [_name_column(), *definitions], lambda item: [item["metadata"]["name"], *chosen.cells(item)]


def _name_column() -> Json:
    return {"name": "Name", "type": "string", "format": "name", "description": "", "priority": 0}


def _definition(name: str, kind: str = "string", description: str = "", priority: int = 0) -> Json:
    wide = name.startswith("~")
    return {
        "name": name.removeprefix("~"),
        "type": kind,
        "format": "",
        "description": description,
        "priority": 1 if wide else priority,
    }


def _custom_printer(resource: ResourceType) -> tuple[list[Json], columns.Cells]:
    entries = list(resource.columns) or [{"name": "Age", "type": "date", "jsonPath": _AGE_PATH}]
    definitions = [_name_column()]
    definitions += [
        _definition(
            one["name"], one.get("type", "string"), one.get("description", ""), one.get("priority", 0)
        )
        for one in entries
    ]
    return definitions, lambda item: [item["metadata"]["name"], *(_cell(item, entry) for entry in entries)]


def _cell(item: Json, entry: Json) -> Any:
    value = jsonpaths.first(item, entry.get("jsonPath", ""))
    if entry.get("type") == "date":
        return cells_of_kinds.age(value)
    if value is None or isinstance(value, (str, int, float)):
        return value if not isinstance(value, bool) else str(value).lower()
    return msgspec.json.encode(value).decode()
