"""Parallel coordinates: an axis a parameter or objective, a line a network."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from optuna.distributions import BaseDistribution, CategoricalDistribution

from archcost.report.blocks import Axis, Block, Cell, Chart, Head, Row, Scatter, Series, Table
from archcost.report.study.facts import Found, thinned
from archcost.search.domains import Scalar
from archcost.study.records.front import Candidate
from archcost.units import counted_words, scalar_words

MOST_LINES: Final = 200
"""Networks that are drawn."""

MOST_PARAMETERS: Final = 12
"""Parameters that are drawn: more of them are not told apart."""


@dataclass(frozen=True, slots=True)
class _Upright:
    """One upright axis: its name, what lies at its ends, and for each network a height from 0 to 1 with its words."""

    title: str
    low: str
    high: str
    heights: Mapping[str, tuple[float, str]]


def parallel(found: Found, names: Sequence[str]) -> Iterator[Block]:
    """Yield the chart and a table of its axes, nothing if fewer than two axes have more than one value.

    names: of the parameters, the most important first.
    """
    whole = [each for each in found.now.others if not each.part.column]
    members = found.now.members[:MOST_LINES]
    field = thinned(whole, MOST_LINES - len(members))
    every = (*members, *field)
    uprights = [one for name in names if (one := _parameter(found, name, every))]
    drawn = [*uprights[:MOST_PARAMETERS], *(one for place in found.places if (one := _objective(found, place, every)))]
    if len(drawn) < 2:
        return
    axis = Axis("", ticks=tuple((float(place), one.title) for place, one in enumerate(drawn)))
    series = [_series("others", field, drawn, {"faint": True, "colour": 1})] if field else []
    series.append(_series("front", members, drawn, {"mark": "diamond"}))
    yield Chart(
        key="parallel",
        title="Networks across parameters and objectives",
        summary=_summary(len(every), len(uprights) - MOST_PARAMETERS),
        drawn=Scatter(axis, Axis("", ticks=((0.0, "lowest"), (1.0, "highest"))), tuple(series)),
        table="parallel-axes",
        left_out=len(found.now.members) + len(whole) - len(every),
    )
    rows = tuple(Row((Cell(one.title), Cell(one.low), Cell(one.high))) for one in drawn)
    heads = (Head("axis"), Head("at the bottom"), Head("at the top"))
    yield Table("parallel-axes", "What lies at the ends of each axis", heads, rows, open=False)


def _summary(networks: int, more: int) -> str:
    left = f" The {counted_words(more, 'parameter')} of least importance have no axis." if more > 0 else ""
    lines = f"A line for each of {counted_words(networks, 'network')}, with those of the front in a colour of their own"
    return f"{lines}; it has a gap if a network has no such parameter.{left}"


def _series(name: str, each: Sequence[Candidate], drawn: Sequence[_Upright], look: Mapping[str, Any]) -> Series:
    x: list[float | None] = []
    y: list[float | None] = []
    texts, keys = [], []
    for one in each:
        for place, upright in enumerate(drawn):
            height, words = upright.heights.get(one.name, (None, ""))
            x.append(float(place))
            y.append(height)
            said = f"{one.name}: {upright.title} {words} (axis: {upright.low} to {upright.high})"
            texts.append(said if height is not None else "")
            keys.append(one.name if height is not None else "")
        x.append(None)  # the next network is another line
        y.append(None)
        texts.append("")
        keys.append("")
    return Series(name, tuple(x), tuple(y), tuple(texts), tuple(keys), line=True, **look)


def _parameter(found: Found, name: str, every: Sequence[Candidate]) -> _Upright | None:
    values = {each.name: each.trial.point[name] for each in every if name in each.trial.point}
    domain = next((each.distributions[name] for each in found.frozen if name in each.distributions), None)
    if domain is None or len(set(map(repr, values.values()))) < 2:
        return None
    places = _places(domain, values)
    low, high = min(places.values()), max(places.values())
    bottom, top = (
        next(scalar_words(values[one]) for one, place in places.items() if place == end) for end in (low, high)
    )
    heights = {one: ((at - low) / (high - low), scalar_words(values[one])) for one, at in places.items()}
    return _Upright(name, bottom, top, heights)


def _places(domain: BaseDistribution, values: Mapping[str, Scalar]) -> dict[str, float]:
    """Return where each value lies: a number at itself or its logarithm, any other at its place among the options."""
    if isinstance(domain, CategoricalDistribution):
        options = {repr(option): float(place) for place, option in enumerate(domain.choices)}
        return {one: options[repr(value)] for one, value in values.items()}
    log = getattr(domain, "log", False)
    return {one: math.log(float(value)) if log else float(value) for one, value in values.items()}  # type: ignore[arg-type]


def _objective(found: Found, place: int, every: Sequence[Candidate]) -> _Upright | None:
    values = {each.name: each.values[place] for each in every}
    low, high = min(values.values()), max(values.values())
    if low == high:
        return None
    heights = {name: ((at - low) / (high - low), found.words(place, at)) for name, at in values.items()}
    return _Upright(found.stored.labels[place], found.words(place, low), found.words(place, high), heights)
