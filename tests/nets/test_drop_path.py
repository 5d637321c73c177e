"""Drop-path: the laws of local and global sampling, what is dropped is not computed, two rows of statistics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, combinations, product
from math import prod, sqrt
from typing import Any

import pytest
import specs
import torch
from hypothesis import given
from hypothesis import strategies as st
from interpreter import gradients, interpret, weights
from specs import Tree, laws
from torch import Tensor

from archcost.graph.columns import columns, only, restrict, surviving
from archcost.graph.graph import Graph
from archcost.graph.liveness import scheduled
from archcost.graph.ops import Conv
from archcost.nets.drop_path import Block, Pattern, blocks, drawn
from archcost.nets.layers import BatchNorm
from archcost.nets.net import Net, build, example
from archcost.nets.steps import execute


def built(widths: list[int], *, columns: int = 3, **keys: Any) -> tuple[Graph, Net, Tensor]:
    """Return a fractal network in training mode, and a mini-batch for it."""
    tree = {"family": "fractal", "input": [2, 8, 8], "classes": 3, "columns": columns, "widths": widths, **keys}
    model = specs.model(tree)
    net = build(model.graph, model.recipe)
    return model.graph, net.train(), example(model.graph, 4)


def joining(graph: Graph) -> list[Block]:
    """Return the blocks in which columns meet."""
    return [block for block in blocks(scheduled(graph.nodes)) if block.joins]


def patterns(block: Block) -> list[Pattern]:
    """Return every choice of dropped inputs that leaves each join at least one."""
    each = [
        [frozenset((join, k) for k in lost) for n in range(count) for lost in combinations(range(count), n)]
        for join, count in block.joins
    ]
    return [frozenset(chain.from_iterable(choice)) for choice in product(*each)]


@contextmanager
def called(net: Net) -> Iterator[set[str]]:
    """Collect the names of the layers with weights that run inside."""
    names: set[str] = set()
    hooks = [
        part.register_forward_hook(lambda *_, path=path: names.add(path.removeprefix("layers.")))
        for path, part in net.named_modules()
        if isinstance(part, torch.nn.Conv2d)
    ]
    yield names
    for hook in hooks:
        hook.remove()


def convs(graph: Graph) -> set[str]:
    return {node.name for node in graph.nodes if isinstance(node.op, Conv)}


def statistics(net: Net) -> dict[str, list[float]]:
    return {name: value.tolist() for name, value in net.named_buffers()}


def changed(net: Net, before: dict[str, list[float]]) -> set[str]:
    """Return the running statistics that are others than before, by node name and row."""
    names = {name for name, value in statistics(net).items() if value != before[name]}
    return {name.removeprefix("layers.").removesuffix("_mean").removesuffix("_var") for name in names}


@pytest.mark.parametrize(("columns", "count"), [(1, None), (2, 3), (3, 21), (4, 945)])
def test_few_plans_exist(columns: int, count: int | None) -> None:
    """A block of C columns has as many plans as its joins have non-empty sets of survivors: 21 for C = 3."""
    graph, _, _ = built([2], columns=columns)
    expected = [] if count is None else [count]
    assert expected == [prod(2**n - 1 for _, n in block.joins) for block in joining(graph)]
    assert expected == [len(set(patterns(block))) for block in joining(graph)]


def test_plans_are_kept() -> None:
    """Blocks are planned apart, and each plan is made once: 300 mini-batches of two blocks leave 21 plans each."""
    _, net, x = built([2, 2], drop_path={"local": 0.5})
    torch.manual_seed(0)
    with torch.no_grad():
        for _ in range(300):
            net(x)
    drops = net._drops
    assert drops is not None
    kept = [block for block in drops._blocks if block.joins]
    assert [21, 21] == [len(block.plans) for block in kept]
    before = [{key: id(steps) for key, steps in block.plans.items()} for block in kept]
    net(x)
    assert before == [{key: id(steps) for key, steps in block.plans.items()} for block in kept]


@pytest.mark.parametrize("kind", ["mean", "sum", "max"])
def test_a_join_combines_its_survivors(kind: str) -> None:
    """Under every pattern the join is the mean (sum, maximum) of what survived, never of what was dropped."""
    graph, net, _ = built([2], columns=3, join=kind)
    (block,) = joining(graph)
    combine = {"mean": lambda v: v.mean(0), "sum": lambda v: v.sum(0), "max": lambda v: v.amax(0)}[kind]
    last, width = block.joins[-1]
    norms = [block.nodes[i].name.replace("relu", "norm") for i in block.nodes[last].inputs]
    made = {name: torch.randn(1, 2, 3, 3) for name in norms}
    calls = {**net.calls, **{name: lambda *_, value=value: value.clone() for name, value in made.items()}}
    assert 3 == width
    for pattern in patterns(block):
        actual = execute(block.steps(pattern, calls), [torch.zeros(1, 2, 3, 3), *[None] * (len(block.nodes) - 1)])
        alive = [made[name].relu() for k, name in enumerate(norms) if (last, k) not in pattern]
        torch.testing.assert_close(actual, combine(torch.stack(alive)))


@given(specs.fractals(all_columns=True), st.sampled_from([0.1, 0.5, 0.95]), st.integers(0, 2**32))
@laws(100)
def test_every_join_keeps_at_least_one(tree: Tree, rate: float, seed: int) -> None:
    """Whatever the rate, no join loses all its inputs, and something reaches the output."""
    graph = specs.model(tree).graph
    torch.manual_seed(seed)
    for block in blocks(scheduled(graph.nodes)):
        pattern = drawn(block, rate)
        lost = Counter(join for join, _ in pattern)
        assert all(lost[join] < count for join, count in block.joins)
        assert pattern <= {(join, k) for join, count in block.joins for k in range(count)}
        assert surviving(block.nodes, pattern)


@pytest.mark.parametrize("rate", [0.15, 0.5, 0.9])
def test_inputs_are_dropped_as_often_as_asked(rate: float) -> None:
    """Each of n inputs is dropped with chance p - p^n/n: p, less its share of the draws in which one must stay."""
    graph, _, _ = built([2], columns=3)
    (block,) = joining(graph)
    torch.manual_seed(0)
    draws = 6000
    lost = Counter(chain.from_iterable(drawn(block, rate) for _ in range(draws)))
    for join, count in block.joins:
        chance = rate - rate**count / count
        for k in range(count):
            assert chance == pytest.approx(lost[join, k] / draws, abs=4 * sqrt(chance * (1 - chance) / draws))


def test_joins_are_decided_apart() -> None:
    """What one join drops says nothing about another: pairs occur as often as their chances multiply to."""
    graph, _, _ = built([2], columns=3)
    (block,) = joining(graph)
    torch.manual_seed(1)
    draws = [drawn(block, 0.5) for _ in range(6000)]
    (first, _), (second, _) = block.joins
    for a, b in product([(first, 0), (first, 1)], [(second, 0), (second, 1), (second, 2)]):
        both = sum(a in pattern and b in pattern for pattern in draws) / len(draws)
        expected = (0.5 - 0.5**2 / 2) * (0.5 - 0.5**3 / 3)
        assert expected == pytest.approx(both, abs=4 * sqrt(expected / len(draws)))


def test_local_passes_are_restricted_networks() -> None:
    """Every local mini-batch is one of the restricted networks, runs that one's layers alone, and all occur."""
    graph, net, x = built([3], drop_path={"local": 0.5})
    (block,) = joining(graph)  # it begins at the input: its positions are the graph's
    state = weights(net)
    parts = list(dict.fromkeys(restrict(graph, pattern) for pattern in patterns(block)))
    assert 19 == len(parts)  # where column 1 alone survives the last join, the three choices before it are one network
    outputs = torch.stack([interpret(part, state, x, training=True).detach() for part in parts])
    torch.manual_seed(0)
    seen = Counter[int]()
    for _ in range(400):
        with called(net) as names, torch.no_grad():
            y = net(x)
        distances = (outputs - y).abs().amax((1, 2))
        nearest = int(distances.argmin())
        assert distances[nearest] < 1e-5
        assert convs(parts[nearest]) == names
        seen[nearest] += 1
    assert 19 == len(seen)


def test_what_was_dropped_learns_nothing() -> None:
    """A convolution that did not run has no gradient, one that ran has."""
    graph, net, x = built([2, 3], drop_path={"local": 0.6})
    torch.manual_seed(0)
    for _ in range(10):
        net.zero_grad(set_to_none=True)
        with called(net) as names:
            net(x).square().sum().backward()
        learned = {name.removesuffix(".weight") for name, value in gradients(net).items() if value is not None}
        assert names == learned & convs(graph)


def test_global_passes_are_columns() -> None:
    """In global mode one column runs through the whole network, each as often as the others."""
    graph, net, x = built([2, 3], drop_path={"global": 1.0})
    state = weights(net)
    parts = [only(graph, [column]) for column in columns(graph)]
    outputs = torch.stack([interpret(part, state, x, training=True).detach() for part in parts])
    torch.manual_seed(0)
    seen = Counter[int]()
    for _ in range(300):
        with called(net) as names, torch.no_grad():
            y = net(x)
        nearest = int((outputs - y).abs().amax((1, 2)).argmin())
        torch.testing.assert_close(y, outputs[nearest], rtol=1e-5, atol=1e-5)
        assert convs(parts[nearest]) == names
        seen[nearest] += 1
    for nth in range(3):
        assert 100 == pytest.approx(seen[nth], abs=4 * sqrt(300 * 2 / 9))


def test_global_and_local_share_the_batches() -> None:
    """`global` is the share of mini-batches that train one column; the others train the network with local drops."""
    graph, net, x = built([2, 3], drop_path={"global": 0.25})
    torch.manual_seed(0)
    alone = 0
    for _ in range(400):
        with called(net) as names, torch.no_grad():
            net(x)
        assert names == convs(graph) or any(names == convs(only(graph, [c])) for c in columns(graph))
        alone += names != convs(graph)
    assert 100 == pytest.approx(alone, abs=4 * sqrt(400 * 0.25 * 0.75))


def test_two_rows_of_statistics() -> None:
    """Local mini-batches move `running`, global ones only the column's `alone`; each pass moves one row."""
    graph, net, x = built([2, 3], drop_path={"global": 0.5})
    owners = {node.name: node.column for node in graph.nodes if isinstance(net.calls.get(node.name), BatchNorm)}
    expected = {frozenset(f"{name}.running" for name in owners)}
    expected |= {frozenset(f"{name}.alone" for name, c in owners.items() if c == column) for column in columns(graph)}
    seen = set()
    torch.manual_seed(0)
    for _ in range(60):
        before = statistics(net)
        net(x)
        seen.add(frozenset(changed(net, before)))
    assert expected == seen


def test_local_passes_move_what_ran() -> None:
    """A local mini-batch moves the statistics of the norms that ran and of no other."""
    _, net, x = built([2], drop_path={"local": 0.6})
    torch.manual_seed(0)
    for _ in range(20):
        before = statistics(net)
        with called(net) as names:
            net(x)
        assert {f"{name.replace('conv', 'norm')}.running" for name in names} == changed(net, before)


def test_evaluation_uses_all_columns() -> None:
    """Evaluated, nothing is dropped and nothing drawn: the whole network runs with `running`, again and again."""
    graph, net, x = built([2, 3], drop_path={"local": 0.5, "global": 0.5})
    torch.manual_seed(0)
    for _ in range(20):
        net(x)
    before, drawn_before = statistics(net), torch.random.get_rng_state()
    net.eval()
    with called(net) as names, torch.no_grad():
        torch.testing.assert_close(net(x), interpret(graph, weights(net), x), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(net(x), net(x), rtol=0, atol=0)
    assert convs(graph) == names
    assert before == statistics(net)
    assert torch.equal(drawn_before, torch.random.get_rng_state())


def with_alone(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a state whose running statistics are those of columns that run alone."""
    return {key.replace("alone_", "running_"): value for key, value in state.items() if "running_" not in key}


def test_columns_use_statistics_of_their_own() -> None:
    """A column taken out runs with `alone`, evaluated and trained, and leaves `running` as it was."""
    graph, net, x = built([2, 3], drop_path={"local": 0.2, "global": 0.5})
    torch.manual_seed(0)
    for _ in range(30):
        net(x)
    state = with_alone(weights(net))
    for number in columns(graph):
        column = net.eval().column(number)
        with torch.no_grad():
            expected = interpret(only(graph, [number]), state, x)
            torch.testing.assert_close(column(x), expected, rtol=1e-5, atol=1e-5)
            before = statistics(net)
            column.train()(x)
            moved = {name.rpartition(".")[2] for name in changed(net, before)}
        assert {"alone"} == moved


def test_columns_without_global_passes_use_the_shared_statistics() -> None:
    """A network that never trains a column alone has one row, and its columns run with that."""
    graph, net, x = built([2, 3], drop_path={"local": 0.2})
    for _ in range(10):
        net(x)
    assert {"running"} == {name.rpartition(".")[2].partition("_")[0] for name, _ in net.named_buffers()}
    net.eval()
    with torch.no_grad():
        expected = interpret(only(graph, [2]), weights(net), x)
        torch.testing.assert_close(net.column(2)(x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("keys", [{"columns": 1}, {"columns": 3, "use_columns": [2]}], ids=["one", "one of three"])
def test_a_single_column_is_its_own_column(keys: dict[str, Any]) -> None:
    """A network of one column has nothing to drop: trained, it is the column it consists of."""
    graph, net, x = built([2], drop_path={"local": 0.2, "global": 0.5}, **keys)
    for _ in range(10):
        net(x)
    net.eval()
    with torch.no_grad():
        torch.testing.assert_close(net.column(columns(graph)[0])(x), net(x), rtol=1e-6, atol=1e-6)


def test_no_drop_path_draws_nothing() -> None:
    """Without drop-path training a fractal network leaves torch's random numbers alone."""
    _, net, x = built([2, 3])
    before = torch.random.get_rng_state()
    net(x)
    assert torch.equal(before, torch.random.get_rng_state())
