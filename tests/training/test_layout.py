"""Where channels may lie together, and how torch's kernels are kept from writing past what they allocated."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import specs
import torch
from torch import nn

from archcost.nets.net import Net, build
from archcost.training.layout import filled, is_wide

RESNET = """\
family: bottleneck
block: {block}
input: [1, 14, 14]
classes: 10
depths: [1, 1]
widths: [{first}, 16]
"""

STEPS = """\
import sys
import torch
from archcost.models.load import load
from archcost.nets.net import build
from archcost.training.layout import filled, is_wide
net = build(load(sys.argv[1]).graph)
assert is_wide(net)
net.to(memory_format=torch.channels_last)
torch.set_num_threads(2)
for dtype in (torch.float32, torch.bfloat16):
    for _ in range(8):
        with filled(net), torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            x = torch.rand(127, 1, 14, 14).contiguous(memory_format=torch.channels_last)
            net(x).float().mean().backward()
"""


def resnet(first: int, block: str = "basic", **keys: object) -> Net:
    """Return a small network whose blocks of channels are not filled."""
    tree = {"family": "bottleneck", "block": block, "input": [1, 14, 14], "classes": 10, "depths": [1, 1]}
    model = specs.model({**tree, "widths": [first, 16], **keys})
    return build(model.graph, model.recipe, seed=1)


@pytest.mark.parametrize(("first", "block"), [(8, "basic"), (4, "basic"), (6, "bottleneck")])
def test_a_narrow_network_trains_and_does_not_crash(tmp_path: Path, first: int, block: str) -> None:
    """The process ends well; with its channels together and nothing filled it was ended by a signal."""
    (tmp_path / "net.yaml").write_text(RESNET.format(first=first, block=block))
    command = [sys.executable, "-c", STEPS, str(tmp_path / "net.yaml")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def stepped(net: nn.Module, *, within: bool) -> list[torch.Tensor]:
    """Return what a network gives, and its gradients, in 64 bits."""
    net.double().train().zero_grad()
    torch.manual_seed(0)
    x = torch.rand(5, 1, 14, 14, dtype=torch.float64)
    if within:
        net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        with filled(net):
            made = net(x.contiguous(memory_format=torch.channels_last))
            made.square().mean().backward()
    else:
        made = net(x)
        made.square().mean().backward()
    return [made.detach(), *(each.grad.clone() for each in net.parameters() if each.grad is not None)]


@pytest.mark.parametrize(("first", "block"), [(4, "basic"), (7, "basic"), (12, "basic"), (4, "bottleneck")])
def test_what_is_filled_gives_the_same(first: int, block: str) -> None:
    """The same outputs and gradients to the last digits, and afterwards nothing is left of it."""
    plain, ours = resnet(first, block), resnet(first, block)
    for a, b in zip(stepped(plain, within=False), stepped(ours, within=True), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)
    assert not any("forward" in vars(part) for part in ours.modules())


def test_every_convolution_is_filled() -> None:
    """Inside, none makes fewer than 8 channels, and none of 1x1 skips places of fewer than 16."""
    net, asked = resnet(4, "bottleneck"), []
    plain = torch.nn.functional.conv2d

    def seen(x: torch.Tensor, weight: torch.Tensor, bias: object, stride: tuple[int, int], *rest: object) -> object:
        asked.append((len(weight), weight.shape[1], tuple(weight.shape[2:]), tuple(stride)))
        return plain(x, weight, bias, stride, *rest)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch, filled(net):
        patch.setattr(torch.nn.functional, "conv2d", seen)
        net(torch.rand(2, 1, 14, 14))
    assert asked
    assert all(out >= 8 for out, *_ in asked)
    assert not any(kernel == (1, 1) and stride != (1, 1) and taken < 16 for _, taken, kernel, stride in asked)


def test_where_channels_do_not_lie_together() -> None:
    """In modules of the user's own, and where groups make fewer than 8 channels: those cannot be filled."""
    assert is_wide(resnet(4))
    assert not is_wide(nn.Sequential(nn.Conv2d(3, 16, 3)))
    assert not is_wide(resnet(8, "bottleneck", reduction=4, groups=2))
