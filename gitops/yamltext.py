"""Reads YAML into nodes that know their place in the text, so that an edit can touch one span and nothing else.

Positions are offsets into the decoded text. Nodes keep what was written: an alias stays an alias, a quoted scalar is
told apart from a plain one. Nothing is resolved to numbers or booleans: two texts are compared by what they state.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from gitops.errors import Reason, Refusal

MAX_DEPTH = 100
# One question about a repository reads the same few files dozens of times, and reading YAML costs more than all the rest of it.
REMEMBERED_FILES = 1024
REMEMBERED_BYTES = 32 * 1024
NULLS = ("", "~", "null", "Null", "NULL")
Path = tuple[str | int, ...]


@dataclass(slots=True)
class Node:
    """One occurrence in the text: ``kind`` is scalar, list, map or alias. ``start`` includes an anchor or a tag.

    Nobody changes a node after it was read: readers of the same text share them.
    """

    kind: str
    start: int
    end: int
    column: int
    flow: bool = False
    style: str = ""  # of a scalar: "" plain, otherwise ' " | >
    value: str = ""
    tag: str = ""
    anchor: str = ""
    items: list[Node] = field(default_factory=list)
    pairs: list[tuple[Node, Node]] = field(default_factory=list)
    target: Node | None = None  # of an alias

    @property
    def real(self) -> Node:
        """The node itself, or what the alias stands for."""
        return self.target.real if self.target is not None else self

    @property
    def is_null(self) -> bool:
        return self.kind == "scalar" and not self.style and not self.tag and self.value in NULLS

    def get(self, key: str) -> Node | None:
        """Value of a key of a mapping, merge keys (``<<``) looked through, aliases kept."""
        node = self.real
        found = [value for name, value in node.pairs if name.real.value == key and name.real.kind == "scalar"]
        if found:
            return found[-1]
        for name, value in node.pairs:
            if name.value == "<<" and not name.style:
                for part in value.real.items or [value]:
                    inherited = part.get(key)
                    if inherited is not None:
                        return inherited
        return None

    def own(self, key: str) -> Node | None:
        """Value of a key that this mapping itself writes."""
        found = [value for name, value in self.pairs if name.kind == "scalar" and name.value == key]
        if len(found) > 1:
            raise Refusal(Reason.UNREADABLE, f"The key {key} is written twice in one mapping.")
        return found[0] if found else None

    def at(self, *path: str | int) -> Node | None:
        """Node at a path of keys and positions, or None."""
        node: Node | None = self
        for step in path:
            if node is None:
                return None
            if isinstance(step, int):
                items = node.real.items
                node = items[step] if step < len(items) else None
            else:
                node = node.get(step)
        return node

    def text(self, *path: str | int) -> str:
        """Text of the scalar at a path; "" where there is none or it is null."""
        node = self.at(*path)
        if node is None or node.real.kind != "scalar" or node.real.is_null:
            return ""
        return node.real.value

    def texts(self, *path: str | int) -> dict[str, str]:
        """A mapping of scalars at a path (labels, annotations), merge keys included."""
        node = self.at(*path)
        result: dict[str, str] = {}
        if node is None or node.real.kind != "map":
            return result
        for key, value in node.real.pairs:
            if key.value == "<<" and not key.style:
                for part in value.real.items or [value]:
                    for name, text in part.texts().items():
                        result.setdefault(name, text)
            elif value.real.kind == "scalar":
                result[key.real.value] = value.real.value
        return result

    def elements(self, *path: str | int) -> list[Node]:
        node = self.at(*path)
        return list(node.real.items) if node is not None else []

    def walk(self, path: Path = ()) -> Iterator[tuple[Path, Node]]:
        """Every node that is written here, with its path; aliases are given but not entered."""
        yield path, self
        for index, item in enumerate(self.items):
            yield from item.walk((*path, index))
        for key, value in self.pairs:
            yield from value.walk((*path, key.real.value))


@dataclass(slots=True)
class Document:
    """One document. ``start`` to ``end`` is its span, its ``---`` line included; ``node`` None: only comments."""

    index: int
    explicit: bool
    start: int
    end: int
    node: Node | None


@dataclass
class YamlFile:
    """A file as text and as documents. ``bom`` is kept outside of the text's documents but inside the text."""

    path: str
    text: str
    documents: list[Document]

    @cached_property
    def newline(self) -> str:
        return "\r\n" if "\r\n" in self.text else "\n"

    @property
    def content(self) -> bytes:
        return self.text.encode()

    def byte_offset(self, position: int) -> int:
        return len(self.text[:position].encode())

    def roots(self) -> list[tuple[int, Node]]:
        """Index and root of every document that has content."""
        return [
            (doc.index, doc.node) for doc in self.documents if doc.node is not None and not doc.node.is_null
        ]


def parse(path: str, content: bytes) -> YamlFile:
    """Read a file. Refuses (UNREADABLE, TEMPLATED) what cannot be read with certainty."""
    return _remembered(path, content) if len(content) <= REMEMBERED_BYTES else _parse(path, content)


@lru_cache(maxsize=REMEMBERED_FILES)
def _remembered(path: str, content: bytes) -> YamlFile:
    return _parse(path, content)


def _parse(path: str, content: bytes) -> YamlFile:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refusal(Reason.UNREADABLE, f"{path} is not UTF-8 text.", path=path) from error
    try:
        documents = _read(path, text)
    except YAMLError as error:
        if "{{" in text:
            raise Refusal(Reason.TEMPLATED, f"{path} is a template, not YAML.", path=path) from error
        raise Refusal(
            Reason.UNREADABLE, f"{path} is not valid YAML: {_first_line(error)}", path=path
        ) from error
    except RecursionError as error:
        raise Refusal(Reason.UNREADABLE, f"{path} is nested too deeply.", path=path) from error
    return YamlFile(path, text, documents)


def _read(path: str, text: str) -> list[Document]:
    """Documents of a text. Tabs between tokens, which other readers take, are read as blanks: places stay the same."""
    try:
        return _Composer(path, text).documents()
    except YAMLError:
        if "\t" not in text:
            raise
        return _Composer(path, text.replace("\t", " ")).documents()


def _first_line(error: YAMLError) -> str:
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    mark = getattr(error, "problem_mark", None)
    return f"{problem} (line {mark.line + 1})" if mark else str(problem)


class _Composer:
    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        yaml = YAML(typ="safe", pure=True)
        self.events: Iterator[Any] = iter(yaml.parse(text))
        self.anchors: dict[str, Node] = {}

    def documents(self) -> list[Document]:
        result: list[Document] = []
        for event in self.events:
            if isinstance(event, DocumentStartEvent):
                self.anchors = {}
                node = self.node(next(self.events), 0)
                result.append(
                    Document(len(result), bool(event.explicit), self._document_start(event, result), 0, node)
                )
            elif isinstance(event, DocumentEndEvent):
                continue
        for this, following in pairwise(result):
            this.end = following.start
        if result:
            result[-1].end = len(self.text)
        return result

    def _document_start(self, event: Any, earlier: list[Document]) -> int:
        """Where the span of a document begins: at its marker, or for a first one without a marker at the top."""
        if not event.explicit:
            return 1 if self.text.startswith("\ufeff") else 0
        return int(event.start_mark.index)

    def node(self, event: Any, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise Refusal(Reason.UNREADABLE, f"{self.path} is nested too deeply.", path=self.path)
        make: Callable[[Any, int], Node]
        if isinstance(event, AliasEvent):
            make = self.alias
        elif isinstance(event, ScalarEvent):
            make = self.scalar
        elif isinstance(event, SequenceStartEvent):
            make = self.sequence
        else:
            make = self.mapping
        return make(event, depth)

    def _new(self, kind: str, event: Any) -> Node:
        tag = str(event.tag or "") if getattr(event, "tag", None) else ""
        node = Node(
            kind, event.start_mark.index, event.end_mark.index, event.start_mark.column,
            tag=tag, anchor=event.anchor or "",
        )  # fmt: skip
        if event.anchor and kind != "alias":
            self.anchors[event.anchor] = node
        return node

    def alias(self, event: Any, depth: int) -> Node:
        if event.anchor not in self.anchors:
            raise Refusal(
                Reason.UNREADABLE, f"{self.path} uses the unknown alias *{event.anchor}.", path=self.path
            )
        node = self._new("alias", event)
        node.target = self.anchors[event.anchor]
        return node

    def scalar(self, event: Any, depth: int) -> Node:
        node = self._new("scalar", event)
        node.value, node.style = event.value, event.style or ""
        if not node.style and not node.value:
            node.end = node.start
        if node.style in ("|", ">"):
            node.end = self._block_scalar_end(node)
        return node

    def _block_scalar_end(self, node: Node) -> int:
        """Behind the last line of text; blank lines that follow belong to it only where ``+`` keeps them."""
        written = self.text[node.start : node.end]
        keeps = "+" in written.splitlines()[0].split("#")[0]
        if keeps:
            return node.end - (1 if written.endswith("\n") else 0)
        return node.start + len(written.rstrip(" \t\r\n"))

    def sequence(self, event: Any, depth: int) -> Node:
        node = self._new("list", event)
        node.flow = bool(event.flow_style)
        for inner in self.events:
            if isinstance(inner, SequenceEndEvent):
                node.end = inner.end_mark.index
                break
            node.items.append(self.node(inner, depth + 1))
        return node

    def mapping(self, event: Any, depth: int) -> Node:
        if not isinstance(event, MappingStartEvent):
            raise Refusal(Reason.UNREADABLE, f"{self.path} is not valid YAML.", path=self.path)
        node = self._new("map", event)
        node.flow = bool(event.flow_style)
        for inner in self.events:
            if isinstance(inner, MappingEndEvent):
                node.end = inner.end_mark.index
                break
            key = self.node(inner, depth + 1)
            value = self.node(next(self.events), depth + 1)
            self._place_nothing(key, value)
            node.pairs.append((key, value))
        return node

    def _place_nothing(self, key: Node, value: Node) -> None:
        """A value that is not written stands behind its key's colon, not where the reader noticed its absence."""
        if value.kind == "scalar" and not (value.value or value.style or value.tag or value.anchor):
            colon = re.compile(r"[ \t]*:").match(self.text, key.end)
            if colon is not None:
                value.start = value.end = colon.end()


def content_end(node: Node) -> int:
    """Offset behind the last written character of a node (block collections end before comments that follow)."""
    if node.flow or node.kind in ("scalar", "alias"):
        return node.end
    if node.kind == "list" and node.items:
        return (
            content_end(node.items[-1]) if node.items[-1].end > node.items[-1].start else node.items[-1].end
        )
    if node.kind == "map" and node.pairs:
        key, value = node.pairs[-1]
        return max(content_end(value), key.end)
    return node.end
