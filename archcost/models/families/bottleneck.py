"""Family bottleneck: staged residual networks.

He 2015 (1512.03385), He 2016 (1603.05027), Wide ResNet (1605.07146), ResNeXt (1611.05431).

A bottleneck squeezes the channels with a 1x1 convolution, convolves 3x3 in that low dimension and expands again.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Discriminator, Field, Tag, ValidationInfo, field_validator

from archcost.config.types import LARGEST, Count, Each, Rate, one_or_each, same_length, wrong
from archcost.graph.graph import Builder, Graph
from archcost.graph.ops import Act, Conv, Dropout, GlobalPool, Input, Join, Linear, Norm, Pad
from archcost.graph.recipe import Recipe
from archcost.models.families.parts import OnImages, Stem, norm_relu, same, stem, stem_size, strides_of

Ratio = Annotated[float, Field(gt=0)]


class Bottleneck(OnImages):
    """A residual network in stages; `widths` are the output channels of each stage."""

    grows_with: ClassVar[str] = "depths"

    family: Literal["bottleneck"]
    """This family."""
    stem: Stem = Stem()
    """The first convolution: {channels: 16, kernel: 3, stride: 1, pool: none}."""
    order: Literal["post", "pre"] = "post"
    """post: conv-BN-ReLU; pre: BN-ReLU-conv, the last BN-ReLU before pooling."""
    block: Literal["basic", "bottleneck"] = "bottleneck"
    """basic: 3x3, 3x3; bottleneck: 1x1 reduce, 3x3, 1x1 expand."""
    depths: Each[Count]
    """Blocks per stage."""
    widths: Each[Count]
    """Outer channels per stage: those of its output."""
    reduction: Annotated[
        Annotated[Ratio, Tag("<one>")] | Annotated[Each[Ratio], Tag("<each>")], Discriminator(one_or_each)
    ] = 4.0
    """Outer / inner channels of a bottleneck: one number, or one per stage. Inner becomes a multiple of groups."""
    groups: Count = 1
    """Groups of the 3x3 convolution."""
    strides: Each[Count] | None = None
    """Stride per stage. Default: 1, then 2."""
    stride_on: Literal["spatial", "reduce"] = "spatial"
    """Which convolution of a bottleneck strides: the 3x3 ('v1.5') or the first 1x1 (2015)."""
    shortcut: Literal["projection", "conv", "pad", "none"] | None = None
    """If the shape changes: 1x1 conv + BN (default of post), 1x1 conv (of pre), option A; none: no shortcut at all."""
    dropout: Rate = 0.0
    """Rate of dropout inside the block, before its last convolution."""

    @field_validator("widths", "strides")
    @classmethod
    def _per_stage(cls, values: tuple[int, ...] | None, info: ValidationInfo) -> tuple[int, ...] | None:
        return same_length(values, info.data.get("depths"), "depths")

    @field_validator("reduction")
    @classmethod
    def _reduction(cls, value: float | tuple[float, ...], info: ValidationInfo) -> float | tuple[float, ...]:
        _bottleneck_only(info)
        each = value if isinstance(value, tuple) else (value,) * len(info.data.get("widths", ()))
        if isinstance(value, tuple):
            same_length(value, info.data.get("depths"), "depths")
        for ratio, width in zip(each, info.data.get("widths", ()), strict=False):
            if width > ratio * LARGEST:
                raise wrong(f"given {ratio}; allowed: what leaves at most 2^53 channels inside")
        return value

    @field_validator("groups", "stride_on")
    @classmethod
    def _only_bottleneck(cls, value: int | str, info: ValidationInfo) -> int | str:
        _bottleneck_only(info)
        return value

    def inner(self, stage: int) -> int:
        """Return the channels inside a bottleneck: outer / reduction, to the nearest multiple of groups."""
        reduction = self.reduction[stage] if isinstance(self.reduction, tuple) else self.reduction
        multiples = Fraction(self.widths[stage]) / (Fraction(reduction) * self.groups)
        return max(1, int(multiples + Fraction(1, 2))) * self.groups

    def changed(self) -> tuple[bool, ...]:
        """Return for each stage whether its first block changes the shape."""
        before = (self.stem.channels or 16, *self.widths)
        strides = strides_of(self.strides, len(self.depths))
        return tuple(a != b or s != 1 for a, b, s in zip(before, self.widths, strides, strict=False))

    def joint(self) -> Literal["projection", "conv", "pad", "none"]:
        """Return the shortcut where the shape changes."""
        return self.shortcut or ("conv" if self.order == "pre" else "projection")

    def explicit(self) -> Self:
        """Return the same network with its stem's channels, its strides, shortcut and every reduction written out."""
        each = self.reduction if isinstance(self.reduction, tuple) else (self.reduction,) * len(self.depths)
        stem = self.stem.model_copy(update={"channels": self.stem.channels or 16})
        strides = strides_of(self.strides, len(self.depths))
        keys = {"stem": stem, "strides": strides, "shortcut": self.joint(), "reduction": each}
        return self.model_copy(update=keys)

    def size(self) -> int:
        """Return the number of nodes of the network, without building it."""
        post = self.order == "post"
        block = (6 if self.block == "basic" else 9) + (self.dropout > 0) + (self.joint() != "none")
        extra = {"projection": 2, "conv": 1, "pad": 1, "none": 0}[self.joint()] * sum(self.changed())
        return 3 + stem_size(self.stem, activate=post) + sum(self.depths) * block + extra + 2 * (not post)

    def expand(self) -> tuple[Graph, Recipe]:
        """Return the network and how it is trained."""
        b = Builder()
        x = b.add("input", Input(self.input))
        x = stem(b, x, self.stem, self.stem.channels or 16, activate=self.order == "post")
        strides = strides_of(self.strides, len(self.depths))
        for stage, (depth, stride, changed) in enumerate(zip(self.depths, strides, self.changed(), strict=True)):
            with b.at("widths", stage), b.group(f"stage{stage + 1}"):
                for block in range(depth):
                    with b.scope(f"block{block + 1}"):
                        first = block == 0
                        x = _block(b, x, self, _convs(self, stage, stride if first else 1), changed and first)
        with b.group("head"):
            x = norm_relu(b, "", x) if self.order == "pre" else x
            b.add("linear", Linear(self.classes), b.add("pool", GlobalPool(), x))
        return b.graph(), Recipe("he")


def _bottleneck_only(info: ValidationInfo) -> None:
    if info.data.get("block") == "basic":
        raise wrong("a basic block has none; allowed: only with 'block: bottleneck'")


def _convs(spec: Bottleneck, stage: int, stride: int) -> tuple[Conv, ...]:
    """Return the residual branch's convolutions."""
    outer = spec.widths[stage]
    if spec.block == "basic":
        return same(outer, 3, stride), same(outer, 3)
    inner, on_reduce = spec.inner(stage), spec.stride_on == "reduce"
    reduce = same(inner, 1, stride if on_reduce else 1)
    spatial = same(inner, 3, 1 if on_reduce else stride, groups=spec.groups)
    return reduce, spatial, same(outer, 1)


def _block(b: Builder, x: int, spec: Bottleneck, convs: tuple[Conv, ...], changed: bool) -> int:
    post = spec.order == "post"
    shortcut = branch = x
    for i, op in enumerate(convs, 1):
        last = i == len(convs)
        if not post:
            branch = norm_relu(b, str(i), branch)
            # where the shape changes, both ways start behind the first BN-ReLU (the authors' code)
            shortcut = branch if changed and i == 1 else shortcut
        if last and spec.dropout:
            branch = b.add("dropout", Dropout(spec.dropout), branch)
        branch = b.add(f"conv{i}", op, branch)
        if post:
            branch = b.add(f"norm{i}", Norm(), branch) if last else norm_relu(b, str(i), branch)
    if spec.joint() != "none":
        stride = max(op.stride for op in convs)
        shortcut = _shortcut(b, shortcut, spec.joint(), convs[-1].out, stride) if changed else shortcut
        branch = b.add("join", Join("sum"), branch, shortcut)
    return b.add("relu", Act("relu"), branch) if post else branch


def _shortcut(b: Builder, x: int, kind: str, out: int, stride: int) -> int:
    if kind == "pad":
        return b.add("shortcut", Pad(out, stride), x)
    x = b.add("shortcut", Conv(out, 1, stride), x)
    return b.add("shortcut_norm", Norm(), x) if kind == "projection" else x
