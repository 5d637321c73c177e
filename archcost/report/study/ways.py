"""What each way to run its networks does to a study's front, and points that are not there."""

from __future__ import annotations

from collections.abc import Iterator

from archcost.report.blocks import MOST_ROWS, Axis, Bar, Bars, Block, Cell, Chart, Head, Row, Table, Text
from archcost.report.study.facts import Found
from archcost.study.records.reasons import Reason
from archcost.units import counted_words, grouped, percent

_ALL = "all together"


def ways_blocks(found: Found) -> Iterator[Block]:
    """Yield what each way does to the front, nothing of a study that names fewer than two.

    The hypervolume of a way alone is that of the front that the same trainings give without the other ways, from the
    same reference.
    """
    if len(found.stored.ways) < 2:
        return
    if found.now.hypervolume is None:
        yield Text("What each way adds to the hypervolume cannot be told yet: there is no reference point.")
    else:
        yield _chart(found, found.now.hypervolume)
    yield _table(found)
    if any(each.float_layers for each in found.now.members):
        yield _float_layers(found)
    if absent := found.stored.absent():
        yield _absent([why for _, why in absent], [str(name) for name, _ in absent])


def _volumes(found: Found) -> list[tuple[str, float]]:
    """Return the hypervolume of each way alone, and of all together."""
    each = [(way.words, front.hypervolume or 0.0) for way, front in found.stored.by_way()]
    return [*each, (_ALL, found.now.hypervolume or 0.0)]


def _chart(found: Found, whole: float) -> Chart:
    volumes = _volumes(found)
    values = tuple(volume for _, volume in volumes)
    bars = Bar("hypervolume", values, tuple(f"{name}: {volume:.4g}" for name, volume in volumes))
    best, most = max(volumes[:-1], key=lambda each: each[1])
    more = f", {percent(whole / most - 1)} more than {best} alone" if most else ""
    return Chart(
        key="ways",
        title="Hypervolume by way",
        summary=f"All ways together have a hypervolume of {whole:.4g}{more}.",
        drawn=Bars(tuple(name for name, _ in volumes), Axis("hypervolume"), (bars,)),
        table="ways-table",
    )


def _table(found: Found) -> Table:
    heads = (
        Head("way"),
        Head("in names", note="How points of this way are called, after the trial and the column."),
        Head("points", True, "Networks that have a point in this way."),
        Head("of the front", True, "Members of the front of all ways together."),
        Head("front alone", True, "Members of the front that there would be in this way alone."),
        Head("hypervolume alone", True, "Of the front in this way alone, from the study's own reference point."),
    )
    rows = []
    for way, front in found.stored.by_way():
        points = len(front.members) + len(front.others)
        inside = sum(each.way == way for each in found.now.members)
        volume = front.hypervolume
        rows.append(
            Row(
                (
                    Cell(way.words),
                    Cell(f"@{way.name}" if way.name else "nothing: it is the first"),
                    *(Cell(grouped(count), count) for count in (points, inside, len(front.members))),
                    Cell("-") if volume is None else Cell(f"{volume:.4g}", volume),
                )
            )
        )
    return Table("ways-table", "What each way does to the front", heads, tuple(rows))


def _float_layers(found: Found) -> Table:
    """Return the layers of members of 8 bits that are in float32, and why."""
    rows = [(each.name, words) for each in found.now.members for words in each.float_words]
    heads = (
        Head("trial"),
        Head("in float32, and why", note="For its time, or for its accuracy on the validation split."),
    )
    shown = tuple(Row(tuple(map(Cell, row)), row[0]) for row in rows[:MOST_ROWS])
    return Table("float-layers", "Layers left in float32", heads, shown, max(0, len(rows) - MOST_ROWS), open=False)


def _absent(reasons: list[Reason], names: list[str]) -> Table:
    groups: dict[tuple[str, str], list[int]] = {}
    for place, why in enumerate(reasons):
        groups.setdefault(why.group, []).append(place)
    most = sorted(groups.values(), key=len, reverse=True)
    rows = tuple(
        Row((Cell(grouped(len(each)), len(each)), Cell(names[each[0]]), Cell(reasons[each[0]].text)))
        for each in most[:MOST_ROWS]
    )
    heads = (Head("networks", True), Head("such as"), Head("reason"))
    caption = f"No point in a way: {counted_words(len(names), 'network')}"
    return Table("absent", caption, heads, rows, max(0, len(most) - MOST_ROWS), open=False)
