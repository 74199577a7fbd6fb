"""Edits of one YAML file as replaced spans. Each is read back and compared with what it was meant to state.

An edit either changes exactly what was asked, leaving every other byte alone, or raises `Refusal` (UNCERTAIN).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from gitops.lists import append_item, remove_item
from gitops.spans import (
    Span,
    apply,
    expect,
    find,
    insertion,
    key_of,
    line_end,
    line_start,
    root_of,
    states_of,
    uncertain,
    with_newlines,
)
from gitops.statements import Plain, plain, scalar, with_value, without
from gitops.yamltext import Document, Node, Path, YamlFile, content_end, parse

__all__ = [
    "append_document",
    "append_item",
    "document_span",
    "entries",
    "remove_document",
    "remove_entry",
    "remove_item",
    "set_entry",
    "set_scalar",
    "sole_document",
    "written_scalar",
]

_PLAIN_SAFE = re.compile(r"^([A-Za-z_/][A-Za-z0-9_./=\\-]*|\d+(\.\d+)?([kMGTP]i?|Ei))$")
_AMBIGUOUS = re.compile(r"^(y|n|yes|no|on|off|true|false|null|nan|inf)$", re.IGNORECASE)


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
    expected = states_of(file)
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
    body = with_newlines(text.strip("\n").removeprefix("---\n"), newline)
    lead = "" if file.text.endswith("\n") or not file.text else newline
    marker = f"---{newline}" if file.documents else ""
    end = newline if file.text.endswith("\n") or not file.text else ""
    insert = Span(len(file.text), len(file.text), f"{lead}{marker}{body}{end}")
    return apply(file, [insert], [*states_of(file), plain(added.documents[0].node)])


def _has_directives(file: YamlFile) -> bool:
    return bool(re.search(r"^%", file.text, re.MULTILINE))


def _has_end_marks(file: YamlFile) -> bool:
    return bool(re.search(r"^\.\.\.(\s|$)", file.text, re.MULTILINE))


# Mappings and scalars


def set_scalar(file: YamlFile, index: int, path: Path, value: str, *, number: bool = False) -> YamlFile:
    """The file with another value for the scalar at ``path``; its quotes, anchor and tag stay."""
    root, node = find(file, index, path, "scalar")
    written = file.text[node.start : node.end]
    properties = re.match(r"(?:[&!]\S*\s+)*", written)
    lead = properties.group() if properties else ""
    text = _scalar_text(file, node, value, number=number)
    gap = " " if node.end == node.start and file.text[node.start - 1 : node.start] == ":" else ""
    kept = bool(node.style) or text.startswith('"')
    expected = with_value(plain(root), path, scalar(value, quoted=kept, tag=node.tag))
    return apply(file, [Span(node.start + len(lead), node.end, gap + text)], expect(file, index, expected))


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
    root = root_of(file, index)
    present = 0
    node: Node = root
    while present < len(path):
        step = path[present]
        inner = node.items[step] if isinstance(step, int) else node.own(step)
        if inner is None:
            if present + 1 < len(path) and not isinstance(step, int) and node.get(step) is not None:
                # A mapping of its own would take the place of all that the inherited one states.
                raise uncertain(file, f"{'.'.join(map(str, path[: present + 1]))} comes from a merge key")
            break
        if inner.kind == "alias":
            raise uncertain(file, f"{'.'.join(map(str, path[: present + 1]))} is an alias")
        node = inner
        present += 1
    if present == len(path):
        return set_scalar(file, index, path, value)
    return _insert_entry(file, index, path, present, node, value)


def _insert_entry(file: YamlFile, index: int, path: Path, present: int, parent: Node, value: str) -> YamlFile:
    root = root_of(file, index)
    missing = [str(step) for step in path[present:]]
    stated: Plain = scalar(value, quoted=written_scalar(value).startswith('"'))
    for name in reversed(missing[1:]):
        stated = ("map", ["", (scalar(name, quoted=True), stated)])
    whole = with_value(plain(root), path[: present + 1], stated) if not parent.is_null else _null_filled(
        root, path[:present], missing[0], stated
    )  # fmt: skip
    expected = expect(file, index, whole)
    if parent.kind == "map" and parent.flow:
        return apply(file, [_flow_entry(file, parent, missing, value)], expected)
    if parent.is_null:
        key = key_of(file, index, path[:present])
        column = key.column + 2
        point = max(parent.end, file.text.index(":", key.end) + 1)
        spans = [Span(parent.start, parent.end)] if parent.end > parent.start else []
    elif parent.kind == "map" and parent.pairs:
        column, point, spans = parent.pairs[0][0].column, content_end(parent), []
    else:
        raise uncertain(file, f"{'.'.join(map(str, path[:present]))} is not a mapping")
    return apply(file, [*spans, insertion(file, point, _entry_lines(missing, value, " " * column))], expected)


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
    layout = re.match(r"\s*", file.text[line_start(file.text, end) : end])
    lead = f"{before}{file.newline}{layout.group() if layout else ''}" if "\n" in tail else ", "
    return Span(end, end, f"{lead}{entry}")


def remove_entry(file: YamlFile, index: int, path: Path) -> YamlFile:
    """The file without the key at ``path`` and its value; the mapping must keep another key."""
    root = root_of(file, index)
    parent = root.at(*path[:-1])
    key = key_of(file, index, path)
    value = root.at(*path)
    if parent is None or parent.flow or len(parent.pairs) < 2 or value is None:
        raise uncertain(file, f"{path[-1]} cannot be taken out alone")
    start = line_start(file.text, key.start)
    if file.text[start : key.start].strip():
        raise uncertain(file, f"{path[-1]} does not stand on a line of its own")
    end = line_end(file, max(content_end(value), key.end + 1))
    return apply(file, [Span(start, end)], expect(file, index, without(plain(root), path)))


def entries(values: Mapping[str, str], indent: str = "") -> list[str]:
    """Lines ``key: value`` in block style."""
    return [f"{indent}{written_scalar(key)}: {written_scalar(value)}" for key, value in values.items()]


def sole_document(file: YamlFile, index: int) -> bool:
    """Whether no other document of the file has content."""
    others: list[Document] = [doc for doc in file.documents if doc.index != index]
    return all(doc.node is None or doc.node.is_null for doc in others)
