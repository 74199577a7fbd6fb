"""{{ variables }} in a rule, replaced by what the request holds."""

from __future__ import annotations

import json
import re
from typing import Any

from sandbox.kyverno.query import evaluate

_VARIABLE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)


def resolve(value: Any, context: dict[str, Any]) -> Any:
    """The value with every variable in it replaced. UnknownKey or QueryError as query.evaluate raises them."""
    if isinstance(value, str):
        return _resolve_text(value, context)
    if isinstance(value, list):
        return [resolve(item, context) for item in value]
    if isinstance(value, dict):
        return {key: resolve(item, context) for key, item in value.items()}
    return value


def _resolve_text(text: str, context: dict[str, Any]) -> Any:
    whole = _VARIABLE.fullmatch(text.strip())
    if whole and text.count("{{") == 1:
        return evaluate(whole[1].strip(), context)
    return _VARIABLE.sub(lambda match: _printed(evaluate(match[1].strip(), context)), text)


def _printed(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
