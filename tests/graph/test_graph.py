"""A graph is checked at birth, cut into parts that are graphs, and carried as JSON without a loss."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from specs import Tree, fractals, laws, model, models

from archcost.errors import InputError
from archcost.graph.codec import decode, digest, encode, pack, unpack
from archcost.graph.columns import beside, columns, depth, only, restrict
from archcost.graph.cost import count
from archcost.graph.graph import Builder, Graph, GraphError, Node, derived, readers, recurrent, timed
from archcost.graph.ops import Act, Conv, Dropout, Input, Join, Last, Linear, Norm, Op, Recall, Scale, Shape, ShapeError

V = (3,)


def node(name: str, op: Op, inputs: tuple[int, ...], shape: Shape, runs: int = 1) -> Node:
    return Node(name, op, inputs, None, "", shape, runs)


def image(*nodes: Node) -> Graph:
    """Return a network on 3 x 4 x 4 images."""
    return Graph((node("x", Input((3, 4, 4)), (), (3, 4, 4)), *nodes))


def sequence(*nodes: Node, steps: int = 5) -> Graph:
    """Return a network on sequences of vectors of 3."""
    return Graph((node("x", Input(V), (), V, steps), *nodes), steps)


def memory(steps: int = 5) -> tuple[Node, Node, Node]:
    """Return the nodes behind a sequence's input that add up all there was: recall, sum, activation."""
    return (
        node("recall", Recall(3, (1,), V), (), V, steps),
        node("sum", Join("sum"), (0, 1), V, steps),
        node("state", Act("tanh"), (2,), V, steps),
    )


IMAGE = (3, 4, 4)
RELU = node("relu", Act("relu"), (0,), IMAGE)
STATE = memory()[2]
INVALID: dict[str, tuple[Callable[[], Graph], str]] = {
    "empty": (lambda: Graph(()), "a network needs at least one node"),
    "same name": (lambda: image(RELU, RELU._replace(inputs=(1,))), "two nodes are named 'relu'"),
    "no name": (lambda: image(RELU._replace(name="")), "a node has no name"),
    "no input": (lambda: Graph((node("a", Act("relu"), (), V),)), "a: the first node, and no other, is the input"),
    "two inputs": (lambda: image(node("y", Input(V), (), V)), "y: the first node, and no other, is the input"),
    "reads itself": (lambda: image(RELU._replace(inputs=(1,))), "relu: reads a node that does not come before it"),
    "reads ahead": (lambda: image(RELU._replace(inputs=(2,)), RELU._replace(name="b", inputs=(1,))),
                    "relu: reads a node that does not come before it"),
    "reads before": (lambda: image(RELU._replace(inputs=(-1,))), "relu: reads a node that does not come before it"),
    "wrong shape": (lambda: image(RELU._replace(shape=(3, 4, 5))), "relu: makes (3, 4, 4) x 1, not (3, 4, 5) x 1"),
    "wrong runs": (lambda: image(RELU._replace(runs=2)), "relu: makes (3, 4, 4) x 1, not (3, 4, 4) x 2"),
    "does not fit": (lambda: image(node("d", Linear(2), (0,), (2,))), "d: needs a vector (F,), not (3, 4, 4)"),
    "too few inputs": (lambda: image(RELU._replace(inputs=())), "relu: Act cannot take 0 inputs"),
    "unread": (lambda: image(RELU, RELU._replace(name="b")), "relu: nothing reads it"),
    "image op": (lambda: sequence(node("n", Norm(), (0,), V, 5)), "n: Norm does not work on sequences"),
    "steps and one": (lambda: sequence(node("last", Last(), (0,), V), node("j", Join("sum"), (0, 1), V, 5)),
                      "j: cannot join a value per step with one per sequence (runs [1, 5])"),
    "folded, two readers": (lambda: sequence(node("s", Scale((0.5,), folded=True), (0,), V, 5),
                                             node("j", Join("sum"), (1, 1), V, 5)),
                            "s: a folded scale reads a recall and is read by one Linear alone"),
    "folded, no product": (lambda: sequence(node("s", Scale((0.5,), folded=True), (0,), V, 5),
                                            STATE._replace(inputs=(1,))),
                           "s: a folded scale reads a recall and is read by one Linear alone"),
    "two sources": (lambda: sequence(*memory(), node("again", Recall(2, (1,), V), (), V, 5),
                                     node("out", Join("sum"), (3, 4), V, 5)),
                    "all recalls of a network name one source, a node of it"),
    "no source": (lambda: sequence(memory()[0]._replace(op=Recall(4, (1,), V)), *memory()[1:]),
                  "all recalls of a network name one source, a node of it"),
    "recalls the input": (lambda: sequence(memory()[0]._replace(op=Recall(0, (1,), V)), *memory()[1:]),
                          "all recalls of a network name one source, a node of it"),
    "recall on images": (lambda: Graph(tuple(n._replace(runs=1) for n in sequence(*memory()).nodes)),
                         "only a network on sequences can recall"),
    "other state": (lambda: sequence(memory()[0]._replace(op=Recall(3, (1,), (4,)), shape=(4,)),
                                     node("d", Linear(3), (1,), V, 5), node("state", Join("sum"), (0, 2), V, 5)),
                    "recall: recalls (4,), its source makes (3,)"),
    "no cycle": (lambda: sequence(node("recall", Recall(2, (1,), V), (), V, 5), node("early", Act("tanh"), (0,), V, 5),
                                  node("out", Join("sum"), (1, 2), V, 5)),
                 "recall: recalls what does not depend on it"),
}  # fmt: skip


@pytest.mark.parametrize("case", INVALID)
def test_invalid_graphs_cannot_be_made(case: str) -> None:
    """Nodes that are no network raise at birth, and the message names the node."""
    make, expected = INVALID[case]
    with pytest.raises(GraphError) as caught:
        make()
    assert expected == str(caught.value)


# The shapes of all these fit, but they could not run, or would run as something else than was counted.
HOLLOW: dict[str, Callable[[], Graph]] = {
    "no steps": lambda: sequence(steps=0),
    "steps below zero": lambda: sequence(steps=-2),
    "last of an image": lambda: image(node("last", Last(), (0,), IMAGE)),
    "last of one": lambda: sequence(node("last", Last(), (0,), V), node("again", Last(), (1,), V)),
    "steps and one, a single step": lambda: sequence(
        node("last", Last(), (0,), V), node("j", Join("sum"), (0, 1), V), steps=1
    ),
    "recalls one per sequence": lambda: sequence(*memory()[:2], node("last", Last(), (2,), V)),
    "folded, unread": lambda: sequence(node("s", Scale((0.5,), folded=True), (0,), V, 5)),
    "recalls itself": lambda: sequence(
        node("recall", Recall(1, (1,), V), (), V, 5), node("out", Join("sum"), (0, 1), V, 5)
    ),
    "dead cycle": lambda: sequence(*memory(), node("out", Linear(3), (0,), V, 5)),
}


@pytest.mark.parametrize("case", HOLLOW)
def test_hollow_graphs_cannot_be_made(case: str) -> None:
    """What fits in shape but means nothing is refused too."""
    with pytest.raises(GraphError):
        HOLLOW[case]()


def test_smallest_graph() -> None:
    """An input alone is a network that hands it on."""
    assert 1 == len(image().nodes)
    assert [[]] == readers(image().nodes)


def test_timed() -> None:
    """Values are per step up to the last step's, and never for images."""
    behind = node("out", Linear(2), (4,), (2,))
    assert (True,) * 4 + (False,) * 2 == timed(sequence(*memory(), node("last", Last(), (3,), V), behind))
    assert (False, False) == timed(image(RELU))


def test_timed_with_one_step() -> None:
    """A sequence that is counted at one step is still a sequence."""
    last = node("last", Last(), (0,), V)
    assert (True, False) == timed(sequence(last, steps=1))


def test_recurrent() -> None:
    """Only what lies between a recall and its source is stepped; what drives it and what reads it is not."""
    drive = node("drive", Linear(3), (0,), V, 5)
    recall = node("recall", Recall(4, (1, 2), V), (), (6,), 5)
    feedback = node("feedback", Linear(3), (2,), V, 5)
    graph = sequence(
        drive, recall, feedback, node("state", Join("sum"), (1, 3), V, 5), node("y", Linear(9), (4,), (9,), 5)
    )
    assert {2, 3, 4} == recurrent(graph)
    assert frozenset() == recurrent(image(RELU))


def test_derived_needs_inputs_that_fit() -> None:
    """A node cannot be derived from shapes its operator does not take."""
    with pytest.raises(ShapeError, match="cannot join"):
        derived(node("j", Join("sum"), (0, 1), V, 5), sequence(node("d", Linear(2), (0,), (2,), 5)).nodes, 5)


def test_builder_names_the_key() -> None:
    """A shape error points at the innermost key that is being expanded, and at the node by its whole name."""
    b = Builder()
    b.add("x", Input(IMAGE))
    with pytest.raises(InputError) as caught, b.at("stem"), b.at("widths", 2), b.group("stage3"), b.scope("block1"):
        b.add("linear", Linear(2), 0)
    [mistake] = caught.value.mistakes
    assert ("widths", 2) == mistake.path
    assert "stage3.block1.linear: needs a vector (F,), not (3, 4, 4)" == mistake.message


def test_builder_groups_and_scopes() -> None:
    """Groups are lines of the table and begin a name, scopes go on with it, and both end with their block."""
    b = Builder()
    x = b.add("x", Input(IMAGE))
    with b.group("stage1"), b.scope("block1"):
        x = b.add("relu", Act("relu"), x, column=2)
    x = b.add("out", Act("relu"), x)
    expected = [("x", "", None), ("stage1.block1.relu", "stage1", 2), ("out", "", None)]
    assert expected == [(n.name, n.group, n.column) for n in b.graph().nodes]
    assert IMAGE == b.shape(x)


def test_builder_closes_the_cycle() -> None:
    """A recall is added before its source is known, and gets it at the end."""
    b = Builder(5)
    x = b.add("x", Input(V))
    b.close(b.add("state", Join("sum"), x, b.add("recall", Recall(0, (1,), V))))
    assert Recall(2, (1,), V) == b.graph().nodes[1].op


# ---- parts of a network


def convs(graph: Graph) -> list[Node]:
    return [n for n in graph.nodes if isinstance(n.op, Conv) and n.column is not None]


@given(fractals(all_columns=True))
@laws(40)
def test_fractal_closed_forms(tree: Tree) -> None:
    """A block has 2^C - 1 convolutions and, from two columns on, 2^(C-2) joins; column c is B * 2^(c-1) deep."""
    graph, many, blocks = model(tree).graph, tree["columns"], len(tree["widths"])
    assert blocks * (2**many - 1) == len(convs(graph))
    joins = [n for n in graph.nodes if isinstance(n.op, Join)]
    assert blocks * (2**many // 4 if many > 1 else 0) == len(joins)
    assert tuple(range(1, many + 1)) == columns(graph)
    assert [blocks * 2 ** (c - 1) for c in columns(graph)] == [depth(graph, c) for c in columns(graph)]


@given(fractals(all_columns=True))
@laws(40)
def test_columns_add_up(tree: Tree) -> None:
    """The columns' convolutions share nothing: their MACs and their weights are the whole network's."""
    graph = model(tree).graph

    def spent(part: Graph) -> tuple[int, int]:
        rows = [row for row in count(part).rows if row.op == "Conv" and row.column is not None]
        return sum(row.macs for row in rows), sum(row.params for row in rows)

    parts = [spent(only(graph, [c])) for c in columns(graph)]
    assert spent(graph) == (sum(macs for macs, _ in parts), sum(params for _, params in parts))


@given(fractals(all_columns=True), st.data())
@laws(60)
def test_columns_are_networks(tree: Tree, data: st.DataObject) -> None:
    """Any choice of columns is a network of the same nodes, and has those columns and no other."""
    graph = model(tree).graph
    chosen = data.draw(st.sets(st.sampled_from(columns(graph)), min_size=1))
    part = only(graph, chosen)
    assert tuple(sorted(chosen)) == columns(part)
    by_name = {n.name: n for n in graph.nodes}
    assert {n.name for n in part.nodes} <= by_name.keys()
    assert all((n.op, n.shape, n.group) == (m.op, m.shape, m.group) for n in part.nodes for m in [by_name[n.name]])
    assert tuple(tree["input"]) == part.nodes[0].shape
    assert (tree["classes"],) == part.nodes[-1].shape
    assert all(len(n.inputs) > 1 for n in part.nodes if isinstance(n.op, Join))


@given(fractals(all_columns=True))
@laws(20)
def test_all_columns_are_the_network(tree: Tree) -> None:
    """Taking every column, or cutting nothing, changes nothing."""
    graph = model(tree).graph
    assert graph == only(graph, columns(graph)) == restrict(graph, ())


@given(fractals(all_columns=True), st.data())
@laws(40)
def test_use_columns(tree: Tree, data: st.DataObject) -> None:
    """`use_columns` is the network's own restriction, whatever the order they are given in."""
    whole = model(tree).graph
    chosen = data.draw(st.permutations(columns(whole)).flatmap(lambda p: st.integers(1, len(p)).map(lambda n: p[:n])))
    assert only(whole, chosen) == model({**tree, "use_columns": list(chosen)}).graph


@given(fractals(all_columns=True), st.data())
@laws(40)
def test_cuts_cost_what_they_leave(tree: Tree, data: st.DataObject) -> None:
    """Whatever is cut, what remains is a network that costs no more, or nothing reaches its output."""
    graph = model(tree).graph
    ends = [(i, k) for i, n in enumerate(graph.nodes) if isinstance(n.op, Join) for k in range(len(n.inputs))]
    cut = data.draw(st.sets(st.sampled_from(ends)) if ends else st.just(set()))
    try:
        part = restrict(graph, cut)
    except GraphError as error:
        assert "nothing reaches head.linear" in str(error)  # noqa: PT017  # the other branch is as right
    else:
        assert count(part).params <= count(graph).params
        assert len(part.nodes) <= len(graph.nodes)


def test_cutting_everything() -> None:
    """A network that loses all inputs of a join on every way to its output is refused."""
    tree = {"family": "fractal", "input": [1, 4, 4], "classes": 2, "columns": 3, "widths": [2, 2]}
    graph = model(tree).graph
    with pytest.raises(GraphError, match=r"^without these inputs nothing reaches head\.linear$"):
        restrict(graph, beside(graph.nodes, []))


def test_cutting_the_state() -> None:
    """A recurrent network whose state is cut off is refused, not run with a register that nothing fills."""
    graph = sequence(*memory(), node("d", Act("relu"), (0,), V, 5), node("out", Join("sum"), (3, 4), V, 5))
    assert graph == restrict(graph, ())
    with pytest.raises(GraphError, match="nothing is left for recall to recall"):
        restrict(graph, {(5, 0)} | {(2, 0), (2, 1)})


def test_restricting_keeps_recalls() -> None:
    """Positions move when nodes go, and a recall follows its source."""
    extra = sequence(
        node("a", Act("relu"), (0,), V, 5),
        node("in", Join("sum"), (0, 1), V, 5),
        node("recall", Recall(4, (1,), V), (), V, 5),
        node("state", Join("sum"), (2, 3), V, 5),
    )
    part = restrict(extra, {(2, 1)})
    assert ["x", "recall", "state"] == [n.name for n in part.nodes]
    assert Recall(2, (1,), V) == part.nodes[1].op


# ---- JSON


@given(models())
@laws(100)
def test_codec_round_trip(tree: Tree) -> None:
    """A graph survives JSON, in full and packed, and so does its digest."""
    graph = model(tree).graph
    for there, back in ((encode, decode), (pack, unpack)):
        again = back(json.loads(json.dumps(there(graph), allow_nan=False)))
        assert (graph, digest(graph)) == (again, digest(again))


def renamed(graph: Graph) -> Graph:
    return Graph(
        tuple(n._replace(name=f"n{i}", group="g", column=None) for i, n in enumerate(graph.nodes)), graph.steps
    )


@given(models())
@laws(30)
def test_digest_ignores_names(tree: Tree) -> None:
    """Names, groups and columns are for people: what is computed stays the same."""
    graph = model(tree).graph
    assert digest(graph) == digest(renamed(graph))


DIFFERENT: list[Graph] = [
    image(RELU),
    image(node("a", Act("tanh"), (0,), IMAGE)),
    image(RELU, node("b", Act("relu"), (1,), IMAGE)),
    image(RELU, node("j", Join("sum"), (0, 1), IMAGE)),
    image(RELU, node("j", Join("sum"), (1, 0), IMAGE)),
    image(RELU, node("j", Join("mean"), (1, 0), IMAGE)),
    image(node("d", Dropout(0.5), (0,), IMAGE)),
    image(node("d", Dropout(0.25), (0,), IMAGE)),
    sequence(node("a", Act("tanh"), (0,), V, 5)),
    sequence(node("a", Act("tanh"), (0,), V, 6), steps=6),
    Graph((node("x", Input(V), (), V), node("a", Act("tanh"), (0,), V))),
]


def test_digest_tells_networks_apart() -> None:
    """Another operator, another argument, another input, another order of inputs, another length: another digest."""
    assert all(digest(a) != digest(b) for a, b in combinations(DIFFERENT, 2))


def test_digest_is_stable() -> None:
    """Stored results are keyed by it: a digest that changes without need orphans them all."""
    assert "b22aa07accc057ac39dda530ff41d1e4dc4a8931a1d14dbc6f1792a23b56c7fb" == digest(image(RELU))


def packed(**changes: Any) -> Any:
    """Return a packed graph's JSON with other values for some keys."""
    return {**json.loads(json.dumps(pack(image(RELU)))), **changes}


INPUT = ["x", 0, [], None, ""]
UNPACKABLE: list[tuple[Any, str]] = [
    (None, "expected a mapping, not NoneType"),
    (encode(image(RELU)), "a packed graph has a list of operators and a list of nodes"),
    (packed(schema=2), "schema: given 2; this version reads 1"),
    (packed(colour="red"), "colour: unknown key 'colour'"),
    (packed(operators={}), "a packed graph has a list of operators and a list of nodes"),
    (packed(nodes=None), "a packed graph has a list of operators and a list of nodes"),
    (packed(nodes=[INPUT[:-1]]), "nodes.0: a node is a list of name, op, inputs, column, group"),
    (packed(nodes=[{"name": "x"}]), "nodes.0: a node is a list of name, op, inputs, column, group"),
    (packed(nodes=[["x", 2, [], None, ""]]), "nodes.0: a node names an operator by its place"),
    (packed(nodes=[["x", -1, [], None, ""]]), "nodes.0: a node names an operator by its place"),
    (packed(nodes=[["x", True, [], None, ""]]), "nodes.0: a node names an operator by its place"),
    (packed(nodes=[INPUT, ["y", 1, [5], None, ""]]), "nodes.1.inputs: inputs are positions of earlier nodes"),
    (packed(operators=[7, 7]), "nodes.0.op: expected a mapping, not int"),
]


@pytest.mark.parametrize(("value", "message"), UNPACKABLE)
def test_what_is_no_packed_graph_is_named(value: Any, message: str) -> None:
    """What is wrong and where, as in a graph in full."""
    with pytest.raises(InputError) as caught:
        unpack(value)
    assert message in str(caught.value)


def test_a_packed_graph_holds_each_operator_once() -> None:
    """Of many equal layers each is one short row."""
    graph = model({"family": "fractal", "input": [3, 8, 8], "classes": 2, "columns": 4, "widths": [16, 16]}).graph
    full, short = (len(json.dumps(form(graph), indent=1)) for form in (encode, pack))
    operators = pack(graph)["operators"]
    assert isinstance(operators, list)
    assert len({node.op for node in graph.nodes}) == len(operators)
    assert short < 0.6 * full


SOUND = encode(sequence(*memory(), node("y", Linear(2), (3,), (2,), 5)))
RECALL: Any = {"op": "Recall", "source": 3, "delays": [1], "shape": [3]}


def changed(path: tuple[str | int, ...], value: Any) -> Any:
    """Return the sound graph's JSON with one value replaced."""
    copy = json.loads(json.dumps(SOUND))
    place = copy
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    return copy


BROKEN: list[tuple[Any, str]] = [
    (None, "expected a mapping, not NoneType"),
    ([], "expected a mapping, not list"),
    ("graph", "expected a mapping, not str"),
    ({}, "schema: given None; this version reads 1"),
    (changed(("schema",), 2), "schema: given 2; this version reads 1"),
    (changed(("schema",), "1"), "schema: given '1'; this version reads 1"),
    (changed(("steps",), 0), "steps: steps are a positive integer or null"),
    (changed(("steps",), True), "steps: steps are a positive integer or null"),
    (changed(("steps",), 2.0), "steps: steps are a positive integer or null"),
    (changed(("steps",), None), "nodes: only a network on sequences can recall"),
    (changed(("nodes",), None), "nodes: a graph has a list of nodes"),
    (changed(("nodes",), {"0": 1}), "nodes: a graph has a list of nodes"),
    (changed(("nodes",), []), "nodes: a network needs at least one node"),
    (changed(("nodes", 1), 7), "nodes.1: expected a mapping, not int"),
    (changed(("nodes", 1, "name"), None), "nodes.1: a node has a name and a group (text) and a column"),
    (changed(("nodes", 1, "name"), "x"), "nodes: two nodes are named 'x'"),
    (changed(("nodes", 1, "name"), ""), "nodes: a node has no name"),
    (changed(("nodes", 1, "group"), 3), "nodes.1: a node has a name and a group (text) and a column"),
    (changed(("nodes", 1, "column"), "1"), "nodes.1: a node has a name and a group (text) and a column"),
    (changed(("nodes", 2, "inputs"), 0), "nodes.2.inputs: inputs are a list of positions"),
    (changed(("nodes", 2, "inputs"), [0, 2]), "nodes.2.inputs: inputs are positions of earlier nodes"),
    (changed(("nodes", 2, "inputs"), [0, -1]), "nodes.2.inputs: inputs are positions of earlier nodes"),
    (changed(("nodes", 2, "inputs"), [0, 1.0]), "nodes.2.inputs: inputs are positions of earlier nodes"),
    (changed(("nodes", 2, "inputs"), [0, 10**30]), "nodes.2.inputs: inputs are positions of earlier nodes"),
    (changed(("nodes", 2, "inputs"), []), "nodes.2: cannot join the shapes of nothing"),
    (changed(("nodes", 3, "inputs"), [0]), "nodes: "),
    (changed(("nodes", 4, "inputs"), [0, 1]), "nodes.4: Linear cannot take 2 inputs"),
    (changed(("nodes", 4, "op"), "Linear"), "nodes.4.op: expected a mapping, not str"),
    (changed(("nodes", 4, "op", "op"), "__import__"), "nodes.4.op: unknown operator '__import__'"),
    (changed(("nodes", 4, "op", "op"), ["Act"]), "nodes.4.op: unknown operator"),
    (changed(("nodes", 4, "op", "op"), "Liner"), "nodes.4.op: unknown operator 'Liner'"),
    (changed(("nodes", 4, "op", "out"), 0), "nodes.4.op.out: not a Linear's out: 0"),
    (changed(("nodes", 4, "op", "out"), -3), "nodes.4.op.out: not a Linear's out: -3"),
    (changed(("nodes", 4, "op", "out"), 2.0), "nodes.4.op.out: not a Linear's out: 2.0"),
    (changed(("nodes", 4, "op", "out"), True), "nodes.4.op.out: not a Linear's out: True"),
    (changed(("nodes", 4, "op", "bias"), 1), "nodes.4.op.bias: not a Linear's bias: 1"),
    (changed(("nodes", 4, "op"), {"op": "Linear", "out": 2}), "nodes.4.op.bias: not a Linear's bias: None"),
    (changed(("nodes", 4, "op", "device"), "cuda"), "nodes.4.op.device: not a Linear's device: 'cuda'"),
    (changed(("nodes", 3, "op", "kind"), "gelu"), "nodes.3.op.kind: not a"),
    (changed(("nodes", 3, "op", "kind"), ["relu"]), "nodes.3.op.kind: not a"),
    (changed(("nodes", 1, "op"), {**RECALL, "delays": [0]}), "nodes.1.op.delays: not a Recall's delays"),
    (changed(("nodes", 1, "op"), {**RECALL, "delays": 1}), "nodes.1.op.delays: not a Recall's delays"),
    (changed(("nodes", 1, "op"), {**RECALL, "delays": []}), "nodes.1: a recall needs delays of at least one step"),
    (changed(("nodes", 1, "op"), {**RECALL, "source": 10**9}), "nodes: all recalls of a network name one source"),
    (changed(("nodes", 1, "op"), {**RECALL, "shape": [4]}), "nodes.2: cannot join the shapes (3,), (4,)"),
    (changed(("nodes", 0, "op", "shape"), [[3]]), "nodes.0.op.shape: not a"),
    (changed(("nodes", 0, "op", "shape"), [0]), "nodes.0.op.shape: not a"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "expected"), BROKEN, ids=[expected for _, expected in BROKEN])
def test_decode_refuses(value: Any, expected: str) -> None:
    """What is no graph is the sender's mistake, at its place, and nothing else."""
    with pytest.raises(InputError) as caught:
        decode(value)
    assert expected == str(caught.value)[: len(expected)]


IMPOSSIBLE: dict[str, Any] = {
    "no factors": changed(("nodes", 3, "op"), {"op": "Scale", "factors": [], "folded": False}),
    "factor not finite": changed(("nodes", 3, "op"), {"op": "Scale", "factors": [float("inf")], "folded": False}),
    "rate of nan": changed(("nodes", 3, "op"), {"op": "Dropout", "rate": float("nan")}),
    "rate of seven": changed(("nodes", 3, "op"), {"op": "Dropout", "rate": 7.0}),
    "column of true": changed(("nodes", 1, "column"), True),
    "inputs of false": changed(("nodes", 2, "inputs"), [False, True]),
    "schema of true": changed(("schema",), True),
    "unknown key": changed(("nodes", 1, "colour"), "red"),
    "unknown key above": changed(("device",), "cuda"),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_decode_refuses_the_impossible(case: str) -> None:
    """Numbers that no network can have, booleans in place of numbers, and unknown keys are refused too."""
    with pytest.raises(InputError):
        decode(IMPOSSIBLE[case])


HOSTILE: list[Any] = [
    None, True, False, 0, -1, 1, 2**63, 10**30, 0.0, -0.5, 1e308, float("inf"), float("nan"), "", "x", "Conv", "\x00",
    [], [[]], [0], [-1], [None], [1, 2, 3], {}, {"op": "Conv"}, {"op": None}, "relu", "\ud800", [1e9], [True],
]  # fmt: skip


def mutate(value: Any, rng: random.Random) -> Any:
    """Return JSON with one place changed: a value replaced, an entry dropped, doubled or exchanged."""
    if not isinstance(value, dict | list) or not value or rng.random() < 0.1:
        return rng.choice(HOSTILE)
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key, other = rng.choice(keys), rng.choice(keys)
    copy = value.copy()
    match rng.randrange(8):
        case 0:
            del copy[key]
        case 1:
            copy[key], copy[other] = copy[other], copy[key]
        case 2 if isinstance(copy, list):
            copy.insert(other, copy[key])
        case _:
            copy[key] = mutate(copy[key], rng)
    return copy


@pytest.mark.parametrize("seed", range(8))
def test_decode_takes_anything(seed: int) -> None:
    """Of 500 damaged graphs each decodes to a graph that can be counted, or is an InputError; never another error."""
    rng = random.Random(seed)
    sound = encode(model(SMALL[seed % len(SMALL)]).graph)
    refused = 0
    for _ in range(500):
        try:
            graph = decode(mutate(sound, rng))
        except InputError:
            refused += 1
        else:
            assert count(graph).params >= 0
            assert graph == decode(encode(graph))
    assert 100 < refused < 500


SMALL: list[Tree] = [
    {"family": "fractal", "input": [1, 4, 4], "classes": 2, "columns": 2, "widths": [2], "dropout": 0.5},
    {"family": "hornn", "input": {"steps": 2, "vocab": 5}, "hidden": 2, "order": 2, "pooling": "gated"},
    {"family": "hornn", "input": {"steps": 2, "features": 5}, "hidden": 2, "order": 2, "pooling": "fofe", "classes": 2},
    {"family": "nin", "input": [3, 4, 4], "classes": 2, "layers": [
        {"kernel": 3, "widths": [4, 2], "sparse": [0, 1], "span": 2, "pool": "avg"}]},
]  # fmt: skip
