"""Twenty variants of a torch model: counted, measured by turns, as a DataFrame and as a plot.

    python docs/examples/variants.py [TIME]

TIME is the longest for each network (1s). Writes variants.csv and variants.html to the current folder.
"""

import math
import sys
from itertools import product

import pandas as pd
import plotly.express as px
import torch
from torch import Tensor, nn

import archcost

TIME = sys.argv[1] if len(sys.argv) > 1 else "1s"
WIDTHS = (8, 12, 16, 24, 32)
DEPTHS = (1, 2, 3, 4)


class Separable(nn.Module):
    """A depthwise 3x3 convolution and a 1x1 one, with a shortcut: (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)
        self.body = nn.Sequential(depthwise, nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, H, W)."""
        return x + self.body(x)


def small_net(width: int, depth: int) -> nn.Module:
    """Return a network for images: (B, 3, H, W) -> (B, 10)."""
    blocks = [Separable(width) for _ in range(depth)]
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))
    return nn.Sequential(nn.Conv2d(3, width, 3, 2, 1), *blocks, *head)


image = torch.randn(1, 3, 32, 32)
points = list(product(WIDTHS, DEPTHS))
networks = [small_net(width, depth) for width, depth in points]
# by turns, so that whatever else the machine does slows all of them alike; the ratio is to the first
found = archcost.compare(*networks, inputs=image, threads=1, time=TIME)
ratios = [1.0, *(pair.latencies[0].ratio for pair in found.against)]

rows = []
for (width, depth), profile, ratio in zip(points, found.profiles, ratios, strict=True):
    latency = profile.latencies[0]
    low_s, high_s = latency.interval_s or (math.nan, math.nan)  # too few blocks for an interval: a longer TIME
    rows.append(
        {
            "width": width,
            "depth": depth,
            "params": profile.params,
            "macs": profile.macs,
            "peak_memory_bytes": profile.peak_memory_bytes,
            "median_s": latency.median_s,
            "low_s": low_s,
            "high_s": high_s,
            "ratio": ratio,
            "stable": latency.stable,
        }
    )

frame = pd.DataFrame(rows)
frame.to_csv("variants.csv", index=False)
order = frame["macs"].rank().corr(frame["ratio"].rank())

figure = px.scatter(
    frame.assign(depth=frame["depth"].astype(str)),
    x="macs",
    y="ratio",
    color="depth",
    hover_data=["width", "params", "median_s", "stable"],
    log_x=True,
    labels={"macs": "MACs", "ratio": "latency, in times of the first"},
    title=f"{len(frame)} variants; rank correlation of MACs and latency: {order:.2f}",
)
figure.write_html("variants.html")

print(frame.sort_values("ratio").to_string(index=False))
