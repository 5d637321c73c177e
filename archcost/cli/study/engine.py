"""What archcost study run --engine does: workers are started, and their study is shown."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import cast

from archcost.cli.study.live import Live
from archcost.cli.study.run import finished, planned, resumable
from archcost.cli.terminal import say
from archcost.errors import InputError, Mistake, TargetError, quoted, visible
from archcost.machine import physical_cores
from archcost.study import run
from archcost.study.code.consent import Consent
from archcost.study.options import Wanted, options
from archcost.study.phases.state import State
from archcost.study.plan import StudyPlan
from archcost.study.records.database import locks, storage
from archcost.study.records.database.addresses import Address
from archcost.study.records.database.network_folder import kind_of
from archcost.study.records.stored import Stored
from archcost.study.run import Outcome
from archcost.study.workers.engines import choice, folder, jobs
from archcost.study.workers.engines.command import VARIABLE, Asked, Command, command
from archcost.study.workers.engines.engine import Job, Name
from archcost.units import counted_words
from archcost.urls import shown

__all__ = ["Asked", "Manner", "submitted"]


@dataclass(frozen=True, slots=True)
class Manner:
    """How a study is run: not at all (dry_run), by workers of an engine, else in this process."""

    dry_run: bool = False
    engine: str | None = None
    jobs: int | None = None
    engine_options: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise InputError if an option is there that only an engine has a use for."""
        for name, given in (("--jobs", self.jobs), ("--engine-option", self.engine_options)):
            if given and self.engine is None:
                raise InputError(Mistake("allowed: beside --engine alone", (name,)))


def submitted(asked: Asked, wanted: Wanted, consent: Consent, manner: Manner) -> int:
    """Let an engine start workers on a study, show how it goes until all have ended, and return the exit code.

    This process holds the lock of a run, and trains and measures nothing.
    """
    choice.check(cast("Name", manner.engine))
    plan, _, kept = planned(asked.file, asked.overrides, asked.storage, consent)
    _refuse_network(kept)
    started = command(asked, kept, wanted, consent)
    # how long jobs wait for their turn is not known: no time is shown that is left
    chosen = replace(options(wanted, plan.spec.study.search, physical_cores()), time_s=inf)
    with resumable(kept), locks.running(kept) as hold, run.begun(plan, kept) as stored:
        run.agreed(stored, plan, chosen)
        with _jobs(plan, kept, started, manner) as given:
            for each in given:
                say(f"job {visible(each.name)}")
            failed = _shown(Live(plan.spec.name, kept, chosen), stored, given, hold)
        outcome = Outcome(stored.frozen(), "trials")
    for each in failed:
        _tell(each)
    code = finished(plan, outcome, f"{counted_words(len(given), 'job')} ended, {len(failed)} failed")
    return TargetError.exit_code if len(failed) == len(given) else code


def _refuse_network(kept: Address) -> None:
    if kept.file is not None and (kind := kind_of(kept.file.parent)):
        words = f"{quoted(str(kept))} is on a network file system ({kind}), where several processes would damage it"
        raise InputError(Mistake(f"{words}; allowed: a PostgreSQL as the 'storage'"))


@contextmanager
def _jobs(plan: StudyPlan, kept: Address, started: Command, manner: Manner) -> Iterator[tuple[Job, ...]]:
    here = folder.made(kept, plan.spec.name) if manner.engine == "slurm" or started.line else Path()
    engine = choice.engine(cast("Name", manner.engine), manner.engine_options, here)
    if manner.engine == "slurm":
        say(f"logs in {quoted(str(here))}")
    os.environ.pop(VARIABLE, None)  # it may hold a password, and engines hand the environment on
    with (
        folder.environment(here, started) as environment,
        jobs.submitted(engine, started.arguments, environment, manner.jobs or 1) as given,
    ):
        yield given


def _shown(view: Live, stored: Stored, given: Sequence[Job], hold: locks.Hold) -> Sequence[Job]:
    """Show a study until its jobs have ended, and return those that failed."""
    remains = storage.remaining(stored.address)
    with view as live:

        def look() -> None:
            hold.check()
            remains()
            live.watch(State((), stored))

        return jobs.awaited(given, look, lambda job: live.say(f"job {job.name}: {job.state()}"))


def _tell(job: Job) -> None:
    say(f"job {visible(job.name)} failed; the end of its log:")
    for line in job.tail().splitlines() or ["(empty)"]:
        say(f"  {visible(shown(line))}")
