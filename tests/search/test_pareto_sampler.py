"""The sampler for Optuna's studies: Optuna's own cases, any space, any storage, nothing twice."""

from __future__ import annotations

import copy
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.samplers import BaseSampler, PartialFixedSampler, RandomSampler
from optuna.storages import InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.testing.pytest_samplers import BasicSamplerTestCase, MultiObjectiveSamplerTestCase, RelativeSamplerTestCase
from optuna.trial import FrozenTrial, Trial, TrialState
from threadpoolctl import threadpool_info

import archcost
from archcost.search.optuna_studies.pareto_sampler import ParetoSampler
from archcost.search.pareto import hypervolume

optuna.logging.set_verbosity(optuna.logging.WARNING)
Values = tuple[float, float]


class TestAsOptunaTestsSamplers(BasicSamplerTestCase, RelativeSamplerTestCase, MultiObjectiveSamplerTestCase):
    """The generic test cases that ship with Optuna."""

    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        """Return what makes a sampler."""
        return ParetoSampler


def mixed(trial: Trial) -> Values:
    """Return two objectives of a space with every kind of parameter, which depend on each other."""
    if trial.suggest_categorical("model", ["deep", "wide"]) == "deep":
        depth = trial.suggest_int("depth", 1, 3)
        size = float(sum(trial.suggest_int(f"layer{place}", 8, 56, step=8) for place in range(depth)))
    else:
        size = trial.suggest_int("width", 8, 512, log=True) + 100 * trial.suggest_float("rate", 1e-4, 1e-1, log=True)
    return size, abs(size - 100) * trial.suggest_float("half", 0.5, 2.0, step=0.5)


def flat(trial: Trial) -> Values:
    """Return two objectives of a 4 x 5 space."""
    size = trial.suggest_int("a", 1, 4) * (1.0 + "vwxyz".index(trial.suggest_categorical("b", list("vwxyz"))))
    return size, 100 / size


def study_of(seed: int | None = 0, **options: Any) -> optuna.Study:
    given = {"directions": ["minimize", "minimize"], "sampler": ParetoSampler(seed), **options}
    return optuna.create_study(**given)


def points(study: optuna.Study) -> list[tuple[tuple[str, Any], ...]]:
    return [tuple(sorted(each.params.items())) for each in study.trials]


def test_it_is_a_public_name_that_loads_late() -> None:
    """`import archcost` loads no Optuna; the sampler loads it, and no torch."""
    code = """
import sys, archcost
before = "optuna" in sys.modules
archcost.ParetoSampler(seed=0)
print(before, "optuna" in sys.modules, "torch" in sys.modules)
"""
    assert archcost.ParetoSampler is ParetoSampler
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False", "True", "False"]


def test_every_point_of_a_space_comes_once() -> None:
    """Twenty trials are the twenty points of a space; the next ones repeat some."""
    study = study_of()
    study.optimize(flat, n_trials=20)
    assert len(set(points(study))) == 20
    study.optimize(flat, n_trials=2)
    assert [TrialState.COMPLETE] * 22 == [each.state for each in study.trials]


def test_points_of_a_conditional_space_are_all_different() -> None:
    """What depends on other values is learnt: no point comes twice, and late ones are proposed whole."""
    study = study_of()
    study.optimize(mixed, n_trials=40)
    assert len(set(points(study))) == 40
    kinds = {frozenset(each.params) for each in study.trials}
    for _ in range(5):
        trial = study.ask()
        assert frozenset(trial.relative_params) in kinds
        study.tell(trial, mixed(trial))
        assert trial.params == trial.relative_params


def test_a_restart_goes_on_as_if_there_was_none(connect: Callable[[], RDBStorage]) -> None:
    """Nothing is kept but in the storage: two halves in a file, each with a sampler of its own, are one whole."""
    whole = study_of(seed=5)
    whole.optimize(mixed, n_trials=18)
    first = study_of(seed=5, storage=connect())
    first.optimize(mixed, n_trials=9)
    second = optuna.load_study(study_name=first.study_name, storage=connect(), sampler=ParetoSampler(5))
    second.optimize(mixed, n_trials=9)
    assert points(whole) == points(second)


def test_seeds() -> None:
    """One seed gives the same points, another one, none, or a new one drawn gives others; copies have the same."""
    sampler = ParetoSampler(1)
    same = [ParetoSampler(1), sampler, copy.copy(sampler), copy.deepcopy(sampler)]
    drawn = ParetoSampler(1)
    drawn.reseed_rng()
    found = []
    for each in (*same, drawn, ParetoSampler(2), ParetoSampler(), ParetoSampler()):
        study = study_of(sampler=each)
        study.optimize(mixed, n_trials=9)
        found.append(tuple(points(study)))
    assert len(set(found[:4])) == 1
    assert len(set(found)) == 5


def test_the_storage_is_read_once_for_each_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    """Choosing a point reads the trials once, however many parameters it has."""
    storage, reads = InMemoryStorage(), 0
    study = study_of(storage=storage)
    study.optimize(mixed, n_trials=9)
    read = storage.get_all_trials

    def counted(*given: Any, **named: Any) -> list[FrozenTrial]:
        nonlocal reads
        reads += 1
        return read(*given, **named)

    monkeypatch.setattr(storage, "get_all_trials", counted)
    study.ask().suggest_categorical("model", ["deep", "wide"])
    before, reads = reads, 0
    trial = study.ask()
    mixed(trial)
    assert before == reads  # asking alone looks for a trial that waits, once
    monkeypatch.undo()
    asking = study_of(storage=storage, sampler=RandomSampler(seed=0))
    monkeypatch.setattr(storage, "get_all_trials", counted)
    reads = 0
    mixed(asking.ask())
    assert before == reads + 1


@pytest.mark.parametrize("kind", ["memory", "file", "journal"])
def test_threads_share_any_storage(kind: str, connect: Callable[[], RDBStorage], tmp_path: Path) -> None:
    """With four threads all trials end, most points are new, and BLAS has its threads back."""
    kinds: dict[str, Callable[[], Any]] = {
        "memory": InMemoryStorage,
        "file": connect,
        "journal": lambda: JournalStorage(JournalFileBackend(str(tmp_path / "journal"))),
    }
    study, threads = study_of(storage=kinds[kind]()), [each["num_threads"] for each in threadpool_info()]
    study.optimize(mixed, n_trials=16, n_jobs=4)
    assert [TrialState.COMPLETE] * 16 == [each.state for each in study.trials]
    assert len(set(points(study))) >= 13
    assert threads == [each["num_threads"] for each in threadpool_info()]


def test_workers_that_ask_at_once_have_points_of_their_own() -> None:
    """Eight trials that run and wait for their first parameter, then take it one after another, are eight points."""
    study = study_of()
    study.optimize(flat, n_trials=8)
    running = [study.ask() for _ in range(8)]
    for trial in running:
        flat(trial)
    assert len({tuple(sorted(each.params.items())) for each in running}) == 8


def test_a_broken_constraint_is_avoided() -> None:
    """Where half of a space breaks a constraint, most of what comes later does not."""

    def objective(trial: Trial) -> Values:
        values = mixed(trial)
        trial.set_constraint("deep", 1.0 if trial.params["model"] == "wide" else -1.0)
        return values

    study = study_of()
    study.optimize(objective, n_trials=60)
    late = [each.params["model"] for each in study.trials[30:]]
    assert late.count("deep") > 0.7 * len(late)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_fails_is_avoided_and_never_repeated() -> None:
    """Exceptions, NaN, infinite values and pruned trials: points like them come less often, the same never."""

    def objective(trial: Trial) -> Values:
        values = mixed(trial)
        if trial.params["model"] == "deep":
            return values
        match trial.number % 4:
            case 0:
                raise optuna.TrialPruned
            case 1:
                raise ArithmeticError
            case 2:
                return math.nan, 1.0
            case _:
                return -math.inf, 1.0

    study = study_of()
    study.optimize(objective, n_trials=60, catch=(ArithmeticError,))
    assert len(set(points(study))) == 60
    late = [each.params["model"] for each in study.trials[30:]]
    assert late.count("deep") > 0.7 * len(late)


def test_nothing_but_failures_is_survived() -> None:
    """If no trial ever gives values, points come all the same, none of them twice."""
    study = study_of()
    for _ in range(20):
        trial = study.ask()
        flat(trial)
        study.tell(trial, state=TrialState.FAIL)
    assert len(set(points(study))) == 20


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_a_single_objective_is_searched_too(direction: str) -> None:
    """In either direction, most of a small space's best points are found in half as many trials as there are points."""

    def value(trial: Trial) -> float:
        a, b = trial.suggest_int("a", 0, 9), trial.suggest_int("b", 0, 9)
        return (1 if direction == "minimize" else -1) * float((a - 7) ** 2 + (b - 2) ** 2)

    study = study_of(directions=[direction])
    study.optimize(value, n_trials=30)
    assert {"a": 7, "b": 2} == study.best_params


def test_three_objectives_of_either_direction() -> None:
    """Directions may differ between objectives."""

    def values(trial: Trial) -> tuple[float, float, float]:
        size, cost = flat(trial)
        return size, cost, float(trial.params["a"])

    study = study_of(directions=["minimize", "maximize", "maximize"])
    study.optimize(values, n_trials=15)
    assert len(set(points(study))) == 15


@pytest.mark.filterwarnings("ignore:Choices for a categorical")
def test_choices_may_be_of_any_kind() -> None:
    """Options of several types, equal ones and lists among them, are searched without an error or a repeat."""
    choices: Any = [None, True, 1.5, "1.5", math.nan, (1, 2), [3]]

    def values(trial: Trial) -> Values:
        chosen = [trial.suggest_categorical(name, choices) for name in "ab"]
        return float(len(repr(chosen))), float(-len(repr(chosen)))

    study = study_of()
    study.optimize(values, n_trials=30)
    assert len({repr(each) for each in points(study)}) == 30
    equal = study_of()
    equal.optimize(lambda trial: (float(trial.suggest_categorical("a", [1, True, 1.0])), 0.0), n_trials=12)
    assert len(equal.trials) == 12


def test_values_that_were_enqueued_stay() -> None:
    """Of a trial that was enqueued with some of its values, the others are chosen to go with them."""
    study = study_of()
    study.optimize(mixed, n_trials=20)
    for model in ("deep", "wide", "deep"):
        study.enqueue_trial({"model": model, "half": 1.5})
        trial = study.ask()
        mixed(trial)
        assert (model, 1.5) == (trial.params["model"], trial.params["half"])
        assert trial.params.items() - {"model": model, "half": 1.5}.items() <= trial.relative_params.items()
    study.enqueue_trial({"model": "neither"})
    with pytest.raises(ValueError, match="neither"):
        mixed(study.ask())


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_another_sampler_may_have_some_parameters() -> None:
    """Within PartialFixedSampler it chooses what is left."""
    study = study_of()
    study.optimize(mixed, n_trials=12)
    study.sampler = PartialFixedSampler({"model": "deep", "depth": 2}, study.sampler)
    study.optimize(mixed, n_trials=12)
    late = study.trials[12:]
    assert [("deep", 2)] * 12 == [(each.params["model"], each.params["depth"]) for each in late]
    assert len({tuple(each.params.items()) for each in late}) > 6


def test_a_space_that_changes_is_followed() -> None:
    """A parameter that is added and a range that moves are searched from then on."""

    def before(trial: Trial) -> Values:
        return float(trial.suggest_int("a", 0, 5)), trial.suggest_float("b", 0, 1)

    def after(trial: Trial) -> Values:
        a = trial.suggest_int("a", 10, 15)
        return float(a), trial.suggest_float("b", 0, 1) + trial.suggest_int("new", 0, 3)

    study = study_of()
    study.optimize(before, n_trials=10)
    study.optimize(after, n_trials=10)
    trial = study.ask()
    after(trial)
    assert trial.params == trial.relative_params


def test_huge_values_are_survived() -> None:
    """Objectives near the largest number there is are learnt from, or not, without an error."""

    def values(trial: Trial) -> Values:
        size, cost = flat(trial)
        return (1.7e308 if size > 8 else -1.7e308), cost * 1e-300

    study = study_of()
    study.optimize(values, n_trials=16)
    assert len(set(points(study))) == 16


def test_a_trial_without_parameters_is_no_point() -> None:
    """A study that asks for no parameter is run as any other; one that begins to is searched."""
    study = study_of()
    study.optimize(lambda _: (1.0, 1.0), n_trials=9)
    study.optimize(flat, n_trials=9)
    assert len(set(points(study)[9:])) == 9


def test_asked_without_a_study_s_help() -> None:
    """The two calls that Optuna makes: the parameters known so far, and values for those that are asked for."""
    study = study_of()
    known: dict[str, BaseDistribution] = {"a": IntDistribution(0, 9)}
    sampler, trial = ParetoSampler(0), study.ask()
    frozen = study.trials[-1]
    assert {} == sampler.infer_relative_search_space(study, frozen)
    assert {} == sampler.sample_relative(study, frozen, known)
    study.tell(trial, state=TrialState.FAIL)
    study.optimize(flat, n_trials=3)
    assert ["a", "b"] == sorted(sampler.infer_relative_search_space(study, frozen))
    assert ["a"] == list(sampler.sample_relative(study, frozen, {"a": IntDistribution(1, 4)}))


def test_it_beats_random_points() -> None:
    """On a made-up space, four seeds together find more hypervolume in 40 trials than random points do."""

    def values(trial: Trial) -> Values:
        a, b, c, d = (trial.suggest_float(name, 0, 9) for name in "abcd")
        return (a - 3) ** 2 + (b - 5) ** 2 + c, (a - 6) ** 2 + (b - 5) ** 2 + d

    def volume(sampler: BaseSampler) -> float:
        study = study_of(sampler=sampler)
        study.optimize(values, n_trials=40)
        return hypervolume([each.values for each in study.trials], (40.0, 40.0))

    found, random_ones = (sum(volume(kind(seed)) for seed in range(4)) for kind in (ParetoSampler, RandomSampler))
    assert found > 1.1 * random_ones


def test_numbers_are_not_searched_on_a_grid() -> None:
    """The minimum of a function of two real numbers is found more closely than steps of a tenth would."""

    def value(trial: Trial) -> float:
        return (trial.suggest_float("a", 0, 1) - 0.3217) ** 2 + (trial.suggest_float("b", 0, 1) - 0.7391) ** 2

    study = study_of(directions=["minimize"])
    study.optimize(value, n_trials=40)
    assert study.best_value < 0.02**2
