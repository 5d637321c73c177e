"""A small MobileNetV2-like network for 28 x 28 images, and its training: code of one's own, as a study runs it."""

# ruff: noqa: ANN401, PLR0913, PLR0917  # as a user writes it: archcost's types are not imported

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

ACTIVATIONS = {"relu": nn.ReLU, "hardswish": nn.Hardswish}


class Block(nn.Module):
    """An inverted residual block: 1x1 to more channels, a filter of each, 1x1 to `out`; (B, I, H, W) -> (B, O, ...)."""

    def __init__(self, into: int, out: int, expand: int, kernel: int, stride: int, activation: str) -> None:
        super().__init__()
        wide, act = into * expand, ACTIVATIONS[activation]
        first = [nn.Conv2d(into, wide, 1, bias=False), nn.BatchNorm2d(wide), act()] if expand > 1 else []
        self.body = nn.Sequential(
            *first,
            nn.Conv2d(wide, wide, kernel, stride, kernel // 2, groups=wide, bias=False),
            nn.BatchNorm2d(wide),
            act(),
            nn.Conv2d(wide, out, 1, bias=False),
            nn.BatchNorm2d(out),
        )
        self.shortcut = stride == 1 and into == out

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, I, H, W)."""
        return x + self.body(x) if self.shortcut else self.body(x)


class MobileNet(nn.Module):
    """Stages of inverted residual blocks; each list has one value a stage."""

    def __init__(
        self,
        widths: Sequence[int] = (16, 24, 32),
        depths: Sequence[int] = (1, 1, 1),
        expand: Sequence[int] = (1, 3, 3),
        kernels: Sequence[int] = (3, 3, 3),
        activation: str = "relu",
        classes: int = 10,
        input: Sequence[int] = (1, 28, 28),  # noqa: A002  # the name under which a study gives it
    ) -> None:
        super().__init__()
        stem = widths[0]
        layers: list[nn.Module] = [
            nn.Conv2d(input[0], stem, 3, 2, 1, bias=False),
            nn.BatchNorm2d(stem),
            ACTIVATIONS[activation](),
        ]
        into = stem
        for stage, (width, depth, wider, kernel) in enumerate(zip(widths, depths, expand, kernels, strict=True)):
            for place in range(depth):
                stride = 2 if stage and not place else 1
                layers.append(Block(into, width, wider, kernel, stride, activation))
                into = width
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(into, classes)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, H, W) -> (B, classes)."""
        return self.head(self.body(x).mean((2, 3)))


def fit(network: nn.Module, data: Any, context: Any, lr: float = 0.05, batch: int = 128) -> Iterator[dict[str, float]]:
    """Train with SGD, a cosine schedule with warm-up, and mirrored images; goes on from the last epoch."""
    inputs, targets = data.train
    network.to(memory_format=torch.channels_last)  # depthwise convolutions are quicker so
    decayed = [each for each in network.parameters() if each.ndim > 1]
    others = [each for each in network.parameters() if each.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 5e-4}, {"params": others, "weight_decay": 0.0}]
    optimiser = torch.optim.SGD(groups, lr, momentum=0.9, nesterov=True)
    if (state := context.load()) is not None:
        network.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
    steps = math.ceil(len(targets) / batch)
    for epoch in range(context.start, context.epochs):
        chance = torch.Generator().manual_seed(context.seed * 1000 + epoch)
        network.train()
        total = 0.0
        for step, places in enumerate(torch.randperm(len(targets), generator=chance).split(batch)):
            done = (epoch * steps + step) / (context.epochs * steps)
            for group in optimiser.param_groups:
                group["lr"] = lr * min(done * 10 + 0.1, (1 + math.cos(math.pi * done)) / 2)
            images = inputs[places]
            mirrored = torch.rand(len(places), generator=chance) < 0.5
            images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
            images = images.to(memory_format=torch.channels_last)
            with context.turn():
                loss = functional.cross_entropy(network(images), targets[places])
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()
            total += float(loss.detach()) * len(places)
        context.save({"network": network.state_dict(), "optimiser": optimiser.state_dict()})
        yield {"loss": total / len(targets)}


def evaluate(predict: Any, split: Any, context: Any) -> dict[str, float]:  # noqa: ARG001  # the form of an evaluation
    """Return the error, and the mean of the classes' F1 scores."""
    inputs, targets = split
    guessed = torch.cat([predict(each).argmax(1) for each in inputs.split(500)])
    scores = []
    for each in targets.unique():
        both = int(((guessed == each) & (targets == each)).sum())
        scores.append(2 * both / int((guessed == each).sum() + (targets == each).sum()))
    return {"error": float((guessed != targets).float().mean()), "f1": sum(scores) / len(scores)}
