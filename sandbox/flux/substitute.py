"""spec.postBuild: ${variable}, ${variable:=default} and ${variable:-default} in the built manifests."""

from __future__ import annotations

import re
from collections.abc import Mapping

import yaml

from sandbox.answers import Object
from sandbox.flux.kustomize import Loader
from sandbox.flux.metadata import GROUP, any_in_metadata

_VARIABLE = re.compile(r"\$?\$\{([a-zA-Z_][a-zA-Z0-9_]*)(?::?[=-]([^}]*))?\}")


def substitute(item: Object, variables: Mapping[str, str] | None) -> Object:
    """The object with its variables replaced; unknown ones without a default become empty, $${x} stays ${x}."""
    if not variables or any_in_metadata(item, {f"{GROUP}/substitute": "disabled"}):
        return item

    def value(match: re.Match[str]) -> str:
        if match[0].startswith("$$"):
            return match[0][1:]
        return variables.get(match[1]) or match[2] or ""

    replaced: Object = yaml.load(_VARIABLE.sub(value, yaml.safe_dump(item, width=100000)), Loader=Loader)  # noqa: S506
    return replaced
