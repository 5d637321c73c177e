"""What is measured of a network: its call at a plan's batch, and the bytes it needs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from archcost.errors import InputError, Mistake
from archcost.graph.cost import count, peak_bytes
from archcost.graph.dtypes import BYTES, unquantised
from archcost.graph.recipe import Recipe
from archcost.latency.measure import Progress, Subject
from archcost.latency.runtimes import Source
from archcost.latency.samples import Plan
from archcost.machine import available_memory_bytes
from archcost.models.load import Model

if TYPE_CHECKING:
    from pathlib import Path

    from archcost.counting.module import Module
    from archcost.graph.graph import Graph
    from archcost.models.code import Argument
    from archcost.nets.net import Net


def of_net(graph: Graph, net: Net) -> Subject:
    """Return how a built network is measured, and one step of several of a recurrent one, behind a step before."""
    from archcost.nets.net import Stepping, example  # loads torch

    def step(plan: Plan) -> Source:
        token = example(graph, plan.batch, seed=plan.seed)[:, :1]
        return Source(Stepping(net), (token, net.state(plan.batch)))

    whole = Subject(
        lambda plan: Source(
            net,
            (example(graph, plan.batch, seed=plan.seed),),
            graph=graph,
            macs=plan.batch * count(graph).macs,
            macs_of=macs_of,
        ),
        lambda plan: needed_bytes(graph, plan),
        operators=sum(node.runs for node in graph.nodes),
    )
    return whole if graph.steps is None else whole._replace(step=whole._replace(source=step))


def with_layers(subject: Subject, float_layers: Collection[str] | None) -> Subject:
    """Return a subject whose layers in float32 at int8 are known, None if measuring is to find them."""
    known = None if float_layers is None else frozenset(float_layers)
    return subject._replace(source=lambda plan: replace(subject.source(plan), float_layers=known))


def needed_bytes(graph: Graph, plan: Plan) -> int:
    """Return the memory that a network needs where it is measured; to quantise it, it also runs in float32."""
    return peak_bytes(graph, plan.batch, BYTES[unquantised(plan.dtype)])


def of_module(module: Module, own_dtype: str) -> Subject:
    """Return how a counted module is measured: in its own dtype as it is, in another as a copy that is cast."""
    peaks = {(account.batch, account.dtype): account.peak_bytes for account in module.accounts}
    counts = {(account.batch, account.dtype): account.call_macs for account in module.accounts}

    def source(plan: Plan) -> Source:
        call = module.call_at(plan.batch)
        cast = unquantised(plan.dtype) != own_dtype
        source = Source(call.module, call.args, call.kwargs, cast=cast, autograd=module.autograd)
        return replace(source, macs=counts[plan.batch, plan.dtype], macs_of=macs_of)

    count = sum(layer.runs for layer in module.accounts[0].layers)
    return Subject(source, lambda plan: peaks[plan.batch, plan.dtype], own_dtype, operators=count)


def macs_of(path: Path, sizes: Sequence[Argument] = ()) -> int | None:
    """Return the multiply-accumulates of an ONNX file, None if operators in it have no count.

    They are those of one call, of a file that leaves its batch open those of one example; sizes: of other open axes.
    """
    from archcost.counting.files.onnx import count as files  # loads onnx

    try:
        found = files.counted(path.name, files.opened(path, sizes), [(1, "float32")])
    except InputError:
        return None
    return None if found.uncounted else found.cost.macs


def built(model: Model, progress: Progress) -> Net:
    """Return the network with weights but without drop-path: what inference runs."""
    from archcost.nets.net import build  # loads torch, which counting alone does not need

    with progress(f"building {model.name}"):
        try:
            return build(model.graph, Recipe(model.recipe.init), available_bytes=available_memory_bytes())
        except InputError as error:
            hint = "its counts alone need no memory: leave out latency and witnesses (--no-latency --no-witness)"
            raise InputError(*error.mistakes, Mistake(hint)) from None
