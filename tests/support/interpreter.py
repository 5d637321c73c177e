"""A network run node by node, straight from its graph: slow, nothing written over, every step of a sequence alone.

The reference for whatever archcost does to be fast: in-place operators, freed values, folded factors, batched steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from archcost.graph.graph import Graph, Node, timed
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
    Pad,
    Pool,
    Recall,
    Scale,
    Window,
)

JOINS = {"sum": torch.add, "mean": torch.add, "max": torch.maximum, "product": torch.mul}
ACTS = {"relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid}


def weights(net: nn.Module) -> dict[str, Tensor]:
    """Return copies of a network's state by node name; the parameters among them are leaves of their own."""
    learned = {name for name, _ in net.named_parameters()}
    state = {name: value.detach().clone() for name, value in net.state_dict().items()}
    return {name.removeprefix("layers."): value.requires_grad_(name in learned) for name, value in state.items()}


def gradients(net: nn.Module) -> dict[str, Tensor | None]:
    """Return the gradients of a network's parameters by node name."""
    return {name.removeprefix("layers."): value.grad for name, value in net.named_parameters()}


def interpret(graph: Graph, state: Mapping[str, Tensor], x: Tensor, *, training: bool = False) -> Tensor:
    """Return a network's output; images: (B, C, H, W), sequences: (B, T) or (B, T, F) -> (B, K) or (B, T, K)."""
    if graph.steps is None:
        return _images(graph, state, x, training)
    return unrolled(graph, state, x, training=training)[0]


def unrolled(
    graph: Graph, state: Mapping[str, Tensor], x: Tensor, earlier: Tensor | None = None, *, training: bool = False
) -> tuple[Tensor, list[Tensor]]:
    """Return the output and all states, oldest first; `earlier` (B, N, H), newest first, comes before the sequence."""
    per_step = timed(graph)
    states = [] if earlier is None else list(earlier.unbind(1))[::-1]
    outputs: list[Tensor] = []
    values: list[Any] = []
    for t in range(x.shape[1]):
        values = []
        for node, stepped in zip(graph.nodes, per_step, strict=True):
            if isinstance(node.op, Input):
                values.append(x[:, t])
            elif isinstance(node.op, Recall):
                values.append(_recalled(node.op, states, x.shape[0], next(iter(state.values())).dtype))
            elif stepped or t == x.shape[1] - 1:
                values.append(_value(node, [values[i] for i in node.inputs], state, training))
            else:
                values.append(None)
        states += [values[node.op.source] for node in graph.nodes if isinstance(node.op, Recall)][:1]
        outputs.append(values[-1])
    return (torch.stack(outputs, 1) if per_step[-1] else outputs[-1]), states


def _images(graph: Graph, state: Mapping[str, Tensor], x: Tensor, training: bool) -> Tensor:
    values = [x]
    for node in graph.nodes[1:]:
        values.append(_value(node, [values[i] for i in node.inputs], state, training))
    return values[-1]


def _recalled(op: Recall, states: Sequence[Tensor], batch: int, dtype: torch.dtype) -> Tensor:
    zero = torch.zeros(batch, *op.shape, dtype=dtype)
    return torch.cat([states[-d] if d <= len(states) else zero for d in op.delays], 1)


def _value(node: Node, inputs: Sequence[Tensor], state: Mapping[str, Tensor], training: bool) -> Tensor:
    own = {key: state.get(f"{node.name}.{key}") for key in ("weight", "bias", "running_mean", "running_var")}
    x = inputs[0]
    match node.op:
        case Conv(stride=stride, padding=padding, groups=groups):
            return functional.conv2d(x, _given(own["weight"]), own["bias"], stride, padding, 1, groups)
        case Linear():
            y = x @ _given(own["weight"]).T
            return y if own["bias"] is None else y + own["bias"]
        case Lookup():
            return _given(own["weight"])[x]
        case Bias():
            return x + _given(own["bias"])
        case Norm():
            return _normalised(x, own, training)
        case Act(kind=kind):
            return ACTS[kind](x)
        case Join(kind=kind):
            y = reduce(JOINS[kind], inputs)
            return y / len(inputs) if kind == "mean" else y
        case Dropout(rate=rate):
            return functional.dropout(x, rate, training)
        case Last():
            return x
        case _:
            return _moved(node, inputs)


def _moved(node: Node, inputs: Sequence[Tensor]) -> Tensor:
    x = inputs[0]
    match node.op:
        case Concat():
            return torch.cat(tuple(inputs), 1)
        case Pool(kind="max") as op:
            return functional.max_pool2d(x, op.kernel, op.stride, op.padding, 1, op.ceil)
        case Pool() as op:
            return functional.avg_pool2d(x, op.kernel, op.stride, op.padding, op.ceil, count_include_pad=False)
        case GlobalPool():
            return x.flatten(2).mean(2)
        case Pad(out=out, stride=stride):
            zeros = x.new_zeros(x.shape[0], out - x.shape[1], *node.shape[1:])
            return torch.cat([x[:, :, ::stride, ::stride], zeros], 1)
        case Window(count=count, span=span):
            starts = [k * (x.shape[1] - span) // max(count - 1, 1) for k in range(count)]
            return torch.cat([x[:, start : start + span] for start in starts], 1)
        case Scale(factors=factors):
            parts = zip(x.chunk(len(factors), 1), factors, strict=True)
            return torch.cat([part * factor for part, factor in parts], 1)
        case _:
            raise TypeError(f"{node.op} is not known here")


def _normalised(x: Tensor, own: Mapping[str, Tensor | None], training: bool) -> Tensor:
    over = [0, *range(2, x.dim())]
    column = (-1, *(1,) * (x.dim() - 2))
    mean, var = _given(own["running_mean"]), _given(own["running_var"])
    if training:
        mean, var = x.mean(over), x.var(over, correction=0)
    centred = (x - mean.view(column)) / (var.view(column) + 1e-5).sqrt()
    return centred * _given(own["weight"]).view(column) + _given(own["bias"]).view(column)


def _given(value: Tensor | None) -> Tensor:
    assert value is not None
    return value
