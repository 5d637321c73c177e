"""A parameter of a point as plain Optuna draws it, for what archcost's search stands beside."""

from __future__ import annotations

from typing import assert_never

from optuna.trial import Trial

from archcost.search.domains import Choice, Domain, Real, Scalar, Whole
from archcost.search.points import meant, stored


def suggest(trial: Trial, name: str, domain: Domain) -> Scalar:
    """Let a trial have a parameter, and return the value its sampler gives."""
    match domain:
        case Whole():
            return trial.suggest_int(name, domain.low, domain.last, step=domain.step, log=domain.log)
        case Real():
            return trial.suggest_float(name, domain.low, domain.high, log=domain.log)
        case Choice():
            return meant(domain, trial.suggest_categorical(name, [stored(domain, each) for each in domain.options]))
        case _:
            assert_never(domain)
