"""The operators of a torch module as the predictor sees them, from the rows of its count."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Final

from torch import nn

from archcost.counting.module import Module
from archcost.graph.account import Layer
from archcost.graph.dtypes import BYTES
from archcost.latency.prediction.operators import Kernel, Operator, chain, convolution, dense, elementwise

_CONVOLUTION: Final = "convolution"
_PRODUCTS: Final = frozenset({"addmm", "mm", "bmm", "baddbmm", "linear", "matmul"})
_WITH_INDICES: Final = frozenset({"max_pool2d_with_indices", "max", "min", "topk", "sort"})
"""What writes more than its result."""
_KINDS: Final = {
    **dict.fromkeys(("native_batch_norm", "cudnn_batch_norm", "_native_batch_norm_legit_no_training"), "norm"),
    **dict.fromkeys(("native_layer_norm", "native_group_norm"), "norm"),
    **dict.fromkeys(("relu", "relu_", "hardtanh", "hardtanh_", "clamp", "clamp_min", "leaky_relu"), "relu"),
    **dict.fromkeys(("sigmoid", "silu", "silu_", "gelu", "elu", "_softmax", "softplus", "mish", "exp"), "sigmoid"),
    **dict.fromkeys(("hardsigmoid", "hardsigmoid_", "hardswish", "hardswish_"), "relu"),
    **dict.fromkeys(("tanh", "tanh_"), "tanh"),
    **dict.fromkeys(("add", "add_", "sub", "sub_"), "sum"),
    **dict.fromkeys(("mul", "mul_", "div", "div_"), "product"),
    **dict.fromkeys(("maximum", "minimum"), "max"),
    **dict.fromkeys(("mean", "_adaptive_avg_pool2d"), "globalpool"),
    **dict.fromkeys(("max_pool2d_with_indices", "max_pool2d"), "max_pool"),
    "avg_pool2d": "avg_pool",
    **dict.fromkeys(("cat", "stack"), "concat"),
    **dict.fromkeys(("constant_pad_nd", "index_select", "index", "gather"), "window"),
    "embedding": "lookup",
}
"""torch's operators by the measured kind that is most like them; some are near in time, not the same."""


def of_module(module: Module, batch: int, dtype: str) -> tuple[Operator, ...]:
    """Return the operators of a counted module at a batch; what only changes a view has none.

    An operator that is like none that is measured keeps its own name, of which the predictor knows nothing.
    """
    account = next(each for each in module.accounts if (each.batch, each.dtype) == (batch, dtype))
    parts = dict(module.call_at(batch).module.named_modules())
    size = BYTES[dtype]
    return tuple(_operators(account.layers, parts, batch, size))


def _operators(layers: tuple[Layer, ...], parts: dict[str, nn.Module], batch: int, size: int) -> Iterator[Operator]:
    """Yield operators in the order in which they run, each taken to read what the one before it made."""
    after = ""
    for layer in layers:
        if layer.macs or layer.elementwise or layer.read_bytes + layer.written_bytes:
            operator = _operator(layer, parts.get(layer.name), batch, size)._replace(after=after)
            after = chain(operator)
            yield operator


def _operator(layer: Layer, part: nn.Module | None, batch: int, size: int) -> Operator:
    """Return one operator; shapes of a module hold the batch it was counted with, which is 1, and MACs are for it."""
    calls = _calls(layer, batch, size)
    read, written = (count // size // calls for count in (layer.read_bytes, layer.written_bytes))
    macs = layer.macs * batch // calls
    if layer.op == _CONVOLUTION and isinstance(part, nn.Conv2d) and len(set(part.kernel_size)) == 1:
        kernel = Kernel(part.kernel_size[0], part.stride[0], part.groups)
        positions = max(1, written // part.out_channels)
        inputs = max(1, read - sum(weight.numel() for weight in part.parameters()))
        return convolution((part.out_channels, part.in_channels, positions), kernel, inputs, batch, calls)
    if layer.op in _PRODUCTS and macs and written:
        out = layer.shape[-1] if layer.shape else 1
        return dense(out, max(1, macs // written), max(1, written // out), calls)
    channels = layer.shape[1] if len(layer.shape) > 1 else prod(layer.shape)
    kind = _KINDS.get(layer.op, layer.op)
    return elementwise(kind, (written, read, channels), layer.elementwise * batch / calls / max(1, written), calls)


def _calls(layer: Layer, batch: int, size: int) -> int:
    """Return how often an operator is called: its part's calls, or as often as what it wrote holds its last result."""
    runs = max(1, layer.runs)
    last = prod(layer.shape) * batch * size * runs
    if not last or layer.op in _WITH_INDICES:
        return runs
    return runs * max(1, round(layer.written_bytes / last))
