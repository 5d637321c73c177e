"""Recurrent layers and cells that are one operator: every matrix meets every step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod
from typing import Any, Final

from torch import Tensor

from archcost.counting.rules.rule import Args, Rule, each


def _steps(x: Any) -> int:
    """(..., features): how many steps there are, in all examples."""
    return int(prod(x.shape[:-1]))


def _fused(args: Args, _: Any) -> int:
    """(x, weights of the input, weights of the state, ...)."""
    return int(_steps(args[0]) * (args[1].numel() + args[2].numel()))


def _matrices(weights: Iterable[Any]) -> int:
    return sum(int(w.numel()) for w in weights if w.dim() == 2)


def _listed(place: int, times: int = 1) -> Rule:
    """Return the rule of (x, ...), all weights in a list at `place`; a backward is `times` the forward's two."""
    return lambda args, _: times * _steps(args[0]) * _matrices(args[place])


def _lstm_mps_backward(args: Args, _: Any) -> int:
    """(..., x at 5, ..., weights at 8, ...): every weight's gradient, and that of what it meets."""
    return 2 * _steps(args[5]) * _matrices(args[8])


def _packed_layers(gates: int) -> Rule:
    """Return the rule of torch's quantized layers, whose weights are packed and whose sizes follow from the state.

    (x, states, weights, has biases, layers, dropout, training, both directions, batch first), or of a packed sequence
    (values, batch sizes, states, weights, has biases, layers, dropout, training, both directions).
    """

    def rule(args: Args, _: Any) -> int:
        packed = isinstance(args[1], Tensor) and not args[1].is_floating_point()
        states, (layers, both) = args[2 if packed else 1], (args[5], args[8]) if packed else (args[4], args[7])
        hidden = int((states[0] if isinstance(states, list | tuple) else states).shape[-1])
        directions = 2 if both else 1
        widths = [int(args[0].shape[-1]), *[hidden * directions] * (layers - 1)]
        return _steps(args[0]) * sum(directions * gates * hidden * (width + hidden) for width in widths)

    return rule


def _cell(gates: int) -> Rule:
    """Return the rule of (x (B, F), state (B, H), weights, ...), the weights packed; an LSTM's state is a list."""

    def rule(args: Args, _: Any) -> int:
        state = args[1][0] if isinstance(args[1], list | tuple) else args[1]
        hidden = int(state.shape[-1])
        return _steps(args[0]) * gates * hidden * (int(args[0].shape[-1]) + hidden)

    return rule


RECURRENT: Final[Mapping[str, Rule]] = {
    **each("mkldnn_rnn_layer", _fused),
    **each("mkldnn_rnn_layer_backward", lambda args, out: 2 * _fused(args, out)),
    **each("_cudnn_rnn miopen_rnn", _listed(1)),
    **each("_cudnn_rnn_backward miopen_rnn_backward", _listed(1, 2)),
    **each("_lstm_mps", _listed(2)),
    **each("lstm_mps_backward", _lstm_mps_backward),
    **each("quantized_lstm", _packed_layers(4)),
    **each("quantized_gru", _packed_layers(3)),
    **each("quantized_lstm_cell_dynamic", _cell(4), "quantized"),
    **each("quantized_gru_cell_dynamic", _cell(3), "quantized"),
    **each("quantized_rnn_relu_cell_dynamic quantized_rnn_tanh_cell_dynamic", _cell(1), "quantized"),
}
