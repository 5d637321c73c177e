"""Optuna's storage, in which parts of a trial are written in one transaction."""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy
from optuna.distributions import BaseDistribution, check_distribution_compatibility, distribution_to_json
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.storages._rdb.storage import _create_scoped_session
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.dialects import postgresql, sqlite

from archcost.search.domains import Scalar
from archcost.search.points import Written
from archcost.study.records.database import frozen

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

Parameters = Mapping[str, tuple[BaseDistribution, Scalar]]
Rows = list[dict[str, Any]]

_UPSERTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


class WholeStorage(RDBStorage):
    """Optuna's storage with one commit for all that is known of a trial at once, and few queries to read it."""

    def __init__(self, *given: Any, **named: Any) -> None:  # noqa: ANN401  # as Optuna's own
        super().__init__(*given, **named)
        self._distributions: dict[tuple[int, str], BaseDistribution] = {}

    def _get_trials(
        self,
        study_id: int,
        states: Container[TrialState] | None,
        included_trial_ids: set[int],
        trial_id_greater_than: int,
    ) -> list[FrozenTrial]:
        """Return trials as Optuna does, by two queries in place of seven where that is sure to go."""
        if self.engine.name not in _UPSERTS:
            return super()._get_trials(study_id, states, included_trial_ids, trial_id_greater_than)
        asked = None if states is None else [each for each in TrialState if each in states]
        named = {each for each in included_trial_ids if each <= trial_id_greater_than}
        with _create_scoped_session(self.scoped_session) as session:
            return frozen.trials(session, study_id, asked, named, trial_id_greater_than)

    def write_together(self, trial_id: int, what: Written) -> None:
        """Write parts of a trial that has not ended; done twice, it is as done once."""
        with _create_scoped_session(self.scoped_session, ignore_integrity_error=True) as session:
            ends = what.state is not None
            trial: Any = models.TrialModel.find_or_raise_by_id(trial_id, session, for_update=ends)
            self.check_trial_is_updatable(trial_id, trial.state)
            study_id = trial.study_id
            _add(session, models.TrialParamModel, list(self._parameters(session, study_id, trial_id, what.parameters)))
            self._keep(session, trial_id, what.attributes)
            stored = map(models.TrialValueModel.value_to_stored_repr, what.values or ())
            _add(session, models.TrialValueModel, [
                {"trial_id": trial_id, "objective": place, "value": value, "value_type": kind}
                for place, (value, kind) in enumerate(stored)
            ])  # fmt: skip
            if ends:
                trial.state = what.state
                trial.datetime_complete = datetime.now()  # as Optuna keeps it
        known = {(study_id, name): distribution for name, (distribution, _) in what.parameters.items()}
        self._distributions = known | self._distributions  # those that the storage has now

    def _parameters(
        self, session: Session, study_id: int, trial_id: int, parameters: Parameters
    ) -> Iterator[dict[str, Any]]:
        """Yield rows of parameters; what others of its name do not go with is refused, as Optuna does.

        What this process has not met Optuna adds itself, which looks for it among all trials.
        """
        for name, (distribution, value) in parameters.items():
            inner = distribution.to_internal_repr(value)
            if (key := (study_id, name)) not in self._distributions:
                self._set_trial_param_without_commit(session, trial_id, name, inner, distribution)
                continue
            check_distribution_compatibility(self._distributions[key], distribution)
            yield {"trial_id": trial_id, "param_name": name, "param_value": inner,
                   "distribution_json": distribution_to_json(distribution)}  # fmt: skip

    def _keep(self, session: Session, trial_id: int, attributes: Mapping[str, object]) -> None:
        """Keep attributes in place of those of their names: by Optuna, or where that is sure to go at once."""
        model = models.TrialUserAttributeModel
        if (upsert := _UPSERTS.get(self.engine.name)) is None:
            for key, value in attributes.items():
                self._set_trial_attr_without_commit(session, model, trial_id, key, value)
        elif attributes:
            insert = upsert(model)
            renew = insert.on_conflict_do_update(
                index_elements=[model.trial_id, model.key], set_={"value_json": insert.excluded.value_json}
            )
            rows = [{"trial_id": trial_id, "key": key, "value_json": json.dumps(v)} for key, v in attributes.items()]
            session.execute(renew, rows)


def _add(session: Session, model: type[models.BaseModel], rows: Rows) -> None:
    if rows:
        session.execute(sqlalchemy.insert(model), rows)
