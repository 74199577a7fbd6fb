"""Items of lists in a YAML file, block or flow, as span edits."""

from __future__ import annotations

import re

from gitops.spans import (
    Span,
    apply,
    column,
    expect,
    find,
    insertion,
    key_of,
    line_end,
    line_start,
    root_of,
    text_end_of_line,
    uncertain,
)
from gitops.statements import Plain, plain, with_value, without
from gitops.yamltext import Node, Path, YamlFile, content_end, parse


def remove_item(file: YamlFile, index: int, path: Path, position: int) -> YamlFile:
    """The file without one item of the list at ``path`` of a document. The last item leaves ``[]`` behind."""
    return apply(file, *_removal(file, index, path, position))


def _removal(file: YamlFile, index: int, path: Path, position: int) -> tuple[list[Span], list[Plain]]:
    root, listing = find(file, index, path, "list")
    expected = expect(file, index, without(plain(root), (*path, position)))
    item = listing.items[position]
    if listing.flow:
        return [_flow_removal(file, listing, position)], expected
    if len(listing.items) == 1:
        return _emptied(file, index, path, listing), expected
    dash = _dash(file, listing, item)
    start = line_start(file.text, dash)
    end = line_end(file, content_end(item))
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
    key = key_of(file, index, path)
    item = listing.items[0]
    start, end = line_start(file.text, _dash(file, listing, item)), line_end(file, content_end(item))
    if not re.fullmatch(
        r"[ \t]*:[ \t]*", file.text[key.end : text_end_of_line(file.text, key.end)].split("#")[0]
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
    root = root_of(file, index)
    existing = root.at(*path)
    if existing is None or existing.is_null or (existing.kind == "list" and not existing.items):
        return _first_item(file, index, path, existing, text, value)
    _, listing = find(file, index, path, "list")
    position = len(listing.items)
    expected = expect(file, index, with_value(plain(root), (*path, position), value))
    if listing.flow:
        return apply(file, [_flow_addition(file, listing, text)], expected)
    dash_column = column(file.text, _dash(file, listing, listing.items[-1]))
    lines = _item_lines(text, " " * dash_column, _dash_gap(file, listing))
    return apply(file, [insertion(file, content_end(listing), lines)], expected)


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
    root = root_of(file, index)
    parent = root.at(*path[:-1])
    if parent is None or parent.kind != "map" or parent.flow or not parent.pairs:
        raise uncertain(file, f"{'.'.join(map(str, path))} cannot be added")
    whole: Plain = ("list", ["", value])
    expected = expect(file, index, with_value(plain(root), path, whole))
    indent = " " * parent.pairs[0][0].column
    lines = _item_lines(text, f"{indent}  ", " ")
    if existing is None:
        lines = [f"{indent}{path[-1]}:", *lines]
        return apply(file, [insertion(file, content_end(parent), lines)], expected)
    key = key_of(file, index, path)
    colon = file.text.index(":", key.end) + 1
    if existing.kind == "list" and not re.fullmatch(r"\[\s*\]", file.text[existing.start : existing.end]):
        raise uncertain(file, "an empty list is written in an unusual way")
    spans = [Span(colon, existing.end)] if existing.end > colon else []
    return apply(file, [*spans, insertion(file, max(existing.end, colon), lines)], expected)


def _item_lines(text: str, indent: str, gap: str) -> list[str]:
    first, *rest = text.strip("\n").split("\n")
    inner = indent + " " * (1 + len(gap))
    return [f"{indent}-{gap}{first}", *(f"{inner}{line}" if line else "" for line in rest)]


def _dash(file: YamlFile, listing: Node, item: Node) -> int:
    """Offset of the dash of an item of a block list."""
    if item.start == listing.start:
        raise uncertain(file, "a list starts in an unusual way")
    line = line_start(file.text, item.start)
    while line >= line_start(file.text, listing.start):
        position = line + listing.column
        if file.text[position : position + 1] == "-" and position < max(item.start, position + 1):
            return position
        if line == 0:
            break
        line = line_start(file.text, line - 1)
    raise uncertain(file, "a list is written in an unusual way")


def _dash_gap(file: YamlFile, listing: Node) -> str:
    item = listing.items[-1]
    gap = file.text[_dash(file, listing, item) + 1 : item.start]
    return gap if gap and not gap.strip(" ") else " "
