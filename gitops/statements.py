"""What a YAML text states, without positions and layout: to compare an edited text with what it was meant to state."""

from __future__ import annotations

import re
from typing import Any

from gitops.errors import Reason, Refusal
from gitops.yamltext import NULLS, Node, Path

MAX_ALIASED_NODES = 20_000
# A scalar, a list, or a mapping as pairs in order.
Plain = tuple[str, Any]


def plain(node: Node | None) -> Plain:
    """What a node states: aliases written out, positions and layout gone, plain and quoted scalars told apart."""
    return _Statement().of(node, (), repeated=False)


class _Statement:
    """Writes out what a node states; what aliases repeat is bounded."""

    def __init__(self) -> None:
        self.left = MAX_ALIASED_NODES

    def of(self, node: Node | None, above: tuple[int, ...], *, repeated: bool) -> Plain:
        if node is None:
            return ("none", None)
        real = node.real
        repeated = repeated or node is not real
        self.left -= 1 if repeated else 0
        if self.left < 0:
            raise Refusal(Reason.UNREADABLE, "The file repeats itself through aliases without end.")
        if id(real) in above:
            raise Refusal(Reason.UNREADABLE, "The file contains itself through an alias.")
        if real.kind == "scalar":
            return scalar(real.value, quoted=bool(real.style), tag=real.tag)
        inside = (*above, id(real))
        if real.kind == "list":
            return ("list", [real.tag, *(self.of(item, inside, repeated=repeated) for item in real.items)])
        pairs = [
            (self.of(key, inside, repeated=repeated), self.of(value, inside, repeated=repeated))
            for key, value in real.pairs
        ]
        return ("map", [real.tag, *pairs])


_AMBIGUOUS = re.compile(r"^([-+.\d]|0x|0o|(?:y|n|yes|no|on|off|true|false|null|nan|inf)$)", re.IGNORECASE)


def scalar(value: str, *, quoted: bool, tag: str = "") -> Plain:
    """A scalar as it is compared: quoting counts only where a plain text could be read as something else."""
    if not quoted and not tag and (value in NULLS or _AMBIGUOUS.match(value)):
        return ("plain", value)
    return ("scalar", (tag, value))


def without(whole: Plain, path: Path) -> Plain:
    """``whole`` with the pair or the item at ``path`` gone."""
    return _altered(whole, path, None)


def with_value(whole: Plain, path: Path, value: Plain) -> Plain:
    """``whole`` with ``value`` at ``path``: replaced, or added at the end."""
    return _altered(whole, path, value)


def _altered(whole: Plain, path: Path, value: Plain | None) -> Plain:
    if not path:
        return value if value is not None else ("none", None)
    kind, body = whole
    step, rest = path[0], path[1:]
    if kind == "map":
        return ("map", [body[0], *_altered_pairs(body[1:], str(step), rest, value)])
    if kind == "list" and isinstance(step, int):
        items = list(body[1:])
        if step == len(items) and value is not None and not rest:
            return ("list", [body[0], *items, value])
        changed = [] if value is None and not rest else [_altered(items[step], rest, value)]
        return ("list", [body[0], *items[:step], *changed, *items[step + 1 :]])
    raise Refusal(Reason.UNCERTAIN, f"There is no {step} to change.")


def _altered_pairs(pairs: list[Any], step: str, rest: Path, value: Plain | None) -> list[Any]:
    result: list[Any] = []
    found = False
    for key, old in pairs:
        if key[0] == "none" or _key_text(key) != step:
            result.append((key, old))
            continue
        found = True
        if value is not None or rest:
            result.append((key, _altered(old, rest, value)))
    if not found:
        if value is None or rest:
            raise Refusal(Reason.UNCERTAIN, f"There is no {step} to change.")
        result.append((scalar(step, quoted=True), value))
    return result


def _key_text(key: Plain) -> str:
    kind, body = key
    return str(body) if kind == "plain" else str(body[1]) if kind == "scalar" else ""
