"""Profiles side by side: totals, layers of the same name and latencies of each network against the first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from archcost import __version__
from archcost.errors import InputError, Mistake
from archcost.measured import Latency
from archcost.profiling import SCHEMA, Profile

TOTALS: Final = ("params", "macs", "elementwise", "flops", "weights_bytes", "activation_bytes", "peak_memory_bytes")
"""The totals that are compared: properties of a Profile."""

NOT_INTERLEAVED: Final = (
    "the networks were measured one after the other, not by turns: "
    "what changed on the machine in between is in the latency ratios"
)


class Quantity(NamedTuple):
    """One count of two networks; ratio is other / first, None where the first has none."""

    name: str
    first: int
    other: int

    @property
    def difference(self) -> int:
        """How much more the other has."""
        return self.other - self.first

    @property
    def ratio(self) -> float | None:
        """How many times as much the other has."""
        return self.other / self.first if self.first else None

    def to_dict(self) -> dict[str, object]:
        """Return the quantity as JSON holds it."""
        return {"first": self.first, "other": self.other, "difference": self.difference, "ratio": self.ratio}


class Matched(NamedTuple):
    """What two networks have under one layer name."""

    name: str
    params: Quantity
    macs: Quantity

    @property
    def same(self) -> bool:
        """Whether both counts are equal."""
        return self.params.difference == self.macs.difference == 0

    def to_dict(self) -> dict[str, object]:
        """Return the layer as JSON holds it."""
        return {"name": self.name, "params": self.params.to_dict(), "macs": self.macs.to_dict()}


class Alone(NamedTuple):
    """A layer whose name only one of two networks has."""

    name: str
    params: int
    macs: int


@dataclass(frozen=True, slots=True)
class Timed:
    """The latencies of two networks in one setting (target, runtime, batch, dtype, threads)."""

    first: Latency
    other: Latency

    @property
    def ratio(self) -> float:
        """How many times the first's median the other's is."""
        return self.other.median_s / self.first.median_s

    @property
    def differ(self) -> bool | None:
        """Whether the 99% intervals of the medians lie apart; None where one has too few samples for an interval."""
        a, b = self.first.interval_s, self.other.interval_s
        return None if a is None or b is None else a[1] < b[0] or b[1] < a[0]

    def to_dict(self) -> dict[str, object]:
        """Return the pair as JSON holds it."""
        medians = {"first": self.first.median_s, "other": self.other.median_s}
        intervals = {"first": _listed(self.first), "other": _listed(self.other)}
        stable = {"first": self.first.stable, "other": self.other.stable}
        numbers = {"median_s": medians, "interval_s": intervals, "stable": stable}
        return {**_setting(self.first)._asdict(), **numbers, "ratio": self.ratio, "differ": self.differ}


def _listed(latency: Latency) -> list[float] | None:
    return None if latency.interval_s is None else list(latency.interval_s)


class Setting(NamedTuple):
    """In what a latency must be equal to be compared."""

    target: str
    runtime: str
    device: str
    batch: int
    dtype: str
    threads: int


def _setting(of: Latency) -> Setting:
    return Setting(of.target, of.runtime, of.device, of.batch, of.dtype, of.threads)


@dataclass(frozen=True, slots=True)
class Against:
    """One network against the first: layers in the first's order, those that only one has in its own."""

    totals: tuple[Quantity, ...]
    layers: tuple[Matched, ...]
    only_first: tuple[Alone, ...]
    only_other: tuple[Alone, ...]
    latencies: tuple[Timed, ...]

    def to_dict(self) -> dict[str, object]:
        """Return everything as JSON holds it."""
        return {
            "totals": {quantity.name: quantity.to_dict() for quantity in self.totals},
            "layers": [layer.to_dict() for layer in self.layers],
            "only_first": [layer._asdict() for layer in self.only_first],
            "only_other": [layer._asdict() for layer in self.only_other],
            "latencies": [timed.to_dict() for timed in self.latencies],
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two or more networks: `against[i]` is profile i + 1 against the first."""

    profiles: tuple[Profile, ...]
    against: tuple[Against, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """What limits the comparison, in words, each line with the network it is about."""
        each = ((p.model.name, [*p.warnings, *p.differences, *p.failures, *_uncounted(p)]) for p in self.profiles)
        told = [f"{name}: {line}" for name, lines in each for line in lines]
        timed = any(pair.latencies for pair in self.against)
        return (*told, NOT_INTERLEAVED) if timed else tuple(told)

    def to_dict(self) -> dict[str, object]:
        """Return everything as JSON holds it (schema 1); `model` and `first` are positions in `models`."""
        pairs = enumerate(self.against, start=1)
        return {
            "archcost": __version__,
            "schema": SCHEMA,
            "warnings": list(self.warnings),
            "models": [_described(found) for found in self.profiles],
            "comparisons": [{"first": 0, "other": other, **pair.to_dict()} for other, pair in pairs],
        }


def _uncounted(found: Profile) -> Iterator[str]:
    if found.uncounted:
        yield f"MACs are a lower bound, operators without a count: {', '.join(str(o['op']) for o in found.uncounted)}"


def _described(found: Profile) -> dict[str, object]:
    return {
        "name": found.model.name,
        "family": found.model.family,
        "digest": found.model.digest,
        "batch": found.batch,
        "dtype": found.dtype,
        **{name: getattr(found, name) for name in TOTALS},
        "uncounted": list(found.uncounted),
        "latencies": [latency.to_dict() for latency in found.latencies],
    }


def compare(profiles: Sequence[Profile]) -> Comparison:
    """Return each network against the first; raises InputError for fewer than two."""
    if len(profiles) < 2:
        raise InputError(Mistake(f"given {len(profiles)} network; allowed: two or more to compare"))
    first, *others = profiles
    return Comparison(tuple(profiles), tuple(_against(first, other) for other in others))


def _against(first: Profile, other: Profile) -> Against:
    here, there = _by_name(first), _by_name(other)
    return Against(
        totals=tuple(Quantity(name, getattr(first, name), getattr(other, name)) for name in TOTALS),
        layers=tuple(_matched(layer, there[name]) for name, layer in here.items() if name in there),
        only_first=tuple(layer for name, layer in here.items() if name not in there),
        only_other=tuple(layer for name, layer in there.items() if name not in here),
        latencies=tuple(_timed(first, other)),
    )


def _by_name(found: Profile) -> dict[str, Alone]:
    """Return the layers by name, those that share one added up, in execution order."""
    sums: dict[str, Alone] = {}
    for layer in found.layers:
        so_far = sums.get(layer.name, Alone(layer.name, 0, 0))
        sums[layer.name] = Alone(layer.name, so_far.params + layer.params, so_far.macs + layer.macs)
    return sums


def _matched(first: Alone, other: Alone) -> Matched:
    params = Quantity("params", first.params, other.params)
    return Matched(first.name, params, Quantity("macs", first.macs, other.macs))


def _timed(first: Profile, other: Profile) -> Iterator[Timed]:
    """Yield the latencies that both networks have in the same setting."""
    there = {_setting(latency): latency for latency in other.latencies}
    for latency in first.latencies:
        if _setting(latency) in there:
            yield Timed(latency, there[_setting(latency)])
