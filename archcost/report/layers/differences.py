"""Which layers account for the time between networks: from JSON, a section for each way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, NamedTuple, TypeAlias

from pydantic import BeforeValidator, TypeAdapter

from archcost.latency.doubts import Doubt
from archcost.latency.samples import Way
from archcost.profiling.layers.differences import Difference, LayerDifferences, verdict
from archcost.report.blocks import MOST_ROWS, Axis, Bar, Bars, Block, Cell, Chart, Head, Lines, Row, Section, Table
from archcost.units import counted_words, duration, percent, signed_duration

_DOUBTS: Final = TypeAdapter(tuple[Doubt, ...])
_PART: Final = TypeAdapter(Difference)
_WAY: Final = TypeAdapter(Way)
_WHERE: Final = ("target", "runtime", "batch", "dtype", "threads")
_PARTS: Final = ("whole", "residual", "unexplained")
_MOST_BARS: Final = 24
_SHORT: Final = 60  # layers up to which the table of all is open


class Sides(NamedTuple):
    """The letters of two networks, the place of their comparison in the report, and the way in which they ran."""

    first: str
    other: str
    place: int
    way: str = ""

    def __str__(self) -> str:
        return f"{self.first} and {self.other}: {self.way}"


def _read(row: object) -> LayerDifferences:
    """Return a row of `layer_times` of a comparison; raises ValueError if it is none."""
    try:
        return _known(row)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"these are no differences of layers: {type(error).__name__} {error}") from None


def _known(row: Any) -> LayerDifferences:
    whole, residual, unexplained = (_part(name, row[name]) for name in _PARTS)
    doubts = row.get("doubts", {})
    return LayerDifferences(
        _WAY.validate_python({key: row[key] for key in _WHERE}),
        int(row["rounds"]),
        whole,
        tuple(_part(each["name"], each) for each in row["layers"]),
        residual,
        unexplained,
        (_DOUBTS.validate_python(doubts.get("first", ())), _DOUBTS.validate_python(doubts.get("other", ()))),
    )


def _part(name: str, row: Mapping[str, Any]) -> Difference:
    sides = {key: row[key] for key in ("first_s", "other_s", "interval_s")}
    return _PART.validate_python({"name": name, **sides, "by_round_s": ()})


Differences: TypeAlias = list[Annotated[LayerDifferences, BeforeValidator(_read)]]


def difference_sections(sides: Sides, found: Differences) -> Iterator[Section]:
    """Yield a section for each way in which the layers of two networks were timed."""
    for number, way in enumerate(found, 1):
        key = f"layer-times-{sides.place}-{number}"
        here = sides._replace(way=str(way.way))
        yield Section(key, f"Layer times of {here}", tuple(_blocks(key, here, way)))


def _blocks(key: str, sides: Sides, found: LayerDifferences) -> Iterator[Block]:
    yield Lines(tuple(_said(sides, found)))
    if found.named:
        yield _chart(key, sides, found)
    groups = found.at_depth(1)
    yield _table(f"{key}-parts", f"By the first part of names, {sides}", sides, groups, judged=False)
    yield _table(key, f"Layers by difference of time, {sides}", sides, found)


def _said(sides: Sides, found: LayerDifferences) -> Iterator[str]:
    whole = found.whole
    both = " and ".join(duration(side or 0.0) for side in (whole.first_s, whole.other_s))
    told = f"{both} a call, {signed_duration(whole.difference_s)}"
    yield f"{sides.first} and {sides.other} take {told} ({counted_words(found.rounds, 'round')} by turns)."
    yield f"{verdict(found).capitalize()}."
    for name, why in zip(sides[:2], found.why, strict=True):
        if why:
            yield f"The layers of {name} are not stable: {why}."


def _chart(key: str, sides: Sides, found: LayerDifferences) -> Chart:
    shown = found.named[:_MOST_BARS]
    values = tuple(each.difference_s for each in shown)
    texts = tuple(
        f"{each.name}: {signed_duration(each.difference_s)} in {sides.other}, {_interval(each)}" for each in shown
    )
    drawn = Bars(tuple(each.name for each in shown), Axis("longer", "seconds"), (Bar("longer", values, texts),))
    words = f"What a layer takes longer in {sides.other} than in {sides.first}, where that can be told from none."
    return Chart(key, "Where the time differs", words, drawn, key, len(found.named) - len(shown))


def _table(key: str, caption: str, sides: Sides, found: LayerDifferences, *, judged: bool = True) -> Table:
    """Return what adds up to the whole difference; judged: with the interval of each."""
    heads = (Head("layer" if judged else "part"), *(Head(name, numeric=True) for name in sides[:2]),
             Head(f"{sides.other} - {sides.first}", numeric=True), Head("of it", numeric=True, note="of the whole"),
             *((Head("99% interval", numeric=True), Head("differs")) if judged else ()))  # fmt: skip
    layers = sorted(found.layers, key=lambda each: -abs(each.difference_s))
    parts = (found.whole, found.residual, found.unexplained, *layers)
    rows = tuple(_row(part, found, judged) for part in parts[:MOST_ROWS])
    return Table(key, caption, heads, rows, max(0, len(parts) - MOST_ROWS), open=len(rows) <= _SHORT)


def _row(part: Difference, found: LayerDifferences, judged: bool) -> Row:
    share = None if part is found.whole else found.share(part)
    cells = (
        Cell(part.name),
        *(Cell("-" if side is None else duration(side), side) for side in (part.first_s, part.other_s)),
        Cell(signed_duration(part.difference_s), part.difference_s),
        Cell("-" if share is None else percent(share), share),
    )
    told = {True: "yes", False: "none detectable", None: "too few rounds"}[part.differs]
    return Row((*cells, Cell(_interval(part)), Cell(told)) if judged else cells)


def _interval(part: Difference) -> str:
    return "-" if part.interval_s is None else " to ".join(map(signed_duration, part.interval_s))
