"""A first scale for networks without norms, whose outputs would fade."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from archcost.nets.layers import BatchNorm
from archcost.nets.net import Net


@torch.no_grad()
def begin_in_scale(net: Net, inputs: Tensor) -> None:
    """Divide each convolution's weights by the deviation of what it makes of `inputs`, (B, C, H, W), one after another.

    Mishkin and Matas 2016 (1511.06422), without their orthogonal start. A network with norms is left as it is. A NiN of
    32 channels, begun with the paper's .05, was still guessing after ten epochs.
    """
    if any(isinstance(part, BatchNorm) for part in net.modules()):
        return

    def scaled(layer: nn.Module, _: tuple[Tensor, ...], made: Tensor) -> Tensor:
        assert isinstance(layer, nn.Conv2d)
        deviation = made.std().clamp_min(1e-6)
        layer.weight.div_(deviation)
        bias = 0.0 if layer.bias is None else layer.bias[:, None, None]
        return (made - bias) / deviation + bias

    hooks = [part.register_forward_hook(scaled) for part in net.modules() if isinstance(part, nn.Conv2d)]
    net(inputs)
    for hook in hooks:
        hook.remove()
