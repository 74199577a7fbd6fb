"""The part of CEL that admission expressions about metadata use.

    !(has(oldObject.metadata.annotations) && 'a/b' in oldObject.metadata.annotations
      && oldObject.metadata.annotations['a/b'].lowerAscii() == 'disabled')

Has: selection, indexing, has(), in, comparisons, !, &&, || (which absorb errors as CEL does), ?:, lists, string methods,
size(), and the macros exists(), all() and filter() on lists.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any

Context = dict[str, Any]
Node = Callable[[Context], Any]

_TOKEN = re.compile(
    r"""\s*(?:(?P<op>\|\||&&|==|!=|<=|>=|[().,\[\]!?:<>+-])
        |(?P<string>r?'(?:[^'\\]|\\.)*'|r?"(?:[^"\\]|\\.)*")
        |(?P<number>\d+)
        |(?P<name>[A-Za-z_][A-Za-z0-9_]*))""",
    re.VERBOSE,
)
_LITERALS = {"true": True, "false": False, "null": None}


class CelError(Exception):
    """The expression cannot be read, or fails on this object."""


def evaluate(expression: str, context: Context) -> Any:
    """The value of an expression. CelError when it is not understood, or fails (no such key, wrong type)."""
    parser = _Parser(expression)
    node = parser.ternary()
    if parser.position < len(parser.tokens):
        raise CelError(f"unexpected {parser.tokens[parser.position][1]!r} in {expression!r}")
    return node(context)


class _Parser:
    def __init__(self, expression: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        self.position = 0
        at = 0
        text = expression.rstrip()
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None or match.lastgroup is None:
                raise CelError(f"cannot read {text[at:]!r}")
            self.tokens.append((match.lastgroup, match[match.lastgroup]))
            at = match.end()

    def _peek(self) -> tuple[str, str]:
        return self.tokens[self.position] if self.position < len(self.tokens) else ("end", "")

    def _accept(self, *wanted: str) -> str:
        kind, text = self._peek()
        if text in wanted and kind in ("op", "name"):
            self.position += 1
            return text
        return ""

    def _expect(self, wanted: str) -> None:
        if not self._accept(wanted):
            raise CelError(f"expected {wanted!r}, found {self._peek()[1]!r}")

    def ternary(self) -> Node:
        condition = self._either()
        if not self._accept("?"):
            return condition
        first = self.ternary()
        self._expect(":")
        second = self.ternary()
        return lambda context: first(context) if condition(context) is True else second(context)

    def _either(self) -> Node:
        node = self._both()
        while self._accept("||"):
            node = _logical(node, self._both(), decisive=True)
        return node

    def _both(self) -> Node:
        node = self._relation()
        while self._accept("&&"):
            node = _logical(node, self._relation(), decisive=False)
        return node

    def _relation(self) -> Node:
        node = self._unary()
        while symbol := self._accept("==", "!=", "<", "<=", ">", ">=", "in", "+", "-"):
            node = _binary(symbol, node, self._unary())
        return node

    def _unary(self) -> Node:
        if self._accept("!"):
            inner = self._unary()
            return lambda context: not _boolean(inner(context))
        return self._postfix()

    def _postfix(self) -> Node:
        node = self._primary()
        while True:
            if self._accept("."):
                node = self._member(node)
            elif self._accept("["):
                node = _index(node, self.ternary())
                self._expect("]")
            else:
                return node

    def _member(self, node: Node) -> Node:
        kind, name = self._peek()
        if kind != "name":
            raise CelError(f"unexpected {name!r} after a dot")
        self.position += 1
        if not self._accept("("):
            return _index(node, lambda context: name)
        if name in ("exists", "all", "filter"):
            return self._macro(node, name)
        return _method(name, node, self._arguments())

    def _macro(self, node: Node, name: str) -> Node:
        variable = self._peek()[1]
        self.position += 1
        self._expect(",")
        test = self.ternary()
        self._expect(")")

        def run(context: Context) -> Any:
            kept = [one for one in node(context) if test({**context, variable: one}) is True]
            if name == "filter":
                return kept
            return bool(kept) if name == "exists" else len(kept) == len(node(context))

        return run

    def _arguments(self) -> list[Node]:
        found: list[Node] = []
        while not self._accept(")"):
            if found:
                self._expect(",")
            found.append(self.ternary())
        return found

    def _primary(self) -> Node:
        kind, text = self._peek()
        self.position += 1
        if kind == "string":
            value = text[2:-1] if text.startswith("r") else re.sub(r"\\(.)", r"\1", text[1:-1])
            return lambda context: value
        if kind == "number":
            return lambda context: int(text)
        if text == "(":
            node = self.ternary()
            self._expect(")")
            return node
        if text == "[":
            return self._list()
        if kind == "name":
            return self._name(text)
        raise CelError(f"unexpected {text!r}")

    def _list(self) -> Node:
        items: list[Node] = []
        while not self._accept("]"):
            if items:
                self._expect(",")
            items.append(self.ternary())
        return lambda context: [item(context) for item in items]

    def _name(self, name: str) -> Node:
        if name in _LITERALS:
            return lambda context: _LITERALS[name]
        if self._accept("("):
            arguments = self._arguments()
            if name == "has" and len(arguments) == 1:
                return _has(arguments[0])
            if name in ("size", "string") and len(arguments) == 1:
                return _method(name, arguments[0], [])
            raise CelError(f"unknown function {name}()")

        def look_up(context: Context) -> Any:
            if name not in context:
                raise CelError(f"undeclared reference to '{name}'")
            return context[name]

        return look_up


def _logical(left: Node, right: Node, *, decisive: bool) -> Node:
    """|| (decisive True) and && (decisive False): an error on one side is no error if the other side decides."""

    def run(context: Context) -> bool:
        error: CelError | None = None
        for node in (left, right):
            try:
                if _boolean(node(context)) is decisive:
                    return decisive
            except CelError as caught:
                error = caught
        if error is not None:
            raise error
        return not decisive

    return run


_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "+": operator.add,
    "-": operator.sub,
    "in": lambda one, many: one in many,
}


def _binary(symbol: str, left: Node, right: Node) -> Node:
    def run(context: Context) -> Any:
        try:
            return _OPERATORS[symbol](left(context), right(context))
        except TypeError as error:
            raise CelError(f"no such overload: {symbol}") from error

    return run


def _index(node: Node, key: Node) -> Node:
    def run(context: Context) -> Any:
        value, wanted = node(context), key(context)
        try:
            return value[wanted]
        except (KeyError, IndexError, TypeError) as error:
            raise CelError(f"no such key: {wanted}") from error

    return run


def _has(node: Node) -> Node:
    def run(context: Context) -> bool:
        try:
            return node(context) is not None
        except CelError as error:
            if str(error).startswith("no such key"):
                return False
            raise

    return run


_METHODS: dict[str, Callable[..., Any]] = {
    "lowerAscii": lambda text: text.lower(),
    "upperAscii": lambda text: text.upper(),
    "startsWith": lambda text, start: text.startswith(start),
    "endsWith": lambda text, end: text.endswith(end),
    "contains": lambda text, part: part in text,
    "matches": lambda text, pattern: re.search(pattern, text) is not None,
    "trim": lambda text: text.strip(),
    "size": len,
    "string": str,
}


def _method(name: str, node: Node, arguments: list[Node]) -> Node:
    if name not in _METHODS:
        raise CelError(f"unknown function {name}()")

    def run(context: Context) -> Any:
        values = [node(context), *(argument(context) for argument in arguments)]
        try:
            return _METHODS[name](*values)
        except (TypeError, AttributeError) as error:
            raise CelError(f"no such overload: {name}()") from error

    return run


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise CelError("no such overload: not a boolean")
    return value
