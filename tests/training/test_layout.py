"""Channels that lie together, and torch's kernels, kept from writing past what they allocated."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import specs
import torch
from torch import nn

from archcost.nets.net import Net, build
from archcost.training.layout import is_wide, safe

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
from archcost.training.layout import safe, is_wide
net = build(load(sys.argv[1]).graph)
assert is_wide(net)
net.to(memory_format=torch.channels_last)
torch.set_num_threads(2)
for dtype in (torch.float32, torch.bfloat16):
    for _ in range(8):
        with safe(net), torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            x = torch.rand(127, 1, 14, 14).contiguous(memory_format=torch.channels_last)
            net(x).float().mean().backward()
"""


def resnet(first: int, block: str = "basic", **keys: object) -> Net:
    """Return a small network of few channels, with a shortcut that skips."""
    tree = {"family": "bottleneck", "block": block, "input": [1, 14, 14], "classes": 10, "depths": [1, 1]}
    model = specs.model({**tree, "widths": [first, 16], **keys})
    return build(model.graph, model.recipe, seed=1)


@pytest.mark.parametrize(("first", "block"), [(8, "basic"), (4, "basic"), (6, "bottleneck")])
def test_a_narrow_network_trains_and_does_not_crash(tmp_path: Path, first: int, block: str) -> None:
    """The process ends well; with its channels together and nothing done about it, it was ended by a signal."""
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
        with safe(net):
            made = net(x.contiguous(memory_format=torch.channels_last))
            made.square().mean().backward()
    else:
        made = net(x)
        made.square().mean().backward()
    return [made.detach(), *(each.grad.clone() for each in net.parameters() if each.grad is not None)]


@pytest.mark.parametrize(("first", "block"), [(4, "basic"), (7, "basic"), (12, "basic"), (4, "bottleneck")])
def test_what_is_made_safe_gives_the_same(first: int, block: str) -> None:
    """The same outputs and gradients to the last digits, and afterwards nothing is left of it."""
    plain, ours = resnet(first, block), resnet(first, block)
    for a, b in zip(stepped(plain, within=False), stepped(ours, within=True), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)
    assert not any("forward" in vars(part) for part in ours.modules())


def test_no_stride_is_left_where_it_would_write_past_its_memory() -> None:
    """Inside, no convolution of 1x1 skips places of fewer than 16 channels; outside, one of this network does."""
    net, asked = resnet(4, "bottleneck"), []
    plain = torch.nn.functional.conv2d

    def seen(x: torch.Tensor, weight: torch.Tensor, bias: object, *rest: object, **more: object) -> object:
        asked.append((tuple(weight.shape[1:]), tuple(rest), more))
        return plain(x, weight, bias, *rest, **more)  # type: ignore[arg-type]

    skipping = [part for part in net.modules() if isinstance(part, nn.Conv2d) and part.stride == (2, 2)]
    assert any(part.kernel_size == (1, 1) and part.in_channels < 16 for part in skipping)
    with pytest.MonkeyPatch.context() as patch, safe(net):
        patch.setattr(torch.nn.functional, "conv2d", seen)
        net(torch.rand(2, 1, 14, 14))
    narrow = [rest for (taken, *kernel), rest, _ in asked if kernel == [1, 1] and taken < 16]
    assert narrow.count(()) == sum(part.kernel_size == (1, 1) for part in skipping)
    assert all(rest[0] == (1, 1) for rest in narrow if rest)


def test_where_channels_do_not_lie_together() -> None:
    """In modules of the user's own, whose code may look at them in order."""
    assert is_wide(resnet(4))
    assert not is_wide(nn.Sequential(nn.Conv2d(3, 16, 3)))
