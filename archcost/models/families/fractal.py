"""Family fractal: FractalNet (1605.07648).

f_1(z) = conv(z), f_{C+1}(z) = [f_C(f_C(z))] join [conv(z)].

Column c (1 = shallowest) holds 2^(c-1) convolutions of a block of 2^C - 1; adjacent joins are one wider join, so a
block has 2^(C-2) of them. Any choice of columns is a network of its own.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Discriminator, Field, Tag, ValidationInfo, field_validator

from archcost.config.types import Count, Each, Kernel, Rate, Strict, all_wrong, one_or_each, same_length
from archcost.graph.columns import only
from archcost.graph.graph import Builder, Graph
from archcost.graph.ops import Dropout, GlobalPool, Input, Join, Linear, Pool
from archcost.graph.recipe import Recipe
from archcost.models.families.parts import NORM, RELU, OnImages, Stem, same, stem, stem_size

_MANY = 64  # columns from which a block is too large to write down its size


class DropPath(Strict):
    """How often training drops paths."""

    local: Rate = 0.0
    """Chance that a join drops an input; at least one survives."""
    whole: Annotated[float, Field(ge=0, le=1, alias="global")] = 0.0
    """Share of mini-batches that train one column alone."""


class Fractal(OnImages):
    """Blocks of C columns, each followed by a 2 x 2 max pool."""

    grows_with: ClassVar[str] = "columns"

    family: Literal["fractal"]
    """This family."""
    columns: Count
    """C: a block holds 2^C - 1 convolutions."""
    widths: Each[Count]
    """Channels per block; there are as many blocks as values."""
    kernel: Kernel = 3
    """Side of every convolution, odd."""
    join: Literal["mean", "sum", "max"] = "mean"
    """How the columns that meet in a join are combined."""
    stem: Stem | None = None
    """A convolution with BN and ReLU before the first block. Default: none."""
    drop_path: DropPath | None = None
    """{local: chance, global: share}. Default: off."""
    dropout: Annotated[
        Annotated[Rate, Tag("<one>")] | Annotated[Each[Rate], Tag("<each>")], Discriminator(one_or_each)
    ] = 0.0
    """Rate of dropout after a block's last join: one number, or one per block."""
    use_columns: Each[Count] | None = None
    """Run only these columns (1 = shallowest). Default: all."""

    @field_validator("dropout")
    @classmethod
    def _per_block(cls, value: float | tuple[float, ...], info: ValidationInfo) -> float | tuple[float, ...]:
        return same_length(value, info.data.get("widths"), "widths") or value if isinstance(value, tuple) else value

    @field_validator("use_columns")
    @classmethod
    def _exist(cls, value: tuple[int, ...] | None, info: ValidationInfo) -> tuple[int, ...] | None:
        most = info.data.get("columns")
        wrong = [
            (f"given {column}; allowed: 1 to {most}, the columns there are", [i])
            for i, column in enumerate(value or ())
            if most is not None and column > most
        ]
        if wrong:
            raise all_wrong(wrong)
        return value

    def rate(self, block: int) -> float:
        """Return the dropout rate behind a block."""
        return self.dropout[block] if isinstance(self.dropout, tuple) else self.dropout

    def explicit(self) -> Self:
        """Return the same network with its stem's channels, its chances and every rate of dropout written out."""
        rates = tuple(self.rate(block) for block in range(len(self.widths)))
        stem = self.stem and self.stem.model_copy(update={"channels": self.stem.channels or 16})
        return self.model_copy(
            update={"stem": stem, "drop_path": self.drop_path or DropPath(), "dropout": rates},
        )

    def size(self) -> int:
        """Return the number of nodes of all columns, without building them."""
        columns = min(self.columns, _MANY)
        block = 3 * ((1 << columns) - 1) + (1 << columns >> 2 if columns > 1 else 0) + 1
        dropouts = sum(self.rate(i) > 0 for i in range(len(self.widths)))
        return 3 + (stem_size(self.stem) if self.stem else 0) + len(self.widths) * block + dropouts

    def expand(self) -> tuple[Graph, Recipe]:
        """Return the network, or the sub-network of `use_columns`, and how it is trained."""
        b = Builder()
        x = b.add("input", Input(self.input))
        if self.stem:
            x = stem(b, x, self.stem, self.stem.channels or 16)
        for i, width in enumerate(self.widths):
            with b.at("widths", i), b.group(f"block{i + 1}"):
                x = _block(b, x, self, width, self.rate(i))
        with b.group("head"):
            b.add("linear", Linear(self.classes), b.add("pool", GlobalPool(), x))
        drop = self.drop_path or DropPath()
        graph = b.graph()
        if self.use_columns is not None:
            graph = only(graph, self.use_columns)
        joined = any(isinstance(node.op, Join) for node in graph.nodes)  # without one, nothing is dropped
        return graph, Recipe("xavier", drop.local, drop.whole) if joined else Recipe("xavier")


def _block(b: Builder, x: int, spec: Fractal, width: int, dropout: float) -> int:
    """Add a block row by row: the columns whose convolution ends in a row meet in its join and start from it again."""
    ends = dict.fromkeys(range(1, spec.columns + 1), x)
    op, join = same(width, spec.kernel), Join(spec.join)
    for row in range(1, 2 ** (spec.columns - 1) + 1):
        meeting = [c for c in ends if row % 2 ** (spec.columns - c) == 0]
        for column in meeting:
            nth = row // 2 ** (spec.columns - column)
            y = b.add(f"column{column}.conv{nth}", op, ends[column], column=column)
            y = b.add(f"column{column}.norm{nth}", NORM, y, column=column)
            ends[column] = b.add(f"column{column}.relu{nth}", RELU, y, column=column)
        if len(meeting) > 1:
            joined = b.add(f"join{row // 2}", join, *(ends[c] for c in meeting))
            ends |= dict.fromkeys(meeting, joined)
    x = b.add("dropout", Dropout(dropout), ends[1]) if dropout else ends[1]
    return b.add("pool", Pool("max", 2, 2), x)
