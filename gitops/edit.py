"""Edits of one YAML file as replaced spans. Each is read back and compared with what it was meant to state.

An edit either changes exactly what was asked, leaving every other byte alone, or raises `Refusal` (UNCERTAIN).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gitops.errors import Reason, Refusal
from gitops.yamltext import (
    Document,
    Node,
    Path,
    Plain,
    YamlFile,
    content_end,
    parse,
    plain,
    scalar,
    with_value,
    without,
)

_REST_OF_LINE = re.compile(r"[ \t]*(#[^\r\n]*)?(\r\n|\n|\Z)")
_PLAIN_SAFE = re.compile(r"^([A-Za-z_/][A-Za-z0-9_./=\\-]*|\d+(\.\d+)?([kMGTP]i?|Ei))$")
_AMBIGUOUS = re.compile(r"^(y|n|yes|no|on|off|true|false|null|nan|inf)$", re.IGNORECASE)


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


def _states(file: YamlFile) -> list[Plain]:
    return [plain(doc.node) for doc in file.documents]


def _expect(file: YamlFile, index: int, value: Plain) -> list[Plain]:
    states = _states(file)
    states[index] = value
    return states


# Documents


def document_span(file: YamlFile, index: int) -> tuple[int, int]:
    """Span that goes when a document goes. A header comment of the file, set off by a blank line, stays."""
    doc = file.documents[index]
    start = doc.start
    if not doc.explicit and doc.node is not None:
        start = _behind_header(file.text, start, doc.node.start)
    return start, doc.end


def _behind_header(text: str, start: int, content: int) -> int:
    before = text[start:content]
    gap = list(re.finditer(r"(?:\r?\n)[ \t]*(?:\r?\n)", before))
    return start + gap[-1].end() if gap and before[: gap[-1].start()].strip() else start


def remove_document(file: YamlFile, index: int) -> YamlFile:
    """The file without one of its documents; at least one other with content must stay."""
    if _has_directives(file) or _has_end_marks(file):
        raise uncertain(file, "it uses YAML directives or document end marks")
    start, end = document_span(file, index)
    expected = _states(file)
    del expected[index]
    if expected and not file.documents[index].explicit and start > file.documents[index].start:
        pass  # the header comment now stands before the marker of the next document
    return apply(file, [Span(start, end)], expected)


def append_document(file: YamlFile, text: str) -> YamlFile:
    """The file with one more document at its end, in the file's own line ends."""
    added = parse(file.path, text.encode())
    if len(added.documents) != 1 or _has_end_marks(file):
        raise uncertain(file, "exactly one document can be added")
    newline = file.newline
    body = _lines(text.strip("\n").removeprefix("---\n"), newline)
    lead = "" if file.text.endswith("\n") or not file.text else newline
    marker = f"---{newline}" if file.documents else ""
    end = newline if file.text.endswith("\n") or not file.text else ""
    insert = Span(len(file.text), len(file.text), f"{lead}{marker}{body}{end}")
    return apply(file, [insert], [*_states(file), plain(added.documents[0].node)])


def _has_directives(file: YamlFile) -> bool:
    return bool(re.search(r"^%", file.text, re.MULTILINE))


def _has_end_marks(file: YamlFile) -> bool:
    return bool(re.search(r"^\.\.\.(\s|$)", file.text, re.MULTILINE))


# Lists


def remove_item(file: YamlFile, index: int, path: Path, position: int) -> YamlFile:
    """The file without one item of the list at ``path`` of a document. The last item leaves ``[]`` behind."""
    return apply(file, *_removal(file, index, path, position))


def _removal(file: YamlFile, index: int, path: Path, position: int) -> tuple[list[Span], list[Plain]]:
    root, listing = _find(file, index, path, "list")
    expected = _expect(file, index, without(plain(root), (*path, position)))
    item = listing.items[position]
    if listing.flow:
        return [_flow_removal(file, listing, position)], expected
    if len(listing.items) == 1:
        return _emptied(file, index, path, listing), expected
    dash = _dash(file, listing, item)
    start = _line_start(file.text, dash)
    end = _line_end(file, content_end(item))
    if file.text[start:dash].strip():
        raise uncertain(file, "a list starts on the line of another")
    if end == len(file.text) and not file.text.endswith("\n"):
        start = len(file.text[:start].rstrip("\r\n"))  # the file keeps ending without a newline
    return [Span(start, end)], expected


def _flow_removal(file: YamlFile, listing: Node, position: int) -> Span:
    items = listing.items
    if len(items) == 1:
        return Span(items[0].start, items[0].end)
    if position + 1 < len(items):
        between = file.text[items[position].end : items[position + 1].start]
        _only_comma(file, between)
        return Span(items[position].start, items[position + 1].start)
    _only_comma(file, file.text[items[position - 1].end : items[position].start])
    return Span(items[position - 1].end, items[position].end)


def _only_comma(file: YamlFile, between: str) -> None:
    if not re.fullmatch(r"\s*,\s*", between):
        raise uncertain(file, "comments stand inside of a flow list")


def _emptied(file: YamlFile, index: int, path: Path, listing: Node) -> list[Span]:
    """Spans that turn a block list of one item into ``[]`` behind its key."""
    key = _key_of(file, index, path)
    item = listing.items[0]
    start, end = _line_start(file.text, _dash(file, listing, item)), _line_end(file, content_end(item))
    if not re.fullmatch(
        r"[ \t]*:[ \t]*", file.text[key.end : _text_end_of_line(file.text, key.end)].split("#")[0]
    ):
        raise uncertain(file, "a key and its list are written in an unusual way")
    colon = file.text.index(":", key.end) + 1
    if start < colon:
        raise uncertain(file, "a list starts on the line of its key")
    if end == len(file.text) and not file.text.endswith("\n"):
        start = len(file.text[:start].rstrip("\r\n"))
    return [Span(colon, colon, " []"), Span(start, end)]


def append_item(file: YamlFile, index: int, path: Path, text: str) -> YamlFile:
    """The file with one more item in the list at ``path``; the list is made where its mapping has none.

    ``text`` is YAML: a scalar, or a block mapping of several lines (which only fits into a block list).
    """
    value = plain(parse(file.path, text.encode()).documents[0].node)
    root = _root(file, index)
    existing = root.at(*path)
    if existing is None or existing.is_null or (existing.kind == "list" and not existing.items):
        return _first_item(file, index, path, existing, text, value)
    _, listing = _find(file, index, path, "list")
    position = len(listing.items)
    expected = _expect(file, index, with_value(plain(root), (*path, position), value))
    if listing.flow:
        return apply(file, [_flow_addition(file, listing, text)], expected)
    dash_column = _column(file.text, _dash(file, listing, listing.items[-1]))
    lines = _item_lines(text, " " * dash_column, _dash_gap(file, listing))
    return apply(file, [_insertion(file, content_end(listing), lines)], expected)


def _flow_addition(file: YamlFile, listing: Node, text: str) -> Span:
    if "\n" in text.strip("\n"):
        raise uncertain(file, "an item of several lines does not fit into a flow list")
    last = listing.items[-1]
    written = text.strip("\n")
    if last.style == '"' and '"' not in written:
        written = f'"{written}"'
    before = file.text[listing.items[-2].end : last.start] if len(listing.items) > 1 else ", "
    _only_comma(file, before)
    tail = file.text[last.end : listing.end - 1]
    if "#" in tail:
        raise uncertain(file, "comments stand inside of a flow list")
    return Span(last.end, last.end, f"{before}{written}")


def _first_item(
    file: YamlFile, index: int, path: Path, existing: Node | None, text: str, value: Plain
) -> YamlFile:
    """A list where there was none, an empty one or null; the mapping above it must be there, in block style."""
    root = _root(file, index)
    parent = root.at(*path[:-1])
    if parent is None or parent.kind != "map" or parent.flow or not parent.pairs:
        raise uncertain(file, f"{'.'.join(map(str, path))} cannot be added")
    whole: Plain = ("list", ["", value])
    expected = _expect(file, index, with_value(plain(root), path, whole))
    indent = " " * parent.pairs[0][0].column
    lines = _item_lines(text, f"{indent}  ", " ")
    if existing is None:
        lines = [f"{indent}{path[-1]}:", *lines]
        return apply(file, [_insertion(file, content_end(parent), lines)], expected)
    key = _key_of(file, index, path)
    colon = file.text.index(":", key.end) + 1
    if existing.kind == "list" and not re.fullmatch(r"\[\s*\]", file.text[existing.start : existing.end]):
        raise uncertain(file, "an empty list is written in an unusual way")
    spans = [Span(colon, existing.end)] if existing.end > colon else []
    return apply(file, [*spans, _insertion(file, max(existing.end, colon), lines)], expected)


def _item_lines(text: str, indent: str, gap: str) -> list[str]:
    first, *rest = text.strip("\n").split("\n")
    inner = indent + " " * (1 + len(gap))
    return [f"{indent}-{gap}{first}", *(f"{inner}{line}" if line else "" for line in rest)]


def _dash(file: YamlFile, listing: Node, item: Node) -> int:
    """Offset of the dash of an item of a block list."""
    if item.start == listing.start:
        raise uncertain(file, "a list starts in an unusual way")
    line = _line_start(file.text, item.start)
    while line >= _line_start(file.text, listing.start):
        position = line + listing.column
        if file.text[position : position + 1] == "-" and position < max(item.start, position + 1):
            return position
        if line == 0:
            break
        line = _line_start(file.text, line - 1)
    raise uncertain(file, "a list is written in an unusual way")


def _dash_gap(file: YamlFile, listing: Node) -> str:
    item = listing.items[-1]
    gap = file.text[_dash(file, listing, item) + 1 : item.start]
    return gap if gap and not gap.strip(" ") else " "


# Mappings and scalars


def set_scalar(file: YamlFile, index: int, path: Path, value: str, *, number: bool = False) -> YamlFile:
    """The file with another value for the scalar at ``path``; its quotes, anchor and tag stay."""
    root, node = _find(file, index, path, "scalar")
    written = file.text[node.start : node.end]
    properties = re.match(r"(?:[&!]\S*\s+)*", written)
    lead = properties.group() if properties else ""
    text = _scalar_text(file, node, value, number=number)
    gap = " " if node.end == node.start and file.text[node.start - 1 : node.start] == ":" else ""
    kept = bool(node.style) or text.startswith('"')
    expected = with_value(plain(root), path, scalar(value, quoted=kept, tag=node.tag))
    return apply(file, [Span(node.start + len(lead), node.end, gap + text)], _expect(file, index, expected))


def _scalar_text(file: YamlFile, node: Node, value: str, *, number: bool) -> str:
    if node.style in ("|", ">") or "\n" in value:
        raise uncertain(file, "a value of several lines cannot be replaced")
    if node.style == '"':
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if node.style == "'":
        return "'" + value.replace("'", "''") + "'"
    return value if number else written_scalar(value)


def written_scalar(value: str) -> str:
    """A scalar in block style, quoted where a plain one could be read as something else."""
    if _PLAIN_SAFE.match(value) and not _AMBIGUOUS.match(value):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def set_entry(file: YamlFile, index: int, path: Path, value: str) -> YamlFile:
    """The file with the scalar ``value`` at ``path``; the key and the mappings above it are added where missing."""
    root = _root(file, index)
    present = 0
    node: Node = root
    while present < len(path):
        step = path[present]
        inner = node.items[step] if isinstance(step, int) else node.own(step)
        if inner is None:
            break
        if inner.kind == "alias":
            raise uncertain(file, f"{'.'.join(map(str, path[: present + 1]))} is an alias")
        node = inner
        present += 1
    if present == len(path):
        return set_scalar(file, index, path, value)
    return _insert_entry(file, index, path, present, node, value)


def _insert_entry(file: YamlFile, index: int, path: Path, present: int, parent: Node, value: str) -> YamlFile:
    root = _root(file, index)
    missing = [str(step) for step in path[present:]]
    stated: Plain = scalar(value, quoted=written_scalar(value).startswith('"'))
    for name in reversed(missing[1:]):
        stated = ("map", ["", (scalar(name, quoted=True), stated)])
    whole = with_value(plain(root), path[: present + 1], stated) if not parent.is_null else _null_filled(
        root, path[:present], missing[0], stated
    )  # fmt: skip
    expected = _expect(file, index, whole)
    if parent.kind == "map" and parent.flow:
        return apply(file, [_flow_entry(file, parent, missing, value)], expected)
    if parent.is_null:
        key = _key_of(file, index, path[:present])
        column = key.column + 2
        point = max(parent.end, file.text.index(":", key.end) + 1)
        spans = [Span(parent.start, parent.end)] if parent.end > parent.start else []
    elif parent.kind == "map" and parent.pairs:
        column, point, spans = parent.pairs[0][0].column, content_end(parent), []
    else:
        raise uncertain(file, f"{'.'.join(map(str, path[:present]))} is not a mapping")
    return apply(
        file, [*spans, _insertion(file, point, _entry_lines(missing, value, " " * column))], expected
    )


def _null_filled(root: Node, path: Path, key: str, value: Plain) -> Plain:
    return with_value(plain(root), path, ("map", ["", (scalar(key, quoted=True), value)]))


def _entry_lines(keys: Sequence[str], value: str, indent: str) -> list[str]:
    lines = [f"{indent}{'  ' * depth}{written_scalar(key)}:" for depth, key in enumerate(keys)]
    lines[-1] += f" {written_scalar(value)}"
    return lines


def _flow_entry(file: YamlFile, parent: Node, keys: Sequence[str], value: str) -> Span:
    """An entry before the closing brace; in JSON style where the mapping's keys are quoted so."""
    json = any(key.style == '"' for key, _ in parent.pairs) or file.path.endswith(".json")
    quote = (lambda text: f'"{text}"') if json else written_scalar
    entry = f"{quote(keys[-1])}: {quote(value)}"
    for key in reversed(keys[:-1]):
        entry = f"{quote(key)}: {{{entry}}}"
    if not parent.pairs:
        return Span(parent.end - 1, parent.end - 1, entry)
    last = content_end(parent)  # of a flow mapping: behind the brace
    end = max(value_node.end for _, value_node in parent.pairs)
    tail = file.text[end : last - 1]
    if "#" in tail or "," in tail:
        raise uncertain(file, "a flow mapping ends in an unusual way")
    before = "," if tail.strip(" ") else ", "
    layout = re.match(r"\s*", file.text[_line_start(file.text, end) : end])
    lead = f"{before}{file.newline}{layout.group() if layout else ''}" if "\n" in tail else ", "
    return Span(end, end, f"{lead}{entry}")


def remove_entry(file: YamlFile, index: int, path: Path) -> YamlFile:
    """The file without the key at ``path`` and its value; the mapping must keep another key."""
    root = _root(file, index)
    parent = root.at(*path[:-1])
    key = _key_of(file, index, path)
    value = root.at(*path)
    if parent is None or parent.flow or len(parent.pairs) < 2 or value is None:
        raise uncertain(file, f"{path[-1]} cannot be taken out alone")
    start = _line_start(file.text, key.start)
    if file.text[start : key.start].strip():
        raise uncertain(file, f"{path[-1]} does not stand on a line of its own")
    end = _line_end(file, max(content_end(value), key.end + 1))
    return apply(file, [Span(start, end)], _expect(file, index, without(plain(root), path)))


# Places


def _root(file: YamlFile, index: int) -> Node:
    node = file.documents[index].node
    if node is None:
        raise uncertain(file, "the document is empty")
    return node


def _find(file: YamlFile, index: int, path: Path, kind: str) -> tuple[Node, Node]:
    root = _root(file, index)
    node: Node | None = root
    for step in path:
        if node is not None:
            node = node.items[step] if isinstance(step, int) else node.own(step)
    if node is None or node.kind != kind:
        raise uncertain(file, f"{'.'.join(map(str, path))} is not written as a {kind} here")
    return root, node


def _key_of(file: YamlFile, index: int, path: Path) -> Node:
    parent = _root(file, index).at(*path[:-1])
    for key, _ in parent.pairs if parent is not None else []:
        if key.kind == "scalar" and key.value == path[-1]:
            return key
    raise uncertain(file, f"{path[-1] if path else 'the document'} has no key of its own")


def _insertion(file: YamlFile, position: int, lines: Sequence[str]) -> Span:
    """New lines behind the line on which ``position`` stands, in the file's line ends."""
    newline = file.newline
    end = _line_end(file, position)
    body = newline.join(lines)
    if end == len(file.text) and not file.text.endswith("\n"):
        return Span(end, end, f"{newline}{body}")
    return Span(end, end, f"{body}{newline}")


def _line_end(file: YamlFile, position: int) -> int:
    """Behind the line break of the line, where nothing but a comment follows ``position`` on it."""
    rest = _REST_OF_LINE.match(file.text, position)
    if rest is None:
        raise uncertain(file, "something else follows on the same line")
    return rest.end()


def _text_end_of_line(text: str, position: int) -> int:
    found = re.compile(r"\r?\n|\Z").search(text, position)
    return found.start() if found else len(text)


def _line_start(text: str, position: int) -> int:
    start = text.rfind("\n", 0, position) + 1
    return 1 if start == 0 and text.startswith("\ufeff") else start


def _column(text: str, position: int) -> int:
    return position - _line_start(text, position)


def _lines(text: str, newline: str) -> str:
    return newline.join(text.replace("\r\n", "\n").split("\n"))


def entries(values: Mapping[str, str], indent: str = "") -> list[str]:
    """Lines ``key: value`` in block style."""
    return [f"{indent}{written_scalar(key)}: {written_scalar(value)}" for key, value in values.items()]


def sole_document(file: YamlFile, index: int) -> bool:
    """Whether no other document of the file has content."""
    others: list[Document] = [doc for doc in file.documents if doc.index != index]
    return all(doc.node is None or doc.node.is_null for doc in others)
