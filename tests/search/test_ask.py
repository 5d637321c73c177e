"""Asking for points: none twice, none that failed, the same after a restart, whatever the space and the sampler."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import optuna
import pytest
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from threadpoolctl import threadpool_info, threadpool_limits

from archcost.search import ask as searching
from archcost.search.ask import Asked, Method, ask, exhausted
from archcost.search.domains import Choice, Draw, Pick, Point, Real, Whole
from archcost.search.pareto import hypervolume
from archcost.search.points import Memory, key, seen
from archcost.search.samplers import Name
from archcost.study.records.reasons import Reason
from archcost.study.records.trials import give_up, read

SAMPLERS: tuple[Name, ...] = ("tpe", "nsga2", "random", "grid")


def flat(pick: Pick) -> object:
    """Build a pair of a 4 x 5 space."""
    return pick("a", Whole(1, 4)), pick("b", Choice(("v", "w", "x", "y", "z")))


def mixed(pick: Pick) -> object:
    """Build a point of a space with every kind of domain, whose parameters depend on each other."""
    if pick("model", Choice(("deep", "wide"))) == "deep":
        depth = pick("deep.depth", Whole(1, 3))
        assert isinstance(depth, int)
        return [pick(f"deep.{place}", Whole(8, 61, step=8)) for place in range(depth)]
    return pick("wide.width", Whole(8, 512, log=True)), pick("wide.rate", Real(1e-4, 1e-1, log=True))


def alike(pick: Pick) -> object:
    """Build a point of options that Python takes for equal."""
    return pick("a", Choice((1, True, 1.0, None, "1"))), pick("b", Choice((0, False)))


def score(point: Point) -> tuple[float, float]:
    """Return two objectives that contradict each other, from what a point says."""
    size = float(sum(len(str(value)) + (value if isinstance(value, int | float) else 0) for value in point.values()))
    return size, 100 / (1 + size)


def study_of(storage: RDBStorage | None = None) -> optuna.Study:
    return optuna.create_study(directions=["minimize", "minimize"], storage=storage)


def run(study: optuna.Study, draw: Draw, method: Method, trials: int) -> list[Asked]:
    """Ask and tell so many trials."""
    found = []
    for _ in range(trials):
        found.append(ask(study, draw, method))
        study.tell(found[-1].trial, score(found[-1].point))
    return found


def keys(found: list[Asked]) -> set[object]:
    return {key(each.point) for each in found}


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_point_of_a_space_comes_once(name: Name) -> None:
    """Twenty trials are the twenty points of a space, which then is exhausted; the next one repeats a point."""
    study, method = study_of(), Method(name, seed=3, trials=20)
    assert not exhausted(study, flat, method)
    assert len(keys(run(study, flat, method, 20))) == 20
    assert exhausted(study, flat, method)
    assert run(study, flat, method, 1)[0].origin == "repeated"


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("draw", [mixed, alike])
def test_points_are_what_the_storage_holds(name: Name, draw: Draw, connect: Callable[[], RDBStorage]) -> None:
    """What was asked is built of the point, and a file gives the same points back: 1, 1.0 and true are told apart."""
    study = study_of(connect())
    found = run(study, draw, Method(name, trials=9), 9)
    again = optuna.load_study(study_name=study.study_name, storage=connect())
    assert [key(each.point) for each in found] == [key(e.point) for e in seen(again, again.trials, draw)]
    for each in found:
        assert repr(each.built) == repr(draw(lambda name, _, point=each.point: point[name]))
    assert len(keys(found)) == 9


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_restart_goes_on_as_if_there_was_none(name: Name, connect: Callable[[], RDBStorage]) -> None:
    """The second half of a study is the same whether one process asked for all of it or two did."""
    method = Method(name, seed=5, trials=18)
    whole = run(study_of(), mixed, method, 18)
    first = study_of(connect())
    halves = run(first, mixed, method, 9)
    second = optuna.load_study(study_name=first.study_name, storage=connect())
    halves += run(second, mixed, method, 9)
    assert [each.point for each in whole] == [each.point for each in halves]
    assert [each.origin for each in whole] == [each.origin for each in halves]


def test_who_remembers_proposes_the_same() -> None:
    """What has ended is built once, however often is asked, and the proposals stay: also those that follow failures."""
    method, drawn = Method(seed=5, trials=20), [0, 0]
    found: list[list[object]] = [[], []]
    for place, memory in enumerate((None, Memory())):

        def counted(pick: Pick, place: int = place) -> object:
            drawn[place] += 1
            return mixed(pick)

        study = study_of()
        for number in range(20):
            asked = ask(study, counted, method, memory=memory)
            found[place].append((key(asked.point), asked.origin))
            if number % 5 == 4:
                study.tell(asked.trial, state=TrialState.FAIL)
            else:
                study.tell(asked.trial, score(asked.point))
    assert found[0] == found[1]
    # each ask builds all before it, or the newest alone: 0 + 1 + ... + 19 against 19
    assert drawn[0] - drawn[1] == 190 - 19


def test_what_runs_is_not_remembered() -> None:
    """A trial that runs is read again when it has ended, with its values."""
    study, memory = study_of(), Memory()
    asked = ask(study, flat, Method("random"), memory=memory)
    assert [TrialState.RUNNING] == [each.state for each in seen(study, study.trials, flat, memory)]
    study.tell(asked.trial, score(asked.point))
    assert [score(asked.point)] == [each.values for each in seen(study, study.trials, flat, memory)]
    assert [0] == list(memory)


def test_the_trap_of_a_seed_that_starts_anew() -> None:
    """Optuna's own sampler repeats its points when a study with a seed is loaded again, which is why ask seeds it."""
    study = study_of()
    points = []
    for _ in range(2):
        study.sampler = optuna.samplers.RandomSampler(seed=1)
        trial = study.ask()
        points.append(trial.suggest_float("x", 0, 1))
        study.tell(trial, (0.0, 0.0))
    assert points[0] == points[1]


def test_another_seed_is_another_search() -> None:
    """Two studies with different seeds do not have the same points."""
    one, other = (run(study_of(), mixed, Method(seed=seed), 15) for seed in (1, 2))
    assert [each.point for each in one] != [each.point for each in other]


def test_workers_that_ask_at_once_have_points_of_their_own() -> None:
    """Running trials are known: eight at once, and eight more from threads, are sixteen points."""
    study = study_of()
    run(study, mixed, Method(), 12)
    running = [ask(study, mixed, Method()) for _ in range(8)]
    with ThreadPoolExecutor(4) as threads:
        running += list(threads.map(lambda _: ask(study, mixed, Method()), range(8)))
    assert len(keys(running)) == 16
    for each in running:
        study.tell(each.trial, score(each.point))


def blas() -> set[int]:
    """Return how many threads the loaded BLAS libraries have."""
    return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}


def test_a_point_is_chosen_with_one_thread_of_blas() -> None:
    """Afterwards there are as many as before, also if choosing fails."""
    study, had = study_of(), list[set[int]]()
    run(study, mixed, Method(), 12)

    def seen_by(pick: Pick) -> object:
        had.append(blas())
        return mixed(pick)

    def broken(_: Pick) -> object:
        had.append(blas())
        raise ArithmeticError

    with threadpool_limits(2, user_api="blas"):
        ask(study, seen_by, Method())
        assert ({1}, {2}) == (had[0], blas())
        with pytest.raises(ArithmeticError):
            ask(study, broken, Method())
        assert ({1}, {2}) == (had[-1], blas())


def test_threads_that_choose_at_once_leave_blas_as_it_was() -> None:
    """Who ends last does not put back the one thread that another one had set."""
    study = study_of()
    run(study, mixed, Method("random"), 3)
    before = blas()

    def slow(pick: Pick) -> object:
        time.sleep(0.01)
        return mixed(pick)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: ask(study, slow, Method("random")), range(8)))
    assert before == blas()


def test_what_failed_or_was_stopped_is_not_asked_for_again() -> None:
    """Failed and pruned points are known, and where half of a space fails, most of what comes lies in the other."""
    study, method = study_of(), Method(trials=60)
    found = []
    for number in range(60):
        found.append(ask(study, mixed, method))
        bad = found[-1].point["model"] == "wide"
        state = TrialState.FAIL if number % 2 else TrialState.PRUNED
        study.tell(found[-1].trial, None if bad else score(found[-1].point), state if bad else None)
    assert len(keys(found)) == 60
    late = [each.point["model"] for each in found[30:] if each.origin == "local"]
    assert late.count("deep") > 0.7 * len(late)


def test_nothing_but_failures_is_survived() -> None:
    """If no trial ever gives values, random points come, none of them twice."""
    study = study_of()
    found = []
    for _ in range(30):
        found.append(ask(study, mixed, Method()))
        study.tell(found[-1].trial, state=TrialState.FAIL)
    assert len(keys(found)) == 30


def test_what_waits_comes_first() -> None:
    """An enqueued point is given out though it is known, what it lacks is drawn; one outside the space fails."""
    study = study_of()
    run(study, flat, Method(), 2)
    known = study.trials[0].params
    for point in (known, {"a": 2}, {"a": 99, "b": "v"}, {"a": 1, "b": "nothing"}, known):
        study.enqueue_trial(point)
    assert not exhausted(study, flat, Method())
    found = [ask(study, flat, Method()) for _ in range(3)]
    assert ["enqueued"] * 3 == [each.origin for each in found]
    assert [known, known] == [found[0].point, found[2].point]
    assert found[1].point["a"] == 2
    assert [TrialState.FAIL] * 2 == [each.state for each in study.trials if each.number in (4, 5)]


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_any_number_of_objectives(objectives: int) -> None:
    """One objective or three are searched as two are, with the best found better than the first ten."""
    study = optuna.create_study(directions=["minimize"] * objectives)
    for _ in range(30):
        asked = ask(study, mixed, Method(trials=30))
        first, second = score(asked.point)
        study.tell(asked.trial, (first, second, first * second)[:objectives])
    best = [min(each.values[0] for each in study.trials[:count]) for count in (10, 30)]
    assert best[1] <= best[0]


def test_maximised_objectives_are_turned_round() -> None:
    """A study that maximises is searched for what is large."""
    study = optuna.create_study(directions=["maximize"])
    for _ in range(30):
        asked = ask(study, flat, Method(trials=30))
        assert isinstance(asked.point["a"], int)
        study.tell(asked.trial, float(asked.point["a"]))
        if asked.trial.number == 14:
            break
    assert max(each.values[0] for each in study.trials) == 4


def test_infinite_results_are_not_learnt_from() -> None:
    """Optuna takes (-inf, 1) for the best of all; here it is a trial that gave nothing."""
    study = study_of()
    run(study, flat, Method(), 10)
    worst = ask(study, flat, Method())
    study.tell(worst.trial, (float("-inf"), 1.0))
    assert len(study.best_trials) == 1
    assert [each.values for each in seen(study, study.trials[-1:], flat)] == [()]
    assert len(keys(run(study, flat, Method(), 5))) == 5


def test_a_broken_constraint_is_no_good_result() -> None:
    """A trial that was told a broken constraint gives no values to learn from."""
    study = study_of()
    asked = ask(study, flat, Method())
    asked.trial.set_constraint("memory", 1.0)
    study.tell(asked.trial, (1.0, 1.0))
    assert [()] == [each.values for each in seen(study, study.trials, flat)]


def test_the_study_keeps_its_sampler_and_nothing_is_said(
    capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    """No warning and no word of Optuna's reaches a user, and the study is as it was given."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = study_of()
    before = study.sampler
    run(study, mixed, Method(trials=16), 16)
    assert before is study.sampler
    assert (capfd.readouterr().err, len(recwarn)) == ("", 0)


def test_a_point_that_two_begin_at_once_is_left_to_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who finds that another has begun the same point meanwhile fails with a reason, does not count, and asks again."""
    study = study_of()
    first = ask(study, flat, Method())
    chosen = iter([first.point, {"a": 4, "b": "z"}, {"a": 4, "b": "y"}])
    monkeypatch.setattr(searching, "chosen", lambda asked: (next(chosen), "local"))
    second = ask(study, flat, Method(), give_up)
    assert key(second.point) != key(first.point)
    gave_way = read(study, {})[1]
    assert ("failed", False) == (gave_way.state, gave_way.ended is not None and gave_way.ended.counts)
    assert gave_way.reason == Reason("gave_way", "another worker began the same point at the same moment")
    assert len(list(seen(study, study.trials, flat))) == 2  # what gave way does not make its point known


def test_wide_spaces_cost_a_bounded_number_of_draws() -> None:
    """Of 300 parameters, whose points have thousands of neighbours, no ask draws more than a thousand points."""
    drawn = 0

    def wide(pick: Pick) -> object:
        nonlocal drawn
        drawn += 1
        return [pick(str(place), Choice(tuple(range(10)))) for place in range(300)]

    study = study_of()
    for number in range(12):
        drawn = 0
        asked = ask(study, wide, Method(seed=1))
        assert drawn <= 1000
        study.tell(asked.trial, (float(number % 5), float(number % 3)))


def test_the_first_points_are_spread() -> None:
    """Of five options that a point has, the first seven points have nearly all; random ones have fewer."""

    def even(pick: Pick) -> object:
        return [pick(str(place), Choice(tuple(range(5)))) for place in range(6)]

    def options(name: Name, seed: int) -> int:
        found = run(study_of(), even, Method(name, seed=seed), 7)
        return len({(place, value) for each in found for place, value in each.point.items()})

    spread, chance = (sum(options(name, seed) for seed in range(5)) for name in ("tpe", "random"))
    assert spread > chance + 10


def test_the_default_search_beats_random_points() -> None:
    """On a made-up space, eight seeds together find more hypervolume in 40 trials than random points do."""

    def draw(pick: Pick) -> object:
        return [pick(name, Whole(0, 9)) for name in "abcd"]

    def value(point: Point) -> tuple[float, float]:
        a, b, c, d = (float(each or 0) for each in point.values())
        return (a - 3) ** 2 + (b - 5) ** 2 + c, (a - 6) ** 2 + (b - 5) ** 2 + d

    def volume(method: Method) -> float:
        study = study_of()
        for _ in range(40):
            asked = ask(study, draw, method)
            study.tell(asked.trial, value(asked.point))
        return hypervolume([each.values for each in study.trials], (40.0, 40.0))

    found, random_ones = (sum(volume(Method(name, seed=seed)) for seed in range(8)) for name in ("tpe", "random"))
    assert found > 1.1 * random_ones
