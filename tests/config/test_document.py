"""The strict YAML border: which values a text stands for, where each of them stands, and what overrides change."""

from __future__ import annotations

import copy
import json
import os
import re
from pathlib import Path as File

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from archcost.config.document import (
    MAX_BYTES,
    MAX_INTEGER,
    MAX_MISTAKES,
    Document,
    Value,
    load,
    override,
    read_bytes,
    read_file,
    replace,
)
from archcost.errors import InputError, Path, Place

MODEL = """\
# a comment
family: nin
input: [3, 32, 32]
layers:
  - {widths: [192, 160], pool: max}
  - widths:
      - 10
    dropout:
"name": 'x'
"""

SCALARS: tuple[tuple[str, Value], ...] = (
    *((word, None) for word in ("", "~", "null", "Null", "NULL")),
    *((word, True) for word in ("true", "True", "TRUE")),
    *((word, False) for word in ("false", "False", "FALSE")),
    *((word, word) for word in ("yes", "no", "on", "off", "y", "n", "tRUE", "nULL", "None", "nan", "inf", ".infinity")),
    *((word, word) for word in ("1:30", "2020-01-01", "1_000", "0b1", "-0x1F", "+0o7", "0o8", "0xG", "1e", "e3", ".")),
    *((word, word) for word in ("+", "1.2.3", "--1", "1e3.5", "٣", "1 2", "=", "2%", "a:b", "a#b")),
    ("0", 0),
    ("-0", 0),
    ("+7", 7),
    ("010", 10),
    ("-007", -7),
    ("0o17", 15),
    ("0x1F", 31),
    ("0xff", 255),
    ("9007199254740992", MAX_INTEGER),
    ("-9007199254740992", -MAX_INTEGER),
    ("0x20000000000000", MAX_INTEGER),
    ("0o400000000000000000", MAX_INTEGER),
    ("1.", 1.0),
    (".5", 0.5),
    ("-.5", -0.5),
    ("1e-3", 0.001),
    ("1E3", 1000.0),
    ("+1.5e+2", 150.0),
    ("010.5", 10.5),
    ("1e-999", 0.0),
    ("12345678901234567890.0", 12345678901234567890.0),
    ("'1'", "1"),
    ('"null"', "null"),
    ("''", ""),
    ("'it''s'", "it's"),
    ('"a\\tb\\u00e9\\x41"', "a\tbéA"),
    ('"\\ud83d\\ude00"', "\U0001f600"),
)

TREES: dict[str, tuple[str, Value]] = {
    "a comment after a value": ("a: 1 # one\n", {"a": 1}),
    "Windows lines": ("a: 1\r\nb:\r\n  - 2\r\n", {"a": 1, "b": [2]}),
    "old Mac lines": ("a: 1\rb: 2\r", {"a": 1, "b": 2}),
    "no line end": ("a: 1", {"a": 1}),
    "a marker and an end": ("---\na: 1\n...\n", {"a": 1}),
    "keys are text": ("{1: a, true: b, 1.5: c, no: d}", {"1": "a", "true": "b", "1.5": "c", "no": "d"}),
    "quoted keys are any text": ("{'null': 1, '<<': 2, ' ': 3}", {"null": 1, "<<": 2, " ": 3}),
    "missing values": ("a:\nb: [~, null]\nc: {d}", {"a": None, "b": [None, None], "c": {"d": None}}),
    "a trailing comma": ("[1, 2,]", [1, 2]),
    "a pair in a list": ("[a: 1, b]", [{"a": 1}, "b"]),
    "a list without indentation": ("a:\n- 1\n- 2\n", {"a": [1, 2]}),
    "a literal": ("a: |\n  1\n  b: c\n", {"a": "1\nb: c\n"}),
    "a folded text": ("a: >-\n  x\n  y\n", {"a": "x y"}),
    "words over two lines": ("a: x\n  y\n", {"a": "x y"}),
    "a question mark": ("? a\n: 1\n", {"a": 1}),
    "empty collections": ("[[], {}]", [[], {}]),
    "a list at the top": ("- 1\n- a: 2\n", [1, {"a": 2}]),
    "text at the top": ("x", "x"),
}

PLACES: tuple[tuple[Path, bool, tuple[int, int]], ...] = (
    ((), False, (2, 1)),
    (("family",), False, (2, 9)),
    (("family",), True, (2, 1)),
    (("input",), False, (3, 8)),
    (("input", 2), False, (3, 16)),
    (("input", 2), True, (3, 16)),  # items have no key
    (("layers",), False, (5, 3)),
    (("layers",), True, (4, 1)),
    (("layers", 0, "pool"), True, (5, 26)),
    (("layers", 0, "pool"), False, (5, 32)),
    (("layers", 1), False, (6, 5)),
    (("layers", 1, "widths", 0), False, (7, 9)),
    (("layers", 1, "dropout"), False, (8, 13)),  # nothing: behind the colon
    (("name",), True, (9, 1)),
    (("name",), False, (9, 9)),
    (("classes",), False, (2, 1)),  # what is missing stands at its mapping
    (("classes",), True, (2, 1)),
    (("layers", 1, "pool"), True, (6, 5)),
    (("layers", 7, "pool", 3), False, (5, 3)),
)

# assignment: what MODEL's changed part then holds
OVERRIDES: tuple[tuple[str, Path, Value], ...] = (
    ("layers.0.widths=[192, 160, 96]", ("layers", 0, "widths"), [192, 160, 96]),
    ("layers.0.widths.1=4", ("layers", 0, "widths"), [192, 4]),
    ("layers.01.widths.0=4", ("layers", 1, "widths", 0), 4),
    ("shortcut=pad", ("shortcut",), "pad"),
    ("family=", ("family",), None),
    ("family= # nothing", ("family",), None),
    ("a=b=c", ("a",), "b=c"),
    (" a =1", ("a",), 1),
    ("input={steps: 3, vocab: 10}", ("input",), {"steps": 3, "vocab": 10}),
    ("input.1=8", ("input",), [3, 8, 32]),
    ("x.y.0=1", ("x",), {"y": {"0": 1}}),
    ("layers.1.dropout.a=1", ("layers", 1, "dropout"), {"a": 1}),
    ("layers.0=1", ("layers", 0), 1),
    ("name='1'", ("name",), "1"),
    ("x=\n- 1\n- 2", ("x",), [1, 2]),
)

NO_OVERRIDES: dict[str, str] = {
    "layers": "--set: 'layers' is not an assignment; allowed: key=value",
    "=1": "--set: '=1' is not an assignment",
    "a..b=1": "--set: 'a..b=1' is not an assignment",
    ".a=1": "--set: '.a=1' is not an assignment",
    " =1": "--set: ' =1' is not an assignment",
    "a\x1b=1": "--set: 'a\\x1b=1' is not an assignment",
    "a" + ".a" * 64 + "=1": "--set: 'a.a.a",
    "layers.2=1": "--set layers.2: layers: '2' is not an index of this list; allowed: 0 to 1",
    "layers.-1=1": "--set layers.-1: layers: '-1' is not an index of this list",
    "layers.x=1": "--set layers.x: layers: 'x' is not an index of this list",
    "layers.²=1": "--set layers.²: layers: '²' is not an index of this list",
    "layers." + "9" * 5_000 + "=1": "--set layers.9999",
    "layers.0.pool.x=1": "--set layers.0.pool.x: layers.0.pool: is 'max', with nothing called 'x' in it",
    "a=[1, .inf]": "--set a:1:5: '.inf' is not allowed; numbers must be finite",
    "a=[1": "--set a:1:3: expected ',' or ']', but got text end",
    "a=!x 1": "--set a:1:1: tag '!x' is not allowed",
    "a=\udce9": "--set a:1:1: byte 0xe9 is not UTF-8",
    "a=1\n---\n2": "--set a:2:1: a second document starts here",
    "x.y=" + "[" * 63: "--set x.y:1:63: nested deeper than 64 levels",
    "a=" + "#" * (MAX_BYTES + 1): "--set a: is larger than 1 MiB",
}

numbers = st.integers(-MAX_INTEGER, MAX_INTEGER) | st.floats(allow_nan=False, allow_infinity=False)
keys = st.text(min_size=1, max_size=12)


def trees(text: st.SearchStrategy[str]) -> st.SearchStrategy[Value]:
    return st.recursive(
        st.none() | st.booleans() | numbers | text,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
        max_leaves=12,
    ).filter(lambda tree: tree is not None)


def same(tree: Value) -> str:
    """Return a form in which 1, 1.0 and True differ."""
    return repr(tree)


def at(tree: Value, path: Path) -> Value:
    for part in path:
        tree = tree[part]  # type: ignore[index, call-overload]  # a path that is there
    return tree


@pytest.mark.parametrize(("text", "value"), SCALARS, ids=[text for text, _ in SCALARS])
def test_scalars_are_those_of_yaml_1_2(text: str, value: Value) -> None:
    """A scalar has the type of YAML 1.2's core schema, in blocks, in lists and as a whole override."""
    assert same(value) == same(at(load(f"a: {text}\n", "m.yaml").tree, ("a",)))
    assert same(value) == same(at(override(load("b: 1", "m.yaml"), f"a={text}").tree, ("a",)))


@pytest.mark.parametrize(("text", "tree"), TREES.values(), ids=TREES)
def test_a_text_stands_for_its_tree(text: str, tree: Value) -> None:
    """Each form of YAML's collections gives the tree that is meant."""
    assert same(tree) == same(load(text, "m.yaml").tree)


@given(trees(st.text(max_size=12)), st.sampled_from((None, 2)), st.booleans())
def test_json_is_yaml(tree: Value, indent: int | None, windows: bool) -> None:
    """Any tree written as JSON is read back equal."""
    text = json.dumps(tree, indent=indent)
    assert same(tree) == same(load(text.replace("\n", "\r\n") if windows else text, "m.yaml").tree)


@given(trees(st.text(max_size=12).filter(lambda text: not re.match("[-+.0-9]", text))), st.booleans())
def test_what_pyyaml_writes_is_read_back(tree: Value, flow: bool) -> None:
    """Any tree PyYAML writes is read back equal, but for text that only YAML 1.2 calls a number (1e3, 08, 0o7)."""
    text = yaml.safe_dump(tree, default_flow_style=flow, sort_keys=False)
    assert same(tree) == same(load(text, "m.yaml").tree)


@given(trees(st.text(max_size=12)), st.sampled_from((None, 2)))
def test_every_value_and_key_keeps_its_place(tree: Value, indent: int | None) -> None:
    """At the place of each value and key stands the text it was written as."""
    text = json.dumps(tree, indent=indent)
    document = load(text, "m.yaml")
    for path, place in document.values.items():
        value = at(tree, path)
        written = json.dumps(value) if not isinstance(value, list | dict) else "[" if isinstance(value, list) else "{"
        assert text.split("\n")[place.line - 1] == place.text
        assert place.text[place.column - 1 :].startswith(written)
        assert place == document.place(path)
        if path and isinstance(path[-1], str):
            key = document.place(path, key=True)
            assert key.text[key.column - 1 :].startswith(json.dumps(path[-1]))


@pytest.mark.parametrize(("path", "key", "where"), PLACES)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_place_is_where_an_editor_shows_it(path: Path, key: bool, where: tuple[int, int], end: str) -> None:
    """Lines and columns start at 1 and do not depend on how lines end."""
    place = load(MODEL.replace("\n", end), "m.yaml").place(path, key=key)
    assert Place("m.yaml", *where, MODEL.split("\n")[where[0] - 1]) == place


def test_a_byte_order_mark_takes_no_column() -> None:
    """UTF-8 with a byte order mark reads as without one, columns included."""
    with_mark = read_bytes(b"\xef\xbb\xbf" + MODEL.encode(), "m.yaml")
    assert read_bytes(MODEL.encode(), "m.yaml") == with_mark


def test_a_column_counts_characters() -> None:
    """A character beyond ASCII or beyond U+FFFF is one column."""
    assert Place("m.yaml", 1, 8, "{'é😀': 1}") == load("{'é😀': 1}", "m.yaml").place(("é😀",))


def test_all_mistakes_are_told_at_once() -> None:
    """Mistakes after which reading can go on come together, in the order of the text, the one that ends it last."""
    text = "a: 1\na: 2\nb: !!int 3\nc: .inf\nd: &x 1\n<<: 1\n~: 2\n? [q]\n: 3\ne: 99999999999999999999\nf: [1\n"
    with pytest.raises(InputError) as caught:
        load(text, "m.yaml")
    assert [mistake.place.line for mistake in caught.value.mistakes if mistake.place] == [2, 3, 4, 5, 6, 7, 8, 10, 12]


def test_twenty_mistakes_are_enough() -> None:
    """The list of mistakes ends after 20."""
    with pytest.raises(InputError) as caught:
        load("- .nan\n" * 100, "m.yaml")
    assert len(caught.value.mistakes) == MAX_MISTAKES


@pytest.mark.parametrize(("assignment", "path", "value"), OVERRIDES, ids=[row[0] for row in OVERRIDES])
def test_an_override_sets_one_value(assignment: str, path: Path, value: Value) -> None:
    """An override changes what its key names, says so in the places, and leaves the old document as it was."""
    old = load(MODEL, "m.yaml")
    before = copy.deepcopy(old)
    new = override(old, assignment)
    assert before == old
    assert same(value) == same(at(new.tree, path))
    assert new.tree != old.tree
    assert old.file == new.file


@pytest.mark.parametrize(("assignment", "begins"), NO_OVERRIDES.items(), ids=[key[:20] for key in NO_OVERRIDES])
def test_a_wrong_override_is_an_input_error(assignment: str, begins: str) -> None:
    """What cannot be set says which --set it was, what was given and what is allowed."""
    with pytest.raises(InputError) as caught:
        override(load(MODEL, "m.yaml"), assignment)
    assert begins == str(caught.value)[: len(begins)]


def test_places_after_an_override_name_it() -> None:
    """What an override wrote stands in `--set key`, everything else where it stood in the file."""
    label = "--set layers.0.widths"
    new = override(load(MODEL, "m.yaml"), "layers.0.widths=[7, {x: 1}]")
    assert Place(label, 1, 1, "[7, {x: 1}]") == new.place(("layers", 0, "widths"))
    assert Place(label, 1, 1, "[7, {x: 1}]") == new.place(("layers", 0, "widths"), key=True)
    assert Place(label, 1, 2, "[7, {x: 1}]") == new.place(("layers", 0, "widths", 0))
    assert Place(label, 1, 6, "[7, {x: 1}]") == new.place(("layers", 0, "widths", 1, "x"), key=True)
    assert str(new.place(("layers", 0))) == "m.yaml:5:5"
    assert str(new.place(("layers", 0), key=True)) == "m.yaml:5:5"
    assert str(new.place(("layers", 0, "pool"), key=True)) == "m.yaml:5:26"


def test_places_of_mappings_an_override_made() -> None:
    """A mapping that an override had to create stands at its value, and so does an empty value."""
    new = override(load(MODEL, "m.yaml"), "x.y.z=")
    assert {Place("--set x.y.z", 1, 1)} == {
        new.place(path, key=key) for path in (("x",), ("x", "y"), ("x", "y", "z")) for key in (False, True)
    }
    assert str(new.place(())) == "m.yaml:2:1"


def test_overrides_compose() -> None:
    """Later overrides see what earlier ones wrote; an override of a whole forgets the places inside it."""
    document: Document = load(MODEL, "m.yaml")
    for assignment in (
        "stem.kernel=3",
        "stem.pool=max",
        "stem.kernel=5",
        "layers=[{widths: [1]}]",
        "layers.0.pool=avg",
    ):
        document = override(document, assignment)
    assert at(document.tree, ("stem",)) == {"kernel": 5, "pool": "max"}
    assert at(document.tree, ("layers",)) == [{"widths": [1], "pool": "avg"}]
    assert str(document.place(("layers", 1, "dropout"))) == "--set layers:1:1"


@given(trees(st.text(max_size=12)), st.data())
def test_any_value_can_be_set_anywhere(tree: Value, data: st.DataObject) -> None:
    """Setting the value at any path to its JSON gives it, and setting it back gives the old tree."""
    old = load(json.dumps({"a": tree}), "m.yaml")
    typed = [path for path in old.values if path and all(re.fullmatch("[a-z0-9]+", str(part)) for part in path)]
    path = data.draw(st.sampled_from(typed))
    value = data.draw(trees(st.text(max_size=12)))
    key = ".".join(str(part) for part in path)
    new = override(old, f"{key}={json.dumps(value)}")
    assert same(value) == same(at(new.tree, path))
    assert same(old.tree) == same(override(new, f"{key}={json.dumps(at(old.tree, path))}").tree)


@given(trees(st.text(max_size=12)))
def test_what_is_replaced_has_one_place(value: Value) -> None:
    """A key set to a value has one place, with all in it; the other keys keep theirs, and the document is as it was."""
    old = load(MODEL, "m.yaml")
    before, place = copy.deepcopy(old), Place("--input")
    new = replace(old, "layers", value, place, instead_of="input")
    assert before == old
    assert {"family": "nin", "layers": value, "name": "x"} == new.tree
    paths = [path for path in new.values if path[:1] == ("layers",)]
    assert {place} == {new.place(path, key=key) for path in paths for key in (False, True)}
    others = [path for path in before.values if path[:1] not in (("layers",), ("input",))]
    assert [before.place(path) for path in others] == [new.place(path) for path in others]
    assert [*others, ("layers",)] == [path for path in new.values if len(path) < 2]
    assert same(at(override(new, "layers=1").tree, ("layers",))) == same(1)


def test_a_replaced_value_forgets_what_was_below() -> None:
    """No path of the old value has a place, nor of the key that is gone; a new key is added at the end."""
    new = replace(load(MODEL, "m.yaml"), "inputs", [{"shape": [3]}], Place("--input"), instead_of="layers")
    added: list[Path] = [("inputs",), ("inputs", 0), ("inputs", 0, "shape"), ("inputs", 0, "shape", 0)]
    assert added == [path for path in new.values if path[:1] == ("inputs",)]
    assert ["family", "input", "name", "inputs"] == [*new.tree]  # type: ignore[misc]  # it is a mapping
    assert "layers" not in {path[0] for path in (*new.values, *new.keys) if path}


def test_a_file_is_read(tmp_path: File) -> None:
    """A file is read whole, under the name it was given as."""
    file = tmp_path / "m.yaml"
    file.write_bytes(MODEL.encode())
    assert load(MODEL, str(file)) == read_file(file) == read_file(str(file))


def test_a_file_may_have_1_mib_and_no_more(tmp_path: File) -> None:
    """A file of exactly 1 MiB is read, one byte more is refused."""
    file = tmp_path / "m.yaml"
    file.write_bytes(b"a: 1 #".ljust(MAX_BYTES, b"#"))
    assert read_file(file).tree == {"a": 1}
    file.write_bytes(b"a: 1 #".ljust(MAX_BYTES + 1, b"#"))
    assert f"{file}: is larger than 1 MiB" == refusal(file)
    file.write_bytes(b"\xef\xbb\xbfa: 1 #".ljust(MAX_BYTES + 1, b"#"))
    assert f"{file}: is larger than 1 MiB" == refusal(file)


def test_a_file_that_cannot_be_read_is_an_input_error(tmp_path: File) -> None:
    """Whatever the disk refuses is one line that begins with the file's name."""
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    for name in ("missing.yaml", "dangling", "loop", "missing/m.yaml", "x" * 300, "nul\0", "half\ud800"):
        message = refusal(tmp_path / name)
        assert "cannot be read: " in message
        assert "\n" not in message
    assert f"{tmp_path}: is not a regular file" == refusal(tmp_path)
    assert f"{tmp_path / 'missing.yaml'}: cannot be read: No such file or directory" == refusal(
        tmp_path / "missing.yaml"
    )


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
def test_a_fifo_or_device_is_not_waited_for(tmp_path: File) -> None:
    """Nothing is opened that could block or never end."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    assert f"{fifo}: is not a regular file" == refusal(fifo)
    assert refusal(File("/dev/zero")) == "/dev/zero: is not a regular file"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_one_may_not_read_is_an_input_error(tmp_path: File) -> None:
    """A file without permission says so."""
    file = tmp_path / "m.yaml"
    file.write_bytes(b"a: 1")
    file.chmod(0)
    assert f"{file}: cannot be read: Permission denied" == refusal(file)


def refusal(file: File) -> str:
    with pytest.raises(InputError) as caught:
        read_file(file)
    return str(caught.value)
