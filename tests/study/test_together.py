"""Parts of a trial that are written together: what is read back, and that it is all or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
import sqlalchemy
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from servers import postgresql

from archcost.search.points import Written, write
from archcost.study.records.database.together import WholeStorage

PARAMETERS = Written(
    {
        "kind": (CategoricalDistribution(["a", 2, None]), 2),
        "width": (IntDistribution(8, 64, step=8), 24),
        "rate": (FloatDistribution(1e-4, 1e-1, log=True), 0.01),
    },
    {"first": {"numbers": [1, 2.5]}},
)
END = Written(attributes={"ended": True}, state=TrialState.COMPLETE, values=[0.25, float("inf")])


def kept(storage: RDBStorage | None) -> FrozenTrial:
    """Return a trial of which all was written, as another process reads it."""
    study = optuna.create_study(storage=storage, directions=["minimize"] * 2)
    trial = study.ask()
    write(study, trial._trial_id, PARAMETERS)
    write(study, trial._trial_id, END)
    return study.get_trials()[0]


def whole(folder: Path) -> WholeStorage:
    """Return a storage in a file."""
    return WholeStorage(f"sqlite:///{folder / 'study.db'}")


def test_what_is_read_back_is_what_is_written_one_after_the_other(tmp_path: Path) -> None:
    """Of a storage that writes together, of Optuna's own, and of one in memory."""
    found = [kept(storage) for storage in (whole(tmp_path), RDBStorage(f"sqlite:///{tmp_path / 'own.db'}"), None)]
    first = found[0]
    assert ({"kind": 2, "width": 24, "rate": 0.01}, [0.25, float("inf")]) == (first.params, first.values)
    assert {"first": {"numbers": [1, 2.5]}, "ended": True} == first.user_attrs
    for other in found[1:]:
        for part in ("params", "distributions", "values", "user_attrs", "state"):
            assert getattr(first, part) == getattr(other, part)
    assert all(each.datetime_complete for each in found)


def test_a_trial_that_has_ended_stays_as_it_is(tmp_path: Path) -> None:
    """Neither an attribute nor another end gets in."""
    study = optuna.create_study(storage=whole(tmp_path), directions=["minimize"] * 2)
    trial = study.ask()
    write(study, trial._trial_id, END)
    for late in (Written(attributes={"late": 1}), Written(attributes={"late": 1}, state=TrialState.FAIL), PARAMETERS):
        with pytest.raises(UpdateFinishedTrialError):
            write(study, trial._trial_id, late)
    (held,) = study.get_trials()
    assert ({"ended": True}, TrialState.COMPLETE, {}) == (held.user_attrs, held.state, held.params)


def test_what_cannot_be_written_whole_is_not_written_in_part(tmp_path: Path) -> None:
    """A distribution that an earlier one of its name does not go with; as Optuna refuses it."""
    study = optuna.create_study(storage=whole(tmp_path))
    write(study, study.ask()._trial_id, PARAMETERS)
    for storage in (study._storage, whole(tmp_path)):  # one that has seen the first, and one that asks for it
        again = optuna.load_study(study_name=study.study_name, storage=storage)
        trial = again.ask()
        other = Written({"new": (IntDistribution(1, 2), 1), "width": (FloatDistribution(0, 1), 0.5)}, {"there": 1})
        with pytest.raises(ValueError, match="distribution"):
            write(again, trial._trial_id, other)
        held = again.get_trials()[-1]
        assert ({}, {}) == (held.params, held.user_attrs)


def test_done_twice_is_as_done_once(tmp_path: Path) -> None:
    """A server that was cut may have heard the first of two: parameters are there once, and stay as they were."""
    study = optuna.create_study(storage=whole(tmp_path))
    trial = study.ask()
    for _ in range(2):
        write(study, trial._trial_id, PARAMETERS)
    assert {"kind": 2, "width": 24, "rate": 0.01} == study.get_trials()[0].params


def test_a_point_takes_one_commit(tmp_path: Path) -> None:
    """However many parameters it has."""
    storage = whole(tmp_path)
    study = optuna.create_study(storage=storage)
    write(study, study.ask()._trial_id, PARAMETERS)  # the distributions are known then
    trial, commits = study.ask(), []
    sqlalchemy.event.listen(storage.engine, "commit", commits.append)
    write(study, trial._trial_id, PARAMETERS)
    assert 1 == len(commits)


def read(storage: RDBStorage, name: str, states: tuple[TrialState, ...] | None = None) -> list[FrozenTrial]:
    """Return the trials of a study, without Optuna's cache."""
    study_id = storage.get_study_id_from_name(name)
    return storage.get_all_trials(study_id, deepcopy=False, states=states)


def several(storage: RDBStorage) -> str:
    """Make a study with trials of every kind and return its name."""
    study = optuna.create_study(storage=storage, directions=["minimize"] * 2)
    study.enqueue_trial({"width": 16})
    kept(storage)  # of another study
    first, second, third = study.ask(), study.ask(), study.ask()
    write(study, first._trial_id, PARAMETERS)
    write(study, first._trial_id, replace(END, values=[float("-inf"), -0.0]))
    second.suggest_float("rate", 1e-4, 1e-1, log=True)
    for step, value in ((3, 0.5), (1, float("nan")), (2, float("inf"))):
        storage.set_trial_intermediate_value(second._trial_id, step, value)
    study.tell(third, state=TrialState.FAIL)
    study.add_trial(optuna.trial.create_trial(values=[1.0, 2.0], user_attrs={"a": None, "b": "\u20ac\0".strip("\0")}))
    return study.study_name


def alike(some: list[FrozenTrial], others: list[FrozenTrial]) -> bool:
    """Return whether trials are the same in all that they hold, parameters in their order too, NaN being NaN."""

    def held(trial: FrozenTrial) -> str:
        unordered = ("user_attrs", "system_attrs", "intermediate_values")
        return repr(
            {
                **vars(trial),
                "intermediate_values": "",
                **{f"_{name}": sorted(getattr(trial, name).items()) for name in unordered},
            }
        )

    return list(map(held, some)) == list(map(held, others))


@contextmanager
def places(kind: str, folder: Path) -> Iterator[str]:
    """Yield the URL of a database: a file, or one on a server that ends with the context."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'study.db'}"
        return
    with postgresql() as server:
        server.sql("CREATE DATABASE together")
        yield server.url("together")


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_trials_are_read_as_optuna_reads_them(tmp_path: Path, kind: str) -> None:
    """All, those of a state, a few by their ids, and none; more than are named one by one."""
    with places(kind, tmp_path) as url:
        ours, theirs = WholeStorage(url), RDBStorage(url)
        name = several(ours)
        everything = read(theirs, name)
        assert alike(everything, read(ours, name))
        assert {TrialState.COMPLETE, TrialState.RUNNING, TrialState.FAIL} <= {each.state for each in everything}
        assert alike(read(theirs, name, (TrialState.RUNNING,)), read(ours, name, (TrialState.RUNNING,)))
        study_id, ids = ours.get_study_id_from_name(name), [each._trial_id for each in everything]
        for named, after in ((set[int](), -1), ({ids[0], ids[-1]}, ids[1]), (set[int](), ids[-1]), ({ids[2]}, ids[-1])):
            assert alike(
                theirs._get_trials(study_id, None, named, after), ours._get_trials(study_id, None, named, after)
            )
        study = optuna.load_study(study_name=name, storage=ours)
        study.add_trials([optuna.trial.create_trial(values=[0.0, float(number)]) for number in range(600)])
        assert alike(read(theirs, name), read(ours, name))
        with pytest.raises(KeyError):
            ours._get_trials(99, None, set(), -1)
        for storage in (ours, theirs):
            storage.remove_session()
            storage.engine.dispose()
