"""Whether a CEL expression of admission is true for the deletion of one object. What is not understood is None. Pure.

Understood: `!`, `&&`, `||`, parentheses, true, false, and as operands has(), `in`, == and != on labels and annotations of oldObject, on
the namespace, on the operation, and on who asks. An operand that is not understood, or fails, is None, and CEL's own rule holds: `false
&&` anything is false, `true ||` anything is true.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from dashboard.askers import EVERYONE, SOMEBODY, Asker
from dashboard.conditions import Deletion
from dashboard.logic import Known, every, negated, some

STRING = r"""(?:'[^']*'|"[^"]*")"""
# A ternary, a comment, an escape, a raw or long string, a lambda: read none of it rather than half of it.
BEYOND = re.compile(r"""\\|'''|\"\"\"|\b[rRbB]+['"]|//|(?<![.\[])\?|\{""")
MAP = r"oldObject\.metadata\.(?P<map>annotations|labels)"
NAMESPACE = r"(?:request\.namespace|oldObject\.metadata\.namespace|namespaceObject\.metadata\.name)"
LOWER = r"(?P<lower>\.lowerAscii\(\))?"
TOKEN = re.compile(r"\s+|" + STRING + r"|[\w.]+|&&|\|\||[!=<>]=|.", re.DOTALL)

Judge = Callable[[re.Match[str], Deletion], Known]


class _Unread(Exception):
    """The expression has a form that is not read here."""


def true(expression: str, deletion: Deletion) -> Known:
    """Whether the expression is true."""
    tokens = _tokens(expression)
    if tokens is None:
        return None
    try:
        return _Reader(tokens, deletion).whole()
    except _Unread:
        return None


@lru_cache(maxsize=1024)
def _tokens(expression: str) -> tuple[str, ...] | None:
    """The words of the expression; None where it has a form that is not read."""
    bare = re.sub(STRING, "''", expression)
    if BEYOND.search(bare) or "\\" in expression:
        return None
    return tuple(found[0] for found in TOKEN.finditer(expression) if not found[0].isspace())


class _Reader:
    """Reads one expression by recursive descent."""

    def __init__(self, tokens: tuple[str, ...], deletion: Deletion) -> None:
        self._tokens = tokens
        self._at = 0
        self._deletion = deletion

    def whole(self) -> Known:
        answer = self._either()
        if self._at != len(self._tokens):
            raise _Unread
        return answer

    def _next(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _joined(self, sign: str, operand: Callable[[], Known]) -> list[Known]:
        answers = [operand()]
        while self._next() == sign:
            self._at += 1
            answers.append(operand())
        return answers

    def _either(self) -> Known:
        return some(self._joined("||", self._both))

    def _both(self) -> Known:
        return every(self._joined("&&", self._single))

    def _single(self) -> Known:
        if self._next() == "!":
            self._at += 1
            # It binds more tightly than a comparison, which would then be of something else.
            return negated(self._single() if self._next() in {"!", "("} else self._operand(negated_here=True))
        if self._next() == "(":
            self._at += 1
            answer = self._either()
            if self._next() != ")":
                raise _Unread
            self._at += 1
            if self._next() not in {"", "&&", "||", ")"}:
                raise _Unread
            return answer
        return self._operand()

    def _operand(self, *, negated_here: bool = False) -> Known:
        words: list[str] = []
        depth = 0
        while self._next() and (depth or self._next() not in {"&&", "||", ")"}):
            word = self._next()
            depth += (word in {"(", "["}) - (word in {")", "]"})
            words.append(word)
            self._at += 1
        if not words or depth:
            raise _Unread
        text = "".join(words)
        if negated_here and not re.fullmatch(r"has\([^()]*\)|true|false|[\w.]+\.startsWith\([^()]*\)", text):
            return None
        return _operand(text, self._deletion)


def _operand(text: str, deletion: Deletion) -> Known:
    known = _recognized(text)
    return known[1](known[0], deletion) if known else None


@lru_cache(maxsize=1024)
def _recognized(text: str) -> tuple[re.Match[str], Judge] | None:
    matches = ((pattern.fullmatch(text), judge) for pattern, judge in OPERANDS)
    return next(((found, judge) for found, judge in matches if found), None)


def _words(text: str) -> list[str]:
    return [word[1:-1] for word in re.findall(STRING, text)]


def _constant(found: re.Match[str], deletion: Deletion) -> Known:
    return found[0] == "true"


def _has_map(found: re.Match[str], deletion: Deletion) -> Known:
    return bool(deletion.pairs(found["map"]))


def _has_key(found: re.Match[str], deletion: Deletion) -> Known:
    pairs = deletion.pairs(found["map"])
    # Of a map that is not there, it is an error.
    return _words(found["key"])[0] in pairs if pairs else None


def _pair(found: re.Match[str], deletion: Deletion) -> Known:
    value = deletion.pairs(found["map"]).get(_words(found["key"])[0], found.groupdict().get("default") and "")
    if value is None:
        return None
    return _equal(found, value.lower() if found["lower"] else value)


def _equal(found: re.Match[str], value: str) -> Known:
    same = value in _words(found["value"])
    return same if found["sign"] != "!=" else not same


def _namespace(found: re.Match[str], deletion: Deletion) -> Known:
    known = deletion.namespace if deletion.obj.namespace else None
    return None if known is None else _equal(found, known)


def _operation(found: re.Match[str], deletion: Deletion) -> Known:
    return _equal(found, "DELETE")


def _user(found: re.Match[str], deletion: Deletion) -> Known:
    if deletion.asker is None:
        return None
    same = any(
        _is(deletion.asker, word, whole=not found.groupdict().get("start")) for word in _words(found["value"])
    )
    return not same if found.groupdict().get("sign") == "!=" else same


def _is(asker: Asker, word: str, *, whole: bool) -> bool:
    if asker == SOMEBODY:
        return not whole and not word
    return asker.user == word if whole else asker.user.startswith(word)


def _group(found: re.Match[str], deletion: Deletion) -> Known:
    group = _words(found["key"])[0]
    if group == EVERYONE:
        return True
    return None if deletion.asker is None else group in deletion.asker.groups


def _compared(left: str) -> tuple[str, ...]:
    """`left` compared with a string, on either side of it, or looked for in a list of strings."""
    return (
        left + r"(?P<sign>==|!=)(?P<value>" + STRING + ")",
        r"(?P<value>" + STRING + r")(?P<sign>==|!=)" + left,
        left + r"(?P<sign>in)(?P<value>\[" + STRING + r"(?:," + STRING + r")*\])",
    )


OPERANDS: list[tuple[re.Pattern[str], Judge]] = [
    (re.compile(pattern), judge)
    for patterns, judge in (
        (("true|false",), _constant),
        ((r"has\(" + MAP + r"\)",), _has_map),
        ((r"(?P<key>" + STRING + ")in" + MAP,), _has_key),
        (_compared(MAP + r"\[(?P<key>" + STRING + r")\]" + LOWER), _pair),
        (
            _compared(
                r"oldObject\.metadata\.\?(?P<map>annotations|labels)\[\??(?P<key>"
                + STRING
                + r")\]\.orValue\((?P<default>''|\"\")\)"
                + LOWER
            ),
            _pair,
        ),
        (_compared(NAMESPACE), _namespace),
        (_compared(r"request\.operation"), _operation),
        (_compared(r"request\.userInfo\.username"), _user),
        ((r"request\.userInfo\.username(?P<start>\.startsWith)\((?P<value>" + STRING + r")\)",), _user),
        ((r"(?P<key>" + STRING + r")inrequest\.userInfo\.groups",), _group),
    )
    for pattern in patterns
]
