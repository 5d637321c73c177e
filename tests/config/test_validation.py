"""Mistakes in a model.yaml: every one at its place, in reading order, with what was given and what is allowed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mistakes import begin, told
from schemas import fits
from specs import Tree, laws, models

from archcost.cli.schemas import committed
from archcost.config import document
from archcost.errors import InputError
from archcost.models import load, published
from archcost.models.families import FAMILIES

IMAGES = "input: [3, 8, 8]\nclasses: 2\n"
REST = {
    "bottleneck": f"family: bottleneck\n{IMAGES}",
    "nin": f"family: nin\n{IMAGES}",
    "rir": f"family: rir\n{IMAGES}",
    "fractal": f"family: fractal\n{IMAGES}",
    "tokens": "family: hornn\ninput: {steps: 3, vocab: 9}\nhidden: 4\n",
    "features": "family: hornn\ninput: {steps: 3, features: 9}\nhidden: 4\n",
}
# the lines below follow the three of REST, so the first of them is line 4
TWO = "depths: [1, 1]\nwidths: [8, 8]\n"
LAYER = "layers: [{kernel: 3, widths: [4, 2]"
MISTAKES: list[tuple[str, str, list[str]]] = [
    # bottleneck
    ("bottleneck", "depth: [1]\nwidths: [8]", ["1:1: depths: missing; this key is required",
        "4:1: depth: unknown key 'depth' (did you mean 'depths'?); allowed: 'block', 'classes', "]),
    ("bottleneck", "depths: 1\nwidths: 8", ["4:9: depths: given 1; allowed: a list",
        "5:9: widths: given 8; allowed: a list"]),
    ("bottleneck", "depths: []\nwidths: []", ["4:9: depths: given a list of 0; allowed: at least 1 value",
        "5:9: widths: given a list of 0; allowed: at least 1 value"]),
    ("bottleneck", "depths: [1, 1]\nwidths: [8]\nstrides: [1, 2, 2]\nreduction: [1]", [
        "5:9: widths: given 1 value", "6:10: strides: given 3 values; allowed: 2, one for each of 'depths'",
        "7:12: reduction: given 1 value"]),
    ("bottleneck", f"{TWO}groups: 0\ndropout: 1", ["6:9: groups: given 0; allowed: at least 1",
        "7:10: dropout: given 1; allowed: less than 1"]),
    ("bottleneck", f"{TWO}dropout: -0.5", ["6:10: dropout: given -0.5; allowed: at least 0"]),
    ("bottleneck", f"{TWO}reduction: 0", ["6:12: reduction: given 0; allowed: more than 0"]),
    ("bottleneck", f"{TWO}reduction: four", ["6:12: reduction: given 'four'; allowed: a number"]),
    ("bottleneck", f"{TWO}reduction: [4, four]", ["6:16: reduction.1: given 'four'; allowed: a number"]),
    ("bottleneck", f"{TWO}order: pst", ["6:8: order: given 'pst' (did you mean 'post'?); allowed: 'post' or 'pre'"]),
    ("bottleneck", f"{TWO}order: null", ["6:8: order: given null; allowed: 'post' or 'pre'"]),
    ("bottleneck", f"{TWO}shortcut: identity", [
        "6:11: shortcut: given 'identity'; allowed: 'projection', 'conv', 'pad' or 'none'"]),
    ("bottleneck", f"{TWO}name: 5", ["6:7: name: given 5; allowed: text"]),
    ("bottleneck", f"{TWO}name: ''", ["6:7: name: given ''; allowed: text of at least 1 character"]),
    ("bottleneck", f"{TWO}name: {'x' * 201}", [
        f"6:7: name: given '{'x' * 57}...'; allowed: text of at most 200 characters"]),
    ("bottleneck", f"reduction: 4\ngroups: 2\nstride_on: reduce\n{TWO}block: basic", [
        "4:12: reduction: a basic block has none; allowed: only with 'block: bottleneck'",
        "5:9: groups: a basic block has none; allowed: only with 'block: bottleneck'",
        "6:12: stride_on: a basic block has none; allowed: only with 'block: bottleneck'"]),
    ("bottleneck", f"{TWO}stem: {{channels: true, kernel: 4, stride: 0, pool: avg, width: 3}}", [
        "6:18: stem.channels: given true; allowed: an integer", "6:32: stem.kernel: given 4; allowed: an odd number",
        "6:43: stem.stride: given 0; allowed: at least 1", "6:52: stem.pool: given 'avg'; allowed: 'none' or 'max'",
        "6:57: stem.width: unknown key 'width'; allowed: 'channels', 'kernel', 'pool' or 'stride'"]),
    ("bottleneck", f"{TWO}stem: 16", ["6:7: stem: given 16; allowed: a mapping of keys to values"]),
    ("bottleneck", "depths: [1, 1]\nwidths: [16, 8]\nshortcut: pad", [
        "5:14: widths.1: stage2.block1.shortcut: padding cannot turn 16 channels into fewer (8)"]),
    ("bottleneck", "depths: [20000]\nwidths: [8]", [
        "4:9: depths: the network would have 200,008 nodes; allowed: 200,000"]),
    # nin
    ("nin", "layers: []", ["4:9: layers: given a list of 0; allowed: at least 1 value"]),
    ("nin", "layers: {kernel: 3}", ["4:9: layers: given a mapping; allowed: a list"]),
    ("nin", "layers: [5, {}]", [
        "4:10: layers.0: given 5; allowed: a mapping of keys to values",
        "4:13: layers.1.kernel: missing; this key is required",
        "4:13: layers.1.widths: missing; this key is required"]),
    ("nin", "layers: [{kernel: 2, widths: [2]}]", ["4:19: layers.0.kernel: given 2; allowed: an odd number"]),
    ("nin", "layers: [{kernel: 3, widths: [4, 3]}]", [
        "4:34: layers.0.widths.1: given 3; allowed: 2, the number of classes"]),
    ("nin", f"{LAYER}, poool: max}}]", [
        "4:38: layers.0.poool: unknown key 'poool' (did you mean 'pool'?); allowed: 'dropout', 'kernel', "]),
    ("nin", f"{LAYER}, sparse: [0, 2], window: 2}}]", ["4:50: layers.0.sparse.1: given 2; allowed: 0 or 1",
        "4:62: layers.0.window: given 2; allowed: an odd number"]),
    ("nin", f"{LAYER}, sparse: [1], span: 2}}]", ["4:46: layers.0.sparse: given 1 value"]),
    ("nin", f"sparse: [0, 0, 1]\n{LAYER}, span: 2}}]", ["5:10: layers.0.sparse: given 3 values; allowed: 2, "]),
    ("nin", f"{LAYER}, sparse: [0, 1]}}]", [
        "4:10: layers.0.span: a sparse place needs it; allowed: 'span', how many channels a kernel sees"]),
    ("nin", f"sparse: [0, 1]\n{LAYER}}}]", ["5:10: layers.0.span: a sparse place needs it; allowed: 'span', "]),
    ("nin", f"span: 5\n{LAYER}, sparse: [0, 1]}}]", [
        "4:7: span: layer1.window2: a span of 5 channels is wider than the 4 that come in"]),
    ("nin", f"span: 1\n{LAYER}, sparse: [1, 1], span: 4}}]", [
        "5:60: layers.0.span: layer1.window1: a span of 4 channels is wider than the 3 that come in"]),
    ("nin", "layers:\n- {kernel: 3, widths: [4], stride: 8}\n- {kernel: 3, widths: [2], pool: max}", [
        "6:34: layers.1.pool: layer2.pool: a 3 x 3 window with stride 2 leaves nothing of a side of 1"]),
    # rir
    ("rir", "depths: [1, 1]\nwidths: [4]", ["5:9: widths: given 1 value"]),
    ("rir", f"{TWO}stem: {{channels: 5}}", [
        "6:18: stem.channels: given 5; allowed: an even number, half for each stream"]),
    ("rir", f"{TWO}shortcut: none", ["6:11: shortcut: given 'none'; allowed: 'projection' or 'pad'"]),
    ("rir", f"{TWO}outer_shortcut: 1\nhead: cnv\nstride_unit: 1", [
        "6:17: outer_shortcut: given 1; allowed: true or false",
        "7:7: head: given 'cnv' (did you mean 'conv'?); allowed: 'conv' or 'linear'",
        "8:14: stride_unit: given 1; allowed: 'first' or 'second'"]),
    ("rir", "depths: [1, 1]\nwidths: [4, 2]\nshortcut: pad", [
        "5:13: widths.1: stage2.block1.unit1.shortcut: padding cannot turn 4 channels into fewer (2)"]),
    ("rir", "depths: [1, 1]\nwidths: [4, 8]\nshortcut: pad\nstem: {channels: 12}", [
        "5:10: widths.0: stage1.block1.unit1.shortcut: padding cannot turn 6 channels into fewer (4)"]),
    # fractal
    ("fractal", "widths: [4]", ["1:1: columns: missing; this key is required"]),
    ("fractal", "columns: 2\nwidths: [4, 4, 4, 4]", [
        "5:19: widths.3: block4.pool: a 2 x 2 window with stride 2 leaves nothing of a side of 1"]),
    ("fractal", "columns: 2\nwidths: [4]\nuse_columns: [1, 3]", [
        "6:18: use_columns.1: given 3; allowed: 1 to 2, the columns there are"]),
    ("fractal", "columns: 2\nwidths: [4]\nuse_columns: [0]", ["6:15: use_columns.0: given 0; allowed: at least 1"]),
    ("fractal", "columns: 2\nwidths: [4]\nuse_columns: []", [
        "6:14: use_columns: given a list of 0; allowed: at least 1 value"]),
    ("fractal", "columns: 2\nwidths: [4, 4]\ndropout: [0.1]\nkernel: 4\njoin: median", [
        "6:10: dropout: given 1 value", "7:9: kernel: given 4; allowed: an odd number",
        "8:7: join: given 'median'"]),
    ("fractal", "columns: 2\nwidths: [4, 4]\ndropout: [0.1, 1]", ["6:16: dropout.1: given 1; allowed: less than 1"]),
    ("fractal", "columns: 2\nwidths: [4]\ndrop_path: {local: 1, global: 1.5, whole: 1}", [
        "6:20: drop_path.local: given 1; allowed: less than 1", "6:31: drop_path.global: given 1.5; allowed: at most 1",
        "6:36: drop_path.whole: unknown key 'whole'; allowed: 'global' or 'local'"]),
    ("fractal", "columns: 40\nwidths: [4]", [
        "4:10: columns: the network would have 3,573,412,790,273 nodes; allowed: 200,000"]),
    # hornn
    ("tokens", "order: 0\nalpha: 1\npooling: gate\nreadout: lst", ["4:8: order: given 0; allowed: at least 1",
        "5:8: alpha: given 1; allowed: less than 1",
        "6:10: pooling: given 'gate' (did you mean 'gated'?); allowed: 'none', 'max', 'fofe' or 'gated'",
        "7:10: readout: given 'lst' (did you mean 'last'?); allowed: 'every' or 'last'"]),
    ("tokens", "order: 1\nalpha: 0\nactivation: gelu", ["5:8: alpha: given 0; allowed: more than 0",
        "6:13: activation: given 'gelu'"]),
    ("tokens", "order: 3.0", ["4:8: order: given 3.0; allowed: an integer"]),
    ("tokens", "order: 1\nembedding: 0", ["5:12: embedding: given 0; allowed: at least 1"]),
    ("features", "order: 1\nclasses: 3\nembedding: 2", [
        "6:12: embedding: given with features; allowed: only with 'input: {steps, vocab}'"]),
    ("features", "order: 1", [
        "1:1: classes: missing; a network on features needs it, the number of classes"]),
]  # fmt: skip
IDS = [f"{kind}-{lines.splitlines()[-1][:30]}" for kind, lines, _ in MISTAKES]


@pytest.mark.parametrize(("kind", "lines", "expected"), MISTAKES, ids=IDS)
def test_mistakes(kind: str, lines: str, expected: list[str]) -> None:
    """Each mistake names file, line, column and key, all of them at once, in the order of the text."""
    begin([f"m.yaml:{line}" for line in expected], told(REST[kind] + lines))


def test_source_line_and_caret() -> None:
    """Below a mistake stands its line of the text, and a caret under the place."""
    with pytest.raises(InputError) as caught:
        load.expand(document.load("family: rir\nclasses: two\ninput: [1, 1, 1]\ndepths: [1]\nwidths: [1]", "m.yaml"))
    first = "m.yaml:2:10: classes: given 'two'; allowed: an integer"
    assert f"{first}\n    classes: two\n             ^" == str(caught.value)


def test_what_is_echoed_is_visible() -> None:
    """Controls and bidirectional characters in keys and values come back as escapes."""
    [key, value] = told(f'{REST["rir"]}depths: [1]\nwidths: [1]\n"\\e[31m": 1\nhead: "\\u202Evnoc"')
    assert key.startswith(r"m.yaml:6:1: \x1b[31m: unknown key '\x1b[31m'; allowed: ")
    assert value.startswith(r"m.yaml:7:7: head: given '\u202evnoc'")


# ---- each of these was told wrongly once


@pytest.mark.parametrize("key", ["<one", "<<", "<one>"])
def test_keys_that_look_like_tags(key: str) -> None:
    """A key that begins with < is an unknown key like any other."""
    unknown = f"{key}: unknown key '{key}'; allowed: "
    begin([f"m.yaml:5:1: {unknown}"], told(f'{REST["nin"]}{LAYER}}}]\n"{key}": 1'))
    begin([f"m.yaml:4:38: layers.0.{unknown}"], told(f'{REST["nin"]}{LAYER}, "{key}": 3}}]'))


@pytest.mark.parametrize(
    "lines", ["depths: [0]\nwidths: [8]", "depths: [x]\nwidths: [8]", "depths: [1]\nwidths: [[8]]"]
)
def test_one_wrong_value_is_one_mistake(lines: str) -> None:
    """A list whose only value is wrong is not said to be too short as well."""
    assert 1 == len(told(REST["bottleneck"] + lines))


def test_tokens_and_features() -> None:
    """A sequence of both tokens and features is refused in words that help."""
    [line] = told("family: hornn\ninput: {steps: 3, features: 3, vocab: 2}\nclasses: 2\nhidden: 1\norder: 1")
    assert line.startswith("m.yaml:2:32: input.vocab: ")
    assert "did you mean 'vocab'" not in line


def test_missing_classes_are_told_with_the_rest() -> None:
    """All mistakes at once: also the classes that only a network on features must have."""
    begin(["m.yaml:1:1: classes: missing", "m.yaml:4:8: order: given 0"], told(f"{REST['features']}order: 0"))


def test_two_layers_are_told_at_once() -> None:
    """All mistakes at once: a span that one layer lacks does not hide what the next one has wrong."""
    layers = "layers:\n- {kernel: 3, widths: [4, 2], sparse: [0, 1]}\n- {kernel: 3, widths: [4, 3]}"
    begin(["m.yaml:5:3: layers.0.span: ", "m.yaml:6:27: layers.1.widths.1: "], told(REST["nin"] + layers))


def test_two_columns_are_told_at_once() -> None:
    """All mistakes at once: both columns that there are not."""
    lines = told(f"{REST['fractal']}columns: 2\nwidths: [4]\nuse_columns: [3, 4]")
    begin(["m.yaml:6:15: use_columns.0: ", "m.yaml:6:18: use_columns.1: "], lines)


def test_reduction_without_end() -> None:
    """A reduction that would make more channels than any integer here may be is refused at its key."""
    begin(["m.yaml:6:12: reduction: "], told(f"{REST['bottleneck']}{TWO}reduction: 1e-300"))


ANYTHING = st.sampled_from([None, True, -1, 0, 1, 2.5, 2**53, "", "x", "max", [], [0], [1, 2], {}, {"a": 1}])


@given(models(), st.data())
@laws(150)
def test_damaged_networks(tree: Tree, data: st.DataObject) -> None:
    """Any value of a sound network replaced by anything leaves a network, or mistakes with their places in order."""
    path = data.draw(st.sampled_from(list(spots(tree, ()))))
    text = json.dumps(put(tree, path, data.draw(ANYTHING)))
    try:
        load.expand(document.load(text, "m.yaml"))
        columns = []
    except InputError as error:
        columns = [mistake.place.column if mistake.place else 0 for mistake in error.mistakes]
    assert sorted(columns) == columns
    assert 0 not in columns


def spots(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    """Yield the paths of all values below the whole."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from spots(inner, (*path, key))


def put(tree: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """Return a copy of a tree with another value at a path."""
    if not path:
        return value
    copy = tree.copy()
    copy[path[0]] = put(tree[path[0]], path[1:], value)
    return copy


# ---- the JSON Schema: test_docs.py holds that it is up to date


SCHEMA = json.loads(committed("model"))


@pytest.mark.parametrize("name", published.names())
def test_examples_fit_the_schema(name: str) -> None:
    """Editors that check with the JSON Schema find no mistake in a published network, and find one that is made."""
    tree = document.read_bytes(published.text(name), name).tree
    assert isinstance(tree, dict)
    assert fits(tree, SCHEMA)
    assert not fits({**tree, "colour": "red"}, SCHEMA)
    assert not fits({key: value for key, value in tree.items() if key != "input"}, SCHEMA)


@given(models())
@laws(100)
def test_random_networks_fit_the_schema(tree: Tree) -> None:
    """What the tool takes the schema takes too."""
    assert fits(tree, SCHEMA)


def test_the_schema_knows_every_family() -> None:
    """The schema tells families apart by their key, and knows all that ship."""
    assert {*FAMILIES, "module"} == set(SCHEMA["discriminator"]["mapping"])
