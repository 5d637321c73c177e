"""Counts are exact integers from the graph alone: they add up, know no limit, and are refused where nothing fits."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from specs import FAMILIES, Tree, bottlenecks, laws, model, models, text

from archcost.config import document
from archcost.errors import InputError
from archcost.graph.codec import decode, digest, encode
from archcost.graph.columns import columns, only
from archcost.graph.cost import Cost, Row, Total, count, listed, peak_bytes
from archcost.graph.dtypes import BYTES
from archcost.graph.graph import Builder, Graph
from archcost.graph.ops import (
    Act,
    Bias,
    Conv,
    Dropout,
    GlobalPool,
    Input,
    Join,
    Last,
    Linear,
    Lookup,
    Norm,
    Recall,
    Scale,
)
from archcost.models import load

# ---- totals


def added(totals: list[Total]) -> tuple[int, ...]:
    fields = [(t.params, t.buffers, t.macs, t.elementwise, t.flops, t.rows) for t in totals]
    return tuple(map(sum, zip(*fields, strict=True)))


@given(models())
@laws(60)
def test_totals_add_up(tree: Tree) -> None:
    """By group, by column and by operator the parts are the whole; the input alone belongs to no group."""
    cost = model(tree).cost
    whole = added([cost.total])
    assert whole == added(list(cost.by_column().values())) == added(list(cost.by_op().values()))
    assert whole[:-1] == added(list(cost.by_group().values()))[:-1]
    assert len(cost.rows) == cost.total.rows == sum(t.rows for t in cost.by_group().values()) + 1
    rows = cost.rows
    assert (cost.params, cost.macs) == (sum(r.params for r in rows), sum(r.macs for r in rows))


@given(models())
@laws(60)
def test_flops(tree: Tree) -> None:
    """A multiply-accumulate is two operations, an elementwise operation one."""
    cost = model(tree).cost
    assert 2 * cost.macs + cost.elementwise == cost.flops


@given(models())
@laws(60)
def test_bytes_follow_the_batch(tree: Tree) -> None:
    """Weights do not grow with the batch, activations and the live set do, and no live set outgrows all values."""
    graph = model(tree).graph
    cost = count(graph)
    weights, entry = cost.weights_bytes(4), entry_bytes(graph)
    assert 4 * (cost.total.params + cost.total.buffers) == weights
    live = [peak_bytes(graph, batch, 4) - weights for batch in (1, 2, 7)]
    assert [live[0], 2 * live[0], 7 * live[0]] == live
    assert entry <= live[0] <= cost.activation_bytes(1, 4) + entry
    assert (
        7 * cost.activation_bytes(1, 4) == cost.activation_bytes(7, 4) == sum(r.written_bytes(7, 4) for r in cost.rows)
    )


def entry_bytes(graph: Graph) -> int:
    """Return the size of what a network is given."""
    op, runs = graph.nodes[0].op, graph.nodes[0].runs
    assert isinstance(op, Input)
    return runs * (8 if op.below is not None else 4 * product(op.shape))


def product(shape: tuple[int, ...]) -> int:
    size = 1
    for side in shape:
        size *= side
    return size


def test_empty_cost() -> None:
    """A cost without rows is zero, not an error."""
    assert Total() == listed(()).total


def test_groups_in_execution_order() -> None:
    """The lines of a table stand as the network runs."""
    tree = {"family": "bottleneck", "input": [3, 8, 8], "classes": 2, "depths": [1, 1], "widths": [4, 8]}
    assert ["stem", "stage1", "stage2", "head"] == list(model(tree).cost.by_group())


@given(models(), st.integers(1, 9))
@laws(60)
def test_groups_of_any_depth_add_up(tree: dict[str, Any], depth: int) -> None:
    """No row is lost or counted twice, and no name has more parts than were asked for."""
    cost = model(tree).cost
    groups = cost.by_depth(depth)
    assert cost.total.rows == sum(total.rows for total in groups.values()) + 1  # but for the input
    assert (cost.params, cost.macs) == tuple(
        sum(getattr(total, name) for total in groups.values()) for name in ("params", "macs")
    )
    assert all(name.count(".") < depth for name in groups)


def test_groups_by_depth_in_execution_order() -> None:
    """Blocks at depth 2; what has fewer parts stays whole."""
    tree = {"family": "bottleneck", "input": [3, 8, 8], "classes": 2, "depths": [2], "widths": [4]}
    cost = model(tree).cost
    assert ["stem", "stage1", "head"] == list(cost.by_depth(1))
    names = ["stem.conv", "stem.norm", "stem.relu", "stage1.block1", "stage1.block2", "head.pool", "head.linear"]
    assert names == list(cost.by_depth(2))


# ---- laws of the families


@given(bottlenecks().filter(lambda tree: tree.get("shortcut") == "pad"))
@laws(60)
def test_option_a_costs_nothing(tree: Tree) -> None:
    """Zero-padded shortcuts have the parameters and MACs of a network without shortcuts."""
    padded, without = model(tree).cost, model({**tree, "shortcut": "none"}).cost
    assert (without.params, without.macs) == (padded.params, padded.macs)


@pytest.mark.parametrize("family", FAMILIES)
def test_size_is_known_before_building(family: str) -> None:
    """`size` is the number of nodes; a recall counts once per state it hands over, and all columns count."""

    @given(FAMILIES[family])
    @laws(80)
    def law(tree: Tree) -> None:
        built = model(tree)
        if columns(built.graph):
            built = model({key: value for key, value in tree.items() if key != "use_columns"})
        recalls = [n.op for n in built.graph.nodes if isinstance(n.op, Recall)]
        assert len(built.graph.nodes) + sum(len(op.delays) - 1 for op in recalls) == built.spec.size()

    law()


H = st.integers(1, 50)
TOKENS = st.fixed_dictionaries(
    {
        "family": st.just("hornn"),
        "input": st.fixed_dictionaries({"steps": H, "vocab": H}),
        "hidden": H,
        "order": st.integers(1, 6),
        "pooling": st.sampled_from(["none", "max", "fofe", "gated"]),
        "readout": st.sampled_from(["every", "last"]),
    },
    optional={"embedding": H},
)


@given(TOKENS)
@laws(100)
def test_hornn_closed_forms(tree: Tree) -> None:
    """2HV + N H^2 + H + V parameters, N H^2 + H V MACs per token; gates, embeddings and readouts as the format says."""
    steps, vocab, hidden, order = tree["input"]["steps"], tree["input"]["vocab"], tree["hidden"], tree["order"]
    embedded = tree.get("embedding", 0)
    into = hidden * (embedded or vocab)  # the matrix that acts on the input; a lookup takes no MACs
    gates = order if tree["pooling"] == "gated" else 0
    params = vocab * embedded + into + order * hidden**2 + hidden + hidden * vocab + vocab
    params += gates * (into + hidden**2 + hidden)
    token = order * hidden**2 + embedded * hidden + gates * (hidden**2 + embedded * hidden)
    readouts = steps if tree["readout"] == "every" else 1
    cost = model(tree).cost
    assert (params, steps * token + readouts * hidden * vocab) == (cost.params, cost.macs)


@given(H, H, st.integers(1, 6), H, H, st.booleans())
@laws(50)
def test_hornn_on_features(hidden: int, features: int, order: int, steps: int, classes: int, every: bool) -> None:
    """HF + N H^2 + H + HK + K parameters; the readout counts once unless it stands at every step."""
    tree = {"family": "hornn", "input": {"steps": steps, "features": features}, "hidden": hidden, "order": order}
    tree |= {"classes": classes} | ({"readout": "every"} if every else {})
    cost = model(tree).cost
    assert hidden * features + order * hidden**2 + hidden + hidden * classes + classes == cost.params
    recurrent = steps * (hidden * features + order * hidden**2)
    assert recurrent + (steps if every else 1) * hidden * classes == cost.macs


@given(st.data(), H, H, st.sampled_from([1, 3]), st.integers(1, 9), st.integers(1, 9))
@laws(50)
def test_sparse_closed_form(
    data: st.DataObject, channels: int, width: int, window: int, height: int, across: int
) -> None:
    """A sparse layer has K d r^2 + K parameters and H W K d r^2 MACs."""
    span = data.draw(st.integers(1, channels))
    layer = {"kernel": 1, "widths": [channels, width], "sparse": [0, 1], "span": span, "window": window}
    tree = {"family": "nin", "input": [1, height, across], "classes": width, "layers": [layer]}
    row = next(row for row in model(tree).cost.rows if row.name == "layer1.conv2")
    weights = width * span * window**2
    assert (weights + width, weights * height * across) == (row.params, row.macs)


def test_sparse_example() -> None:
    """192 -> 160 at 32 x 32: 31.46 M MACs dense, 5.24 M with windows of 32 channels, 1.31 M with 8."""

    def macs(**sparse: Any) -> int:
        layer = {"kernel": 1, "widths": [192, 160], **sparse}
        cost = model({"family": "nin", "input": [3, 32, 32], "classes": 160, "layers": [layer]}).cost
        return next(row.macs for row in cost.rows if row.name == "layer1.conv2")

    expected = [31_457_280, 5_242_880, 1_310_720]
    assert expected == [macs(), macs(sparse=[0, 1], span=32), macs(sparse=[0, 1], span=8)]


@pytest.mark.parametrize(
    ("width", "reduction", "groups", "inner"),
    [
        (256, 4, 1, 64),
        (256, 2, 32, 128),
        (2048, 1, 1, 2048),
        (16, 0.5, 1, 32),
        (10, 4, 1, 3),  # 2.5 goes up
        (3, 100, 1, 1),  # never none
        (3, 100, 8, 8),  # and at least one for each group
        (100, 4, 8, 24),  # 25 is 3.125 groups of 8
        (16, 0.1, 1, 160),
        (7, 3.7, 1, 2),
    ],
)
def test_inner_channels(width: int, reduction: float, groups: int, inner: int) -> None:
    """Inner channels are outer / reduction, to the nearest multiple of the groups and at least that."""
    tree = {"family": "bottleneck", "input": [3, 8, 8], "classes": 2, "depths": [1], "widths": [width]}
    graph = model({**tree, "reduction": reduction, "groups": groups}).graph
    [spatial] = [n.op for n in graph.nodes if n.name == "stage1.block1.conv2"]
    assert isinstance(spatial, Conv)
    assert (inner, 3, groups) == (spatial.out, spatial.kernel, spatial.groups)


# ---- memory, counted by hand


def images() -> Graph:
    b = Builder()
    x = b.add("x", Input((2, 4, 4)))
    x = b.add("conv", Conv(3, 3, 1, 1), x)
    x = b.add("relu", Act("relu"), b.add("norm", Norm(), x))
    b.add("linear", Linear(5), b.add("pool", GlobalPool(), x))
    return b.graph()


def tokens() -> Graph:
    b = Builder(7)
    x = b.add("drive", Lookup(10, 4), b.add("x", Input((), below=10)))
    back = b.add("recall", Recall(0, (1, 2), (4,)))
    back = b.add("feedback", Linear(4), b.add("forget", Scale((0.5, 0.25), folded=True), back))
    h = b.add("state", Act("tanh"), b.add("sum", Join("sum"), x, back))
    b.close(h)
    b.add("linear", Linear(10), b.add("dropout", Dropout(0.5), b.add("last", Last(), h)))
    return b.graph()


# name: read, tokens, stored, written (scalars, all runs of one example)
TRAFFIC = {
    "images": (images, {
        "x": (0, 0, 0, 0),
        "conv": (32, 0, 54, 48),
        "norm": (48, 0, 12, 48),
        "relu": (48, 0, 0, 48),
        "pool": (48, 0, 0, 3),
        "linear": (3, 0, 20, 5),
    }),
    "tokens": (tokens, {
        "x": (0, 0, 0, 0),
        "drive": (28, 7, 0, 28),
        "recall": (56, 0, 0, 56),
        "forget": (0, 0, 0, 0),
        "feedback": (56, 0, 36, 28),
        "sum": (56, 0, 0, 28),
        "state": (28, 0, 0, 28),
        "last": (28, 0, 0, 4),
        "dropout": (0, 0, 0, 0),
        "linear": (4, 0, 50, 10),
    }),
}  # fmt: skip


@pytest.mark.parametrize("case", TRAFFIC)
def test_traffic(case: str) -> None:
    """What every node reads and writes: a table row by row, weights once a pass, what only hands on nothing at all."""
    make, expected = TRAFFIC[case]
    assert expected == {r.name: (r.read, r.tokens, r.stored, r.written) for r in count(make()).rows}


def test_bytes_of_a_row() -> None:
    """Values read count per example and weights once, both at the size of a number; tokens are 8 bytes at any."""
    conv, drive = count(images()).rows[1], count(tokens()).rows[1]
    assert (5 * 32 + 54) * 2 == conv.read_bytes(5, 2)
    assert 5 * 48 * 2 == conv.written_bytes(5, 2)
    assert 5 * 28 * 4 + 5 * 7 * 8 == drive.read_bytes(5, 4)


def chain(*ops: Any, steps: int | None = None, shape: tuple[int, ...] = (8,)) -> Callable[[], Graph]:
    """Return what makes a network of operators one behind the other."""

    def make() -> Graph:
        b = Builder(steps)
        b.add("x", Input(shape))
        for i, op in enumerate(ops):
            b.add(f"n{i}", op, i)
        return b.graph()

    return make


def branches(*, norms: bool) -> Callable[[], Graph]:
    """Return what makes relu(a(x) + b(x)) on 8 values, a and b dense layers without bias, or these with a norm."""

    def make() -> Graph:
        b = Builder()
        x = b.add("x", Input((8,)))
        ends = []
        for name in ("a", "b"):
            y = b.add(name, Linear(8, bias=False), x)
            ends.append(b.add(f"norm_{name}", Norm(), y) if norms else y)
        b.add("relu", Act("relu"), b.add("sum", Join("sum"), *ends))
        return b.graph()

    return make


PEAKS: list[tuple[str, Callable[[], Graph], int, int]] = [
    # what, network, weights in bytes of float32, largest live set of one example in bytes
    ("input alone", chain(), 0, 32),
    ("out of place", chain(Act("relu")), 0, 64),  # the input is the caller's: never written over
    ("norm beside conv", images, 344, 4 * (48 + 48)),
    ("relu over a product", chain(Linear(8), Act("relu")), 288, 64),
    ("relu twice", chain(Linear(8), Act("relu"), Act("relu")), 288, 64),
    ("dropout hands on", chain(Dropout(0.5), Dropout(0.5), Act("relu")), 0, 64),
    ("a bias is not in place", chain(Linear(8), Bias()), 320, 64),
    ("sum over its first", branches(norms=False), 512, 4 * 24),
    ("sum of norms", branches(norms=True), 768, 4 * 24),
    ("a step each", chain(Linear(2), Act("tanh"), steps=5), 72, 4 * 5 * (8 + 2)),
]


@pytest.mark.parametrize(("weights", "live", "make"), [(w, p, m) for _, m, w, p in PEAKS], ids=[c[0] for c in PEAKS])
def test_peak(weights: int, live: int, make: Callable[[], Graph]) -> None:
    """The peak is weights and the largest set of values alive at once; values die at their last use."""
    graph = make()
    assert weights == count(graph).weights_bytes(4)
    assert weights + live == peak_bytes(graph, 1, 4)
    assert weights + 6 * live == peak_bytes(graph, 6, 4)
    assert weights + 6 * live == 2 * peak_bytes(graph, 6, 2)


def test_peak_of_tokens() -> None:
    """A token is an int64 whatever the numbers are, and a folded scale makes no value."""
    graph = tokens()
    # at the product: tokens are gone, 7 x 4 driving values, 7 x 8 recalled, 7 x 4 fed back
    weights = 40 + 36 + 50
    for itemsize in BYTES.values():
        assert weights * itemsize == count(graph).weights_bytes(itemsize)
        assert weights * itemsize + 7 * 16 * itemsize == peak_bytes(graph, 1, itemsize)
    assert 7 * 8 == entry_bytes(graph)


# ---- no limit, no allocation

FULL = 2**53
VAST: list[tuple[Tree, int, int]] = [
    ({"family": "fractal", "input": [3, 4, 4], "classes": 10, "columns": 1, "widths": [FULL, FULL]},
     9 * 3 * FULL + 9 * FULL**2 + 4 * FULL + 10 * FULL + 10, 16 * 27 * FULL + 4 * 9 * FULL**2 + 10 * FULL),
    ({"family": "bottleneck", "input": [FULL] * 3, "classes": FULL, "depths": [1], "widths": [16], "block": "basic"},
     9 * FULL * 16 + 2 * 9 * 256 + 96 + 16 * FULL + FULL, FULL**2 * (9 * FULL * 16 + 2 * 9 * 256) + 16 * FULL),
    ({"family": "hornn", "input": {"steps": FULL, "vocab": FULL}, "hidden": FULL, "order": 1},
     3 * FULL**2 + 2 * FULL, 2 * FULL**3),
    ({"family": "nin", "input": [3, 2, 2], "classes": FULL, "layers": [
        {"kernel": 1, "widths": [FULL, FULL], "sparse": [0, 1], "span": FULL}]},
     3 * FULL + FULL + FULL**2 + FULL, 4 * (3 * FULL + FULL**2)),
    ({"family": "hornn", "input": {"steps": 35, "vocab": 1_000_000}, "hidden": 500_000, "order": 4},
     2 * 10**6 * 500_000 + 4 * 500_000**2 + 500_000 + 10**6, 35 * (4 * 500_000**2 + 500_000 * 10**6)),
]  # fmt: skip


@pytest.mark.parametrize(("tree", "params", "macs"), VAST, ids=["fractal", "bottleneck", "hornn", "nin", "10^12"])
def test_vast_networks(tree: Tree, params: int, macs: int) -> None:
    """Widths up to 2^53 are counted to the last unit, and counting takes no room that grows with them."""
    tracemalloc.start()
    try:
        built = model(tree)
        cost = built.cost
        assert (params, macs) == (cost.params, cost.macs)
        assert params > 10**12
        assert all(type(value) is int for value in (cost.params, cost.macs, cost.elementwise, cost.flops))
        assert peak_bytes(built.graph, 1, 4) > 4 * params
        assert built.graph == decode(encode(built.graph))
        assert 64 == len(digest(built.graph))
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


GIANTS = [
    ("bottleneck", "depths: [1000000000]", "10,000,000,008"),
    ("bottleneck", "depths: [9007199254740992]", "more than 10^15"),
    ("rir", "depths: [1000000000]", "20,000,000,011"),
    ("fractal", "columns: 40", "3,573,412,790,273"),
    ("fractal", "columns: 9007199254740992", "more than 10^15"),
    ("hornn", "order: 1000000000", "1,000,000,006"),
    ("hornn", "order: 9007199254740992", "more than 10^15"),
]
REST = {
    "bottleneck": "input: [3, 8, 8]\nclasses: 2\nwidths: [8]\n",
    "rir": "input: [3, 8, 8]\nclasses: 2\nwidths: [8]\n",
    "fractal": "input: [3, 8, 8]\nclasses: 2\nwidths: [8]\n",
    "hornn": "input: {steps: 5, vocab: 9}\nhidden: 4\n",
}


@pytest.mark.parametrize(("family", "line", "nodes"), GIANTS, ids=[line for _, line, _ in GIANTS])
def test_giants_are_refused(family: str, line: str, nodes: str, tmp_path: Path) -> None:
    """A network of more than 200,000 nodes is refused before it is built, at the key that makes it one."""
    file = tmp_path / "giant.yaml"
    file.write_text(f"family: {family}\n{line}\n{REST[family]}")
    tracemalloc.start()
    try:
        with pytest.raises(InputError) as caught:
            load.load(file)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()
    key, column = line.partition(":")[0], line.index(": ") + 3
    message = f"{key}: the network would have {nodes} nodes; allowed: 200,000"
    assert f"{file}:2:{column}: {message}" == str(caught.value).splitlines()[0]
    assert 2 == caught.value.exit_code


def test_the_largest_is_taken() -> None:
    """200,000 nodes are taken, one more is not."""
    tree = {"family": "hornn", "input": {"steps": 2, "vocab": 2}, "hidden": 1, "order": 199_994}
    assert 200_000 == model(tree).spec.size()
    with pytest.raises(InputError, match="200,001 nodes; allowed: 200,000"):
        model({**tree, "order": 199_995})


# ---- growth


def calls(work: Callable[[], object]) -> int:
    """Return how many functions a piece of work calls: what it costs on a machine that is always equally fast."""
    made = 0

    def see(frame: object, event: str, argument: object) -> None:
        nonlocal made
        made += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(see)
    try:
        work()
    finally:
        sys.setprofile(before)
    return made


def deep(blocks: int) -> Tree:
    return {"family": "bottleneck", "input": [3, 8, 8], "classes": 2, "depths": [blocks], "widths": [4]}


def gated(order: int) -> Tree:
    return {"family": "hornn", "input": {"steps": 2, "vocab": 2}, "hidden": 2, "order": order, "pooling": "gated"}


def fractal(doubled: int) -> Tree:
    columns = doubled.bit_length()
    return {"family": "fractal", "input": [3, 8, 8], "classes": 2, "columns": columns, "widths": [4]}


def sums(cost: Cost) -> tuple[object, ...]:
    return cost.total, cost.by_group(), cost.by_column(), cost.by_op()


WORK: dict[str, Callable[[load.Model], object]] = {
    "expand": lambda m: m.spec.expand(),
    "count": lambda m: count(m.graph),
    "totals": lambda m: sums(count(m.graph)),
    "peak": lambda m: peak_bytes(m.graph, 1, 4),
    "digest": lambda m: digest(m.graph),
    "codec": lambda m: decode(encode(m.graph)),
    "check": lambda m: Graph(m.graph.nodes, m.graph.steps),
    "restrict": lambda m: only(m.graph, columns(m.graph)),
}


@pytest.mark.parametrize("work", WORK)
@pytest.mark.parametrize("grow", [deep, gated, fractal])
def test_growth_is_linear(grow: Callable[[int], Tree], work: str) -> None:
    """Twice the nodes take twice the calls: nothing looks at all nodes for each node."""
    models = [model(grow(size)) for size in (16, 32, 64)]
    WORK[work](models[0])  # what is done once only is done now
    made = [calls(lambda m=m: WORK[work](m)) / len(m.graph.nodes) for m in models]
    assert all(b < 1.1 * a for a, b in pairwise(made)), made


def test_rows_are_values() -> None:
    """A row cannot be changed once it is counted."""
    with pytest.raises(AttributeError):
        count(images()).rows[0].params = 1  # type: ignore[misc]  # that it cannot is the test
    assert {Row} == {type(row) for row in count(images()).rows}


def test_text_and_tree_agree() -> None:
    """What the tests build from trees is what a file with that text builds."""
    tree = deep(1)
    assert model(tree).graph == load.expand(document.load(text(tree), "m.yaml")).graph
