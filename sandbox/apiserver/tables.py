"""Server-side printing: the Table that kubectl shows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from sandbox.apiserver.resources import ResourceType

Json = dict[str, Any]


def wants_table(accept: str) -> bool:
    return "as=Table" in accept


def table(resource: ResourceType, items: Iterable[Json], metadata: Json, include: str) -> bytes:
    rows = []
    for item in items:
        meta = item["metadata"]
        row: Json = {"cells": [meta["name"], meta.get("creationTimestamp", "")]}
        if include == "Object":
            row["object"] = item
        elif include != "None":
            row["object"] = {
                "kind": "PartialObjectMetadata",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": meta,
            }
        rows.append(row)
    return msgspec.json.encode(
        {
            "kind": "Table",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": metadata,
            "columnDefinitions": [
                {"name": "Name", "type": "string", "format": "name", "description": "", "priority": 0},
                {"name": "Created At", "type": "date", "format": "", "description": "", "priority": 0},
            ],
            "rows": rows,
        }
    )
