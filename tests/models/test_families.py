"""For random networks of every family torch owns what is counted, and fvcore and torch see the counted MACs."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from specs import FAMILIES, Tree, fractals, hornns, laws, model
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from archcost.graph.columns import columns, only
from archcost.graph.cost import count
from archcost.graph.graph import Graph
from archcost.models.families import families
from archcost.nets.net import build, example, on_meta

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "`torch.jit.script`", DeprecationWarning)  # also if -W error is asked for
    from fvcore.nn import FlopCountAnalysis

POOLINGS = ("none", "max", "fofe", "gated")
MACS = {"conv", "linear", "addmm", "matmul", "bmm"}  # fvcore adds norms and pools to its total: kept apart


def fvcore_macs(graph: Graph, net: nn.Module) -> int:
    """Return what fvcore counts for convolutions and matrix products of one example."""
    analysis = FlopCountAnalysis(net, example(graph))
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    return int(sum(macs for operator, macs in analysis.by_operator().items() if operator in MACS))


def torch_macs(graph: Graph) -> int:
    """Return what torch counts, two operations a MAC, on a network without memory."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        on_meta(graph)(example(graph, device="meta"))
    operations = counter.get_total_flops()
    assert 0 == operations % 2
    return operations // 2


def output_shape(graph: Graph, batch: int) -> tuple[int, ...]:
    """Return the shape of a network's output: of one step, or of all of them, behind the batch."""
    last = graph.nodes[-1]
    every = graph.steps is not None and not any(type(node.op).__name__ == "Last" for node in graph.nodes)
    return (batch, *((graph.steps,) if every else ()), *last.shape)


def check(graph: Graph) -> None:
    """Assert that torch and both witnesses agree with the counts."""
    cost, net = count(graph), build(graph)
    assert cost.params == sum(p.numel() for p in net.parameters())
    assert cost.total.buffers == sum(b.numel() for b in net.buffers())
    assert cost.weights_bytes(4) == sum(t.numel() * t.element_size() for t in net.state_dict().values())
    assert cost.macs == fvcore_macs(graph, net)
    assert cost.macs == torch_macs(graph)
    with torch.inference_mode():
        out = net(example(graph, batch=2))
    assert output_shape(graph, 2) == tuple(out.shape)
    assert bool(torch.isfinite(out).all())


@pytest.fixture(autouse=True)
def quiet_and_alone() -> Iterator[None]:
    """Let fvcore's logger tell errors only, and torch use one thread: more wait for each other on a busy machine."""
    logging.getLogger("fvcore").setLevel(logging.ERROR)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


# every pooling for certain: hypothesis draws in clumps
TREES = FAMILIES | {f"hornn-{pooling}": hornns().map(partial(dict, pooling=pooling)) for pooling in POOLINGS}


@pytest.mark.parametrize("family", TREES)
def test_counted_is_witnessed(family: str) -> None:
    """Parameters and buffers equal torch's, MACs equal fvcore's and torch's, and the output has its shape."""

    @given(TREES[family])
    @laws(25)
    def law(tree: Tree) -> None:
        check(model(tree).graph)

    law()


@given(fractals(all_columns=True).filter(lambda tree: tree["columns"] > 1), st.data())
@laws(12)
def test_columns_are_witnessed(tree: Tree, data: st.DataObject) -> None:
    """So does every column of a fractal network on its own, and one choice of several."""
    graph = model(tree).graph
    several = data.draw(st.sets(st.sampled_from(columns(graph)), min_size=2))
    for chosen in [*([c] for c in columns(graph)), several]:
        check(only(graph, chosen))


def words(value: Any) -> set[str]:
    """Return every key and every word of a tree."""
    match value:
        case dict():
            return set(value).union(*map(words, value.values()))
        case list():
            return set().union(*map(words, value))
    return {value} if isinstance(value, str) else set()


def known(schema: Any) -> set[str]:
    """Return every key a family's JSON Schema knows, in it and below it, and every word it takes."""
    match schema:
        case dict():
            own = {*schema.get("properties", ()), *schema.get("enum", ()), schema.get("const")}
            return own.union(*map(known, schema.values()))
        case list():
            return set().union(*map(known, schema))
    return set()


@pytest.mark.parametrize("family", FAMILIES)
def test_every_word_is_drawn(family: str) -> None:
    """What is added to a family is added to its random networks: nothing else here would look at it."""
    drawn: set[str] = set()

    @given(FAMILIES[family])
    @laws(500)
    def collect(tree: Tree) -> None:
        drawn.update(words(tree))

    collect()
    expected = {word for word in known(families()[family].model_json_schema()) if isinstance(word, str)}
    assert set() == expected - drawn


@given(st.sampled_from(sorted(FAMILIES)).flatmap(FAMILIES.__getitem__))
@laws(150)
def test_defaults_written_out_change_nothing(tree: Tree) -> None:
    """The explicit spec is the same network, trained the same, and is explicit itself; nothing in it is left to say."""
    made = model(tree)
    explicit = made.spec.explicit()
    again, recipe = explicit.expand()
    assert (made.graph, made.recipe) == (again, recipe)
    assert explicit == explicit.explicit()
    keys = ("strides", "shortcut", "readout", "drop_path")
    assert not [key for key in keys if getattr(explicit, key, ...) is None]
