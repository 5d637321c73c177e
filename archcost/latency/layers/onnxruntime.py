"""ONNX Runtime's kernels timed by its own profile, beside sessions without one.

A profile makes a run longer between kernels, and each of them by what it notes of its inputs and outputs: as many nodes
with as many inputs that do nothing are profiled too, and subtracted. It counts whole microseconds, cut, of both alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from itertools import cycle
from pathlib import Path
from typing import Any, Final

from archcost import scratch
from archcost.graph.graph import Graph
from archcost.graph.ops import Input
from archcost.latency.layers.kernels import Node, joined, told
from archcost.latency.layers.rounds import Round, Run, Told
from archcost.latency.player import Here, Instruments, once
from archcost.latency.runtimes import OnnxFile, Prepared, Source, spare
from archcost.latency.runtimes import onnxruntime as runtime
from archcost.latency.runtimes.onnxruntime_profile import Kernel, profiled
from archcost.latency.samples import Plan
from archcost.machine import available_memory_bytes

_AGAIN: Final = 2  # runs of a session that are no samples
_OPSET: Final = 17
_IR: Final = 8
_NOTE: Final = (
    "kernels as ONNX Runtime's profile has them, in whole microseconds; fused kernels are named by the layer that "
    "multiplies most"
)
_FITS: Final = {
    "Relu": ("Act",), "Tanh": ("Act",), "Sigmoid": ("Act",), "Add": ("Join", "Bias"), "Sum": ("Join",),
    "Mean": ("Join",), "Max": ("Join",), "Mul": ("Join", "Scale"), "Div": ("Join",), "MaxPool": ("Pool",),
    "AveragePool": ("Pool",), "GlobalAveragePool": ("GlobalPool",), "ReduceMean": ("GlobalPool",),
    "Concat": ("Concat",), "Pad": ("Pad",), "Slice": ("Pad", "Last"), "Gather": ("Window", "Last", "Lookup"),
    "MatMul": ("Linear",),    "BatchNormalization": ("Norm",), "Gemm": ("Linear",), "Conv": ("Conv",),
}  # fmt: skip
"""The kinds of layers that an operator without weights may be of."""


@contextmanager
def staged(source: Source, plan: Plan, instruments: Instruments) -> Iterator[Sessions]:
    """Yield sessions of a source's file; raises TargetError as the runtime does."""
    with runtime.prepare(source, plan) as prepared, scratch.folder() as folder:
        assert prepared.file is not None  # as the runtime prepares it
        yield Sessions(prepared.file, plan, instruments, folder, source.graph)


class Sessions:
    """A file in sessions: untouched, with a profile, and of as many nodes that do nothing."""

    def __init__(self, file: OnnxFile, plan: Plan, instruments: Instruments, folder: Path, graph: Graph | None) -> None:
        self._file, self._plan, self._instruments, self._folder = file, plan, instruments, folder
        first = self._profile(file, 1, folder)[0]
        self._kernels = _ops(first)
        self._names, self._fused = _named(file.path, self._kernels, graph)
        empty = folder / "empty.onnx"
        _write_empty(empty, _inputs(first))
        self._empty = OnnxFile(empty, {"x": _nothing()})
        self._order = cycle((False, True, True, False))  # over rounds too: one may have a single run of each
        self._open()

    def _open(self) -> None:
        self._whole, self._idle = self._prepared(self._file), self._prepared(self._empty, optimised=False)

    def _prepared(self, file: OnnxFile, *, optimised: bool = True) -> Prepared:
        session = _session(file.path, self._plan.threads, None, optimised)
        binding = runtime.bound(session, file.arrays)
        return Prepared(lambda: session.run_with_iobinding(binding))

    def warm(self, time_s: float) -> float:
        """Run it until its level lasts; return the seconds of one run in each way, a profile's as long as without."""
        Here(self._whole, self._instruments).warm(time_s)
        begun = self._instruments.clock()
        for each in (self._whole, self._idle):
            self._once(each)
        return 3 * (self._instruments.clock() - begun)

    def renew(self) -> bool:
        """Go on with other sessions, whose memory is new; return whether there is room for them."""
        if not spare(self._file.path, available_memory_bytes()):
            return False
        self._open()
        for each in (self._whole, self._idle):
            for _ in range(_AGAIN):
                self._once(each)
        return True

    def round(self, size: int) -> Round:
        """Run it untouched and with a profile by turns; then the nodes that do nothing likewise."""
        real = self._turns(self._whole, self._file, size, optimised=True)
        idle_s, idle = self._turns(self._idle, self._empty, size, optimised=False)
        names = dict(zip(_numbered(len(self._kernels)), self._kernels, strict=True))
        still = [Run(run.total_s, self._by_layer(run.parts_s, names)) for run in idle]
        return Round(real[0], [Run(run.total_s, self._by_layer(run.parts_s, None)) for run in real[1]], idle_s, still)

    def told(self) -> Told:
        """Return which layers ran as one, and that it is the runtime's own profile."""
        return Told(self._fused, len(self._kernels), (_NOTE,))

    def _by_layer(self, parts_s: Mapping[str, float], renamed: Mapping[str, str] | None) -> dict[str, float]:
        sums: dict[str, float] = {}
        for kernel, took_s in parts_s.items():
            name = self._names[renamed[kernel] if renamed else kernel]
            sums[name] = sums.get(name, 0.0) + took_s
        return sums

    def _turns(self, whole: Prepared, file: OnnxFile, size: int, *, optimised: bool) -> tuple[list[float], list[Run]]:
        prefix = self._folder / "profile"
        session = _session(file.path, self._plan.threads, prefix, optimised)
        binding = runtime.bound(session, file.arrays)
        timed = Prepared(lambda: session.run_with_iobinding(binding))
        for _ in range(_AGAIN):
            self._once(timed)
        self._once(whole)
        whole_s: list[float] = []
        totals_s: list[float] = []
        for _ in range(size):
            for each, taken in ((whole, whole_s), (timed, totals_s))[:: -1 if next(self._order) else 1]:
                taken.append(self._once(each))
        runs = profiled(session)[-size:]
        return whole_s, [Run(total_s, _sums(run)) for total_s, run in zip(totals_s, runs, strict=True)]

    def _profile(self, file: OnnxFile, runs: int, folder: Path) -> list[list[Kernel]]:
        session = _session(file.path, self._plan.threads, folder / "profile", optimised=True)
        binding = runtime.bound(session, file.arrays)
        for _ in range(runs):
            session.run_with_iobinding(binding)
        return profiled(session)

    def _once(self, prepared: Prepared) -> float:
        return once(prepared, self._instruments.timer)


def _session(path: Path, threads: int, profile: Path | None, optimised: bool) -> Any:
    """Return a session as latencies have them; of nodes that do nothing, none shall be left out."""
    return runtime.session(path, threads, profile=profile, by_turns=threads > 1, optimised=optimised)


def _sums(run: Sequence[Kernel]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for kernel in run:
        sums[kernel.name] = sums.get(kernel.name, 0.0) + kernel.time_s
    return sums


def _ops(run: Sequence[Kernel]) -> dict[str, str]:
    """Return the operator of each kernel by its name, in the order in which they ran."""
    return {kernel.name: kernel.op for kernel in run}


def _numbered(count: int) -> list[str]:
    return [f"nothing{number}" for number in range(count)]


def _nothing() -> Any:
    return import_module("numpy").zeros(1, "float32")


def _inputs(run: Sequence[Kernel]) -> list[int]:
    """Return how many inputs each kernel has, in the order of `_ops`: a profile takes longer for each."""
    return list({kernel.name: kernel.inputs for kernel in run}.values())


def _write_empty(path: Path, inputs: Sequence[int]) -> None:
    """Write a file of as many nodes, one behind the other, that hand on their one number, with two bounds at most."""
    helper, onnx = import_module("onnx.helper"), import_module("onnx")
    values = ["x", *(f"y{number}" for number in range(len(inputs)))]
    bounds = ("least", "most")
    nodes = [
        helper.make_node(
            "Identity" if inputs[number] < 2 else "Clip",
            [values[number], *bounds[: max(0, inputs[number] - 1)]],
            [values[number + 1]],
            name,
        )
        for number, name in enumerate(_numbered(len(inputs)))
    ]
    held = [
        helper.make_tensor(name, onnx.TensorProto.FLOAT, [], [bound])
        for name, bound in zip(bounds, (-1.0, 1.0), strict=True)
    ]
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in (values[0], values[-1])]
    graph = helper.make_graph(nodes, "empty", ends[:1], ends[1:], held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
    path.write_bytes(model.SerializeToString())


def _named(
    path: Path, kernels: Mapping[str, str], graph: Graph | None
) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """Return the layer that each kernel is called by, its own name if none is known, and which ran in each layer's.

    Raises TargetError if the file cannot be read.
    """
    nodes = _nodes(path)
    layers = _layers(nodes, graph)
    names: dict[str, str] = {}
    fused: dict[str, tuple[str, ...]] = {}
    for kernel, places in joined(nodes, kernels).items():
        known = list(dict.fromkeys(layers[place] for place in places if place in layers))
        products = [layers[p] for p in places if p in layers and nodes[p].weights]
        name = (products or known or [kernel])[0]
        names[kernel] = name
        if known:
            fused[name] = tuple(dict.fromkeys((*fused.get(name, ()), *known)))
    return names, {name: _with_folded(each, fused, graph) for name, each in fused.items()}


def _with_folded(names: tuple[str, ...], fused: Mapping[str, tuple[str, ...]], graph: Graph | None) -> tuple[str, ...]:
    """Return the names with those of nodes that the export folded into one of them: no kernel has those."""
    if graph is None:
        return names
    ran = {name for each in fused.values() for name in each}
    found = []
    inside = set(names)
    for node in graph.nodes:
        if node.name not in ran and node.inputs and graph.nodes[node.inputs[0]].name in inside:
            inside.add(node.name)
        if node.name in inside:
            found.append(node.name)
    return tuple(found)


def _nodes(path: Path) -> list[Node]:
    onnx = import_module("onnx")
    graph = onnx.load(path, load_external_data=False).graph
    constants = {each.name for each in graph.initializer}
    held: dict[str, str] = {}
    for node in graph.node:  # a weight of 8 bits is behind a node of its own
        if node.op_type == "DequantizeLinear" and node.input[0] in constants:
            held[node.output[0]] = node.input[0]
    return [
        Node(
            node.name,
            node.op_type,
            tuple(node.input),
            tuple(node.output),
            tuple(held.get(value, value) for value in node.input if value in constants or value in held),
        )
        for node in graph.node
    ]


def _layers(nodes: Sequence[Node], graph: Graph | None) -> dict[int, str]:
    """Return the layer of each node: of a family's network a node of its graph; else a part, as its weights tell."""
    if graph is None:
        paths = [owner for node in nodes for weight in node.weights if (owner := _owner(weight))]
        return told(nodes, _owner, lambda op, layer: False, list(dict.fromkeys(paths)))
    kinds = {node.name: type(node.op).__name__ for node in graph.nodes if not isinstance(node.op, Input)}

    def layer(weight: str) -> str | None:
        owner = (_owner(weight) or "").removeprefix("layers.")
        return owner if owner in kinds else None

    return told(nodes, layer, lambda op, name: kinds[name] in _FITS.get(op, ()), list(kinds))


def _owner(weight: str) -> str | None:
    """Return the part that a weight is of, by its name; None if it has none."""
    return weight.rpartition(".")[0] or None
