"""A study's front as a chart and as a table: members, intervals, limits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from archcost.report.blocks import MOST_ROWS, Axis, Cell, Chart, Head, Row, Rule, Scatter, Section, Series, Table
from archcost.report.study.facts import Found, marks, quantity_axis, thinned
from archcost.report.study.ways import ways_blocks
from archcost.study.objectives import first_learnt, quantity_of
from archcost.study.records.best.advice import FEW
from archcost.study.records.front import Candidate, bounds
from archcost.units import counted_words, data_size, grouped, percent, scaled

MOST_DRAWN: Final = 1000
"""Dominated networks a chart draws."""

_COUNTS: Final = ("params", "macs", "memory")


def front_section(found: Found) -> Section:
    """Return the front: the chart first, then every member with its numbers and its YAML."""
    left = (_left(found),) if found.now.left else ()
    return Section("front", "The Pareto front", (_chart(found), _table(found), *left, *ways_blocks(found)))


def _left(found: Found) -> Table:
    """Return the networks that were confirmed and left the front: what one seed promised, several did not keep."""
    heads = (Head("trial"), *(Head(label, numeric=True) for label in found.stored.labels), Head("seeds", numeric=True))
    rows = []
    for each in found.now.left[:MOST_ROWS]:
        values = (Cell(_within(found, each, at), found.restored(at, each.values[at])) for at in found.places)
        seeds = len(each.confirmed.tests) if each.confirmed else 0
        rows.append(Row((Cell(each.name), *values, Cell(str(seeds), seeds)), key=each.name))
    more = max(0, len(found.now.left) - MOST_ROWS)
    return Table("left", "Confirmed, and no longer on the front", heads, tuple(rows), more)


def _chart(found: Found) -> Chart:
    field = thinned(found.now.others, MOST_DRAWN)
    x, y = _across(found), found.axis(0)
    return Chart(
        key="front",
        title=f"{found.stored.labels[0]} against {_label(found)}",
        summary=_summary(found),
        drawn=Scatter(x, y, tuple(_series(found, field)), tuple(_rules(found))),
        table="front-table",
        left_out=len(found.now.others) - len(field),
    )


def _across(found: Found) -> Axis:
    return found.axis(1) if len(found.places) > 1 else quantity_axis("params", "params")


def _label(found: Found) -> str:
    return found.stored.labels[1] if len(found.places) > 1 else "params"


def _x(found: Found, each: Candidate) -> float:
    return found.restored(1, each.values[1]) if len(found.places) > 1 else float(each.part.params)


def _summary(found: Found) -> str:
    members, others = found.now.members, found.now.others
    best, cheapest = members[0], min(members, key=lambda each: _x(found, each))
    ends = f"best is {_said(found, best)}"
    if cheapest is not best:
        ends += f"; cheapest is {_said(found, cheapest)}"
    more = "" if len(found.places) < 3 else f" The other {len(found.places) - 2} of the objectives are in the table."
    return (
        f"{counted_words(len(members), 'network')} that no other one beats in every objective, of "
        f"{grouped(len(members) + len(others))}; {ends}.{more}"
    )


def _series(found: Found, field: Sequence[Candidate]) -> Iterator[Series]:
    members = sorted(found.now.members, key=lambda each: (_x(found, each), each.values[0]))
    if found.predicted:
        yield _predicted(found)
    alike = set(map(id, found.now.comparable))
    for name, mark, holds in (("trained less than the front", "cross", False), ("dominated", "circle", True)):
        if some := [each for each in field if (id(each) in alike) is holds]:
            yield _points(found, name, some, {"faint": True, "colour": 1, "mark": mark})
    if len(found.places) == 2 and len(members) > 1:  # of more, or of one, the front is no staircase here
        x, y = tuple(_x(found, each) for each in members), tuple(found.restored(0, each.values[0]) for each in members)
        yield Series("edge of the front", x, y, mark=None, line=True, stepped=True)
    for way in found.ways:
        here, name = [each for each in members if each.way == way], "front"
        if len(found.ways) > 1:
            name = f"front, {way.words}"
        alone, shared = ([each for each in here if each.shared is holds] for holds in (False, True))
        colour = way.number and way.number + 2  # 1 is that of what is dominated, 2 of shared weights
        if alone:
            yield _points(found, name, alone, {"mark": "diamond", "colour": colour})
        if shared:
            yield _points(found, f"{name}, shared weights", shared, {"mark": "square", "colour": colour or 2})


def _predicted(found: Found) -> Series:
    """Return the networks whose latency is predicted: on no front, and not told from others by a measurement."""
    shown = thinned(found.predicted, MOST_DRAWN)
    points = [found.restored(1, one.expected[1]) if len(found.places) > 1 else one.part.params for one in shown]
    said = [", ".join(f"{label} {found.words(place, one.expected[place])}"
                      for place, label in enumerate(found.stored.labels)) for one in shown]  # fmt: skip
    return Series(
        "latency predicted, not measured",
        tuple(map(float, points)),
        tuple(found.restored(0, one.expected[0]) for one in shown),
        tuple(f"{one.name}: {words}, predicted" for one, words in zip(shown, said, strict=True)),
        mark="cross",
        faint=True,
        colour=1,
    )


def _points(found: Found, name: str, each: Sequence[Candidate], look: dict[str, Any]) -> Series:
    drawn = Series(
        name,
        tuple(_x(found, one) for one in each),
        tuple(found.restored(0, one.values[0]) for one in each),
        tuple(_said(found, one) for one in each),
        tuple(one.name for one in each),
        **look,
    )
    ends = [_ends(found, one) for one in each]
    up, across = ([_pair(each, place) for each in ends] for place in (0, 1))
    return replace(drawn, spans=tuple(up), x_spans=tuple(across)) if any(ends) else drawn


def _ends(found: Found, each: Candidate) -> list[Sequence[float]]:
    """Return the intervals of a network that is confirmed, of few seeds the ends of what they gave."""
    given = bounds(each, found.stored.objectives)
    few = [_few(found, each, place) for place in range(len(given))]
    return [(min(gave), max(gave)) if gave else ends for ends, gave in zip(given, few, strict=True)]


def _pair(ends: Sequence[Sequence[float]], place: int) -> tuple[float, float] | None:
    return (ends[place][0], ends[place][1]) if len(ends) > place else None


def _said(found: Found, each: Candidate) -> str:
    cells = [f"{label} {_within(found, each, place)}" for place, label in enumerate(found.stored.labels)]
    return "; ".join([f"{each.name}: {', '.join(cells)}", *marks(each, found.now.knee)])


def _few(found: Found, each: Candidate, place: int) -> tuple[float, ...]:
    """Return what seeds gave a network, in base units, if they are too few for an interval that says anything."""
    quantity = quantity_of(found.stored.objectives[place][0])
    if not quantity.learnt or not each.standing or not each.confirmed:
        return ()
    gave = [value for score in each.confirmed.scores if (value := score.value(quantity.name)) is not None]
    return tuple(gave) if len(gave) <= FEW else ()


def _within(found: Found, each: Candidate, place: int) -> str:
    """Return an objective in words, with its interval where that has any length; of few seeds, what each gave."""
    words = found.words(place, each.values[place])
    if gave := _few(found, each, place):
        quantity = quantity_of(found.stored.objectives[place][0])
        return f"{words} ({counted_words(len(gave), 'seed')}: {', '.join(map(quantity.words, gave))})"
    if not each.standing or (ends := each.standing.intervals[place])[0] == ends[1]:
        return words
    low, high = (found.words(place, end) for end in ends)
    return f"{words} ({low} to {high})"


def _rules(found: Found) -> Iterator[Rule]:
    names = [name for name, _ in found.stored.objectives[:2]]
    for place, name in enumerate(names if len(names) > 1 else [*names, "params"]):
        if name in found.limits:
            limit = found.limits[name]
            yield Rule(limit, f"limit: {name} {quantity_of(name).words(limit)}", upright=place == 1)


def _table(found: Found) -> Table:
    rows = tuple(_row(found, *each) for each in zip(found.now.members, found.json["members"], strict=True))
    return Table(
        "front-table",
        f"The front, best {found.stored.labels[0]} first",
        tuple(_heads(found)),
        rows[:MOST_ROWS],
        left_out=max(0, len(rows) - MOST_ROWS),
    )


def _heads(found: Found) -> Iterator[Head]:
    yield Head("trial", note="The trial's number; of a column, its own after a slash, 1 = shallowest.")
    if len(found.ways) > 1:
        yield Head("way", note="What runs it, and in which type; int8 is quantised, with the score of that file.")
    yield Head("family")
    for place, label in enumerate(found.stored.labels):
        way = "" if found.title(place) == label else f"{found.title(place)}. "
        yield Head(label, True, f"{way}In brackets, the interval of 95% of draws; of two seeds, what each gave.")
    if any(each.longer for each in found.now.members):
        for name in _learnt(found):
            yield Head(f"{name} in search", True, f"Of one seed, after the search's {found.epochs} epochs{_on(found)}.")
    yield Head("test", True, "On the test split, the mean over the seeds; selection never saw it.")
    yield Head("probability", True, "The chance to belong to the front, by seeds and blocks.")
    yield Head("seeds", True, "Trainings of it alone.")
    yield Head("stable", note="Whether every latency was.")
    yield from (Head(_NAMES[name], True) for name in _beside(found))
    yield Head("marks")


def _on(found: Found) -> str:
    """Return on how many examples the search trained, '' if members were confirmed on as many."""
    if not any(each.extent.examples for each in found.now.members):
        return ""
    return f" on {grouped(found.stored.examples)} {found.stored.unit}"


def _learnt(found: Found) -> list[str]:
    return [name for name, _ in found.stored.objectives if quantity_of(name).learnt]


_NAMES: Final = {"params": "params", "macs": "MACs", "memory": "memory"}


def _beside(found: Found) -> list[str]:
    """Return the counts that are no objectives, and so have no column yet."""
    return [name for name in _COUNTS if name not in dict(found.stored.objectives)]


def _row(found: Found, each: Candidate, member: dict[str, Any]) -> Row:
    name, test, chance = first_learnt(found.stored.objectives), member["test"], member["probability"]
    before = member.get("searched", {}).values()
    stable = {True: "yes", False: "no", None: "not measured"}[member["stable"]]
    counts = {
        "params": Cell(scaled(each.part.params), each.part.params),
        "macs": Cell(scaled(each.part.macs), each.part.macs),
        "memory": Cell(data_size(each.part.memory_bytes), each.part.memory_bytes),
    }
    cells = [
        Cell(each.name, each.trial.number + each.part.column / 1000),
        *([Cell(each.way.words, each.way.number)] if len(found.ways) > 1 else []),
        Cell(str(member["family"] or "not known")),
        *(Cell(_within(found, each, place), found.restored(place, each.values[place])) for place in found.places),
        *(Cell(quantity_of(one).words(value), value) for one, value in zip(_learnt(found), before, strict=False)),
        Cell("not tested") if test is None or name is None else Cell(quantity_of(name).words(test), test),
        Cell("not confirmed") if chance is None else Cell(percent(chance), chance),
        Cell(str(member["seeds"]), member["seeds"]),
        Cell(stable),
        *(counts[name] for name in _beside(found)),
        Cell(", ".join(marks(each, found.now.knee))),
    ]
    return Row(tuple(cells), each.name, str(member["yaml"]))
