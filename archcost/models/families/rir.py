"""Family rir: ResNet in ResNet (1603.08029), two streams through generalised residual units.

r' = s(conv(r, W_rr) + conv(t, W_tr) + shortcut(r)),  t' = s(conv(r, W_rt) + conv(t, W_tt)),  s = ReLU(BN(.)):
r is the residual stream, t the transient one, which has no shortcut and may forget.
"""

from __future__ import annotations

from typing import ClassVar, Literal, NamedTuple, Self

from pydantic import ValidationInfo, field_validator

from archcost.config.types import Count, Each, same_length, wrong
from archcost.graph.graph import Builder, Graph
from archcost.graph.ops import Concat, Conv, GlobalPool, Input, Join, Linear, Norm, Pad
from archcost.graph.recipe import Recipe
from archcost.models.families.parts import OnImages, Stem, norm_relu, same, stem_pool, stem_size, strides_of


class RiR(OnImages):
    """Stages of blocks, two units in each block; `widths` are the channels of one stream."""

    grows_with: ClassVar[str] = "depths"

    family: Literal["rir"]
    """This family."""
    depths: Each[Count]
    """Blocks per stage, two units each."""
    widths: Each[Count]
    """Channels per stream per stage."""
    stem: Stem = Stem()
    """conv-BN-ReLU. Its channels are those of both streams; default 2 * widths[0]."""
    strides: Each[Count] | None = None
    """Stride per stage. Default: 1, then 2."""
    stride_unit: Literal["first", "second"] = "first"
    """Which unit of a stage's first block strides."""
    shortcut: Literal["projection", "pad"] = "projection"
    """The shortcut if the shape changes: a 1x1 convolution without bias or norm, or option A."""
    outer_shortcut: bool = False
    """Also add the residual stream of the block's input before the activation of its second unit."""
    head: Literal["conv", "linear"] = "conv"
    """conv: 1x1 convolution to the classes, BN, average; linear: average, dense layer with bias."""

    @field_validator("widths", "strides")
    @classmethod
    def _per_stage(cls, values: tuple[int, ...] | None, info: ValidationInfo) -> tuple[int, ...] | None:
        return same_length(values, info.data.get("depths"), "depths")

    @field_validator("stem")
    @classmethod
    def _two_streams(cls, value: Stem) -> Stem:
        if value.channels is not None and value.channels % 2:
            raise wrong(f"given {value.channels}; allowed: an even number, half for each stream", "channels")
        return value

    def plans(self) -> tuple[tuple[_Unit, _Unit], ...]:
        """Return the two units of every stage's first block; the other blocks change nothing."""
        before = (self.stem_channels() // 2, *self.widths)
        strides = strides_of(self.strides, len(self.depths))
        first = self.stride_unit == "first"
        return tuple(
            (_Unit(c, w, s if first else 1), _Unit(w, w, 1 if first else s, free=not first))
            for c, w, s in zip(before, self.widths, strides, strict=False)
        )

    def stem_channels(self) -> int:
        """Return the channels of both streams behind the stem."""
        return self.stem.channels or 2 * self.widths[0]

    def explicit(self) -> Self:
        """Return the same network with its stem's channels and its strides written out."""
        stem = self.stem.model_copy(update={"channels": self.stem_channels()})
        return self.model_copy(update={"stem": stem, "strides": strides_of(self.strides, len(self.depths))})

    def size(self) -> int:
        """Return the number of nodes of the network, without building it."""
        changes = sum(unit.changes for pair in self.plans() for unit in pair)
        outer = self.outer_shortcut * sum(any(unit.changes for unit in pair) for pair in self.plans())
        head = 4 if self.head == "conv" else 3
        return 1 + 2 * stem_size(self.stem) + 20 * sum(self.depths) + changes + outer + head

    def expand(self) -> tuple[Graph, Recipe]:
        """Return the network and how it is trained."""
        b = Builder()
        x = b.add("input", Input(self.input))
        with b.at("stem"), b.group("stem"):
            streams = _stem(b, x, self, "r"), _stem(b, x, self, "t")
        for stage, (depth, plan) in enumerate(zip(self.depths, self.plans(), strict=True)):
            with b.at("widths", stage), b.group(f"stage{stage + 1}"):
                for block in range(depth):
                    with b.scope(f"block{block + 1}"):
                        width = self.widths[stage]
                        streams = _block(b, streams, self, plan if block == 0 else (_Unit(width, width),) * 2)
        with b.group("head"):
            _head(b, b.add("concat", Concat(), *streams), self)
        return b.graph(), Recipe("he")


class _Unit(NamedTuple):
    """A generalised unit's channels per stream in and out, its stride; `free`: it subsamples without parameters."""

    before: int
    width: int
    stride: int = 1
    free: bool = False

    @property
    def changes(self) -> bool:
        return self.before != self.width or self.stride != 1


def _stem(b: Builder, x: int, spec: RiR, stream: str) -> int:
    """Add one stream's half of the stem: half the filters of one convolution."""
    with b.scope(stream):
        x = b.add("conv", same(spec.stem_channels() // 2, spec.stem.kernel, spec.stem.stride), x)
        return stem_pool(b, norm_relu(b, "", x), spec.stem)


def _block(b: Builder, streams: tuple[int, int], spec: RiR, units: tuple[_Unit, _Unit]) -> tuple[int, int]:
    start = streams[0]
    for i, unit in enumerate(units):
        with b.scope(f"unit{i + 1}"):
            outer = None
            if i == 1 and spec.outer_shortcut:
                whole = _Unit(units[0].before, unit.width, units[0].stride * unit.stride)
                outer = _shortcut(b, "outer", start, whole, spec)
            streams = _unit(b, streams, unit, spec, outer)
    return streams


def _unit(b: Builder, streams: tuple[int, int], unit: _Unit, spec: RiR, outer: int | None) -> tuple[int, int]:
    r, t = streams
    op = same(unit.width, 3, unit.stride)
    rr, tr = b.add("rr", op, r), b.add("tr", op, t)
    rt, tt = b.add("rt", op, r), b.add("tt", op, t)
    terms = [rr, tr, _shortcut(b, "shortcut", r, unit, spec)] + ([] if outer is None else [outer])
    residual = norm_relu(b, "_r", b.add("join_r", Join("sum"), *terms))
    return residual, norm_relu(b, "_t", b.add("join_t", Join("sum"), rt, tt))


def _shortcut(b: Builder, name: str, x: int, unit: _Unit, spec: RiR) -> int:
    if not unit.changes:
        return x
    if spec.shortcut == "pad" or (unit.free and unit.before == unit.width):
        return b.add(name, Pad(unit.width, unit.stride), x)
    return b.add(name, Conv(unit.width, 1, unit.stride), x)


def _head(b: Builder, x: int, spec: RiR) -> None:
    if spec.head == "conv":
        b.add("pool", GlobalPool(), b.add("norm", Norm(), b.add("conv", Conv(spec.classes, 1), x)))
    else:
        b.add("linear", Linear(spec.classes), b.add("pool", GlobalPool(), x))
