"""Convolutions: every weight meets every place that it slides over."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, Final

from archcost.counting.rules.rule import Args, Rule, asked, each, first, given


def _slid(args: Args, out: Any) -> int:
    """(x, weight, ...): every weight meets every place of the output; a group's filters have its channels alone."""
    return int(prod(first(out).shape) * prod(args[1].shape[1:]))


def _spread(args: Args, _: Any) -> int:
    """(x, weight, ...), transposed: every weight meets every place of the input."""
    return int(prod(args[0].shape) * prod(args[1].shape[1:]))


def _convolution(args: Args, out: Any) -> int:
    """(x, weight, bias, stride, padding, dilation, transposed, ...)."""
    return (_spread if args[6] else _slid)(args, out)


def _convolution_backward(args: Args, _: Any) -> int:
    """(gradient, x, weight, bias sizes, stride, padding, dilation, transposed, output padding, groups, mask).

    The input's and the weight's gradient each multiply as often as the forward pass; the mask says which are asked for.
    """
    gradient, x, weight, transposed, mask = args[0], args[1], args[2], args[7], args[10]
    places = x if transposed else gradient
    return int(prod(places.shape) * prod(weight.shape[1:])) * asked(mask)


def _backward(gradient: int, weight: int) -> Rule:
    """Return the rule of gradients where the places of the gradient and the weight are known, by what is returned."""
    return lambda args, out: int(prod(args[gradient].shape) * prod(args[weight].shape[1:])) * given(out)


def _overrideable_backward(args: Args, _: Any) -> int:
    """(gradient, x, weight, stride, padding, dilation, transposed, ..., mask)."""
    places = args[1] if args[6] else args[0]
    return int(prod(places.shape) * prod(args[2].shape[1:])) * asked(args[9])


def _in_time(args: Args, out: Any) -> int:
    """(x (T, B, C), weight (K, C, C'), ...) -> (T', B, C')."""
    return int(prod(out.shape) * prod(args[1].shape[:2]))


def _in_time_backward(args: Args, _: Any) -> int:
    """(gradient (T', B, C'), x, weight (K, C, C'), ...): the gradients of x and of the weight."""
    return 2 * int(prod(args[0].shape) * prod(args[2].shape[:2]))


def _deformed(args: Args, out: Any) -> int:
    """torchvision's (x, weight, offsets, mask, ...): a convolution whose places are interpolated before."""
    return _slid(args, out)


def _deformed_backward(args: Args, _: Any) -> int:
    """(gradient, x, weight, ...): the gradients of the interpolated places, and of the weight."""
    return 2 * int(prod(args[0].shape) * prod(args[2].shape[1:]))


_SLID: Final = """cudnn_convolution cudnn_convolution_relu cudnn_convolution_add_relu mkldnn_convolution
    miopen_convolution miopen_convolution_relu miopen_convolution_add_relu miopen_depthwise_convolution
    _mps_convolution _nnpack_spatial_convolution _conv_depthwise2d conv_depthwise3d _slow_conv2d_forward
    slow_conv3d_forward slow_conv_dilated2d slow_conv_dilated3d"""
_SPREAD: Final = """cudnn_convolution_transpose miopen_convolution_transpose _mps_convolution_transpose
    slow_conv_transpose2d slow_conv_transpose3d"""

CONVOLUTIONS: Final[Mapping[str, Rule]] = {
    **each("convolution _convolution convolution_overrideable", _convolution),
    **each("convolution_backward", _convolution_backward),
    **each(_SLID, _slid),
    **each(_SPREAD, _spread),
    **each("convolution_backward_overrideable", _overrideable_backward),
    **each("mps_convolution_backward", _backward(1, 2)),
    **each("mps_convolution_transpose_backward", _backward(0, 2)),
    **each("_slow_conv2d_backward", _backward(0, 2)),
    **each("conv_tbc", _in_time),
    **each("conv_tbc_backward", _in_time_backward),
    **each("deform_conv2d", _deformed, "torchvision"),
    **each("_deform_conv2d_backward", _deformed_backward, "torchvision"),
}
