"""YAML text of objects, for people to read and to feed to kubectl."""

from __future__ import annotations

import re
from collections.abc import Mapping
from io import StringIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ruamel.yaml.nodes import ScalarNode
    from ruamel.yaml.representer import SafeRepresenter

FIRST = ("apiVersion", "kind", "metadata", "spec")
# kubectl reads YAML 1.1, where these plain words and numbers are not texts.
NOT_PLAIN = re.compile(r"(?:y|n|yes|no|on|off|true|false|null|~|[-+.0-9][-+.:_0-9a-fxob]*)", re.IGNORECASE)


def _text(representer: SafeRepresenter, value: str) -> ScalarNode:
    style = None
    if "\n" in value:
        style = "|"
    elif NOT_PLAIN.fullmatch(value):
        style = '"'
    return representer.represent_scalar("tag:yaml.org,2002:str", value, style=style)


def dump(data: Mapping[str, Any]) -> str:
    """`data` as block-style YAML, the usual keys first."""
    from ruamel.yaml import YAML  # imported late: pages that show no YAML should not pay for it
    from ruamel.yaml.representer import SafeRepresenter

    class Representer(SafeRepresenter):
        """Of our own, so that the quoting below changes no other writer in the process."""

    Representer.add_representer(str, _text)
    writer = YAML(typ="safe", pure=True)
    writer.Representer = Representer
    writer.default_flow_style = False
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    writer.width = 4096
    ordered = {key: data[key] for key in FIRST if key in data} | dict(data)
    text = StringIO()
    writer.dump(ordered, text)
    return text.getvalue()
