"""What the study commands do: a file becomes a study that runs, a storage becomes lines, rows and documents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from archcost import data, exploring, foreseeing, outlook, storage
from archcost.cli.live import Live
from archcost.errors import InputError, Mistake, TargetError, quoted, shorten, visible
from archcost.files import write_whole
from archcost.findings import front_of, learnt, status_of, tested, yaml_of
from archcost.front import Candidate
from archcost.setting import Setting, settle
from archcost.spec import located
from archcost.stored import Stored, network, worded
from archcost.studyspec import StudySpec, load_study
from archcost.targets.machine import physical_cores
from archcost.units import counted_words, duration, percent

if TYPE_CHECKING:
    from archcost.trained import Trained

_REASON = 60
_LINE = 52
_WORKERS = 4  # by default at most: each holds a network, and the sampler knows nothing of what is under way


def prepared(file: str, overrides: tuple[str, ...], where: str | None) -> tuple[Setting, data.Dataset, str]:
    """Return a study ready to run, its data and the URL of its storage; raises InputError for all that is wrong."""
    spec = load_study(file, overrides)
    dataset = _data(spec, file)
    setting = settle(spec, dataset)
    outlook.look(setting)  # refuses what cannot be searched
    return setting, dataset, storage.address(where or spec.study.storage, _beside(file, where))


def _data(spec: StudySpec, file: str) -> data.Dataset:
    """Return a study's data; what is wrong with them is told at its key."""
    try:
        return data.load(spec.study.data, folder=Path(file).parent)
    except InputError as error:
        raise InputError(*(located(spec.source, mistake) for mistake in error.mistakes)) from None


def _beside(file: str, where: str | None) -> Path:
    return Path.cwd() if where else Path(file).parent  # a path that is typed is relative to where it is typed


def ran(
    study: tuple[Setting, data.Dataset, str],
    *,
    trials: int | None,
    time_s: float | None,
    workers: int | None,
) -> int:
    """Run a study with a live view on standard error; print its front at the end."""
    setting, dataset, url = study
    search = setting.study.search
    cores = physical_cores()
    workers = workers or min(cores, _WORKERS)
    options = {
        "trials": trials or search.trials,
        "time_s": time_s if time_s is not None else search.time,
        "workers": workers,
        "threads": max(1, cores // workers),
    }
    with Live(setting, url, options) as live:
        outcome = exploring.explore(setting, dataset, url, options, live.watch, live.say)
    click.echo(f"{outcome.why}; {counted_words(outcome.confirmed, 'network')} of the front confirmed", err=True)
    for line in front_lines(outcome.stored):
        click.echo(line)
    return 0


def dry(file: str, overrides: tuple[str, ...], workers: int | None) -> Iterator[str]:
    """Yield what a study would search and how long it would take; a few mini-batches are trained for it."""
    spec = load_study(file, overrides)
    dataset = _data(spec, file)
    setting = settle(spec, dataset)
    found = outlook.look(setting)
    yield from outlook.lines(setting, found)
    workers = workers or min(physical_cores(), _WORKERS)
    try:
        yield from foreseeing.lines(setting, foreseeing.foresee(setting, found.typical, dataset, workers), workers)
    except TargetError as error:
        yield f"time         not foreseen: {shorten(str(error), _LINE)}"


def status_lines(stored: Stored) -> Iterator[str]:
    """Yield how far a study is, within 80 columns."""
    now = status_of(stored, stored.front())
    states = ", ".join(f"{count} {state}" for state, count in now["states"].items()) or "none yet"
    yield f"{visible(now['study'])} in {visible(now['storage'])}"
    yield f"trials       {states}"
    yield f"  {now['counted']} of them count; {now['repeats']} were answered from what was known"
    yield f"time         {duration(now['seconds'])} in trials" if now["seconds"] else "time         none yet"
    for reason, count in list(now["reasons"].items())[:10]:
        yield f"  {count:>4} x  {visible(shorten(reason, _REASON))}"
    if now["hypervolume"] is not None:
        yield f"hypervolume  {now['hypervolume']:.4g}"
    yield ""
    yield from front_lines(stored)


def front_rows(stored: Stored) -> list[dict[str, Any]]:
    """Return the front as flat rows."""
    return [
        {key: value for key, value in member.items() if key not in ("yaml", "intervals", "point")}
        | {f"{label}.{end}": bounds[place] for label, bounds in member["intervals"].items()
           for place, end in enumerate(("low", "high"))}
        for member in front_of(stored, stored.front())["members"]
    ]  # fmt: skip


def front_lines(stored: Stored) -> Iterator[str]:
    """Yield the front as a table of at most 80 columns."""
    now = stored.front()
    if not now.members:
        yield "The study has no complete trial yet."
        return
    rows = [_cells(stored, each, now.knee) for each in now.members]
    head = ("trial", "family", *stored.labels, "test", "p", "params", "MACs", "")
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    for row in (head, *rows):
        line = "  ".join(cell.ljust(width) if i < 2 or i == len(head) - 1 else cell.rjust(width)
                         for i, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip()  # fmt: skip
        yield line
    yield from _notes(now.members, bool(now.knee))


def _cells(stored: Stored, each: Candidate, knee: str | None) -> tuple[str, ...]:
    from archcost.units import scaled

    shown = worded(stored, each.values)
    seen, quantity = tested(stored, each), learnt(stored)
    test = "-" if seen is None or quantity is None else quantity.words(seen)
    unsteady = any(not latency.stable for latency in each.latencies())
    marks = "".join(mark for mark, holds in (("*", each.name == knee), ("s", each.shared), ("~", unsteady)) if holds)
    chance = "-" if each.standing is None else percent(each.standing.probability)
    family = each.trial.begun.family if each.trial.begun else "?"
    return (each.name, family, *shown, test, chance, scaled(each.part.params), scaled(each.part.macs), marks)


def _notes(members: tuple[Candidate, ...], knee: bool) -> Iterator[str]:
    yield ""
    if knee:
        yield "*  the knee: beyond it each objective costs most of the other"
    if any(each.shared for each in members):
        yield "s  a column with shared weights: not yet trained alone"
    if any(not latency.stable for each in members for latency in each.latencies()):
        yield "~  a latency was not stable; 'study front --json' and 'study export' say more"
    if any(each.standing for each in members):
        yield "p  the chance to belong to the front, by seeds and blocks; test: mean of seeds"
    else:
        yield "No member is confirmed: each stands on one seed, and fronts of one seed are optimistic."


def write_members(stored: Stored, folder: Path) -> Iterator[Path]:
    """Write the YAML of every member to a folder, and yield the files."""
    folder.mkdir(parents=True, exist_ok=True)
    for each in stored.front().members:
        path = folder / f"{each.name.replace('/', '-column-')}.yaml"
        write_whole(path, yaml_of(each))
        yield path


def trained(stored: Stored, name: str) -> Trained:
    """Return a network of a study with the file of its trial's weights; raises InputError for a name that is none."""
    from archcost.trained import Trained  # loads torch

    found = member(stored, name)
    whole = network(replace(found, part=replace(found.part, column=0)))
    words = f"of trial {found.trial.number} of {stored.name}"
    if found.part.column:
        words += f", column {found.part.column}, shared with the others"
    file = exploring.weights_folder(stored.url, stored.name) / f"{found.trial.number}.pt"
    return Trained(network(found), whole, found.part.column, file, words)


def member(stored: Stored, name: str) -> Candidate:
    """Return the network of that name, on the front or not; raises InputError with some that there are."""
    now = stored.front()
    every = {each.name: each for each in (*now.members, *now.others)}
    if name not in every:
        some = ", ".join(list(every)[:20]) or "none yet"
        raise InputError(Mistake(f"no complete trial {quoted(name)}; there are: {some}"))
    return every[name]
