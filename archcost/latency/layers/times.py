"""What each layer of a network took, and what of the whole is none of theirs, as values."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import NamedTuple

from archcost.latency.doubts import Doubt, why
from archcost.latency.roofline.roof import Bound
from archcost.latency.samples import Way


@dataclass(frozen=True, slots=True)
class Part:
    """What a time is asked for: a node of a network, or what a part of a module runs; op: its operator, or several.

    key: how what runs tells it from others, a node's name or a part's path; macs: of one example; bytes: read and
    written at the batch and dtype that are measured.
    """

    key: str
    name: str
    op: str
    group: str
    module: str
    macs: int
    moved_bytes: int


@dataclass(frozen=True, slots=True)
class LayerTime:
    """What a layer took: time_s without its dispatch; interval_s: the range of eight blocks, None if there are fewer.

    fused: of a runtime that joins nodes, those that it is made of; macs: of one example, bytes: at the batch, None if
    nothing is known of what ran; roof_share, bound: None until they are known (`bounded`); by_round_s: what it took in
    each round, time_s being their middle.
    """

    name: str
    op: str
    group: str
    module: str
    time_s: float
    interval_s: tuple[float, float] | None
    fused: tuple[str, ...] = ()
    macs: int | None = None
    moved_bytes: int | None = None
    roof_share: float | None = None
    bound: Bound | None = None
    by_round_s: tuple[float, ...] = ()

    @property
    def half_width(self) -> float:
        """Half the interval over the time, infinite if there is none."""
        if self.interval_s is None or self.time_s <= 0:
            return math.inf
        return (self.interval_s[1] - self.interval_s[0]) / 2 / self.time_s


class ByRound(NamedTuple):
    """What is of no layer, in each round: seconds of a call, of dispatch, and of what neither it nor layers explain."""

    whole_s: tuple[float, ...] = ()
    residual_s: tuple[float, ...] = ()
    unexplained_s: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class LayerTimes:
    """What one call took, untouched, and where it went.

    residual_s: dispatch, Python and runtime, measured with the same nodes costing nothing; instrumented_s: one call
    with what attributing costs; attributing_s: the same of the nodes that cost nothing, more than without, which no
    layer's time has in it; reads: how often the clock was read; unmapped_s: of layers that could not be told to be of
    any of the network's; unexplained_interval_s: what nothing explains in eight blocks, from least to most: with 0 in
    it, it may be noise alone; rounds: in which all of it was measured, by turns; notes: how it was attributed, in
    words; by_round: the same of each round.
    """

    way: Way
    end_to_end_s: float
    interval_s: tuple[float, float] | None
    residual_s: float
    instrumented_s: float
    attributing_s: float
    reads: int
    rounds: int
    layers: tuple[LayerTime, ...]
    doubts: tuple[Doubt, ...] = ()
    unmapped_s: float = 0.0
    unexplained_interval_s: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()
    by_round: ByRound = field(default_factory=ByRound)

    @property
    def parts_s(self) -> float:
        """All layers together."""
        return math.fsum(layer.time_s for layer in self.layers)

    @property
    def unexplained_s(self) -> float:
        """What neither layers nor dispatch explain; negative if they are more than the whole."""
        return self.end_to_end_s - self.parts_s - self.residual_s

    @property
    def inflation(self) -> float:
        """How many times as long a call takes while its layers are timed."""
        return self.instrumented_s / self.end_to_end_s

    @property
    def why(self) -> str:
        """What is against trusting it in words, '' if nothing is."""
        return why(self.doubts)

    def share(self, time_s: float) -> float:
        """Return a time as a share of the whole."""
        return time_s / self.end_to_end_s

    def bounded(self, by: Callable[[LayerTime], tuple[float | None, Bound | None]]) -> LayerTimes:
        """Return the same with what `by` knows of each layer: its share of the roof, and what binds it."""
        known = tuple((layer, *by(layer)) for layer in self.layers)
        return replace(self, layers=tuple(replace(each, roof_share=roof, bound=bound) for each, roof, bound in known))

    def to_dict(self) -> dict[str, object]:
        """Return it as JSON holds it; every time in seconds."""
        way = self.way
        return {
            "target": way.target,
            "runtime": way.runtime,
            "batch": way.batch,
            "dtype": way.dtype,
            "threads": way.threads,
            "end_to_end_s": self.end_to_end_s,
            "interval_s": None if self.interval_s is None else list(self.interval_s),
            "parts_s": self.parts_s,
            "residual_s": self.residual_s,
            "unexplained_s": self.unexplained_s,
            "unexplained_interval_s": None if (open_s := self.unexplained_interval_s) is None else list(open_s),
            "inflation": self.inflation,
            "attributing_s": self.attributing_s,
            "reads": self.reads,
            "rounds": self.rounds,
            "unmapped_share": self.share(self.unmapped_s),
            "stable": not self.doubts,
            "why": self.why,
            "doubts": [asdict(doubt) for doubt in self.doubts],
            "notes": list(self.notes),
            "layers": [self._row(layer) for layer in self.layers],
        }

    def _row(self, layer: LayerTime) -> dict[str, object]:
        return {
            "name": layer.name,
            "op": layer.op,
            "group": layer.group,
            "module": layer.module,
            "time_s": layer.time_s,
            "interval_s": None if layer.interval_s is None else list(layer.interval_s),
            "share": self.share(layer.time_s),
            "fused": list(layer.fused),
            "macs": layer.macs,
            "bytes": layer.moved_bytes,
            "roof_share": layer.roof_share,
            "bound": layer.bound,
        }
