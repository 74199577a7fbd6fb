"""The part of JMESPath that deletion policies use: paths with quoted names, ||, &&, !, ==, !=, literals, functions.

request.oldObject.metadata.annotations."kustomize.toolkit.fluxcd.io/prune" || ''
to_lower(request.oldObject.metadata.labels.tier || 'none')
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

_TOKEN = re.compile(
    r"""\s*(?:(?P<op>\|\||&&|==|!=|[().,\[\]!|@*])
        |(?P<string>'(?:[^'\\]|\\.)*')
        |(?P<quoted>"(?:[^"\\]|\\.)*")
        |(?P<literal>`[^`]*`)
        |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
        |(?P<number>-?\d+))""",
    re.VERBOSE,
)
_FALSE: tuple[Any, ...] = (None, False, "", [], {})


class QueryError(Exception):
    """The expression is not understood, or asks for what is not there."""


class UnknownKey(QueryError):
    """A path leads to nothing; Kyverno fails the rule, unless || gives another value."""


def evaluate(expression: str, context: dict[str, Any]) -> Any:
    """The value of an expression. UnknownKey when a path leads nowhere, QueryError when it cannot be read."""
    parser = _Parser(expression, context)
    value = parser.pipe(context)
    if parser.position < len(parser.tokens):
        raise QueryError(f"unexpected {parser.tokens[parser.position][1]!r} in {expression!r}")
    if value is None:
        raise UnknownKey(f"Unknown key in path: {expression}")
    return value


def _tokens(expression: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    position = 0
    text = expression.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            raise QueryError(f"cannot read {text[position:]!r}")
        found.append((match.lastgroup, match[match.lastgroup]))
        position = match.end()
    return found


class _Parser:
    """Reads and evaluates in one go: expressions are short, and each is used for one request."""

    def __init__(self, expression: str, context: dict[str, Any]) -> None:
        self.tokens = _tokens(expression)
        self.position = 0
        self.context = context

    def _peek(self) -> str:
        if self.position < len(self.tokens) and self.tokens[self.position][0] == "op":
            return self.tokens[self.position][1]
        return ""

    def _accept(self, operator: str) -> bool:
        if self._peek() == operator:
            self.position += 1
            return True
        return False

    def _expect(self, operator: str) -> None:
        if not self._accept(operator):
            raise QueryError(f"expected {operator!r}")

    def pipe(self, current: Any) -> Any:
        value = self._either(current)
        while self._accept("|"):
            value = self._either(value)
        return value

    def _either(self, current: Any) -> Any:
        value = self._both(current)
        while self._accept("||"):
            other = self._both(current)
            value = other if value in _FALSE else value
        return value

    def _both(self, current: Any) -> Any:
        value = self._comparison(current)
        while self._accept("&&"):
            other = self._comparison(current)
            value = value if value in _FALSE else other
        return value

    def _comparison(self, current: Any) -> Any:
        value = self._not(current)
        if self._accept("=="):
            return value == self._not(current)
        if self._accept("!="):
            return value != self._not(current)
        return value

    def _not(self, current: Any) -> Any:
        if self._accept("!"):
            return self._not(current) in _FALSE
        return self._path(current)

    def _path(self, current: Any) -> Any:
        value = self._primary(current)
        while True:
            if self._accept("."):
                value = self._field(value)
            elif self._accept("["):
                value = self._index(value)
            else:
                return value

    def _primary(self, current: Any) -> Any:
        if self._accept("("):
            value = self.pipe(current)
            self._expect(")")
            return value
        if self._accept("@"):
            return current
        if self.position >= len(self.tokens):
            raise QueryError("the expression ends too early")
        kind, text = self.tokens[self.position]
        if kind == "string":
            self.position += 1
            return text[1:-1].replace("\\'", "'")
        if kind == "literal":
            self.position += 1
            return json.loads(text[1:-1])
        if kind == "name" and self.tokens[self.position + 1 : self.position + 2] == [("op", "(")]:
            return self._call(text, current)
        return self._field(current)

    def _field(self, value: Any) -> Any:
        if self.position >= len(self.tokens):
            raise QueryError("the expression ends with a dot")
        kind, text = self.tokens[self.position]
        if kind not in ("name", "quoted"):
            raise QueryError(f"unexpected {text!r}")
        self.position += 1
        key = json.loads(text) if kind == "quoted" else text
        return value.get(key) if isinstance(value, dict) else None

    def _index(self, value: Any) -> Any:
        kind, text = self.tokens[self.position]
        self.position += 1
        self._expect("]")
        if kind != "number" or not isinstance(value, list):
            return None
        return value[int(text)] if -len(value) <= int(text) < len(value) else None

    def _call(self, name: str, current: Any) -> Any:
        self.position += 2
        arguments: list[Any] = []
        while not self._accept(")"):
            if arguments:
                self._expect(",")
            arguments.append(self.pipe(current))
        if name not in _FUNCTIONS:
            raise QueryError(f"unknown function: {name}()")
        try:
            return _FUNCTIONS[name](*arguments)
        except (TypeError, AttributeError) as error:
            raise QueryError(f"{name}(): invalid type") from error


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "to_lower": lambda text: text.lower(),
    "to_upper": lambda text: text.upper(),
    "to_string": lambda value: value if isinstance(value, str) else json.dumps(value),
    "trim": lambda text, cut: text.strip(cut),
    "length": len,
    "keys": lambda mapping: list(mapping),
    "values": lambda mapping: list(mapping.values()),
    "contains": lambda whole, part: part in whole,
    "starts_with": lambda text, start: text.startswith(start),
    "ends_with": lambda text, end: text.endswith(end),
    "not_null": lambda *values: next((value for value in values if value is not None), None),
}
