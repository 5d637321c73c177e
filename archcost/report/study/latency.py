"""MACs against measured latency: whether counting orders networks as measuring does."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from archcost.latency.samples import Samples
from archcost.latency.statistics import ranks
from archcost.latency.summary import interval_s
from archcost.report.blocks import Block, Chart, Scatter, Section, Series, Text
from archcost.report.study.facts import Found, quantity_axis, thinned
from archcost.study.records.front import named
from archcost.study.records.names import Name
from archcost.units import counted_words, duration, scaled


def spearman(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Return Spearman's rank correlation, Pearson's of the ranks; None if one of them has fewer than two values.

    Equal values share the mean of their ranks (Spearman 1904; Kendall 1948, 3.8).
    """
    if len(set(one)) < 2 or len(set(other)) < 2:
        return None
    middle = (len(one) + 1) / 2
    first, second = ([rank - middle for rank in ranks(values)] for values in (one, other))
    shared = math.fsum(a * b for a, b in zip(first, second, strict=True))
    return shared / math.sqrt(math.fsum(a * a for a in first) * math.fsum(b * b for b in second))


MOST_DRAWN: Final = 1000
"""Networks a chart draws besides the front's."""


class _Timed(NamedTuple):
    name: str
    macs: int
    samples: Samples
    median_s: float


def latency_section(found: Found) -> Section:
    """Return a chart for each setup in which latency was measured."""
    blocks: list[Block] = []
    for place, way in found.setups.items():
        timed = list(_timed(found, place))
        blocks += [_chart(found, place, way, timed), Text(_words(timed))]
    return Section("latency", "MACs and latency", tuple(blocks or [Text("No latency was measured.")]))


def _timed(found: Found, place: int) -> Iterator[_Timed]:
    """Yield every network that was measured, those of trials that were given up too, by their latest measurement."""
    way = next(way for way in found.ways if place in way.places)
    again = {each.network: dict(zip(way.places, each.confirmed.samples, strict=False))
             for each in found.now.members if each.confirmed and each.way == way}  # fmt: skip
    for trial in found.trials:
        repeated = trial.ended is None or trial.ended.repeats is not None
        for part in () if repeated or trial.ended is None else trial.ended.parts:
            one = again.get(named(trial, part), {}).get(place) or part.measured.get(place)
            if one and part.macs > 0:
                name = str(Name(trial.number, part.column, way.name))
                yield _Timed(name, part.macs, one, one.median_s)


def _chart(found: Found, place: int, way: str, timed: Sequence[_Timed]) -> Chart:
    inside = {each.name for each in found.now.members}
    members = [each for each in timed if each.name in inside]
    others = [each for each in timed if each.name not in inside]
    field = thinned(others, MOST_DRAWN)
    series = [_series("others", field)] if field else []
    if members:
        series.append(_series("front", members))
    return Chart(
        key="macs-latency" if place == 0 else f"macs-latency-{place}",
        title=f"MACs against latency ({way})",
        summary=f"The latency of {counted_words(len(timed), 'network')} over their MACs, those of the front apart.",
        drawn=Scatter(quantity_axis("macs", "MACs"), quantity_axis("latency", "latency"), tuple(series)),
        table="trials",
        left_out=len(others) - len(field),
    )


def _series(name: str, each: Sequence[_Timed]) -> Series:
    members = name == "front"
    return Series(
        name,
        tuple(float(one.macs) for one in each),
        tuple(one.median_s for one in each),
        tuple(f"{one.name}: {scaled(one.macs)} MACs, {duration(one.median_s)}" for one in each),
        tuple(one.name for one in each),
        mark="diamond" if members else "circle",
        faint=not members,
        colour=0 if members else 1,
        spans=tuple(interval_s(one.samples) for one in each) if members else (),
    )


def _words(timed: Sequence[_Timed]) -> str:
    found = spearman([each.macs for each in timed], [each.median_s for each in timed])
    if found is None:
        return "Whether MACs order networks as their latency does cannot be told: all are alike, or there is one."
    return (
        f"The rank correlation of MACs and latency (Spearman) is {found:.2f} over {len(timed)} networks: {_say(found)}."
    )


def _say(correlation: float) -> str:
    """Return what a correlation means for who would choose by MACs alone."""
    if correlation >= 0.9:
        return "MACs order these networks almost as their latency does"
    if correlation >= 0.5:
        return "fewer MACs are mostly faster, but not always"
    return "MACs do not tell which of these networks is faster"
