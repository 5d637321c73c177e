"""Family nin: Network in Network (1312.4400), and Convolution in Convolution (1603.06759).

A layer is a spatial convolution and 1x1 convolutions behind it, a small dense network at every position. A sparse
place sees only `span` channels, other ones for every output: unshared across channels, shared across space.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator

from archcost.config.types import Count, Each, Kernel, Rate, Strict, all_wrong, same_length
from archcost.graph.graph import Builder, Graph
from archcost.graph.ops import Act, Dropout, GlobalPool, Input, Pool, Window
from archcost.graph.recipe import Recipe
from archcost.models.families.parts import OnImages, same
from archcost.units import counted_words

Pattern = Each[Literal[0, 1]]


class Layer(Strict):
    """One layer: a spatial convolution, then 1x1 convolutions, then a pool and dropout."""

    kernel: Kernel
    """Side of the first convolution, odd."""
    stride: Count = 1
    """Stride of the first convolution."""
    widths: Each[Count]
    """Channels: the spatial convolution's, then each 1x1's."""
    pool: Literal["max", "avg", "none"] = "none"
    """A 3 x 3 pool with stride 2, ceil mode, no padding."""
    dropout: Rate = 0.0
    """Rate of dropout after the pool."""
    sparse: Pattern | None = None
    """1 for every width that is a convolution across channels (CiC), one entry per width."""
    span: Count | None = None
    """Channels that one unshared kernel sees."""
    window: Kernel | None = None
    """Spatial side of the sparse 1x1s, odd: 1 is CiC-1D, 3 and more CiC-3D."""

    @field_validator("sparse")
    @classmethod
    def _per_width(cls, value: tuple[int, ...] | None, info: ValidationInfo) -> tuple[int, ...] | None:
        return same_length(value, info.data.get("widths"), "widths")


class NiN(OnImages):
    """A stack of layers whose last channels are the class maps, averaged over space."""

    grows_with: ClassVar[str] = "layers"

    family: Literal["nin"]
    """This family."""
    sparse: Pattern | None = None
    """For every layer without a `sparse` of its own. Default: all 0."""
    span: Count | None = None
    """For every layer without a `span` of its own."""
    window: Kernel = 1
    """For every layer without a `window` of its own."""
    layers: Annotated[tuple[Layer, ...], Field(strict=False, min_length=1)]
    """The layers. The last width of the last one is the number of classes."""

    @field_validator("layers")
    @classmethod
    def _fits(cls, layers: tuple[Layer, ...], info: ValidationInfo) -> tuple[Layer, ...]:
        sparse, span = info.data.get("sparse"), info.data.get("span")
        found: list[tuple[str, tuple[str | int, ...]]] = []
        for i, layer in enumerate(layers):
            pattern = layer.sparse or sparse or ()
            if pattern and len(pattern) != len(layer.widths):
                given = counted_words(len(pattern), "value")
                found.append((f"given {given}; allowed: {len(layer.widths)}, as 'widths'", (i, "sparse")))
            if any(pattern) and (layer.span or span) is None:
                found.append(("a sparse place needs it; allowed: 'span', how many channels a kernel sees", (i, "span")))
        classes, last = info.data.get("classes"), layers[-1].widths[-1]
        if classes is not None and last != classes:
            place = (len(layers) - 1, "widths", len(layers[-1].widths) - 1)
            found.append((f"given {last}; allowed: {classes}, the number of classes", place))
        if found:
            raise all_wrong(found)
        return layers

    def pattern(self, layer: Layer) -> tuple[int, ...]:
        """Return for each width of a layer whether it is sparse."""
        return layer.sparse or self.sparse or (0,) * len(layer.widths)

    def explicit(self) -> Self:
        """Return the same network with the pattern, span and window of every layer written out in it."""
        keys = [{"sparse": self.pattern(each), "span": each.span or self.span, "window": each.window or self.window}
                for each in self.layers]  # fmt: skip
        layers = tuple(each.model_copy(update=own) for each, own in zip(self.layers, keys, strict=True))
        return self.model_copy(update={"layers": layers})

    def size(self) -> int:
        """Return the number of nodes of the network, without building it."""
        return 2 + sum(
            2 * len(layer.widths) + sum(self.pattern(layer)) + (layer.pool != "none") + (layer.dropout > 0)
            for layer in self.layers
        )

    def expand(self) -> tuple[Graph, Recipe]:
        """Return the network and how it is trained."""
        b = Builder()
        x = b.add("input", Input(self.input))
        for i, layer in enumerate(self.layers):
            with b.group(f"layer{i + 1}"):
                x = _layer(b, x, self, i, layer)
        with b.group("head"):
            b.add("pool", GlobalPool(), x)
        return b.graph(), Recipe("nin")


def _layer(b: Builder, x: int, spec: NiN, i: int, layer: Layer) -> int:
    for place, (width, sparse) in enumerate(zip(layer.widths, spec.pattern(layer), strict=True)):
        first, name = place == 0, str(place + 1)
        side = layer.kernel if first else (layer.window or spec.window) if sparse else 1
        stride = layer.stride if first else 1
        if sparse:
            with b.at(*(("layers", i, "span") if layer.span else ("span",))):
                x = b.add(f"window{name}", Window(width, layer.span or spec.span or 0), x)
        x = b.add(f"conv{name}", same(width, side, stride, groups=width if sparse else 1, bias=True), x)
        x = b.add(f"relu{name}", Act("relu"), x)
    if layer.pool != "none":
        with b.at("layers", i, "pool"):
            x = b.add("pool", Pool(layer.pool, 3, 2, ceil=True), x)
    return b.add("dropout", Dropout(layer.dropout), x) if layer.dropout else x
