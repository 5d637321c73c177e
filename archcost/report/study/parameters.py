"""What a study's parameters do: their importance, and the trials drawn across them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from archcost.report.blocks import (
    MOST_ROWS,
    Axis,
    Bar,
    Bars,
    Block,
    Cell,
    Chart,
    Head,
    Lines,
    Row,
    Section,
    Table,
    Text,
)
from archcost.report.study.facts import Found, some
from archcost.report.study.importance import ROUGH, Importance, importances
from archcost.report.study.parallel import parallel
from archcost.units import grouped, percent

MOST_BARS: Final = 20
"""Parameters whose importance is drawn; the table has more."""


def parameters_section(found: Found) -> Section:
    """Return what decides, and parallel coordinates."""
    each = importances(found.frozen)
    judged = [one for one in each if one.shares]
    blocks: list[Block] = [_chart(found, judged)] if judged else []
    if each:
        blocks += [_table(found, each), Lines(tuple(_notes(each)))]
    else:
        blocks.append(Text("The study has no parameters."))
    return Section("parameters", "Parameters", (*blocks, *parallel(found, [one.name for one in each])))


def _chart(found: Found, judged: Sequence[Importance]) -> Chart:
    drawn = judged[:MOST_BARS]
    bars = tuple(
        Bar(
            label,
            tuple(one.shares[place] for one in drawn),
            tuple(f"{one.name}: {percent(one.shares[place])} for {label}" for one in drawn),
        )
        for place, label in enumerate(found.stored.labels)
    )
    most = [
        f"{label}: {(best := max(judged, key=lambda one: one.shares[place])).name} ({percent(best.shares[place])})"
        for place, label in enumerate(found.stored.labels)
    ]
    return Chart(
        key="importance",
        title="Importance of each parameter",
        summary=f"The most important parameter for {', for '.join(most)}.",
        drawn=Bars(tuple(one.name for one in drawn), Axis("share of what all parameters do", "share"), bars),
        table="importance-table",
        left_out=len(judged) - len(drawn),
    )


def _table(found: Found, each: Sequence[Importance]) -> Table:
    heads = (Head("parameter"), *(Head(label, True) for label in found.stored.labels),
             Head("trials", True, "Complete trials that have it."), Head("note"))  # fmt: skip
    rows = tuple(
        Row((Cell(one.name), *_shares(found, one), Cell(grouped(one.trials), one.trials), Cell(one.why)))
        for one in each
    )
    caption = "Importance of each parameter for each objective"
    return Table("importance-table", caption, heads, rows[:MOST_ROWS], left_out=max(0, len(rows) - MOST_ROWS))


def _shares(found: Found, one: Importance) -> Iterator[Cell]:
    if one.shares:
        yield from (Cell(percent(share), share) for share in one.shares)
    else:
        yield from (Cell("cannot tell") for _ in found.places)


def _notes(each: Sequence[Importance]) -> Iterator[str]:
    yield (
        "Importance says how far the values of a parameter among the best tenth of the trials in an objective differ "
        "from those among all trials (PED-ANOVA), as a share of all parameters': it tells what makes trials good, not "
        "what makes them bad. It says nothing of parameters that act only together."
    )
    if any(one.trials < max(other.trials for other in each) for one in each):
        yield "A parameter that only some trials have, as one of a template's own, is judged among those."
    if any(one.shares for one in each) and min(one.trials for one in each if one.shares) < ROUGH:
        yield f"Rough: the best tenth of fewer than {ROUGH} trials is fewer than five."
    if fewer := [one.name for one in each if one.judged < one.trials]:
        judged = min(one.judged for one in each if one.name in fewer)
        yield f"Judged from {grouped(judged)} trials, evenly spread over all that have it: {some(fewer)}."
    yield "Judged from complete trials alone; those that were pruned or failed are not among them."
