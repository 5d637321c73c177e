"""Interrupted trials: how they are shown; their points are asked for again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

import optuna

from archcost.study.records import open_trainings, trials
from archcost.study.records.reasons import INTERRUPTED, Reason
from archcost.study.records.stored import Stored
from archcost.study.records.trials import Ended, Trial

_LOST: Final = Reason("interrupted", "under way when the run ended: run again to go on")


def as_left(every: Iterable[Trial], runs: bool | None) -> tuple[Trial, ...]:
    """Return trials as they are shown: those that were under way when the last run ended are interrupted.

    runs: whether a process runs the study, None if that is not known, when they are shown as running.
    """
    return tuple(
        replace(each, state="failed", ended=Ended(reason=_LOST, counts=False))
        if runs is False and each.state == "running"
        else each
        for each in every
    )


def recover(stored: Stored, folder: Path) -> int:
    """End trials whose process is gone and ask for their points again; return how many there were.

    folder: where the study's weights are. Only who holds the study's lock may call it: then nobody runs them.
    """
    assert isinstance(stored.study, optuna.Study)
    lost = [each for each in stored.study.get_trials(deepcopy=False) if each.state is optuna.trial.TrialState.RUNNING]
    for each in lost:
        took_s = open_trainings.spent_s(folder, stored.identity, trials.typed(each), stored.trials())
        again(stored.study, optuna.trial.Trial(stored.study, each._trial_id), took_s)
    return len(lost)


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
