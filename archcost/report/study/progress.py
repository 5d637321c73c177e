"""How a study went: hypervolume, how trials ended and why, what pruning saved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from archcost.report.blocks import MOST_ROWS, Axis, Cell, Chart, Head, Row, Scatter, Section, Series, Table, Text
from archcost.report.study.facts import Found, thinned
from archcost.search import pareto
from archcost.study.records.trials import Trial
from archcost.units import counted_words, duration, grouped

MOST_STEPS: Final = 1000
"""Steps of the hypervolume that are drawn."""

_REPEATED: Final = "answered with an earlier trial's result"


def progress_section(found: Found) -> Section:
    """Return hypervolume, states and what was saved."""
    steps = growth(found)
    none = (Text("The hypervolume has no reference point yet."),)
    grown = (_chart(found, steps), _steps(steps)) if steps else none
    return Section("progress", "Progress", (*grown, _states(found.trials), Text(saved(found))))


def growth(found: Found) -> list[tuple[int, str, float]]:
    """Return the hypervolume after each trial that enlarged it: how many had ended by then, which, how large it was.

    Each adds what it alone dominates of those before it. Confirmed networks count by the mean over their repetitions,
    as they do on the front, so that the last value is the front's.
    """
    if found.now.reference is None:
        return []
    parts: dict[int, list[tuple[float, ...]]] = {}
    for each in (*found.now.members, *found.now.others):
        parts.setdefault(each.trial.number, []).append(each.values)
    steps, front, volume, ended = [], list[tuple[float, ...]](), 0.0, 0
    for trial in _ended(found.trials):
        ended += trial.counts
        more = 0.0
        for values in parts.get(trial.number, ()):
            if not any(pareto.dominates(one, values) or one == values for one in front):
                more += pareto.exclusive(values, front, found.now.reference)
                front = [one for one in front if not pareto.dominates(values, one)] + [values]
        if more > 0:
            volume += more
            steps.append((ended, str(trial.number), volume))
    return steps


def _ended(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials that are over, in the order in which they ended."""
    over = [each for each in trials if each.state in ("complete", "pruned", "failed")]
    return sorted(over, key=lambda each: (each.until or datetime.min, each.number))  # as optuna's


def _chart(found: Found, steps: Sequence[tuple[int, str, float]]) -> Chart:
    drawn = thinned(steps, MOST_STEPS - 1)
    drawn = drawn if drawn[-1] == steps[-1] else (*drawn, steps[-1])
    last = sum(each.counts for each in found.trials)
    half = next(at for at, _, volume in steps if volume >= steps[-1][2] / 2)
    series = Series(
        "hypervolume",
        (*(float(at) for at, _, _ in drawn), float(max(last, steps[-1][0]))),  # up to now, the last value holds
        (*(volume for _, _, volume in drawn), steps[-1][2]),
        (*(f"{volume:.4g} after {counted_words(at, 'trial')}, by trial {name}" for at, name, volume in drawn),
         f"{steps[-1][2]:.4g} after all {counted_words(last, 'trial')}"),
        mark=None,
        line=True,
        stepped=True,
    )  # fmt: skip
    summary = (
        f"The hypervolume grew {counted_words(len(steps), 'time')} to {steps[-1][2]:.4g}, to half of it within "
        f"{counted_words(half, 'trial')}, and last at trial {grouped(steps[-1][0])} of {grouped(last)}."
    )
    scatter = Scatter(Axis("trials over", "count"), Axis("hypervolume"), (series,))
    return Chart(
        "hypervolume", "Hypervolume over trials", summary, scatter, "hypervolume-table", len(steps) - len(drawn)
    )


def _steps(steps: Sequence[tuple[int, str, float]]) -> Table:
    rows = tuple(Row((Cell(grouped(at), at), Cell(name), Cell(f"{volume:.4g}", volume))) for at, name, volume in steps)
    heads = (Head("trials over", True), Head("trial"), Head("hypervolume", True))
    more = max(0, len(rows) - MOST_ROWS)  # the last ones are shown
    return Table("hypervolume-table", "Trials that enlarged the hypervolume", heads, rows[more:], more, open=False)


def _states(trials: Sequence[Trial]) -> Table:
    found: dict[tuple[str, object], list[str]] = {}
    for each in trials:
        repeats = each.ended is not None and each.ended.repeats is not None
        group = each.reason.group if each.reason else repeats
        found.setdefault((each.fate, group), []).append(each.why or _REPEATED * repeats)
    most = sorted(found.items(), key=lambda pair: (-len(pair[1]), pair[0][0], pair[1][0]))
    rows = tuple(
        Row((Cell(fate), Cell(grouped(len(each)), len(each)), Cell(each[0]))) for (fate, _), each in most[:MOST_ROWS]
    )
    note = "Of several that are alike, the first."
    heads = (Head("state"), Head("trials", True), Head("reason", note=note))
    return Table("states", "Trials by state and reason", heads, rows, max(0, len(most) - MOST_ROWS))


def saved(found: Found) -> str:
    """Return in words what pruning saved: epochs not trained, and an estimate of the time they would have taken."""
    pruned = [each for each in found.trials if each.state == "pruned"]
    if not pruned or not found.epochs:
        return "No trial was pruned: all were trained to the end, or failed."
    epochs = sum(found.epochs - max(each.rungs, default=0) for each in pruned)
    words = (
        f"Pruning gave up {counted_words(len(pruned), 'trial')} early and saved {counted_words(epochs, 'epoch')} "
        f"of {grouped(len(pruned) * found.epochs)}"
    )
    took = list(_trained_s(found.trials))
    if not took:
        return f"{words}; how long they would have taken is not known.{_by_columns(found, pruned)}"
    each_s = sum(took) / len(took) / found.epochs
    return (
        f"{words}, about {duration(epochs * each_s)}. That is an estimate: an epoch at {duration(each_s)}, the mean of "
        f"{counted_words(len(took), 'complete trial')} with their measuring; networks that were given up may be slower."
        f"{_by_columns(found, pruned)}"
    )


def _by_columns(found: Found, pruned: Sequence[Trial]) -> str:
    """Return in words how many were ranked by the best of several networks; an earlier version ranked none so."""
    if len(found.ways) > 1:
        return " The best point of each, whichever column and way it is, was not good enough." if pruned else ""
    count = sum(any(len(each.reached(epoch)) > 1 for epoch in each.rungs) for each in pruned)
    return f" Of those given up, {grouped(count)} had columns: the best of them was not good enough." if count else ""


def _trained_s(trials: Sequence[Trial]) -> Iterator[float]:
    """Yield how long each complete trial took; one that was answered from what was known took no time."""
    return (
        each.ended.training_s for each in trials if each.state == "complete" and each.ended and each.ended.seconds > 0
    )
