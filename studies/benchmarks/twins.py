"""Hand-written PyTorch twins of archcost's networks, and how a network's state is copied into its twin.

They are what an engineer would write without archcost: nn.Sequential, in-place ReLU, a loop over time. Nothing of
archcost is imported; a source network is any module whose leaves carry the state.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional


class Bottleneck(nn.Module):
    """1x1, 3x3 with the stride, 1x1, each with batch norm; the shortcut is projected where the shape changes."""

    def __init__(self, channels: int, inner: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or channels != out:
            self.downsample = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, H, W) -> (B, out, H', W')."""
        identity = x if self.downsample is None else self.downsample(x)
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        y += identity
        return self.relu(y)


class ResNet(nn.Module):
    """A residual network of bottlenecks, stride on the 3x3 ('v1.5'); ResNet-50 with the defaults."""

    def __init__(
        self,
        depths: Sequence[int] = (3, 4, 6, 3),
        widths: Sequence[int] = (256, 512, 1024, 2048),
        stem: int = 64,
        classes: int = 1000,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, stem, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        blocks: list[nn.Module] = []
        channels = stem
        for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
            for block in range(depth):
                stride = 2 if stage and not block else 1
                blocks.append(Bottleneck(channels, width // 4, width, stride))
                channels = width
        self.blocks = nn.Sequential(*blocks)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, 3, H, W) -> (B, classes)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.avgpool(self.blocks(x))
        return self.fc(torch.flatten(x, 1))


class Fractal(nn.Module):
    """f_1(z) = conv(z), f_{C+1}(z) = [f_C(f_C(z))] join [conv(z)]; joins that meet are one mean."""

    def __init__(self, columns: int, channels: int, out: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(channels, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU(inplace=True)
        )
        self.columns = columns
        if columns > 1:
            self.first = Fractal(columns - 1, channels, out)
            self.second = Fractal(columns - 1, out, out)

    def branches(self, x: Tensor) -> list[Tensor]:
        """Return what meets in the last join, the shallowest column first; x: (B, C, H, W)."""
        if self.columns == 1:
            return [self.conv(x)]
        return [self.conv(x), *self.second.branches(self.first(x))]

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, H, W) -> (B, out, H, W)."""
        values = self.branches(x)
        if len(values) == 1:
            return values[0]
        total = values[0] + values[1]
        for value in values[2:]:
            total += value
        return total.div_(len(values))

    def convs(self, column: int = 1) -> Iterator[tuple[int, nn.Module]]:
        """Yield every column and convolution, a column's in the order they run (1 = shallowest)."""
        yield column, self.conv
        if self.columns > 1:
            yield from self.first.convs(column + 1)
            yield from self.second.convs(column + 1)


class FractalNet(nn.Module):
    """Blocks of C columns, dropout and a 2x2 max pool behind each; FractalNet-20 with the defaults."""

    def __init__(
        self,
        columns: int = 3,
        widths: Sequence[int] = (64, 128, 256, 512, 512),
        classes: int = 10,
        dropout: Sequence[float] = (0, 0.1, 0.2, 0.3, 0.4),
    ) -> None:
        super().__init__()
        channels = [3, *widths]
        self.fractals = nn.ModuleList(Fractal(columns, a, b) for a, b in zip(channels, widths, strict=False))
        self.dropouts = nn.ModuleList(nn.Dropout(rate) if rate else nn.Identity() for rate in dropout)
        self.pool = nn.MaxPool2d(2)
        self.fc = nn.Linear(channels[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, 3, H, W) -> (B, classes)."""
        for fractal, dropout in zip(self.fractals, self.dropouts, strict=True):
            x = self.pool(dropout(fractal(x)))
        return self.fc(x.mean((2, 3)))

    def parts(self) -> Iterator[tuple[str, nn.Module]]:
        """Yield every layer with state under the name the column, its place in it and its block give it."""
        for block, fractal in enumerate(self.fractals, 1):
            seen: dict[int, int] = {}
            assert isinstance(fractal, Fractal)
            for column, conv in fractal.convs():
                seen[column] = nth = seen.get(column, 0) + 1
                assert isinstance(conv, nn.Sequential)
                yield f"block{block}.column{column}.conv{nth}", conv[0]
                yield f"block{block}.column{column}.norm{nth}", conv[1]
        yield "head.linear", self.fc


@dataclass(frozen=True)
class Recurrent:
    """What a HORNN is: `inputs` words or features, N = `order`, tokens embedded or not, read every step or last."""

    inputs: int
    hidden: int
    order: int
    classes: int
    pooling: Literal["none", "max", "fofe", "gated"] = "none"
    alpha: float = 0.6
    activation: Literal["tanh", "sigmoid", "relu"] = "tanh"
    embedding: int | None = None
    tokens: bool = True
    every: bool = True


class NaiveHORNN(nn.Module):
    """A Higher Order RNN as its equations read: a loop over time, one matrix product per order, readout inside."""

    def __init__(self, spec: Recurrent) -> None:
        super().__init__()
        self.spec = spec
        self.activation = getattr(torch, spec.activation)
        self.embedding = nn.Embedding(spec.inputs, spec.embedding) if spec.embedding else nn.Identity()
        self.drive = self._dense()
        self.feedback = nn.ModuleList(nn.Linear(spec.hidden, spec.hidden, bias=False) for _ in range(spec.order))
        self.bias = nn.Parameter(torch.zeros(spec.hidden))
        gates = spec.order if spec.pooling == "gated" else 0
        self.gate_drive = nn.ModuleList(self._dense() for _ in range(gates))
        self.gate_feedback = nn.ModuleList(nn.Linear(spec.hidden, spec.hidden) for _ in range(gates))
        self.readout = nn.Linear(spec.hidden, spec.classes)

    def _dense(self) -> nn.Module:
        """Return a matrix on the input; on a one-hot token that is a lookup."""
        if self.spec.tokens and not self.spec.embedding:
            return nn.Embedding(self.spec.inputs, self.spec.hidden)
        return nn.Linear(self.spec.embedding or self.spec.inputs, self.spec.hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, T) or (B, T, F) -> (B, T, classes), or (B, classes) for a readout at the last step."""
        return self.run(x)[0]

    def run(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the output and the last states; state: (B, N, H) newest first."""
        zero = torch.zeros(x.shape[0], self.spec.hidden, dtype=self.bias.dtype)
        history = [zero] * self.spec.order if state is None else list(state.unbind(1))
        outputs = []
        for t in range(x.shape[1]):
            h = self.step(self.embedding(x[:, t]), history)
            history = [h, *history[:-1]]
            if self.spec.every or t == x.shape[1] - 1:
                outputs.append(self.readout(h))
        return torch.stack(outputs, 1) if self.spec.every else outputs[0], torch.stack(history, 1)

    def step(self, x: Tensor, history: list[Tensor]) -> Tensor:
        """x: (B,) tokens or (B, F); history: N times (B, H) -> (B, H)."""
        terms = [feedback(h) for feedback, h in zip(self.feedback, history, strict=True)]
        if self.spec.pooling == "fofe":
            terms = [self.spec.alpha**n * term for n, term in enumerate(terms, 1)]
        if self.spec.pooling == "gated":
            gates = zip(self.gate_drive, self.gate_feedback, history, strict=True)
            terms = [torch.sigmoid(d(x) + f(h)) * term for (d, f, h), term in zip(gates, terms, strict=True)]
        pooled = terms[0]
        for term in terms[1:]:
            pooled = torch.maximum(pooled, term) if self.spec.pooling == "max" else pooled + term
        return self.activation(self.drive(x) + pooled + self.bias)


def masked_dense(conv: nn.Conv2d, starts: Sequence[int], channels: int) -> nn.Conv2d:
    """Return the dense convolution on all channels whose weight is zero outside each output's window.

    `conv` holds the sparse weights (K, d, r, r), one window of d channels from starts[k] on for each output k.
    """
    outs, span, side, _ = conv.weight.shape
    dense = nn.Conv2d(channels, outs, side, conv.stride, conv.padding, bias=conv.bias is not None)
    with torch.no_grad():
        dense.weight.zero_()
        for k, start in enumerate(starts):
            dense.weight[k, start : start + span] = conv.weight[k]
        if conv.bias is not None and dense.bias is not None:
            dense.bias.copy_(conv.bias)
    return dense


def window_starts(channels: int, outs: int, span: int) -> list[int]:
    """Return s(k) = floor(k (C - d) / max(K - 1, 1)): K windows of d channels spread evenly over C."""
    return [k * (channels - span) // max(outs - 1, 1) for k in range(outs)]


class Unit(nn.Module):
    """A generalised residual unit: r' = s(rr(r) + tr(t) + shortcut(r)), t' = s(rt(r) + tt(t)), s = ReLU(BN(.))."""

    def __init__(self, before: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.rr, self.tr, self.rt, self.tt = (
            nn.Conv2d(before, width, 3, stride, 1, bias=False) for _ in ("rr", "tr", "rt", "tt")
        )
        changes = before != width or stride != 1
        self.shortcut = nn.Conv2d(before, width, 1, stride, bias=False) if changes else nn.Identity()
        self.bn_r = nn.BatchNorm2d(width)
        self.bn_t = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, r: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """r, t: (B, C, H, W) -> two of (B, width, H', W')."""
        residual = self.rr(r) + self.tr(t) + self.shortcut(r)
        transient = self.rt(r) + self.tt(t)
        return self.relu(self.bn_r(residual)), self.relu(self.bn_t(transient))


class RiR(nn.Module):
    """ResNet in ResNet: two streams, blocks of two units, the stride on a stage's first unit; a 1x1 conv head."""

    def __init__(self, depths: Sequence[int], widths: Sequence[int], classes: int) -> None:
        super().__init__()
        self.stem_r, self.stem_t = (self._stem(widths[0]) for _ in ("r", "t"))
        units: list[nn.Module] = []
        before = widths[0]
        for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
            for i in range(2 * depth):
                units.append(Unit(before, width, 2 if stage and not i else 1))
                before = width
        self.units = nn.ModuleList(units)
        self.conv = nn.Conv2d(2 * before, classes, 1, bias=False)
        self.bn = nn.BatchNorm2d(classes)

    @staticmethod
    def _stem(width: int) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(True))

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, 3, H, W) -> (B, classes)."""
        r, t = self.stem_r(x), self.stem_t(x)
        for unit in self.units:
            r, t = unit(r, t)
        return self.bn(self.conv(torch.cat([r, t], 1))).mean((2, 3))


class SingleLayerResNet(nn.Module):
    """A residual network with one convolution per block, x' = ReLU(BN(conv(x) + shortcut(x))), then a linear head."""

    def __init__(self, depths: Sequence[int], widths: Sequence[int], classes: int, *, shortcut: bool = True) -> None:
        super().__init__()
        self.stem = RiR._stem(widths[0])
        layers: list[nn.Module] = []
        before = widths[0]
        for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
            for i in range(2 * depth):
                stride = 2 if stage and not i else 1
                layers.append(SingleLayer(before, width, stride, shortcut=shortcut))
                before = width
        self.layers = nn.Sequential(*layers)
        self.fc = nn.Linear(before, classes)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, 3, H, W) -> (B, classes)."""
        return self.fc(self.layers(self.stem(x)).mean((2, 3)))


class SingleLayer(nn.Module):
    """One convolution, batch norm and ReLU, with or without a shortcut around the convolution."""

    def __init__(self, before: int, width: int, stride: int, *, shortcut: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, width, 3, stride, 1, bias=False)
        self.bn = nn.BatchNorm2d(width)
        self.shortcut: nn.Module | None = None
        if shortcut:
            changes = before != width or stride != 1
            self.shortcut = nn.Conv2d(before, width, 1, stride, bias=False) if changes else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, H, W) -> (B, width, H', W')."""
        y = self.conv(x)
        y = y if self.shortcut is None else y + self.shortcut(x)
        return functional.relu(self.bn(y), inplace=True)


def with_state(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the parts of a module that own parameters themselves, in order, by name."""
    return [(name, part) for name, part in module.named_modules() if list(part.parameters(recurse=False))]


@torch.no_grad()
def copy_layer(source: nn.Module, twin: nn.Module) -> None:
    """Copy one layer's parameters and running statistics; a twin's count of batches has no counterpart."""
    given = dict([*source.named_parameters(recurse=False), *source.named_buffers(recurse=False)])
    for name, tensor in [*twin.named_parameters(recurse=False), *twin.named_buffers(recurse=False)]:
        if name != "num_batches_tracked":
            if given[name].shape != tensor.shape:
                raise ValueError(f"{name}: {tuple(given[name].shape)} does not fit {tuple(tensor.shape)}")
            tensor.copy_(given[name])


def copy_in_order(source: nn.Module, twin: nn.Module) -> None:
    """Copy the state of a network into a twin that has the same layers in the same order (ResNet, RiR)."""
    for (_, ours), (_, theirs) in zip(with_state(source), with_state(twin), strict=True):
        copy_layer(ours, theirs)


def pairs_by_name(source: nn.Module, twin: FractalNet) -> list[tuple[nn.Module, nn.Module]]:
    """Return every layer of a fractal network with its twin, by block, column and place in the column."""
    layers = {name.removeprefix("layers."): layer for name, layer in with_state(source)}
    return [(layers.pop(name), part) for name, part in twin.parts()]


def copy_by_name(source: nn.Module, twin: FractalNet) -> None:
    """Copy the state of a fractal network into its twin."""
    for ours, theirs in pairs_by_name(source, twin):
        copy_layer(ours, theirs)


def hornn_pairs(source: nn.Module, twin: NaiveHORNN) -> list[tuple[Tensor, Tensor]]:
    """Return every parameter of a HORNN, a product over several states cut into one per state, with its twin's."""
    ours = {name.removeprefix("layers."): value for name, value in source.named_parameters()}
    pairs = [(ours["readout.linear.weight"], twin.readout.weight), (ours["readout.linear.bias"], twin.readout.bias)]
    pairs.append((ours["input.drive.weight"], _weight(twin.drive)))
    if isinstance(twin.embedding, nn.Embedding):
        pairs.append((ours["input.embedding.weight"], twin.embedding.weight))
    whole, size = ours.get("recurrence.feedback.weight"), twin.spec.hidden
    for n, feedback in enumerate(twin.feedback):
        if whole is None:
            pairs.append((ours[f"recurrence.feedback{n + 1}.weight"], _weight(feedback)))
        else:
            pairs.append((whole[:, n * size : (n + 1) * size], _weight(feedback)))
    pairs.append((ours["recurrence.bias.bias" if whole is None else "recurrence.feedback.bias"], twin.bias))
    for n, (drive, feedback) in enumerate(zip(twin.gate_drive, twin.gate_feedback, strict=True), 1):
        pairs.append((ours[f"gates.drive{n}.weight"], _weight(drive)))
        pairs.append((ours[f"gates.feedback{n}.weight"], _weight(feedback)))
        assert isinstance(feedback.bias, Tensor)
        pairs.append((ours[f"gates.feedback{n}.bias"], feedback.bias))
    return pairs


def copy_hornn(source: nn.Module, twin: NaiveHORNN) -> None:
    """Copy the state of a HORNN into its naive twin."""
    with torch.no_grad():
        for ours, theirs in hornn_pairs(source, twin):
            theirs.copy_(ours)


def _weight(layer: nn.Module) -> Tensor:
    assert isinstance(layer, nn.Embedding | nn.Linear)
    return layer.weight
