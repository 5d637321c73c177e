"""What the study commands do that load torch: a study is prepared, runs, or is foreseen."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from archcost import scratch
from archcost.cli.study.lines import REASONS, front_lines, unconfirmed_lines
from archcost.cli.study.live import Live
from archcost.cli.terminal import say
from archcost.data.splits import Dataset
from archcost.errors import InputError, TargetError, one_line, quoted, visible
from archcost.machine import physical_cores
from archcost.study import run
from archcost.study.code.consent import NONE, Consent
from archcost.study.options import Wanted, options
from archcost.study.plan import StudyPlan
from archcost.study.preview import forecast, outlook, preparation, probe
from archcost.study.records.database.addresses import Address, address
from archcost.study.records.source import address_of
from archcost.study.records.stored import find
from archcost.study.run import Outcome
from archcost.study.spec import StudySpec, load_study
from archcost.study.warm_start import queue
from archcost.units import counted_words

_LINE = 52
_NAMED = 5  # of folders


def prepared(
    file: str, overrides: tuple[str, ...], where: str | None, consent: Consent = NONE
) -> tuple[StudyPlan, Dataset, Address]:
    """Return a study ready to run, its data and where it is stored; raises InputError for all that is wrong."""
    spec = load_study(file, overrides)
    kept = _address(spec, file, where)
    return *preparation.prepared(spec, kept, consent, _aside), kept


def _aside(line: str) -> None:
    say(visible(line))


def planned(
    file: str, overrides: tuple[str, ...], where: str | None, consent: Consent = NONE
) -> tuple[StudyPlan, Dataset, Address]:
    """Return a study, its data and where it is stored, of which nothing is tried yet."""
    spec = load_study(file, overrides)
    kept = _address(spec, file, where)
    return *preparation.planned(spec, kept, consent), kept


def _address(spec: StudySpec, file: str, where: str | None) -> Address:
    return address_of(spec, Path(file).parent) if where is None else address(where, Path.cwd())


def ran(plan: StudyPlan, dataset: Dataset, kept: Address, wanted: Wanted) -> int:
    """Run a study with a live view on standard error; print its front at the end."""
    chosen = options(wanted, plan.spec.study.search, physical_cores())
    for line in _left_over():
        say(line)
    with resumable(kept), Live(plan.spec.name, kept, chosen) as live:
        outcome = run.explore(plan, dataset, kept, chosen, live.watch, live.say)
    return finished(plan, outcome, outcome.why)


@contextmanager
def resumable(kept: Address) -> Iterator[None]:
    """Say what is kept of a study if Ctrl-C or a termination ends the context."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        with suppress(InputError):
            count = sum(each.counts for each in find(kept).trials())
            say(f"{counted_words(count, 'trial')} kept; run again to go on")
        raise


def finished(plan: StudyPlan, outcome: Outcome, why: str) -> int:
    """Say how a study ended, print its front, and return the exit code."""
    now = outcome.stored.front()
    words = f"{now.confirmed} of {counted_words(len(now.members), 'network')} of the front confirmed"
    say(f"{why}; {words}")
    for line in unconfirmed_lines(outcome.stored.contenders(), plan.spec.study.confirm.members):
        say(line)
    for line in front_lines(outcome.stored, now):
        click.echo(line)
    return 0 if now.members else _in_vain(outcome)


def _left_over() -> Iterator[str]:
    """Yield which folders in that of temporary files nobody is known to own: they may be large, and none is removed."""
    left = scratch.ownerless()
    if left:
        names = ", ".join([path.name for path in left[:_NAMED]] + ["..."] * (len(left) > _NAMED))
        where = f"{counted_words(len(left), 'folder')} in {quoted(str(left[0].parent))}"
        yield visible(f"{where} of an unknown owner, left as found: {names}; remove what no running archcost uses")


def _in_vain(outcome: Outcome) -> int:
    """Say why no trial of a study is complete; return the exit code."""
    for line in run.vain(outcome, REASONS):
        say(line)
    kind = run.failure(outcome)
    return kind.exit_code if kind else 0


def dry(
    file: str, overrides: tuple[str, ...], where: str | None, wanted: Wanted, consent: Consent = NONE
) -> Iterator[str]:
    """Yield what a study would search and how long it would take; a few mini-batches are trained for it.

    Raises InputError for all that a run would refuse, of the storage too.
    """
    since_s = time.monotonic()
    plan, dataset, _ = planned(file, overrides, where, consent)
    known, found = queue.starts(plan), outlook.look(plan)
    probe.probe(plan, found.typical, _aside)
    yield from outlook.lines(plan, found)
    if known:
        yield f"first        {counted_words(len(known), 'known network')}"
    if plan.spec.study.fit.code is not None:
        yield f"time         not foreseen: only running {quoted(plan.spec.study.fit.code)} tells"
        return
    workers = options(wanted, plan.spec.study.search, physical_cores()).workers
    try:
        span = forecast.foresee(plan, found.typical, dataset, workers, since_s)
        yield from forecast.lines(plan, span, workers)
    except TargetError as error:
        yield f"time         not foreseen: {one_line(error, _LINE)}"
