"""Trials as Optuna has them, by two queries: one for them, one for all their parts."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from math import inf, nan
from typing import Any, Final

import sqlalchemy
from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Float, Integer, Select, String, Text, bindparam, cast, literal, null
from sqlalchemy.orm import Session

_MANY: Final = 500
"""Trials that are named one by one; the parts of more are asked for by what the trials were asked for by."""
_NUMBERS: Final = {"INF_POS": inf, "INF_NEG": -inf, "NAN": nan}

_PARAMETER, _VALUE, _USER, _SYSTEM, _STEP = range(5)
_TRIALS: Any = models.TrialModel.__table__
_IDS: Any = bindparam("ids", expanding=True)


def trials(
    session: Session, study_id: int, states: Collection[TrialState] | None, named: Collection[int], after: int
) -> list[FrozenTrial]:
    """Return the trials of a study that have an id of those `named`, or one above `after`, by rising ids.

    states: those that are meant, None for all. Raises KeyError if there is no such study.
    """
    wanted = _TRIALS.c.study_id == study_id
    if after > -1:
        wanted &= (_TRIALS.c.trial_id > after) | _TRIALS.c.trial_id.in_(sorted(named))
    if states is not None:
        wanted &= _TRIALS.c.state.in_(list(states))
    columns = (_TRIALS.c[name] for name in ("trial_id", "number", "state", "datetime_start", "datetime_complete"))
    rows = session.execute(sqlalchemy.select(*columns).where(wanted).order_by(_TRIALS.c.trial_id)).all()
    if not rows:
        models.StudyModel.find_or_raise_by_id(study_id, session)
        return []
    if len(rows) <= _MANY:
        parts = session.execute(_PARTS_OF_SOME, {"ids": [row[0] for row in rows]}).all()
    else:
        parts = session.execute(_parts(sqlalchemy.select(_TRIALS.c.trial_id).where(wanted))).all()
    return list(_built(rows, parts))


def _parts(ids: Any) -> Any:  # noqa: ANN401  # SQLAlchemy's expressions
    """Return the query of kind, trial, place, name, number and text of every part of trials; ids: theirs."""

    def of(kind: int, model: Any, place: str, name: str, number: str = "", text: str = "") -> Select[Any]:  # noqa: ANN401
        columns = model.__table__.c
        called = cast(columns[name], String) if name.endswith("_type") else columns[name]
        return sqlalchemy.select(
            literal(kind, Integer).label("kind"),
            columns.trial_id,
            columns[place].label("place"),
            called.label("name"),
            (columns[number] if number else cast(null(), Float(53))).label("number"),
            (columns[text] if text else cast(null(), Text)).label("text"),
        ).where(columns.trial_id.in_(ids))

    return sqlalchemy.union_all(
        of(_PARAMETER, models.TrialParamModel, "param_id", "param_name", "param_value", "distribution_json"),
        of(_VALUE, models.TrialValueModel, "objective", "value_type", "value"),
        of(_USER, models.TrialUserAttributeModel, "trial_user_attribute_id", "key", text="value_json"),
        of(_SYSTEM, models.TrialSystemAttributeModel, "trial_system_attribute_id", "key", text="value_json"),
        of(_STEP, models.TrialIntermediateValueModel, "step", "intermediate_value_type", "intermediate_value"),
    )


_PARTS_OF_SOME: Final = _parts(_IDS)


def _built(rows: Sequence[Any], parts: Iterable[Any]) -> Iterable[FrozenTrial]:
    held: dict[int, tuple[list[Any], ...]] = {row[0]: ([], [], [], [], []) for row in rows}
    for kind, trial_id, *part in parts:
        if trial_id in held:  # else it began between the two queries
            held[trial_id][kind].append(part)
    for trial_id, number, state, begun, ended in rows:
        parameters, values, user, system, steps = held[trial_id]
        drawn = [(name, value, _distribution(text)) for _, name, value, text in sorted(parameters)]
        yield FrozenTrial(
            number=number,
            state=state,
            value=None,
            values=[_number(kind, value) for _, kind, value, _ in sorted(values, key=_place)] or None,
            datetime_start=_local(begun),
            datetime_complete=_local(ended),
            params={name: distribution.to_external_repr(value) for name, value, distribution in drawn},
            distributions={name: distribution for name, _, distribution in drawn},
            user_attrs={key: json.loads(text) for _, key, _, text in sorted(user, key=_place)},
            system_attrs={key: json.loads(text) for _, key, _, text in sorted(system, key=_place)},
            intermediate_values={step: _number(kind, value) for step, kind, value, _ in sorted(steps, key=_place)},
            trial_id=trial_id,
        )


def _place(part: Sequence[Any]) -> int:
    return int(part[0])


def _number(kind: str, value: float | None) -> float:
    """Return a number that is stored by its kind, if it is not finite, and else by itself."""
    return _NUMBERS[kind] if value is None else value


@lru_cache(maxsize=4096)
def _distribution(text: str) -> BaseDistribution:
    return json_to_distribution(text)


def _local(utc: datetime | None) -> datetime | None:
    """Return a time as Optuna gives it: on this machine's clock, without a zone."""
    return None if utc is None else utc.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)
