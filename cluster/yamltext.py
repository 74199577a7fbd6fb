"""YAML text of objects, for people to read."""

from __future__ import annotations

from collections.abc import Mapping
from io import StringIO
from typing import Any

FIRST = ("apiVersion", "kind", "metadata", "spec")


def dump(data: Mapping[str, Any]) -> str:
    """`data` as block-style YAML, the usual keys first."""
    from ruamel.yaml import YAML  # imported late: pages that show no YAML should not pay for it

    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = False
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    writer.width = 4096
    ordered = {key: data[key] for key in FIRST if key in data} | dict(data)
    text = StringIO()
    writer.dump(ordered, text)
    return text.getvalue()
