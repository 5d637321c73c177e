"""What is written of a trial at once: in one transaction, in a storage that can do that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, final, runtime_checkable

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import TrialState

from archcost.search.domains import Scalar


@final
@dataclass(frozen=True, slots=True)
class Written:
    """Parts of a trial: values of parameters as they are stored, with their distributions; attributes; how it ended.

    values: of the objectives, of a trial that is complete.
    """

    parameters: Mapping[str, tuple[BaseDistribution, Scalar]] = field(default_factory=dict)
    attributes: Mapping[str, object] = field(default_factory=dict)
    state: TrialState | None = None
    values: Sequence[float] | None = None


@runtime_checkable
class Together(Protocol):
    """A storage that writes parts of a trial together: all of them, or none."""

    def write_together(self, trial_id: int, what: Written) -> None:
        """Write them; raises UpdateFinishedTrialError if the trial has ended."""


def write(study: optuna.Study, trial_id: int, what: Written) -> None:
    """Write parts of a trial, one after the other where the storage knows no other way.

    Raises UpdateFinishedTrialError if the trial has ended.
    """
    storage = study._storage
    backend = getattr(storage, "_backend", storage)  # behind Optuna's cache, which holds trials that have ended alone
    if isinstance(backend, Together):
        backend.write_together(trial_id, what)
        return
    for name, (distribution, value) in what.parameters.items():
        storage.set_trial_param(trial_id, name, distribution.to_internal_repr(value), distribution)
    for key, told in what.attributes.items():
        storage.set_trial_user_attr(trial_id, key, told)
    if what.state is not None:
        storage.set_trial_state_values(trial_id, what.state, what.values)
