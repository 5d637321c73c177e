"""Interrupted trials: how they are shown; their points are asked for again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

import optuna
from optuna.trial import FrozenTrial

from archcost.study.records import open_trainings, trials
from archcost.study.records.database.leases import held
from archcost.study.records.database.team import TRIAL, Team
from archcost.study.records.reasons import INTERRUPTED, Reason
from archcost.study.records.stored import Stored, running
from archcost.study.records.trials import Ended, Trial

_UNDER_WAY: Final = Reason("interrupted", "under way when the run ended: run again to go on")


def as_left(every: Iterable[Trial], runs: bool | None) -> tuple[Trial, ...]:
    """Return trials as they are shown: those that were under way when the last run ended are interrupted.

    runs: whether a process runs the study, None if that is not known, when they are shown as running.
    """
    return tuple(
        replace(each, state="failed", ended=Ended(reason=_UNDER_WAY, counts=False))
        if runs is False and each.state == "running"
        else each
        for each in every
    )


def recover(stored: Stored, folder: Path, team: Team) -> int:
    """End trials whose process is gone and ask for their points again; return how many there were.

    folder: where the study's weights are. What those processes write of them later is late.
    """
    study, count = running(stored), 0
    if not _lost(study, team):
        return 0
    with team.alone():  # where a trial begins, it has its lease before others look
        for each in _lost(study, team):
            with held(team.leases, f"{TRIAL}{each.number}") as lease:
                if lease is not None:
                    took_s = open_trainings.spent_s(folder, stored.identity, trials.typed(each), stored.trials())
                    again(study, optuna.trial.Trial(study, each._trial_id), took_s)
                    count += 1
    return count


def _lost(study: optuna.Study, team: Team) -> list[FrozenTrial]:
    """Return the trials under way that nobody who lives works on."""
    every = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,))
    living = team.leases.living(TRIAL) if every else {}
    return [each for each in every if f"{TRIAL}{each.number}" not in living]


def again(study: optuna.Study, trial: optuna.trial.Trial, seconds: float) -> None:
    """Ask for the point of a trial again and end it: one whose process is gone, and that has not ended before."""
    now = study._storage.get_trial(trial._trial_id)
    if now.state.is_finished():
        return
    # of one that was asked for and had not begun, the point is where it was asked for
    waited = now.system_attrs.get("fixed_params")
    point = {**(waited or {}), **now.params}
    waiting = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.WAITING,))
    # the only point of a space has no parameters
    known = bool(point) or waited is not None or trials.typed(now).begun is not None
    if known and all(each.system_attrs.get("fixed_params") != point for each in waiting):
        study.enqueue_trial(point)  # before the end: who is killed in between asks for it again
    trials.fail(study, trial, Ended(reason=INTERRUPTED, counts=False, seconds=seconds))
