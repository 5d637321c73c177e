"""Studies of a few complete trials in memory, whose fronts can be worked out by hand."""

from __future__ import annotations

import optuna
from measurements import samples

from archcost.latency.samples import Samples
from archcost.study.records import trials
from archcost.study.records.confirmed import Confirmed
from archcost.study.records.front import Front, candidates, front
from archcost.study.records.part import Part, achieved
from archcost.study.records.trials import Ended
from archcost.training.score import Score

OBJECTIVES = (("error", None), ("latency", 0), ("params", None))


def taken(time_s: float, bursts: int = 8) -> Samples:
    """Return so many bursts, all alike."""
    return samples([[time_s]] * bursts)


def part(digest: str, error: float, time_s: float = 0.1, bursts: int = 8) -> Part:
    """Return what a trial found of a network."""
    return Part(0, digest, 6274, 10, 10, Score(0.1, 100, error), (taken(time_s, bursts),))


def told(*parts: Part) -> optuna.Study:
    """Return a study with a complete trial of each network."""
    study = optuna.create_study(directions=["minimize"] * len(OBJECTIVES))
    for each in parts:
        trials.end(study, study.ask(), Ended((each,)), achieved(each, OBJECTIVES))
    return study


def fronted(study: optuna.Study) -> Front:
    """Return the front of a study."""
    return front(candidates(study, trials.read(study, {}), OBJECTIVES), None)


def again(*errors: float, by_turns: tuple[Samples, ...] = ()) -> Confirmed:
    """Return what confirming found, a seed for each error."""
    scores = tuple(Score(0.1, 100, error) for error in errors)
    return Confirmed(tuple(range(1, len(errors) + 1)), scores, scores, by_turns)
