"""Compiled networks timed inside: the clock is read in inductor's code, behind each kernel.

The same code is run with kernels that do nothing, so that guards, checks and memory are its residual. A kernel is of
the nodes that inductor says it came from.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from torch import nn

from archcost.errors import TargetError
from archcost.graph.graph import Graph
from archcost.latency.layers.eager import by_name
from archcost.latency.layers.inductor import Program, program
from archcost.latency.layers.kernels import Node
from archcost.latency.layers.names import in_graph
from archcost.latency.layers.rounds import Told
from archcost.latency.layers.stage import Sides, Staged
from archcost.latency.player import Instruments
from archcost.latency.runtimes import Prepared, Source
from archcost.latency.runtimes import compile as runtime
from archcost.latency.runtimes.copied import prepared
from archcost.latency.samples import Plan
from archcost.nets import copies
from archcost.nets.net import Net

_NOTE: Final = (
    "kernels of inductor's, the clock read behind each; memory and checks before a kernel are not in it; one that does "
    "several layers is named by the first; one copy of the network throughout"
)
_OPS: Final = {
    "relu": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid", "add": "Add", "iadd": "Add", "mul": "Mul", "imul": "Mul",
    "div": "Div", "truediv": "Div", "maximum": "Max", "mean": "ReduceMean", "cat": "Concat", "pad": "Pad",
    "max_pool2d": "MaxPool", "avg_pool2d": "AveragePool", "adaptive_avg_pool2d": "GlobalAveragePool",
    "index_select": "Gather", "embedding": "Gather", "getitem": "Slice", "linear": "MatMul", "matmul": "MatMul",
}  # fmt: skip
"""ONNX's names of torch's functions, without a last underscore."""
_STEP: Final = re.compile(r"\.(\w+)|\[(?:(\d+)|'([^']+)')\]")


class _Kernels(NamedTuple):
    """Nodes of dynamo's graph by kernel, and inductor's code."""

    nodes: Mapping[str, Sequence[str]]
    code: Program
    graph: Any


@contextmanager
def staged(source: Source, plan: Plan, instruments: Instruments) -> Iterator[Compiled]:
    """Yield a compiled copy of a source's module; raises TargetError as the runtime does, or if its code is strange."""
    events: list[float] = []
    add, clock = events.append, instruments.clock

    def mark(place: int) -> None:
        add(place)
        add(clock())

    seen: list[_Kernels] = []
    with _provenance() as origins:

        def look(graph: Any) -> None:
            seen.append(_Kernels(_by_kernel(origins), _only(lambda: add(clock()), mark), graph))

        with runtime.made(source, plan, clock, look) as (call, run, _):
            found = seen[0]
            owners = layers(found.graph, call.module, source.graph)
            names, fused = _named(found, owners)
            ready = partial(prepared, run, call, source, plan, watched=False)
            code = found.code
            code.to(code.keeping)()
            ready().call()
            ways = (code.plain, code.timed, code.idle, code.idle_timed)
            whole, timed, idle, idle_timed = (_in_way(ready(), code.to(way)) for way in ways)
            read = partial(by_name, names)
            sides = Sides(whole, timed, idle, idle_timed, events, nullcontext, nullcontext, read, read)
            yield Compiled(sides, Told(fused, len(names) + 1, (_NOTE,)), instruments)


class Compiled(Staged):
    """A compiled network in the four ways: it takes too long to be compiled again for a fresh copy."""

    def __init__(self, sides: Sides, told: Told, instruments: Instruments) -> None:
        super().__init__(sides, lambda: None, instruments)
        self._told = told

    def told(self) -> Told:
        """Return which layers ran as one."""
        return self._told


def _in_way(ready: Prepared, switch: Callable[[], None]) -> Prepared:
    """Return what is ready, switched to a way before each call."""
    own, then = ready.before, ready.then

    def before() -> None:
        switch()
        if own is not None:
            own()

    return ready._replace(before=before, then=None if then is None else lambda: _in_way(then(), switch))


@contextmanager
def _provenance() -> Iterator[dict[str, Any]]:
    """Yield what is filled, as inductor writes code, with the nodes that kernels came from."""
    from torch._inductor import config, debug

    given: dict[str, Any] = {}
    dump = debug.dump_inductor_provenance_info

    def kept() -> dict[str, Any]:
        told = dump()
        given.update(told)
        return told

    debug.dump_inductor_provenance_info = kept
    try:
        with config.patch({"trace.provenance_tracking_level": 1}):
            yield given
    finally:
        debug.dump_inductor_provenance_info = dump


def _by_kernel(origins: Mapping[str, Any]) -> dict[str, list[str]]:
    before = origins.get("postToPre", {})
    return {
        kernel: list(dict.fromkeys(name for post in posts for name in before.get(post, ())))
        for kernel, posts in origins.get("cppCodeToPost", {}).items()
    }


def _only(begin: Callable[[], None], mark: Callable[[int], None]) -> Program:
    """Return the one program that inductor has just made; raises TargetError if there are several."""
    from torch._inductor.codecache import PyCodeCache

    modules = [module for module in PyCodeCache.modules if hasattr(module, "Runner")]
    if len(modules) != 1 or modules[0].__file__ is None:
        raise TargetError(f"not attributed: inductor wrote {len(modules)} programs; allowed: one")
    return program(modules[0], Path(modules[0].__file__).read_text("utf-8"), begin, mark)


def layers(graph: Any, module: nn.Module, of: Graph | None) -> dict[str, str]:
    """Return the layer of each node of dynamo's graph: by the part that it is called in, else as its operator fits."""
    parts: dict[int, str] = {id(part): path or type(module).__name__ for path, part in copies.parts(module)}
    if isinstance(module, Net):
        parts = {id(call): name for name, call in module.calls.items()}
    nodes = [
        Node(each.name, _op(each.target), (), (), tuple(filter(None, [_owner(each, module, parts)])))
        for each in graph.graph.nodes
        if each.op.startswith("call_")
    ]
    if of is None:
        root = type(module).__name__
        return {node.name: node.weights[0] if node.weights else root for node in nodes}
    return {nodes[place].name: name for place, name in in_graph(nodes, of, lambda owner: owner).items()}


def _op(target: Any) -> str:
    name = target if isinstance(target, str) else getattr(target, "__name__", "")
    return _OPS.get(name.strip("_"), name)


def _owner(node: Any, module: nn.Module, parts: Mapping[int, str]) -> str:
    """Return the innermost part that a node is called in, '' if it is none of the known ones."""
    for path, _ in reversed((node.meta.get("nn_module_stack") or {}).values()):
        if name := parts.get(id(_at(module, path))):
            return name
    return ""


def _at(module: nn.Module, path: str) -> object:
    """Return what dynamo's path, L['self'].layers[0], leads to from a module, None if it leads nowhere."""
    at: Any = module
    for attribute, place, key in _STEP.findall(path.removeprefix("L['self']")):
        try:
            at = getattr(at, attribute) if attribute else at[int(place) if place else key]
        except (AttributeError, IndexError, KeyError, TypeError):
            return None
    return at


def _named(found: _Kernels, layers: Mapping[str, str]) -> tuple[list[str], dict[str, tuple[str, ...]]]:
    """Return the layer that each kernel is named by, its own name if none is known, and which run in each one's.

    A layer that has a kernel of torch's own is not of those beside it, which change the layout of its weights.
    """
    order = list(dict.fromkeys(layers.values()))
    each = {
        name: sorted({layers[node] for node in found.nodes.get(name, ()) if node in layers}, key=order.index)
        for name in found.code.kernels
    }
    own = {layer for name, ours in each.items() if not name.startswith("cpp_") and len(ours) == 1 for layer in ours}
    names: list[str] = []
    fused: dict[str, tuple[str, ...]] = {}
    for name, known in each.items():
        ours = [layer for layer in known if layer not in own] or known
        names.append(ours[0] if ours else name)
        if ours:
            fused[ours[0]] = tuple(dict.fromkeys((*fused.get(ours[0], ()), *ours)))
    return names, fused
