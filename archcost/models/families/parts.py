"""Parts that families share: their base class and common chains of nodes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field

from archcost.config.types import Count, Image, Kernel, Strict
from archcost.graph.graph import Builder, Graph
from archcost.graph.ops import Act, Conv, Norm, Pool
from archcost.graph.recipe import Recipe


class Network(Strict, ABC):
    """What every family is: keys, a size known in closed form, and the graph they expand to."""

    grows_with: ClassVar[str]
    """The key that makes a network too large."""

    name: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """What tables and reports call the network. Default: the file's name without its extension."""

    def explicit(self) -> Self:
        """Return the same network with every default written out that follows from other keys."""
        return self

    @abstractmethod
    def size(self) -> int:
        """Return the number of nodes of the network, without building it."""

    @abstractmethod
    def expand(self) -> tuple[Graph, Recipe]:
        """Return the network and how it is trained; raises InputError at the key whose shapes do not fit."""


class OnImages(Network):
    """The keys of every family that classifies images."""

    input: Image
    """[C, H, W]: channels, height, width."""
    classes: Count
    """How many classes the network distinguishes."""


class Stem(Strict):
    """What comes before the first stage or block."""

    channels: Count | None = None
    """Channels of its output. Default: 16; for rir, twice the first width."""
    kernel: Kernel = 3
    """Side of its convolution, odd."""
    stride: Count = 1
    """Stride of its convolution."""
    pool: Literal["none", "max"] = "none"
    """max: a 3 x 3 max pool with stride 2 and padding 1 after the convolution."""


RELU = Act("relu")
NORM = Norm()


def same(out: int, kernel: int, stride: int = 1, *, groups: int = 1, bias: bool = False) -> Conv:
    """Return a convolution padded so that stride 1 keeps the size."""
    return Conv(out, kernel, stride, kernel // 2, groups, bias)


def norm_relu(b: Builder, name: str, x: int, *, column: int | None = None) -> int:
    """Add batch normalisation and a ReLU, numbered or named by `name`."""
    return b.add(f"relu{name}", RELU, b.add(f"norm{name}", NORM, x, column=column), column=column)


def stem(b: Builder, x: int, spec: Stem, channels: int, *, activate: bool = True) -> int:
    """Add a stem: convolution, with `activate` BN and ReLU, and its pool."""
    with b.at("stem"), b.group("stem"):
        x = b.add("conv", same(channels, spec.kernel, spec.stride), x)
        x = norm_relu(b, "", x) if activate else x
        return stem_pool(b, x, spec)


def stem_pool(b: Builder, x: int, spec: Stem) -> int:
    """Add the stem's pool, where it has one."""
    return b.add("pool", Pool("max", 3, 2, 1), x) if spec.pool == "max" else x


def stem_size(spec: Stem, *, activate: bool = True) -> int:
    """Return how many nodes `stem` adds."""
    return 1 + 2 * activate + (spec.pool == "max")


def strides_of(given: tuple[int, ...] | None, stages: int) -> tuple[int, ...]:
    """Return the stride of each stage: 1, then 2, if none is given."""
    return given if given is not None else (1,) + (2,) * (stages - 1)
