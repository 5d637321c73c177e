"""Operators that take much time far below their roof: of which kind, with their evidence.

What is said to be above the roof is no promise: it is what would be saved if a layer reached the roof, the most there
is. Which change comes how near to it, only a measurement tells.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from archcost.latency.layers.times import LayerTime, LayerTimes
from archcost.profiling.suggest.traits import Trait

Kind: TypeAlias = Literal["depthwise", "grouped", "pointwise", "recurrent", "layout", "elementwise", "product"]

TITLES: Final[dict[Kind, str]] = {
    "depthwise": "depthwise convolutions",
    "grouped": "grouped convolutions",
    "pointwise": "1x1 convolutions of few channels",
    "recurrent": "small recurrent steps",
    "layout": "changes of layout, copies",
    "elementwise": "elementwise operators, norms, pooling",
    "product": "other products and convolutions",
}
ADVICE: Final[dict[Kind, str]] = {
    "depthwise": "few MACs for each byte, so that memory and the kernel decide: another runtime or channels last may "
    "have a better kernel; fewer channels, or a dense convolution of fewer channels, may be as fast",
    "grouped": "small products, one for each group: fewer and larger groups use the processor better",
    "pointwise": "too few channels to fill a product: as many MACs in fewer and wider layers take less time",
    "recurrent": "each step is a small product that waits for the one before: a larger batch, or a runtime that joins "
    "the operators of a step, spreads what a step costs",
    "layout": "moves values and computes nothing: one layout throughout, or views in place of copies, do without it",
    "elementwise": "reads and writes more than it computes: a runtime that fuses it with its neighbours moves less, "
    "and a norm behind a convolution can be folded into it",
    "product": "runs far below the processor's peak, as small images, few rows or odd sizes do: a larger batch, "
    "sizes in multiples of 16, or another runtime may come nearer",
}
SHARE: Final = 0.02
"""Share of a call from which on a kind of operators is worth a line."""

BELOW: Final = 0.3
"""Share of its roof below which an operator is far from it."""

_FEW_CHANNELS: Final = 32
_LAYOUTS: Final = ("transpose", "reorder", "permute", "contiguous", "clone", "copy", "reshape", "cast")
_STEPS: Final = ("lstm", "gru", "rnn")


@dataclass(frozen=True, slots=True)
class Finding:
    """Layers of one kind that are far below their roof, the slowest first; whole_s: one call of the network."""

    kind: Kind
    layers: tuple[LayerTime, ...]
    whole_s: float

    @property
    def time_s(self) -> float:
        """What they take together."""
        return math.fsum(layer.time_s for layer in self.layers)

    @property
    def share(self) -> float:
        """Their share of a call."""
        return self.time_s / self.whole_s

    @property
    def above_roof_s(self) -> float:
        """What they take more than their roofs allow: no change of theirs saves more."""
        return math.fsum(map(self.above_s, self.layers))

    def above_s(self, layer: LayerTime) -> float:
        """Return what one of them takes more than its roof allows."""
        return layer.time_s * (1 - (layer.roof_share or 0.0))

    def share_of(self, layer: LayerTime) -> float:
        """Return the share of a call that one of them takes."""
        return layer.time_s / self.whole_s

    @property
    def title(self) -> str:
        """What they are, in words."""
        return TITLES[self.kind]

    @property
    def advice(self) -> str:
        """What could be done, in words."""
        return ADVICE[self.kind]

    def to_dict(self) -> dict[str, object]:
        """Return it as JSON holds it, with the evidence of each layer; times in seconds."""
        return {
            "kind": self.kind,
            "title": self.title,
            "advice": self.advice,
            "time_s": self.time_s,
            "share": self.share,
            "above_roof_s": self.above_roof_s,
            "layers": [self._layer(layer) for layer in self.layers],
        }

    def _layer(self, layer: LayerTime) -> dict[str, object]:
        keys = ("name", "op", "time_s", "roof_share", "bound", "macs")
        bounds = None if layer.interval_s is None else list(layer.interval_s)
        evidence = {"share": self.share_of(layer), "bytes": layer.moved_bytes, "interval_s": bounds}
        return {**{key: getattr(layer, key) for key in keys}, **evidence}


def findings(times: LayerTimes, traits: Mapping[str, Trait]) -> tuple[Finding, ...]:
    """Return the kinds of operators that take much time far below their roof, those first that could save most.

    traits: of layers by name. A layer whose roof is not known is in none, but for a change of layout, which computes
    nothing, so that all of its time is above.
    """
    by_kind: dict[Kind, list[LayerTime]] = {}
    for layer, kind in _far(times.layers, traits):
        by_kind.setdefault(kind, []).append(layer)
    found = (
        Finding(kind, tuple(sorted(layers, key=lambda layer: -layer.time_s)), times.end_to_end_s)
        for kind, layers in by_kind.items()
    )
    return tuple(sorted((each for each in found if each.share >= SHARE), key=lambda each: -each.above_roof_s))


def _far(layers: Sequence[LayerTime], traits: Mapping[str, Trait]) -> Iterator[tuple[LayerTime, Kind]]:
    for layer in layers:
        kind = _kind(layer, traits.get(layer.name, Trait()))
        if kind == "layout" or (layer.roof_share is not None and layer.roof_share < BELOW):
            yield layer, kind


def _kind(layer: LayerTime, trait: Trait) -> Kind:
    words = (layer.op or layer.name).lower()
    if trait.stepped or any(word in words for word in _STEPS):
        return "recurrent"
    if trait.depthwise:
        return "depthwise"
    if trait.groups > 1:
        return "grouped"
    if trait.pointwise and min(trait.seen, trait.made) <= _FEW_CHANNELS:
        return "pointwise"
    if layer.macs:
        return "product"
    return "layout" if any(word in words for word in _LAYOUTS) else "elementwise"
