"""What a training pass is counted at is what torch's autograd multiplies: in total, and each gradient of each node."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import prod
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from specs import FAMILIES, Draw, Tree, hornns, laws, model
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

import archcost
from archcost.graph.columns import columns, only
from archcost.graph.cost import count
from archcost.graph.gradients import Backward, TrainingCost, backward, training_cost
from archcost.graph.graph import Builder, Graph
from archcost.graph.ops import (
    Act,
    Bias,
    Concat,
    Conv,
    Dropout,
    GlobalPool,
    Input,
    Join,
    Last,
    Linear,
    Lookup,
    Norm,
    Op,
    Pad,
    Pool,
    Recall,
    Scale,
    Window,
)
from archcost.models import published
from archcost.nets.net import build, example, on_meta

POOLINGS = ("none", "max", "fofe", "gated")
BATCH = 2  # batch norm cannot train on one value a channel, and a batch of one may leave one

# what torch multiplies matrices with below autograd, by the place of the left factor (m x k); the right one is behind
PRODUCTS = {"mm": 0, "bmm": 0, "addmm": 1, "baddbmm": 1}
WORDS = ("mm", "mv", "dot", "conv", "linear", "matmul", "einsum", "cdist", "rnn", "ger", "attention")


class Multiplied(TorchDispatchMode):
    """Adds up multiply-accumulates below autograd by shapes alone, by (node, kind): forward, input or weight.

    The autograd node that runs in the backward pass carries the name of the layer it was made in (see `watched`).
    """

    def __init__(self) -> None:
        super().__init__()
        self.macs: defaultdict[tuple[str, str], int] = defaultdict(int)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Let the operator run, and add what it multiplied."""
        out = func(*args, **(kwargs or {}))
        name = func._schema.name.removeprefix("aten::")
        if name == "convolution":
            self._add("forward", out.numel() * prod(args[1].shape[1:]))
        elif name == "convolution_backward":
            each = args[0].numel() * prod(args[2].shape[1:])  # every gradient meets one filter, and no other group's
            for kind, asked in zip(("input", "weight"), args[-1], strict=False):
                self._add(kind, each * asked)
        elif name in PRODUCTS:
            left, right = args[PRODUCTS[name] :][:2]
            self._add(_kind(left, right), left.numel() * right.shape[-1])
        else:
            assert not any(word in name for word in WORDS), f"{name} may multiply, and no rule says how much"
        return out

    def _add(self, kind: str, macs: int) -> None:
        running = torch._C._current_autograd_node()
        name = "" if running is None else running.metadata.get("layer", "?")
        self.macs[name, kind] += macs

    def total(self, kind: str) -> int:
        """Return the sum over all nodes."""
        return sum(macs for (_, other), macs in self.macs.items() if other == kind)


def _kind(left: Tensor, right: Tensor) -> str:
    """Return whether a product is a forward one, or which gradient: the input's is the one that reads the weight."""
    running = torch._C._current_autograd_node()
    if running is None:
        return "forward"
    weight = running.metadata.get("weight")
    read = weight is not None and weight.untyped_storage()._cdata in {
        factor.untyped_storage()._cdata for factor in (left, right)
    }
    return "input" if read else "weight"


def _marking(layer: nn.Module, given: Any, named: Mapping[str, Any], out: Tensor, *, name: str) -> None:
    """Write a layer's name, and the weight it used, on the autograd node of its product."""
    node = out.grad_fn
    while node is not None and not any(word in node.name() for word in ("Convolution", "mm", "Mm")):
        node = node.next_functions[0][0]
    assert node is not None, f"{name} made no product"
    node.metadata["layer"] = name
    node.metadata["weight"] = named.get("weight", layer.weight)


def watched(graph: Graph, device: str) -> tuple[Multiplied, int]:
    """Return what one training pass over a batch of two multiplies, and what torch's own counter makes of it.

    Large networks run on tensors without memory, `device` meta; small ones are quicker with it.
    """
    net = (on_meta(graph) if device == "meta" else build(graph)).train()
    for path, layer in net.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(partial(_marking, name=path.removeprefix("layers.")), with_kwargs=True)
    x = example(graph, BATCH, device=device)
    with FlopCounterMode(display=False) as counter, Multiplied() as seen:
        out = net(x)
        if out.requires_grad:
            out.sum().backward()
    return seen, counter.get_total_flops()


def check(graph: Graph, device: str = "cpu") -> None:
    """Assert that torch multiplies what is counted: forward, each gradient of each node, and in total."""
    (seen, flops), cost = watched(graph, device), training_cost(graph)
    expected = {}
    for node, part in zip(graph.nodes, backward(graph), strict=True):
        expected |= {(node.name, "input"): BATCH * part.input_macs, (node.name, "weight"): BATCH * part.weight_macs}
    found = {key: macs for key, macs in seen.macs.items() if macs and key[1] != "forward"}
    assert {key: macs for key, macs in expected.items() if macs} == found
    assert (BATCH * cost.forward_macs, count(graph).macs) == (seen.total("forward"), cost.forward_macs)
    assert (BATCH * cost.input_gradient_macs, BATCH * cost.weight_gradient_macs) == (
        seen.total("input"),
        seen.total("weight"),
    )
    assert cost.forward_macs + cost.backward_macs == cost.macs
    # torch's counter knows no groups in the backward pass (2.13); it counts two operations a MAC
    if not any(isinstance(node.op, Conv) and node.op.groups > 1 for node in graph.nodes):
        assert 2 * BATCH * cost.macs == flops


# every pooling for certain: hypothesis draws in clumps
TREES = FAMILIES | {f"hornn-{pooling}": hornns().map(partial(dict, pooling=pooling)) for pooling in POOLINGS}


@pytest.mark.parametrize("family", TREES)
def test_random_networks_train_as_counted(family: str) -> None:
    """Every family's networks multiply in training what is counted, node by node; so says torch's own counter."""

    @given(TREES[family])
    @laws(40)
    def law(tree: Tree) -> None:
        graph = model(tree).graph
        check(graph)

    law()


@pytest.mark.parametrize("name", published.names())
def test_published_networks_train_as_counted(name: str) -> None:
    """So do the networks that ship, recurrent ones over five steps."""
    loaded = archcost.load(name)
    graph = loaded.graph if loaded.graph.steps is None else archcost.load(name, ["input.steps=5"]).graph
    check(graph, "meta")


def test_columns_train_as_counted() -> None:
    """So does every column of a fractal network on its own: what drop-path trains one mini-batch long."""
    graph = archcost.load("fractalnet-ultra-3").graph
    for column in columns(graph):
        check(only(graph, [column]))


def chain(*ops: Op, steps: int | None = None) -> Graph:
    """Return a network of nodes in a row; they are named by their places."""
    b = Builder(steps)
    for i, op in enumerate(ops):
        b.add(f"n{i}", op, *([i - 1] if i else []))
    return b.graph()


IMAGE, VECTOR = Input((4, 6, 6)), Input((3,))
# a network, and of every node with MACs: how often of its forward MACs the input gradient costs, and the weight's
CHAINS: dict[str, tuple[Graph, Sequence[tuple[int, int]]]] = {
    "first": (chain(IMAGE, Conv(2, 3), Conv(5, 3)), [(0, 1), (1, 1)]),
    "grouped": (chain(IMAGE, Conv(6, 1, groups=2), Conv(9, 3, 2, 1, groups=3)), [(0, 1), (1, 1)]),
    "depthwise": (chain(IMAGE, Conv(4, 1), Conv(8, 3, 2, 1, groups=4, bias=True)), [(0, 1), (1, 1)]),
    "moved": (chain(IMAGE, Window(2, 3), Pad(9, 2), Pool("max", 2, 1), Dropout(0.5), Conv(2, 1)), [(0, 1)]),
    "pooled": (chain(IMAGE, Act("relu"), Pool("avg", 3, 2), GlobalPool(), Scale((2.0, 3.0)), Linear(5)), [(0, 1)]),
    "normed": (chain(IMAGE, Norm(), Conv(2, 3)), [(1, 1)]),
    "shifted": (chain(VECTOR, Bias(), Linear(4)), [(1, 1)]),
    "looked up": (chain(Input((), below=9), Lookup(9, 4), Linear(2), Linear(3)), [(1, 1), (1, 1)]),
    "windowed": (chain(IMAGE, Conv(4, 1), Window(3, 2), Conv(3, 3, 1, 1, groups=3)), [(0, 1), (1, 1)]),
    "steps": (chain(VECTOR, Linear(4), Act("tanh"), Linear(2), steps=5), [(0, 1), (1, 1)]),
    "last": (chain(VECTOR, Linear(4), Linear(2), Last(), Linear(2), steps=5), [(0, 1), (1, 1), (1, 1)]),
}


@pytest.mark.parametrize("case", CHAINS)
def test_each_gradient_costs_the_forward_pass(case: str) -> None:
    """A weight gradient costs the forward MACs; so does an input gradient where a parameter stands above, else none."""
    graph, factors = CHAINS[case]
    parts = zip(graph.nodes, graph.works, backward(graph), strict=True)
    rows = [(work.macs * node.runs, part) for node, work, part in parts]
    macs = [each for each, _ in rows if each]
    expected = [Backward(a * each, b * each) for each, (a, b) in zip(macs, factors, strict=True)]
    assert expected == [part for each, part in rows if each]
    assert all((0, 0) == part for each, part in rows if not each)
    check(graph)


def test_joined_with_the_input() -> None:
    """A value that only partly comes from parameters needs its gradient as a whole."""
    b = Builder()
    x = b.add("input", IMAGE)
    left = b.add("left", Conv(4, 1), x)
    b.add("joined", Conv(2, 1), b.add("sum", Join("sum"), left, x))
    graph = b.graph()
    assert [(0, 0), (0, 576), (0, 0), (288, 288)] == list(backward(graph))
    check(graph)
    b = Builder()
    x = b.add("input", IMAGE)
    b.add("concat", Concat(), b.add("left", Norm(), x), b.add("right", Pool("max", 3, 1, 1), x))
    b.add("wide", Conv(2, 1), 3)
    assert (576, 576) == backward(b.graph())[-1]
    check(b.graph())


def test_three_times_forward_but_for_the_first_layer() -> None:
    """Of a feed-forward network with one first layer, training costs three passes less that layer's input gradient."""
    cost, graph = archcost.load("resnet-56").cost, archcost.load("resnet-56").graph
    stem = next(row.macs for row in cost.rows if row.macs)
    expected = TrainingCost(cost.macs, cost.macs - stem, cost.macs)
    assert expected == training_cost(graph)
    assert (2 * cost.macs - stem, 3 * cost.macs - stem) == (expected.backward_macs, expected.macs)


def test_without_parameters_nothing_is_trained() -> None:
    """A network without parameters costs its forward pass, which multiplies nothing."""
    assert TrainingCost(0, 0, 0) == training_cost(chain(IMAGE, Pool("max", 2, 2), GlobalPool()))
    check(chain(IMAGE))
    check(looped(lambda b, x, back: b.add("sum", Join("sum"), x, back), steps=4))


H, K, T = 3, 2, 5


def looped(state: Callable[[Builder, int, int], int], steps: int = T, delays: Sequence[int] = (1,)) -> Graph:
    """Return a recurrent network whose state `state` makes of the input and the recalled states; the state is read."""
    b = Builder(steps)
    x = b.add("input", Input((H,)))
    b.close(b.add("state", Act("tanh"), state(b, x, b.add("recall", Recall(0, tuple(delays), (H,))))))
    b.add("readout", Act("sigmoid"), len(b.nodes) - 1)
    return b.graph()


def fed_back(b: Builder, x: int, back: int) -> int:
    return b.add("sum", Join("sum"), x, b.add("feedback", Linear(H), back))


# delays, steps, and of the matrix over the recalled states: steps of its input gradient, of its weight gradient
DELAYS = [
    ((1,), 1, (0, 1)),
    ((1,), 5, (4, 5)),
    ((1, 2, 3), 5, (4, 5)),
    ((3, 2), 5, (3, 5)),
    ((4,), 5, (1, 5)),
    ((5,), 5, (0, 5)),
    ((9, 7), 5, (0, 5)),
]


@pytest.mark.parametrize(("delays", "steps", "runs"), DELAYS)
def test_the_zero_state_needs_no_gradient(delays: tuple[int, ...], steps: int, runs: tuple[int, int]) -> None:
    """Input gradients begin with the first step that recalls a computed state, weight gradients with the first step."""
    graph = looped(fed_back, steps, delays)
    each = len(delays) * H * H
    assert Backward(runs[0] * each, runs[1] * each) == backward(graph)[2]
    check(graph)


@pytest.mark.parametrize("readout", ["every", "last"])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_closed_forms_of_hornn(pooling: str, readout: str) -> None:
    """The gradients of N fed-back states: T steps of weights, T - n of inputs; one matrix over all N: T - 1."""
    tree = {"family": "hornn", "input": {"steps": 7, "vocab": 11}, "hidden": 4, "order": 3}
    graph = model({**tree, "pooling": pooling, "readout": readout}).graph
    steps, size, order = 7, 4**2, 3
    matrices = {"none": 1, "fofe": 1, "max": 1, "gated": 2}[pooling]
    together = pooling in {"none", "fofe"}
    fed = order * (steps - 1) if together else sum(steps - n for n in range(1, order + 1))
    read = 4 * 11 * (1 if readout == "last" else steps)
    expected = (matrices * fed * size + read, matrices * order * steps * size + read)
    cost = training_cost(graph)
    assert expected == (cost.input_gradient_macs, cost.weight_gradient_macs)
    assert cost.forward_macs == cost.weight_gradient_macs
    check(graph)


def side_read(delays: Sequence[int], *, last: bool) -> Graph:
    """Return a network whose output is read beside the state: the last states are made and nothing reads them."""
    b = Builder(T)
    x = b.add("input", Input((H,)))
    drive = b.add("drive", Linear(H), x)
    back = b.add("feedback", Linear(H), b.add("recall", Recall(0, tuple(delays), (H,))))
    seen = b.add("seen", Act("tanh"), b.add("sum", Join("sum"), drive, back))
    b.close(b.add("hidden", Linear(H), seen))
    seen = b.add("last", Last(), seen) if last else seen
    b.add("readout", Linear(K), seen)
    return b.graph()


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(("delays", "runs"), [((1,), 4), ((3, 2), 3), ((5,), 0), ((8,), 0)])
def test_states_nobody_reads_are_not_trained(delays: tuple[int, ...], runs: int, last: bool) -> None:
    """What only the next states read has gradients where a step is left to read it; what the output stands on, at all.

    Also where the output is the last step alone: torch stacks all steps and hands zeros back to the others.
    """
    graph = side_read(delays, last=last)
    parts = dict(zip([node.name for node in graph.nodes], backward(graph), strict=True))
    assert Backward(runs * H * H, runs * H * H) == parts["hidden"]
    assert Backward(runs * len(delays) * H * H, T * len(delays) * H * H) == parts["feedback"]
    assert Backward(0, T * H * H) == parts["drive"]
    check(graph)


def test_a_drive_nobody_reads_is_not_trained() -> None:
    """A layer beside the cycle has its gradients over all steps, or none if no step of its value is read."""
    for delay, runs in ((1, T), (T - 1, T), (T, 0)):
        b = Builder(T)
        x = b.add("input", Input((H,)))
        drive = b.add("drive", Linear(H), b.add("deep", Linear(H), x))
        seen = b.add("seen", Join("sum"), x, b.add("recall", Recall(0, (delay,), (H,))))
        b.close(b.add("state", Join("product"), seen, drive))
        b.add("readout", Linear(K), seen)
        graph = b.graph()
        assert [Backward(0, runs * H * H), Backward(runs * H * H, runs * H * H)] == list(backward(graph)[1:3])
        assert Backward((delay < T) * T * H * K, T * H * K) == backward(graph)[-1]
        check(graph)


GROWTH: tuple[Op, ...] = (Linear(H), Act("tanh"), Scale((2.0,)), Bias(), Dropout(0.5))


@st.composite
def loops(draw: Draw) -> Graph:
    """Recurrent networks no family makes: several recalls with gaps, factors and products between, any value read."""
    b = Builder(draw(st.integers(1, 6)))

    def add(op: Op, *inputs: int) -> int:
        return b.add(f"n{len(b.nodes)}", op, *inputs)

    def grown(of: int) -> int:
        for op in draw(st.lists(st.sampled_from(GROWTH), max_size=2)):
            of = add(op, of)
        return of

    def joined(*of: int) -> int:
        kind = draw(st.sampled_from(["sum", "mean", "max", "product"]))
        return add(Join(kind), *of) if len(of) > 1 else of[0]

    def recalled() -> int:
        delays = draw(st.lists(st.integers(1, 7), min_size=1, max_size=3, unique=True))
        back = add(Recall(0, tuple(delays), (H,)))
        if len(delays) > 1:
            back = add(Scale((0.5,) * len(delays), draw(st.booleans())), back) if draw(st.booleans()) else back
            back = add(Linear(H), back)
        return grown(back)

    drive = grown(add(Input((H,))))
    terms = [recalled() for _ in range(draw(st.integers(1, 3)))]
    inner = joined(*terms, *[drive] * draw(st.integers(0, 1)))
    state = grown(joined(grown(inner), drive))
    b.close(state)
    out = grown(joined(*draw(st.lists(st.sampled_from([state, inner, terms[0]]), min_size=1, max_size=2))))
    out = add(Last(), out) if draw(st.booleans()) else out
    add(draw(st.sampled_from([Linear(K), Act("relu")])), out)
    return b.graph()


@given(loops())
@laws(300)
def test_random_loops_train_as_counted(graph: Graph) -> None:
    """Whatever is recalled and wherever it is read, torch multiplies what is counted."""
    check(graph)
