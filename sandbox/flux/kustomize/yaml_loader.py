"""YAML as kustomize reads it: only true and false are booleans, and a date is a string."""

from __future__ import annotations

import re

import yaml


class Loader(yaml.SafeLoader):
    """A safe loader without YAML 1.1's yes/no/on/off and without dates."""


Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag not in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
