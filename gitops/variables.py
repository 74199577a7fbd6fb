"""Variables of Flux (``spec.postBuild``) in names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gitops.walk import Instance

_VARIABLE = re.compile(r"\$\{(\w+)(?::?([-=])([^{}]*))?\}")


def substitute_names(instance: Instance, values: Mapping[str, str], *, certain: bool) -> None:
    if instance.annotations.get("kustomize.toolkit.fluxcd.io/substitute", "").lower() == "disabled":
        return
    instance.name = substituted(instance.name, values, certain=certain)
    instance.namespace = substituted(instance.namespace, values, certain=certain)


def substituted(text: str, values: Mapping[str, str], *, certain: bool = True) -> str:
    """Text with variables filled in as ``spec.postBuild`` does; unknown ones without a default stay as written.

    Where not all values are known (``certain`` is false), those with a default stay as written, too.
    """

    def fill(found: re.Match[str]) -> str:
        name, operator, default = found.groups()
        if values.get(name):
            return values[name]
        if not certain:
            return found.group()
        return default if operator else values.get(name, found.group())

    previous = ""
    while text != previous and "${" in text:
        # The innermost variables first: a default may hold another variable.
        previous, text = text, _VARIABLE.sub(fill, text)
    return text
