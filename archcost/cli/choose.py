"""archcost choose: the network of a study to take within a budget, and how sure that is."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import click

from archcost import urls
from archcost.cli.options import Read, debugged, gathered
from archcost.cli.terminal import drawn, wrapped
from archcost.errors import visible
from archcost.rows import aligned
from archcost.units import parse_count, parse_latency, parse_size

if TYPE_CHECKING:
    from archcost.profiling.budget import Budget
    from archcost.study.records.best.choice import Choice, Option
    from archcost.study.records.stored import Stored

_NONE: Final = 1  # the exit code of a check that does not hold


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the network may cost at most, in base units; None: without limit, or as the study says."""

    latency: float | None = None
    size: int | None = None
    macs: int | None = None
    params: int | None = None
    memory: int | None = None

    def budget(self, stored: Stored) -> Budget | None:
        """Return the study's own limits, and in place of them those that are given."""
        from archcost.study.records.best.choice import within  # loads optuna

        given = {"latency": self.latency, "weights": self.size, "macs": self.macs, "params": self.params}
        return within(stored, {**given, "memory": self.memory})


@click.command()
@click.argument("study", metavar="STUDY")
@click.option("--latency", type=Read("latency", parse_latency), help="Of the median call: '5 ms', 800us.")
@click.option("--size", type=Read("size", parse_size), help="Of parameters and buffers at the dtype: 2MB, 512 KiB.")
@click.option("--macs", type=Read("count", parse_count), help="Multiply-accumulates of one example: 5M.")
@click.option("--params", type=Read("count", parse_count), help="Parameters: 300k.")
@click.option("--memory", type=Read("size", parse_size), help="Weights and the largest set of values alive: 64 MB.")
@click.option("--storage", help="Where the study is stored; beside its file if left out.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@debugged
@gathered("wanted", lambda: Wanted)
def choose(study: str, storage: str | None, as_json: bool, wanted: Wanted) -> int:
    """Choose the network of a study to take within a budget.

    It is the best one that keeps the budget with 80% when it is measured again. Limits that are not given are the
    study's own. The exit code is 1 if no network keeps the budget; the nearest is named then.
    """
    # imported when the command runs: they load pydantic and optuna
    from archcost.cli.study.stored import opened
    from archcost.study.records.best.advice import advise
    from archcost.study.records.best.choice import Field

    stored = opened(study, storage)
    typed = [urls.shown(study), *(["--storage", urls.shown(storage)] if storage else [])]
    with stored.undamaged():
        found = advise(Field(stored, stored.front()), wanted.budget(stored), shlex.join(typed))
    click.echo(json.dumps(found.to_dict(), indent=1) if as_json else "\n".join(_lines(stored, found)))
    return 0 if found.taken else _NONE


def _lines(stored: Stored, found: Choice) -> Iterator[str]:
    """Yield a choice within 80 columns."""
    first, *more = found.why
    yield from wrapped(first)
    yield ""
    yield aligned(*_table(stored, found), indent=0).rstrip("\n")
    yield ""
    yield from _drawn(stored, found)
    if more:
        yield ""
    for line in more:
        yield from wrapped(line)
    if found.doubts:
        yield ""
    for line in found.doubts:
        yield from wrapped(f"doubt: {line}", 7)
    if found.export:
        yield ""
        yield visible(found.export)


def _named(found: Choice) -> list[tuple[str, Option]]:
    rows = (("take", found.taken), ("runner-up", found.runner_up), ("nearest", found.nearest))
    return [(word, each) for word, each in rows if each]


def _drawn(stored: Stored, found: Choice) -> Iterator[str]:
    """Yield what was drawn for each network that is named."""
    from archcost.study.records import tables

    trials = {each.number: each for each in stored.trials()}
    for name in dict.fromkeys(replace(each.name, way=None) for _, each in _named(found)):
        yield from drawn(str(name), tables.drawn(trials[name.trial]))


def _table(stored: Stored, found: Choice) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    heads = ("", "trial", *map(visible, stored.labels), "test", "keeps budget")
    return heads, [(word, *_cells(stored, each)) for word, each in _named(found)]


def _cells(stored: Stored, each: Option) -> tuple[str, ...]:
    from archcost.study.objectives import first_learnt, quantity_of
    from archcost.study.records.best.advice import likely

    values = zip(stored.objectives, each.objectives.values(), strict=True)
    name = first_learnt(stored.objectives)
    test = "-" if each.test is None or name is None else quantity_of(name).words(each.test)
    return (str(each.name), *(quantity_of(key).words(value) for (key, _), value in values), test,
            likely(each.probability))  # fmt: skip
