"""Recurrent networks: equal to torch's RNN and to a naive loop over time, and only the cycle is stepped."""

from __future__ import annotations

import copy
from collections import Counter
from itertools import product
from typing import Any

import pytest
import specs
import torch
from hypothesis import given
from hypothesis import strategies as st
from interpreter import gradients, interpret, unrolled, weights
from specs import Tree, laws
from torch import Tensor, nn
from twins import NaiveHORNN, Recurrent, copy_hornn, hornn_pairs

from archcost.errors import InputError
from archcost.graph.graph import Builder, Graph, recurrent
from archcost.graph.ops import Act, Input, Join, Last, Linear, Recall, Scale
from archcost.graph.recipe import Recipe
from archcost.nets.net import Net, build, example

POOLINGS = ("none", "max", "fofe", "gated")
WORDS, HIDDEN, CLASSES = 11, 6, 5
INPUTS: dict[str, Tree] = {
    "tokens": {"input": {"steps": 4, "vocab": WORDS}},
    "embedding": {"input": {"steps": 4, "vocab": WORDS}, "embedding": 3},
    "features": {"input": {"steps": 4, "features": 3}},
}


def built(kind: str = "tokens", **keys: Any) -> tuple[Graph, Net]:
    tree = {"family": "hornn", **INPUTS[kind], "hidden": HIDDEN, "order": 3, "classes": CLASSES, **keys}
    model = specs.model(tree)
    net = build(model.graph, model.recipe)
    with torch.no_grad():
        generator = torch.Generator().manual_seed(2)
        for value in net.parameters():  # gates begin at zero and states small: here everything matters
            value.copy_(torch.randn(value.shape, generator=generator) * 0.4)
    return model.graph, net


def naive(net: Net, kind: str, every: bool, **keys: Any) -> NaiveHORNN:
    """Return the naive loop with a network's weights."""
    features = kind == "features"
    embedding = 3 if kind == "embedding" else None
    inputs = 3 if features else WORDS
    spec = Recurrent(inputs, HIDDEN, 3, CLASSES, embedding=embedding, tokens=not features, every=every, **keys)
    twin = NaiveHORNN(spec)
    copy_hornn(net, twin)
    return twin


def of_length(graph: Graph, batch: int, steps: int, seed: int = 0) -> Tensor:
    """Return an input of any number of steps: (B, T) or (B, T, F)."""
    return example(graph, batch * steps, seed=seed)[:, 0].unflatten(0, (batch, steps))


def weighted(y: Tensor) -> Tensor:
    """Return a loss in which every output counts otherwise."""
    return (y * torch.linspace(-1, 2, y.numel(), dtype=y.dtype).view(y.shape)).sum()


@pytest.mark.parametrize(("kind", "pooling", "readout"), list(product(INPUTS, POOLINGS, ("every", "last"))))
def test_poolings_equal_the_naive_loop(kind: str, pooling: str, readout: str) -> None:
    """Every pooling, on tokens, embeddings and vectors, read every step or last, equals a loop over time to 1e-5."""
    graph, net = built(kind, pooling=pooling, readout=readout)
    twin = naive(net, kind, readout == "every", pooling=pooling)
    x = of_length(graph, 3, 4)
    ours, theirs = net(x), twin(x)
    assert ((3, 4, CLASSES) if readout == "every" else (3, CLASSES)) == tuple(ours.shape)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("kind", "pooling", "readout"), list(product(INPUTS, POOLINGS, ("every", "last"))))
def test_gradients_equal_the_naive_loops(kind: str, pooling: str, readout: str) -> None:
    """Every parameter learns what the naive loop's does; a product over N states is cut into one per state."""
    graph, net = built(kind, pooling=pooling, readout=readout)
    twin = naive(net, kind, readout == "every", pooling=pooling)
    x = of_length(graph, 3, 6)
    weighted(net.train()(x)).backward()
    weighted(twin(x)).backward()
    for layer in net.modules():
        for value in layer.parameters(recurse=False):
            value.data = value.grad if value.grad is not None else torch.zeros_like(value)
    for ours, theirs in hornn_pairs(net, twin):  # now holding the gradients
        torch.testing.assert_close(ours, theirs.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("steps", [1, 2, 4, 9])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_any_length_runs(pooling: str, steps: int) -> None:
    """A network runs on sequences longer and shorter than those it is counted at, also shorter than its order."""
    graph, net = built(pooling=pooling)
    x = of_length(graph, 2, steps)
    torch.testing.assert_close(net(x), naive(net, "tokens", every=True, pooling=pooling)(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("order", [1, 2, 5])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_orders_equal_the_interpreter(pooling: str, order: int) -> None:
    """Orders one, two and above the length equal the graph interpreted node by node."""
    graph, net = built(pooling=pooling, order=order)
    x = of_length(graph, 2, 4)
    torch.testing.assert_close(net(x), interpret(graph, weights(net), x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("kind", ["tokens", "features"])
def test_order_one_equals_torch_rnn(kind: str, activation: str) -> None:
    """A network of order one is torch.nn.RNN with the same weights; a token is its one-hot vector."""
    graph, net = built(kind, order=1, activation=activation, readout="every")
    state = weights(net)
    size = WORDS if kind == "tokens" else 3
    rnn = nn.RNN(size, HIDDEN, nonlinearity=activation, batch_first=True)
    drive = state["input.drive.weight"]
    with torch.no_grad():
        rnn.weight_ih_l0.copy_(drive.T if kind == "tokens" else drive)
        rnn.weight_hh_l0.copy_(state["recurrence.feedback.weight"])
        rnn.bias_ih_l0.zero_()
        rnn.bias_hh_l0.copy_(state["recurrence.feedback.bias"])
        x = of_length(graph, 3, 8)
        vectors = nn.functional.one_hot(x, WORDS).float() if kind == "tokens" else x
        hidden, last = rnn(vectors)
        read = nn.functional.linear(hidden, state["readout.linear.weight"], state["readout.linear.bias"])
        output, after = net.run(x)
    torch.testing.assert_close(output, read, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(after[:, 0], last[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("cut", [1, 2, 5])
def test_halves_equal_the_whole(pooling: str, cut: int) -> None:
    """A sequence cut in two, the state handed on, gives what the whole one gives, and ends in the same state."""
    graph, net = built(pooling=pooling)
    x = of_length(graph, 2, 7)
    whole, end = net.run(x)
    first, between = net.run(x[:, :cut])
    second, last = net.run(x[:, cut:], between)
    torch.testing.assert_close(torch.cat([first, second], 1), whole, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(last, end, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_states_come_newest_first(pooling: str) -> None:
    """The state is (B, N, H), newest first, zero where the sequence was shorter than the order."""
    graph, net = built(pooling=pooling)
    x = of_length(graph, 2, 2)
    _, state = net.run(x)
    assert (2, 3, HIDDEN) == tuple(state.shape)
    _, expected = unrolled(graph, weights(net), x)
    torch.testing.assert_close(state[:, 0], expected[1], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(state[:, 1], expected[0], rtol=1e-5, atol=1e-6)
    assert not state[:, 2].any()


@given(specs.hornns(), st.integers(1, 6), st.integers(1, 3))
@laws(60)
def test_a_given_state_equals_the_interpreters(tree: Tree, steps: int, batch: int) -> None:
    """Any recurrent network goes on from any state as the interpreter does, and hands on the same state."""
    model = specs.model(tree)
    net = build(model.graph, model.recipe)
    x = of_length(model.graph, batch, steps)
    earlier = torch.randn(batch, tree["order"], tree["hidden"], generator=torch.Generator().manual_seed(steps))
    with torch.no_grad():
        output, state = net.run(x, earlier)
        expected, states = unrolled(model.graph, weights(net), x, earlier)
    torch.testing.assert_close(output, expected, rtol=1e-5, atol=1e-5)
    newest = torch.stack(states[::-1][: tree["order"]], 1)
    torch.testing.assert_close(state, newest, rtol=1e-5, atol=1e-5)


def test_states_carry_gradients_until_detached() -> None:
    """A handed-on state carries its gradient, as truncated backpropagation needs to decide for itself."""
    graph, net = built()
    x = of_length(graph, 2, 6)
    _, state = net.run(x[:, :3])
    assert state.requires_grad
    weighted(net.run(x[:, 3:], state.detach())[0]).backward()
    cut = gradients(net)["input.drive.weight"]
    assert cut is not None
    unseen = sorted(set(range(WORDS)) - set(x[:, 3:].flatten().tolist()))
    assert not cut[unseen].any()


def test_only_recurrent_networks_carry_a_state() -> None:
    """A network on images has no state to run with."""
    model = specs.model({"family": "rir", "input": [1, 4, 4], "classes": 2, "depths": [1], "widths": [2]})
    with pytest.raises(TypeError, match="only a recurrent network carries a state"):
        build(model.graph).run(example(model.graph))


STEPPED = {
    "none": {"recurrence.feedback"},
    "fofe": {"recurrence.feedback"},
    "max": {f"recurrence.feedback{n}" for n in (1, 2, 3)},
    "gated": {f"{group}.feedback{n}" for group in ("recurrence", "gates") for n in (1, 2, 3)},
}


@pytest.mark.parametrize(("kind", "pooling"), list(product(INPUTS, POOLINGS)))
@pytest.mark.parametrize("inference", [False, True])
def test_only_the_cycle_is_stepped(kind: str, pooling: str, inference: bool) -> None:
    """Layers that recur run once a step; all before and behind them once over the whole sequence."""
    graph, net = built(kind, pooling=pooling, readout="every")
    calls: Counter[str] = Counter()
    for path, layer in net.named_modules():
        if not list(layer.children()) and list(layer.parameters()):
            name = path.removeprefix("layers.")
            layer.register_forward_hook(lambda *_, name=name: calls.update([name]))
    with torch.inference_mode(inference):
        net(of_length(graph, 2, 9))
    cycle = {graph.nodes[i].name for i in recurrent(graph)}
    owners = {name.rpartition(".")[0] for name in weights(net)}
    assert STEPPED[pooling] == owners & cycle
    assert {name: 9 if name in cycle else 1 for name in owners} == calls


def fofe() -> tuple[Tensor, Net]:
    graph, net = built(pooling="fofe")
    return of_length(graph, 2, 5), net


@torch.no_grad()
def assert_fresh(net: Net, x: Tensor) -> None:
    """Compare with the interpreter, which folds nothing and keeps nothing."""
    torch.testing.assert_close(net(x), interpret(net.graph, weights(net), x), rtol=1e-4, atol=1e-4)


def test_folded_weights_follow_an_optimiser() -> None:
    """After an optimiser's step the folded factors are those of the new weight."""
    x, net = fofe()
    assert_fresh(net, x)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.5)
    weighted(net(x)).backward()
    optimiser.step()
    assert_fresh(net, x)


def test_a_sequence_of_no_steps_is_refused() -> None:
    """A sequence without steps is the caller's mistake, said with its shape."""
    _, net = fofe()
    with pytest.raises(InputError, match=r"given a sequence of no steps, \(2, 0\)"):
        net(torch.zeros(2, 0, dtype=torch.int64))


def test_folded_weights_follow_a_write() -> None:
    """After the weight was written to, also through .data, the folded factors are those of the new weight."""
    x, net = fofe()
    weight = net.get_parameter("layers.recurrence.feedback.weight")
    assert_fresh(net, x)
    with torch.no_grad():
        weight.mul_(-2)
    assert_fresh(net, x)
    weight.data.mul_(-2)
    assert_fresh(net, x)


@pytest.mark.parametrize("assign", [False, True])
def test_folded_weights_follow_a_loaded_state(assign: bool) -> None:
    """After load_state_dict, copying or assigning, the folded factors are those of the new weight."""
    x, net = fofe()
    for seed in range(6):
        assert_fresh(net, x)
        torch.manual_seed(seed)
        net.load_state_dict({key: torch.randn_like(value) for key, value in net.state_dict().items()}, assign=assign)
    assert_fresh(net, x)


def test_folded_weights_follow_a_cast() -> None:
    """After a cast to double precision and back the folded factors have the weight's type and values."""
    x, net = fofe()
    for dtype in (torch.float64, torch.float32, torch.float64):
        assert_fresh(net, x)
        net.to(dtype)
        assert dtype == net(x).dtype
    assert_fresh(net, x)


def test_folded_weights_follow_new_memory() -> None:
    """A weight whose memory was let go and taken again for other values is not mistaken for the old one."""
    x, net = fofe()
    weight = net.get_parameter("layers.recurrence.feedback.weight")
    for seed in range(200):
        torch.manual_seed(seed)
        weight.data = torch.randn(weight.shape)
        weight.data = torch.randn(weight.shape)
        assert_fresh(net, x)


def test_folded_weights_of_a_copy_are_its_own() -> None:
    """A deep copy that learns on does not run with the original's folded weight, nor the original with the copy's."""
    x, net = fofe()
    assert_fresh(net, x)
    other = copy.deepcopy(net)
    with torch.no_grad():
        other.get_parameter("layers.recurrence.feedback.weight").mul_(3)
    assert_fresh(other, x)
    assert_fresh(net, x)


def grown(*, before: bool) -> Graph:
    """Return a network in which a product's value is read on the cycle and off it, by something that overwrites."""
    b = Builder(4)
    x = b.add("input", Input((3,)))
    drive = b.add("drive", Linear(5), x)
    back = b.add("feedback", Linear(5), b.add("recall", Recall(0, (1, 2), (5,))))
    terms = (drive, back, b.add("relu", Act("relu"), drive)) if before else (back, drive)
    state = b.add("state", Act("tanh"), b.add("sum", Join("sum"), *terms))
    b.close(state)
    off = state if before else b.add("both", Join("product"), state, back)
    b.add("readout", Linear(2), off)
    return b.graph()


@pytest.mark.parametrize("before", [True, False], ids=["before the cycle", "behind it"])
def test_values_read_on_and_off_the_cycle_are_not_overwritten(before: bool) -> None:
    """A value that is read on the cycle and off it survives whichever reads it first."""
    graph = grown(before=before)
    net = build(graph, Recipe("hornn"))
    x = example(graph, 2)
    torch.testing.assert_close(net(x), interpret(graph, weights(net), x), rtol=1e-5, atol=1e-6)


def test_other_recurrent_graphs_run() -> None:
    """A state that is read last and every step, recalls with gaps, and an unfolded factor on the cycle run as drawn."""
    b = Builder(6)
    x = b.add("input", Input((3,)))
    near = b.add("near", Recall(0, (1,), (4,)))
    far = b.add("far", Recall(0, (2, 5), (4,)))
    scaled = b.add("scale", Scale((0.5, -2.0)), far)
    terms = [b.add("drive", Linear(4), x), b.add("back", Linear(4), scaled), b.add("gate", Act("sigmoid"), near)]
    state = b.add("state", Act("tanh"), b.add("sum", Join("sum"), *terms))
    b.close(state)
    b.add("readout", Linear(2), b.add("last", Last(), b.add("squared", Join("product"), state, state)))
    graph = b.graph()
    net = build(graph, Recipe("hornn"))
    x0 = example(graph, 2)
    torch.testing.assert_close(net(x0), interpret(graph, weights(net), x0), rtol=1e-5, atol=1e-6)
    assert (2, 5, 4) == tuple(net.run(x0)[1].shape)


@pytest.mark.parametrize(("kind", "pooling"), list(product(INPUTS, POOLINGS)))
def test_a_marked_recurrence_is_the_same(kind: str, pooling: str) -> None:
    """Every node but the input is told of, those on the cycle at each step; with idle nodes, in the same order."""
    graph, net = built(kind, pooling=pooling, order=6)  # more than there are steps
    x, marks, idle_marks = example(graph), list[int](), list[int]()
    with torch.no_grad():
        assert torch.equal(net(x), net.marked(x, marks.append))
        net.idle().marked(x, idle_marks.append)
        net.idle()(x)
    folded = {i for i, node in enumerate(graph.nodes) if isinstance(node.op, Scale) and node.op.folded}
    assert set(range(1, len(graph.nodes))) == set(marks)
    assert [place for place in marks if place not in folded] == idle_marks
