"""First weights of a network: the papers' initialisations, by recipe."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import torch
from torch import Tensor, nn

from archcost.graph.graph import Graph, Node, recurrent
from archcost.graph.ops import Recall, Scale
from archcost.graph.recipe import Init
from archcost.nets.layers import BatchNorm, Call, Shift


@torch.no_grad()
def initialise(graph: Graph, calls: dict[str, Call], how: Init) -> None:
    """Set every parameter and running statistic, from torch's random numbers."""
    begin = _BY_NAME[how]
    cycle = recurrent(graph)
    for position, node in enumerate(graph.nodes):
        layer = calls.get(node.name)
        if isinstance(layer, BatchNorm):
            _reset(layer)
        elif isinstance(layer, Shift):
            layer.bias.zero_()
        elif isinstance(layer, nn.Conv2d | nn.Linear | nn.Embedding):
            begin(layer, node, _terms(graph, node) if position in cycle else 0)
            if isinstance(bias := getattr(layer, "bias", None), Tensor):
                bias.zero_()


def _reset(norm: BatchNorm) -> None:
    norm.weight.fill_(1)
    norm.bias.zero_()
    for row in norm.rows:
        getattr(norm, f"{row}_mean").zero_()
        getattr(norm, f"{row}_var").fill_(1)


def _terms(graph: Graph, node: Node) -> int:
    """Return how many earlier states a recurrent product sums over."""
    source = graph.nodes[node.inputs[0]]
    if isinstance(source.op, Scale):
        source = graph.nodes[source.inputs[0]]
    return len(source.op.delays) if isinstance(source.op, Recall) else 1


def _he(layer: nn.Conv2d | nn.Linear | nn.Embedding, _: Node, __: int) -> None:
    """He 2015 for convolutions, normal by fan out; a dense layer begins uniform within 1/sqrt(fan in)."""
    if isinstance(layer, nn.Conv2d):
        fan_out = layer.kernel_size[0] ** 2 * layer.out_channels // layer.groups
        nn.init.normal_(layer.weight, 0, sqrt(2 / max(fan_out, 1)))
    else:
        _uniform(layer, 1 / sqrt(layer.weight.shape[1]))


def _nin(layer: nn.Conv2d | nn.Linear | nn.Embedding, _: Node, __: int) -> None:
    """Normal with std .05 (the authors' file); a sparse layer, with its small fan in, begins as He 2015 asks."""
    sparse = isinstance(layer, nn.Conv2d) and layer.groups > 1
    nn.init.normal_(layer.weight, 0, sqrt(2 / layer.weight[0].numel()) if sparse else 0.05)


def _xavier(layer: nn.Conv2d | nn.Linear | nn.Embedding, _: Node, __: int) -> None:
    nn.init.xavier_uniform_(layer.weight)


def _hornn(layer: nn.Conv2d | nn.Linear | nn.Embedding, node: Node, terms: int) -> None:
    """Tables and readout within .1; recurrent matrices std .7/sqrt(H), less by sqrt(N) where N are summed; gates 0."""
    if node.group == "gates":
        layer.weight.zero_()
    elif terms:
        hidden = layer.weight.shape[1] // terms
        nn.init.normal_(layer.weight, 0, 0.7 / sqrt(hidden * terms))
    elif isinstance(layer, nn.Embedding) or node.group == "readout":
        _uniform(layer, 0.1)
    else:
        _uniform(layer, 1 / sqrt(layer.weight.shape[1]))


def _uniform(layer: nn.Conv2d | nn.Linear | nn.Embedding, bound: float) -> None:
    nn.init.uniform_(layer.weight, -bound, bound)


_BY_NAME: dict[Init, Callable[[nn.Conv2d | nn.Linear | nn.Embedding, Node, int], None]] = {
    "he": _he,
    "nin": _nin,
    "xavier": _xavier,
    "hornn": _hornn,
}
