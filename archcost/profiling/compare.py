"""Profiles side by side: totals, layers and latencies of each against the first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from archcost.errors import InputError, Mistake
from archcost.graph.cost import cut
from archcost.latency import measure
from archcost.latency.doubts import Doubt
from archcost.latency.measure import Progress, Request
from archcost.latency.samples import Failure, Samples
from archcost.latency.summary import Latency, Ratio, ratio, summarise
from archcost.models.files import Network
from archcost.profiling.bounds import is_least
from archcost.profiling.layers import times
from archcost.profiling.layers.differences import LayerDifferences, between
from archcost.profiling.profile import counted, measured_as
from archcost.profiling.result import SCHEMA, Profile, packed, rows
from archcost.version import __version__

if TYPE_CHECKING:
    from archcost.profiling.modules import Given

TOTALS: Final = ("params", "macs", "elementwise", "flops", "weights_bytes", "activation_bytes", "peak_memory_bytes")
"""The totals that are compared: properties of a Profile."""


_OF_ONE: Final = frozenset({"state_changed", "state_drifted", "level_changed", "denormals"})
_WAITS: Final = 0.02  # share of the time spent waiting for a core from which two networks share that


class Quantity(NamedTuple):
    """One count of two networks; ratio is other / first, None if the first has none; least: which are lower bounds."""

    name: str
    first: int
    other: int
    least: tuple[bool, bool] = (False, False)

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
    """A layer whose name only one of two networks has; op: its operator, or several."""

    name: str
    params: int
    macs: int
    op: str = ""


@dataclass(frozen=True, slots=True)
class Timed:
    """The latencies of two networks that took turns in one way of measuring, and their ratio."""

    first: Latency
    other: Latency
    paired: Ratio

    @property
    def ratio(self) -> float:
        """How many times as long the other takes: the median of the rounds' ratios."""
        return self.paired.ratio

    @property
    def medians_s(self) -> tuple[float, float]:
        """The medians of the turns that the ratio is of: the second over the first is the ratio."""
        return self.paired.first_s, self.paired.other_s

    @property
    def intervals_s(self) -> tuple[tuple[float, float] | None, tuple[float, float] | None]:
        """The smallest and largest median of each one's blocks and turns, None if there are too few blocks."""
        first, other = (
            latency.interval_s and (min(*latency.interval_s, median_s), max(*latency.interval_s, median_s))
            for latency, median_s in zip((self.first, self.other), self.medians_s, strict=True)
        )
        return first, other

    @property
    def one_sided(self) -> tuple[tuple[Doubt, ...], tuple[Doubt, ...]]:
        """What is against trusting the first's latency and not the other's, and the other way round.

        What slows the machine slows both, and their ratio stands; what touches one alone is in the ratio.
        """
        return _alone(self.first, self.other), _alone(self.other, self.first)

    @property
    def differ(self) -> bool | None:
        """Whether there is a detectable difference; None if there were too few rounds to tell, or one is disturbed."""
        return None if any(self.one_sided) else self.paired.differ

    def to_dict(self) -> dict[str, object]:
        """Return the pair as JSON holds it."""
        first, other = self.first, self.other
        bounds, pair = self.paired.interval, (("first", first), ("other", other))
        return {
            **{key: getattr(first, key) for key in ("target", "runtime", "device", "batch", "dtype", "threads")},
            "median_s": dict(zip(("first", "other"), self.medians_s, strict=True)),
            "interval_s": {
                key: found and list(found) for key, found in zip(("first", "other"), self.intervals_s, strict=True)
            },
            "stable": {key: latency.stable for key, latency in pair},
            "doubts": {key: [asdict(doubt) for doubt in latency.doubts] for key, latency in pair},
            "ratio": self.ratio,
            "ratio_interval": None if bounds is None else list(bounds),
            "rounds": self.paired.rounds,
            "differ": self.differ,
            "one_sided": {
                key: [asdict(doubt) for doubt in found]
                for key, found in zip(("first", "other"), self.one_sided, strict=True)
            },
        }


def _alone(one: Latency, beside: Latency) -> tuple[Doubt, ...]:
    """Return the doubts of a latency that are not of the machine that both ran on: the other has none like it.

    Contention is told from its limit on: the other's is far below it, or both have some.
    """
    shared = {doubt.kind for doubt in beside.doubts}
    waits = (beside.contention or 0.0) > _WAITS
    return tuple(
        doubt
        for doubt in one.doubts
        if doubt.kind not in shared and (doubt.kind in _OF_ONE or (doubt.kind == "contention" and not waits))
    )


def timed(first: Samples, other: Samples) -> Timed:
    """Return two measurements that were made by turns beside each other."""
    return Timed(summarise(first), summarise(other), ratio(first, other))


@dataclass(frozen=True, slots=True)
class Against:
    """One network against the first: layers in the first's order, those that only one has in its own.

    layer_times: which layers account for the time between both, in each way that could be attributed; None if they were
    not asked for.
    """

    totals: tuple[Quantity, ...]
    layers: tuple[Matched, ...]
    only_first: tuple[Alone, ...]
    only_other: tuple[Alone, ...]
    latencies: tuple[Timed, ...]
    layer_times: tuple[LayerDifferences, ...] | None = None

    def to_dict(self) -> dict[str, object]:
        """Return everything as JSON holds it."""
        return {
            "totals": {quantity.name: quantity.to_dict() for quantity in self.totals},
            "layers": [layer.to_dict() for layer in self.layers],
            "only_first": [layer._asdict() for layer in self.only_first],
            "only_other": [layer._asdict() for layer in self.only_other],
            "latencies": [timed.to_dict() for timed in self.latencies],
            **({} if self.layer_times is None else {"layer_times": [each.to_dict() for each in self.layer_times]}),
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two or more networks: `against[i]` is profile i + 1 against the first; failures: what could not be measured.

    remarks: what is to be said of all of them together, in words.
    """

    profiles: tuple[Profile, ...]
    against: tuple[Against, ...]
    failures: tuple[Failure, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What limits the comparison, in words, each line with the network it is about."""
        doubted = self.layers_doubted([p.model.name for p in self.profiles])
        return (*_named((p, p.warnings) for p in self.profiles), *self.remarks, *doubted, *map(str, self.failures))

    @property
    def notes(self) -> tuple[str, ...]:
        """The warnings, but for failures and for latencies that are not stable: those are values of their own."""
        return (*_named((p, p.notes) for p in self.profiles), *self.remarks)

    def layers_doubted(self, names: Sequence[str]) -> list[str]:
        """Return in words which times of layers are not to be trusted; names: what stands for each network."""
        lines = (
            f"{name}: {each.way}: layers not stable: {doubts}"
            for pair, other in zip(self.against, names[1:], strict=True)
            for each in pair.layer_times or ()
            for name, doubts in zip((names[0], other), each.why, strict=True)
            if doubts
        )
        return list(dict.fromkeys(lines))

    def to_dict(self) -> dict[str, object]:
        """Return everything as JSON holds it (schema 1); `model` and `first` are positions in `models`."""
        pairs = enumerate(self.against, start=1)
        return {
            "archcost": __version__,
            "schema": SCHEMA,
            "warnings": list(self.warnings),
            "models": [_described(found) for found in self.profiles],
            "comparisons": [{"first": 0, "other": other, **pair.to_dict()} for other, pair in pairs],
            "failures": [failure.to_dict() for failure in self.failures],
            "notes": [*self.notes, *map(str, self.failures)],
        }


def _named(each: Iterable[tuple[Profile, tuple[str, ...]]]) -> tuple[str, ...]:
    """Return lines about networks, each with its network; what is wrong with its counts comes after its own lines."""
    return tuple(
        f"{found.model.name}: {line}"
        for found, lines in each
        for line in (*lines, *found.differences, *_uncounted(found))
    )


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
        "latencies": rows(found.samples),
        "graph": packed(found.model),
    }


def compared(sources: Sequence[Network | Given], request: Request, progress: Progress = nullcontext) -> Comparison:
    """Return each network against the first, measured by turns; raises InputError for fewer than two."""
    where = measure.places(request)
    each = [counted(source, request, progress) for source in sources]
    subjects = [one.subject for one in each if one.subject]
    all_run = request.latency and len(subjects) == len(each) > 1
    runs = measure.all_measured(subjects, request, where, progress) if all_run else ()
    profiles = [measured_as(one.profile, runs, place) for place, one in enumerate(each)]
    found = replace(compare(profiles), failures=tuple(run.failure for run in runs if run.failure))
    if not (request.layer_times and all_run):
        return found
    taken, remarks = times.beside(profiles, subjects, runs, where, progress)
    against = tuple(
        replace(pair, layer_times=tuple(between(way[0], way[place]) for way in taken))
        for place, pair in enumerate(found.against, 1)
    )
    return replace(found, against=against, remarks=remarks)


def compare(profiles: Sequence[Profile]) -> Comparison:
    """Return each network against the first; their measurements were made by turns, the n-th of one with the others'.

    Raises InputError for fewer than two.
    """
    if len(profiles) < 2:
        raise InputError(Mistake(f"given {len(profiles)} network; allowed: two or more to compare"))
    first, *others = profiles
    return Comparison(tuple(profiles), tuple(_against(first, other) for other in others))


def _against(first: Profile, other: Profile) -> Against:
    here, there = _by_name(first), _by_name(other)
    return Against(
        totals=tuple(_total(name, first, other) for name in TOTALS),
        layers=tuple(_matched(layer, there[name]) for name, layer in here.items() if name in there),
        only_first=tuple(layer for name, layer in here.items() if name not in there),
        only_other=tuple(layer for name, layer in there.items() if name not in here),
        latencies=tuple(timed(*pair) for pair in zip(first.samples, other.samples, strict=True)),
    )


def at_depth(found: Comparison, depth: int) -> Comparison:
    """Return a comparison with groups in place of layers: those whose names begin with the same `depth` parts."""
    return replace(found, against=tuple(grouped(pair, lambda name: cut(name, depth)) for pair in found.against))


def grouped(pair: Against, named: Callable[[str], str]) -> Against:
    """Return a pair with groups in place of layers: those that get one name."""
    first = [*(Alone(each.name, each.params.first, each.macs.first) for each in pair.layers), *pair.only_first]
    other = [*(Alone(each.name, each.params.other, each.macs.other) for each in pair.layers), *pair.only_other]
    here, there = (_sums(each._replace(name=named(each.name)) for each in side) for side in (first, other))
    return replace(
        pair,
        layers=tuple(_matched(group, there[name]) for name, group in here.items() if name in there),
        only_first=tuple(group for name, group in here.items() if name not in there),
        only_other=tuple(group for name, group in there.items() if name not in here),
        layer_times=pair.layer_times and tuple(each.grouped(named) for each in pair.layer_times),
    )


def _total(name: str, first: Profile, other: Profile) -> Quantity:
    least = (is_least(name, first.uncounted), is_least(name, other.uncounted))
    return Quantity(name, getattr(first, name), getattr(other, name), least)


def _by_name(found: Profile) -> dict[str, Alone]:
    """Return the layers by name, those that share one added up, in execution order."""
    return _sums(Alone(layer.name, layer.params, layer.macs, layer.op) for layer in found.layers)


def _sums(layers: Iterable[Alone]) -> dict[str, Alone]:
    sums: dict[str, Alone] = {}
    for layer in layers:
        so_far = sums.get(layer.name, Alone(layer.name, 0, 0))
        ops = "+".join(dict.fromkeys(filter(None, (*so_far.op.split("+"), *layer.op.split("+")))))
        sums[layer.name] = Alone(layer.name, so_far.params + layer.params, so_far.macs + layer.macs, ops)
    return sums


def _matched(first: Alone, other: Alone) -> Matched:
    params = Quantity("params", first.params, other.params)
    return Matched(first.name, params, Quantity("macs", first.macs, other.macs))
