"""Replaced spans of a YAML file: each edit is read back and compared with what it was meant to state."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gitops.errors import Reason, Refusal
from gitops.statements import Plain, plain
from gitops.yamltext import Node, Path, YamlFile, parse

_REST_OF_LINE = re.compile(r"[ \t]*(#[^\r\n]*)?(\r\n|\n|\Z)")


@dataclass(frozen=True)
class Span:
    """Replaces ``text[start:end]``."""

    start: int
    end: int
    replacement: str = ""


def apply(file: YamlFile, spans: Sequence[Span], expected: Sequence[Plain]) -> YamlFile:
    """The file with spans replaced, read back. Refuses where it does not state ``expected`` (one a document)."""
    text = file.text
    for span in sorted(spans, key=lambda each: (each.start, each.end), reverse=True):
        text = text[: span.start] + span.replacement + text[span.end :]
    try:
        result = parse(file.path, text.encode())
    except Refusal as refusal:
        raise uncertain(file, "the result is no longer readable") from refusal
    if [plain(doc.node) for doc in result.documents] != list(expected):
        raise uncertain(file, "the result does not read back as the intended change")
    return result


def uncertain(file: YamlFile, why: str) -> Refusal:
    return Refusal(
        Reason.UNCERTAIN, f"{file.path} cannot be edited with certainty: {why}.", path=file.path,
        next_step="Edit this file by hand.",
    )  # fmt: skip


def states_of(file: YamlFile) -> list[Plain]:
    return [plain(doc.node) for doc in file.documents]


def expect(file: YamlFile, index: int, value: Plain) -> list[Plain]:
    states = states_of(file)
    states[index] = value
    return states


def root_of(file: YamlFile, index: int) -> Node:
    node = file.documents[index].node
    if node is None:
        raise uncertain(file, "the document is empty")
    return node


def find(file: YamlFile, index: int, path: Path, kind: str) -> tuple[Node, Node]:
    root = root_of(file, index)
    node: Node | None = root
    for step in path:
        if node is not None:
            node = node.items[step] if isinstance(step, int) else node.own(step)
    if node is None or node.kind != kind:
        raise uncertain(file, f"{'.'.join(map(str, path))} is not written as a {kind} here")
    return root, node


def key_of(file: YamlFile, index: int, path: Path) -> Node:
    parent = root_of(file, index).at(*path[:-1])
    for key, _ in parent.pairs if parent is not None else []:
        if key.kind == "scalar" and key.value == path[-1]:
            return key
    raise uncertain(file, f"{path[-1] if path else 'the document'} has no key of its own")


def insertion(file: YamlFile, position: int, lines: Sequence[str]) -> Span:
    """New lines behind the line on which ``position`` stands, in the file's line ends."""
    newline = file.newline
    end = line_end(file, position)
    body = newline.join(lines)
    if end == len(file.text) and not file.text.endswith("\n"):
        return Span(end, end, f"{newline}{body}")
    return Span(end, end, f"{body}{newline}")


def line_end(file: YamlFile, position: int) -> int:
    """Behind the line break of the line, where nothing but a comment follows ``position`` on it."""
    rest = _REST_OF_LINE.match(file.text, position)
    if rest is None:
        raise uncertain(file, "something else follows on the same line")
    return rest.end()


def text_end_of_line(text: str, position: int) -> int:
    found = re.compile(r"\r?\n|\Z").search(text, position)
    return found.start() if found else len(text)


def line_start(text: str, position: int) -> int:
    start = text.rfind("\n", 0, position) + 1
    return 1 if start == 0 and text.startswith("\ufeff") else start


def column(text: str, position: int) -> int:
    return position - line_start(text, position)


def with_newlines(text: str, newline: str) -> str:
    return newline.join(text.replace("\r\n", "\n").split("\n"))
