"""Where channels may lie together: not where torch's kernels write past what they allocated."""

from __future__ import annotations

import subprocess
import sys

import pytest

from archcost.models.load import load
from archcost.nets.net import build
from archcost.training.losses import is_wide

RESNET = """\
family: bottleneck
block: basic
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
from archcost.training.losses import is_wide
net = build(load(sys.argv[1]).graph)
layout = torch.channels_last if is_wide(net) else torch.contiguous_format
net.to(memory_format=layout)
torch.set_num_threads(2)
for _ in range(30):
    net(torch.rand(127, 1, 14, 14).contiguous(memory_format=layout)).mean().backward()
"""


@pytest.mark.parametrize(("first", "wide"), [(4, False), (8, False), (15, False), (16, True), (32, True)])
def test_a_shortcut_that_skips_takes_sixteen_channels(tmp_path, first: int, wide: bool) -> None:
    """A 1x1 convolution with a stride writes past its buffer below 16 channels, in its gradient."""
    (tmp_path / "net.yaml").write_text(RESNET.format(first=first))
    assert is_wide(build(load(tmp_path / "net.yaml").graph)) is wide


def test_a_narrow_network_trains_and_does_not_crash(tmp_path) -> None:
    """The process ends well; with its channels together it was ended by a signal."""
    (tmp_path / "net.yaml").write_text(RESNET.format(first=8))
    command = [sys.executable, "-c", STEPS, str(tmp_path / "net.yaml")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
