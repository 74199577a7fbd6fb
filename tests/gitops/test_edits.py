"""Edits of made-up files: whatever the file looks like, only the meant span changes, or nothing does."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from gitops import edit
from gitops.change import Change, FileEdit, Tree
from gitops.errors import Refusal
from gitops.remove import remove
from gitops.statements import plain
from gitops.values import FluxPath, ObjectRef
from gitops.yamltext import parse

SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
NAMES = ["data", "cache", "a.b", "x-1"]
comments = st.sampled_from(["", "# a comment\n", "\n", "# ---\n\n", "  # indented\n", "#\n# two lines\n"])
trailing = st.sampled_from(["", " # why", "  ", ' # {"$imagepolicy": "a:b"}'])
quotes = st.sampled_from(["{}", "'{}'", '"{}"', "&name {}"])
notes = st.sampled_from(
    [
        "",
        "  labels: {app: x, 'b': \"c\"}\n",
        "  labels:\n    app: x\n\n    b: c # odd\n",
        "  labels: &l {a: b}\n  more: *l\n",
    ]
)
specs = st.sampled_from(
    [
        "spec: {accessModes: [ReadWriteOnce]}\n",
        "spec:\n  accessModes:\n  - ReadWriteOnce\n  resources:\n    requests: {storage: 1Gi}\n",
        "spec:\n  text: |\n    --- not a marker\n    kind: x\n\n  folded: >-\n    a\n\n    b\n",
        "spec:\n  text: \"a\n    b\"\n  \"q\": 'it''s'\n",
    ]
)


@st.composite
def documents(draw: st.DrawFn, name: str) -> str:
    written = draw(quotes).format(name)
    return (
        draw(comments)
        + f"apiVersion: v1{draw(trailing)}\nkind: PersistentVolumeClaim\nmetadata:{draw(trailing)}\n"
        + f"  name: {written}{draw(trailing)}\n{draw(notes)}{draw(comments)}{draw(specs)}{draw(comments)}"
    )


@st.composite
def files(draw: st.DrawFn) -> tuple[list[str], bytes]:
    """(names, content): several documents in one file."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=2, max_size=4, unique=True))
    first = draw(st.sampled_from(["", "---\n", "# top\n---\n", "--- # marked\n"]))
    text = first + draw(st.sampled_from(["---\n", "--- \n", "---  # next\n"])).join(
        draw(documents(name)) for name in names
    )
    if draw(st.booleans()):
        text = text.rstrip("\n")
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    return names, (("\ufeff" if draw(st.booleans()) else "") + text).encode()


class Memory:
    """Files in memory."""

    def __init__(self, held: dict[str, bytes]) -> None:
        self.held = held

    def paths(self) -> list[str]:
        return list(self.held)

    def read(self, path: str) -> bytes:
        return self.held[path]


def states(content: bytes) -> list[object]:
    """What an independent reader makes of a file."""
    return [each for each in YAML(typ="safe", pure=True).load_all(content.decode()) if each is not None]


@SETTINGS
@given(files(), st.data())
def test_removing_one_document_keeps_every_byte_of_the_others(
    made: tuple[list[str], bytes], data: st.DataObject
) -> None:
    names, content = made
    name = data.draw(st.sampled_from(names))
    source = Memory({"k/kustomization.yaml": b"namespace: n\nresources: [all.yaml]\n", "k/all.yaml": content})
    tree = Tree(source)
    change = remove(tree, FluxPath("k"), ObjectRef.claim("n", name))
    [edited] = change.edits
    assert edited.after is not None
    position = names.index(name)
    before, after = states(content), states(edited.after)
    assert after == before[:position] + before[position + 1 :]
    old = parse("x", content)
    kept = [doc for doc in old.documents if doc.index != position]
    pieces = [old.text[doc.start : doc.end].encode() for doc in kept]
    for piece in pieces:
        assert piece in edited.after
    start = next(
        n for n in range(len(content) + 1) if content[: n + 1] != edited.after[: n + 1] or n == len(content)
    )
    length = len(content) - len(edited.after)
    assert content[:start] + content[start + length :] == edited.after, "one contiguous span went"


@SETTINGS
@given(files(), st.data())
def test_setting_an_annotation_changes_nothing_else(
    made: tuple[list[str], bytes], data: st.DataObject
) -> None:
    names, content = made
    index = data.draw(st.integers(0, len(names) - 1))
    file = parse("x.yaml", content)
    path = ("metadata", "annotations", "kustomize.toolkit.fluxcd.io/prune")
    edited = edit.set_entry(file, index, path, "disabled").content
    before, after = states(content), states(edited)
    before[index]["metadata"]["annotations"] = {path[2]: "disabled"}  # type: ignore[index]
    assert after == before
    again = edit.set_entry(parse("x.yaml", edited), index, path, "enabled")
    restored = edit.remove_entry(again, index, ("metadata", "annotations"))
    assert restored.content == content


@SETTINGS
@given(files(), st.data())
def test_a_replaced_name_keeps_its_quotes_and_everything_else(
    made: tuple[list[str], bytes], data: st.DataObject
) -> None:
    names, content = made
    index = data.draw(st.integers(0, len(names) - 1))
    edited = edit.set_scalar(parse("x", content), index, ("metadata", "name"), "renamed").content
    assert edit.set_scalar(parse("x", edited), index, ("metadata", "name"), names[index]).content == content


entries = st.lists(
    st.sampled_from(["a.yaml", "./b", "../c/d.yaml", "e.yml", "f"]), min_size=1, max_size=5, unique=True
)


@st.composite
def lists(draw: st.DrawFn) -> tuple[list[str], bytes]:
    """(entries, content): a kustomization whose resources are written in one of many ways."""
    names = draw(entries)
    written = [draw(st.sampled_from(["{}", "'{}'", '"{}"'])).format(name) for name in names]
    style = draw(st.sampled_from(["block", "flush", "wide", "flow", "flow-lines"]))
    if style == "flow":
        body = f"resources: [{', '.join(written)}]{draw(trailing)}\n"
    elif style == "flow-lines":
        body = (
            "resources: [\n"
            + ",\n".join(f"  {each}" for each in written)
            + draw(st.sampled_from(["", ","]))
            + "\n]\n"
        )
    else:
        lead = {"block": "  - ", "flush": "- ", "wide": "    -   "}[style]
        body = f"resources:{draw(trailing)}\n" + "".join(
            f"{draw(comments)}{lead}{each}{draw(trailing)}\n" for each in written
        )
    text = f"{draw(comments)}namespace: n\n{body}{draw(comments)}"
    if draw(st.booleans()):
        text += "labels:\n- pairs: {a: b}\n"
    if draw(st.booleans()):
        text = text.rstrip("\n")
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    return names, text.encode()


@SETTINGS
@given(lists(), st.data())
def test_entries_come_and_go_without_a_trace(made: tuple[list[str], bytes], data: st.DataObject) -> None:
    names, content = made
    file = parse("kustomization.yaml", content)
    position = data.draw(st.integers(0, len(names) - 1))
    [before] = states(content)
    try:
        removed = edit.remove_item(file, 0, ("resources",), position).content
    except Refusal:
        return
    [after] = states(removed)
    assert after == {**before, "resources": names[:position] + names[position + 1 :]}  # type: ignore[dict-item]
    added = edit.append_item(file, 0, ("resources",), "new.yaml")
    assert states(added.content) == [{**before, "resources": [*names, "new.yaml"]}]  # type: ignore[dict-item]
    assert edit.remove_item(added, 0, ("resources",), len(names)).content == content


@SETTINGS
@given(st.text(alphabet=" \t\n-#:{}[]&*!|>'\"%@`ab\r\ufeff,.", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        file = parse("x", text.encode())
    except Refusal:
        return
    spans = [(doc.start, doc.end) for doc in file.documents]
    assert spans == sorted(spans)
    for doc in file.documents:
        try:
            plain(doc.node)
            edit.set_entry(file, doc.index, ("a", "b"), "c")
        except Refusal:
            continue


def test_aliases_without_end_are_refused_quickly() -> None:
    text = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
    file = parse("x", text.encode())
    try:
        plain(file.documents[0].node)
    except Refusal as refusal:
        assert "without end" in refusal.what
    else:
        raise AssertionError("an explosion of aliases was written out")


def test_deep_nesting_is_refused() -> None:
    for text in (
        "[" * 5000,
        "a:\n" + "".join(" " * n + "- \n" for n in range(1, 300)),
        "{a: " * 400 + "1" + "}" * 400,
    ):
        try:
            parse("x", text.encode())
        except Refusal:
            continue
        raise AssertionError(text[:20])


def test_digest_and_effect_tell_changes_apart() -> None:
    first = Change((FileEdit("a", b"1\n2\n", b"2\n"),), "x")
    moved = Change((FileEdit("a", b"0\n1\n2\n", b"0\n2\n"),), "x")
    other = Change((FileEdit("a", b"1\n2\n", b"1\n"),), "x")
    assert first.effect == moved.effect != other.effect
    assert len({first.digest, moved.digest, other.digest}) == 3
    assert Change((FileEdit("a", None, b""),), "").digest != Change((FileEdit("a", b"", None),), "").digest
