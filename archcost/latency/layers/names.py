"""From the kernels of a runtime to the layers of the network whose ONNX file it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Final, NamedTuple

from archcost.graph.graph import Graph
from archcost.graph.ops import Input
from archcost.latency.layers.kernels import Node, told

_FITS: Final = {
    "Relu": ("Act",), "Tanh": ("Act",), "Sigmoid": ("Act",), "Add": ("Join", "Bias"), "Sum": ("Join",),
    "Mean": ("Join",), "Max": ("Join",), "Mul": ("Join", "Scale"), "Div": ("Join",), "MaxPool": ("Pool",),
    "AveragePool": ("Pool",), "GlobalAveragePool": ("GlobalPool",), "ReduceMean": ("GlobalPool",),
    "Concat": ("Concat",), "Pad": ("Pad",), "Slice": ("Pad", "Last"), "Gather": ("Window", "Last", "Lookup"),
    "MatMul": ("Linear",),    "BatchNormalization": ("Norm",), "Gemm": ("Linear",), "Conv": ("Conv",),
}  # fmt: skip
"""The kinds of layers that an operator without weights may be of."""
_CONVERTS: Final = ("QuantizeLinear", "DequantizeLinear")  # of whichever layers: they are of what else a kernel does


class Named(NamedTuple):
    """The layer that each kernel is called by, its own name if none is known, and the layers that ran in each one's."""

    names: Mapping[str, str]
    fused: Mapping[str, tuple[str, ...]]

    def summed(self, kernels_s: Iterable[tuple[str, float]]) -> dict[str, float]:
        """Return the seconds of each layer, from those of kernels by their names."""
        sums: dict[str, float] = {}
        for kernel, took_s in kernels_s:
            name = self.names[kernel]
            sums[name] = sums.get(name, 0.0) + took_s
        return sums


def named(nodes: Sequence[Node], kernels: Mapping[str, Sequence[int]], graph: Graph | None) -> Named:
    """Return the layers of kernels, given the places of the nodes that each does; graph: of a family's network."""
    layers = _layers(nodes, graph)
    names: dict[str, str] = {}
    fused: dict[str, tuple[str, ...]] = {}
    for kernel, places in kernels.items():
        inside = [place for place in places if place in layers]
        inside = [place for place in inside if nodes[place].op not in _CONVERTS] or inside
        known = list(dict.fromkeys(layers[place] for place in inside))
        products = [layers[place] for place in inside if nodes[place].weights]
        name = (products or known or [kernel])[0]
        names[kernel] = name
        if known:
            fused[name] = tuple(dict.fromkeys((*fused.get(name, ()), *known)))
    return Named(names, {name: _with_folded(each, fused, graph) for name, each in fused.items()})


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


def nodes(path: Path) -> list[Node]:
    """Return the nodes of an ONNX file in order."""
    onnx = import_module("onnx")
    graph = onnx.load(path, load_external_data=False).graph
    constants = {each.name for each in graph.initializer}
    held: dict[str, str] = {}
    for node in graph.node:  # a weight of 8 bits is behind a node of its own, and so is one that is scaled
        if any(node.input) and all(value in constants or value in held for value in node.input if value):
            sources = [held.get(value, value) for value in node.input if value]
            held.update(dict.fromkeys(node.output, next(filter(_owner, sources), sources[0])))
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
    return in_graph(nodes, graph, lambda weight: (_owner(weight) or "").removeprefix("layers."))


def in_graph(nodes: Sequence[Node], graph: Graph, owner: Callable[[str], str]) -> dict[int, str]:
    """Return the node of a network's graph that each node is of; owner: of a weight, by their names."""
    kinds = {node.name: type(node.op).__name__ for node in graph.nodes if not isinstance(node.op, Input)}

    def layer(weight: str) -> str | None:
        return name if (name := owner(weight)) in kinds else None

    return told(nodes, layer, lambda op, name: kinds[name] in _FITS.get(op, ()), list(kinds))


def _owner(weight: str) -> str | None:
    """Return the part that a weight is of, by its name; None if it has none."""
    return weight.rpartition(".")[0] or None
