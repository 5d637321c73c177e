"""Random valid networks, small enough to build and trace in milliseconds, as the trees a model.yaml holds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeAlias

from hypothesis import settings
from hypothesis import strategies as st

from archcost.config import document
from archcost.models import load

Tree: TypeAlias = dict[str, Any]
Trees: TypeAlias = st.SearchStrategy[Tree]
Draw: TypeAlias = Any  # hypothesis' own DrawFn, generic in every call

RATES = st.sampled_from([0, 0.25, 0.9])
SAME = settings(derandomize=True, database=None, deadline=None)
"""The same examples in every run, and no clock: a test fails today as it will tomorrow."""


def laws(examples: int) -> settings:
    """Return the settings of a property test with so many examples."""
    return settings(SAME, max_examples=examples)


def text(tree: Tree) -> str:
    """Return a tree as YAML text: JSON is YAML."""
    return json.dumps(tree)


def model(tree: Tree) -> load.Model:
    """Return the network of a tree, through the same border as a file."""
    return load.expand(document.load(text(tree), "random.yaml"))


def _some(draw: Draw, **keys: st.SearchStrategy[Any]) -> Tree:
    """Draw each key or leave it out."""
    return {key: draw(values) for key, values in keys.items() if draw(st.booleans())}


def _image(least: int = 3, most: int = 9) -> st.SearchStrategy[list[int]]:
    return st.builds(lambda c, h, w: [c, h, w], st.integers(1, 3), *(st.integers(least, most),) * 2)


def _ints(draw: Draw, low: int, high: int, count: int) -> list[int]:
    return [draw(st.integers(low, high)) for _ in range(count)]


def _stem(channels: st.SearchStrategy[int]) -> Trees:
    optional = {
        "channels": channels,
        "kernel": st.sampled_from([1, 3, 5]),
        "stride": st.integers(1, 2),
        "pool": st.sampled_from(["none", "max"]),
    }
    return st.fixed_dictionaries({}, optional=optional)


def _growing(widths: Sequence[int], start: int) -> list[int]:
    """Return widths that never shrink: option A can only add channels."""
    grown: list[int] = []
    for width in widths:
        grown.append(max(width, *grown, start))
    return grown


@st.composite
def bottlenecks(draw: Draw) -> Tree:
    """Staged residual networks: both blocks, both orders, all shortcuts, groups, reductions and stride placements."""
    stages = draw(st.integers(1, 3))
    tree = {
        "family": "bottleneck",
        "input": draw(_image()),
        "classes": draw(st.integers(1, 7)),
        "depths": _ints(draw, 1, 2, stages),
        "widths": _ints(draw, 1, 12, stages),
    }
    tree |= _some(
        draw,
        name=st.sampled_from(["a", "ResNet, wide"]),
        stem=_stem(st.integers(1, 12)),
        block=st.sampled_from(["basic", "bottleneck"]),
        strides=st.lists(st.integers(1, 3), min_size=stages, max_size=stages),
        order=st.sampled_from(["post", "pre"]),
        shortcut=st.sampled_from(["projection", "conv", "pad", "none"]),
        dropout=RATES,
    )
    if tree.get("block") != "basic":
        ratio = st.sampled_from([0.5, 1, 2, 3.7, 4])
        tree |= _some(
            draw,
            reduction=st.one_of(ratio, st.lists(ratio, min_size=stages, max_size=stages)),
            groups=st.integers(1, 3),
            stride_on=st.sampled_from(["spatial", "reduce"]),
        )
    if tree.get("shortcut") == "pad":
        stem = tree.get("stem") or {}
        tree["widths"] = _growing(tree["widths"], stem.get("channels", 16))
    return tree


def _left(size: int, layer: Tree) -> int:
    """Return what a layer leaves of a side: its stride rounds up, its pool (3 x 3, stride 2, ceil) drops half."""
    size = -(-size // layer.get("stride", 1))
    return size // 2 if layer.get("pool", "none") != "none" else size


@st.composite
def nins(draw: Draw) -> Tree:
    """Networks in networks: every pool, strides, and sparse places with spans and windows of their own or shared."""
    image = draw(_image())
    channels, side, classes = image[0], min(image[1:]), draw(st.integers(1, 6))
    places = draw(st.integers(1, 3))
    top = _some(draw, sparse=st.lists(st.sampled_from([0, 1]), min_size=places, max_size=places))
    top |= _some(draw, name=st.just("NiN"), span=st.integers(1, 2), window=st.sampled_from([1, 3]))
    layers: list[Tree] = []
    for more in reversed(range(draw(st.integers(1, 3)))):
        layer = {"kernel": draw(st.sampled_from([1, 3, 5])), "widths": _ints(draw, 1, 8, places)}
        layer["widths"][-1] = classes if not more else layer["widths"][-1]
        layer |= _some(draw, stride=st.integers(1, 2), dropout=RATES, pool=st.sampled_from(["none", "max", "avg"]))
        layer |= _some(draw, sparse=st.lists(st.sampled_from([0, 1]), min_size=places, max_size=places))
        layer |= _some(draw, window=st.sampled_from([1, 3]))
        seen = zip([channels, *layer["widths"]], layer.get("sparse") or top.get("sparse", []), strict=False)
        widest = min((count for count, sparse in seen if sparse), default=1)
        if top.get("span", 99) > widest or draw(st.booleans()):
            layer["span"] = draw(st.integers(1, widest))
        if _left(side, layer) < 1:
            del layer["pool"]
        channels, side = layer["widths"][-1], _left(side, layer)
        layers.append(layer)
    return {"family": "nin", "input": image, "classes": classes, **top, "layers": layers}


@st.composite
def rirs(draw: Draw) -> Tree:
    """Residual networks in residual networks: both stride units, shortcuts, heads, the outer shortcut or none."""
    stages = draw(st.integers(1, 3))
    tree = {
        "family": "rir",
        "input": draw(_image()),
        "classes": draw(st.integers(1, 7)),
        "depths": _ints(draw, 1, 2, stages),
        "widths": _ints(draw, 1, 6, stages),
    }
    tree |= _some(
        draw,
        name=st.just("RiR"),
        stem=_stem(st.sampled_from([2, 4, 6])),
        strides=st.lists(st.integers(1, 3), min_size=stages, max_size=stages),
        stride_unit=st.sampled_from(["first", "second"]),
        shortcut=st.sampled_from(["projection", "pad"]),
        outer_shortcut=st.booleans(),
        head=st.sampled_from(["conv", "linear"]),
    )
    if tree.get("shortcut") == "pad":
        stem = tree.get("stem") or {}
        tree["widths"] = _growing(tree["widths"], stem.get("channels", 2) // 2)
    return tree


@st.composite
def fractals(draw: Draw, *, all_columns: bool = False) -> Tree:
    """Fractal networks of one to four columns; without `all_columns` some run a choice of them only."""
    columns = draw(st.sampled_from([1, 2, 3, 4]))
    blocks = draw(st.integers(1, 2 if columns > 2 else 3))
    stem = draw(st.none() | _stem(st.integers(1, 8)))
    shrinks = 2**blocks * ((stem or {}).get("stride", 1)) * (2 if (stem or {}).get("pool") == "max" else 1)
    tree = {
        "family": "fractal",
        "input": draw(_image(shrinks, shrinks + 4)),
        "classes": draw(st.integers(1, 7)),
        "columns": columns,
        "widths": _ints(draw, 1, 8, blocks),
    }
    tree |= {} if stem is None else {"stem": stem}
    tree |= _some(
        draw,
        name=st.just("FractalNet"),
        kernel=st.sampled_from([1, 3, 5]),
        join=st.sampled_from(["mean", "sum", "max"]),
        drop_path=st.fixed_dictionaries({}, optional={"local": RATES, "global": st.sampled_from([0, 0.5, 1])}),
        dropout=st.one_of(RATES, st.lists(RATES, min_size=blocks, max_size=blocks)),
    )
    if not all_columns:
        chosen = st.lists(st.integers(1, columns), min_size=1, max_size=columns, unique=True)
        tree |= _some(draw, use_columns=chosen)
    return tree


@st.composite
def hornns(draw: Draw) -> Tree:
    """Higher order recurrent networks: every pooling, input, embedding, readout and activation."""
    steps, tokens = draw(st.integers(1, 4)), draw(st.booleans())
    kind = "vocab" if tokens else "features"
    tree = {
        "family": "hornn",
        "input": {"steps": steps, kind: draw(st.integers(1, 9))},
        "hidden": draw(st.integers(1, 7)),
        "order": draw(st.integers(1, 4)),
    }
    tree |= _some(
        draw,
        name=st.just("HORNN"),
        pooling=st.sampled_from(["none", "max", "fofe", "gated"]),
        alpha=st.sampled_from([0.1, 0.6, 0.99]),
        activation=st.sampled_from(["tanh", "sigmoid", "relu"]),
        readout=st.sampled_from(["every", "last"]),
        dropout=RATES,
    )
    tree |= _some(draw, classes=st.integers(1, 6)) if tokens else {"classes": draw(st.integers(1, 6))}
    return tree | (_some(draw, embedding=st.integers(1, 5)) if tokens else {})


FAMILIES: dict[str, Trees] = {
    "bottleneck": bottlenecks(),
    "nin": nins(),
    "rir": rirs(),
    "fractal": fractals(),
    "hornn": hornns(),
}


def models() -> Trees:
    """Networks of every family."""
    return st.one_of(*FAMILIES.values())
