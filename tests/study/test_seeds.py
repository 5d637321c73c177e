"""The weights of confirmed seeds: which are kept, which are removed, and what is never touched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import optuna
import pytest
import torch
from fronts import OBJECTIVES, again, fronted, part, told
from plans import drawn, planned

from archcost.errors import InputError
from archcost.nets.net import build
from archcost.nets.weights import save_weights
from archcost.study import jobs
from archcost.study.parts import parts
from archcost.study.records import confirmed, trials
from archcost.study.records.front import Candidate, candidates
from archcost.study.records.part import achieved
from archcost.study.records.trials import Begun, Ended, remember
from archcost.study.records.weights_folder import seed_file
from archcost.study.release import seeds
from archcost.study.release.seeds import Keep


@pytest.mark.parametrize(
    ("errors", "among", "expected"),
    [
        ((0.1,), (1,), 1),
        ((0.3, 0.1, 0.2), (1, 2, 3), 3),
        ((0.1, 0.2), (1, 2), 2),
        ((0.2, 0.1), (1, 2), 1),
        ((0.1, 0.4, 0.2, 0.3), (1, 2, 3, 4), 4),
        ((0.1, 0.4, 0.2, 0.3, 0.5), (1, 2, 5), 2),
        ((0.1, 0.2, 0.3), (1, 3), 3),
        ((0.1, 0.1, 0.1), (1, 2, 3), 2),
        ((0.1, 0.2, 0.3), (), None),
    ],
)
def test_the_median_seed_is_the_middle_one_by_validation(
    errors: tuple[float, ...], among: tuple[int, ...], expected: int | None
) -> None:
    """Of two in the middle the worse one; if its file is not there, the nearest to it, of two the worse."""
    assert expected == confirmed.median_seed(again(*errors), OBJECTIVES, among)


def kept(study: optuna.Study, folder: Path, *numbers: int) -> Candidate:
    """Write the files of seeds 1, 2 and 3 of trials, as confirming does, and return the first network."""
    remember(study, "identity", "ours")
    net = build(drawn(planned()).graph)
    every = {each.trial.number: each for each in candidates(study, trials.read(study, {}), OBJECTIVES)}
    for number in numbers:
        confirmed.keep_files(study, str(number), (1, 2, 3))
        for seed in (1, 2, 3):
            mark = {**seeds.mark_of("ours", every[number], seed), "digest": "d"}
            save_weights(net, seed_file(folder, number, 0, seed), mark)
    return every[numbers[0]]


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def settle(study: optuna.Study, folder: Path, keep: Keep, count: int = 3) -> None:
    seeds.settle(study, folder, fronted(study), OBJECTIVES, (keep, count))


def test_only_the_median_is_kept_once_all_seeds_are_trained(tmp_path: Path) -> None:
    """With a seed missing nothing is removed; then one file is left, and noted; a second time nothing happens."""
    study = told(part("a", 0.1))
    confirmed.keep(study, "0", again(0.3, 0.1, 0.2))
    kept(study, tmp_path, 0)
    settle(study, tmp_path, "median", 4)
    settle(study, tmp_path, "all")
    assert ["0.seed1.pt", "0.seed2.pt", "0.seed3.pt"] == names(tmp_path)
    for _ in range(2):
        settle(study, tmp_path, "median")
        assert (["0.seed3.pt"], (3,)) == (names(tmp_path), confirmed.files(study, "0"))


def test_who_left_the_front_keeps_no_weights(tmp_path: Path) -> None:
    """A member's stay; of a network that did worse when it was trained again they go."""
    study = told(part("a", 0.1, 0.2), part("b", 0.2, 0.1))
    confirmed.keep(study, "0", again(0.9, 0.9, 0.9))
    confirmed.keep(study, "1", again(0.2, 0.2, 0.2))
    kept(study, tmp_path, 0, 1)
    settle(study, tmp_path, "all")
    assert ["1.seed1.pt", "1.seed2.pt", "1.seed3.pt"] == names(tmp_path)
    assert ((), (1, 2, 3)) == (confirmed.files(study, "0"), confirmed.files(study, "1"))


def test_files_of_others_are_not_removed(tmp_path: Path) -> None:
    """What says that it is another study's, is no file of weights, or was never noted, stays."""
    study = told(part("a", 0.1, 0.2), part("b", 0.2, 0.1))
    confirmed.keep(study, "0", again(0.9, 0.9, 0.9))
    first = kept(study, tmp_path, 0)
    save_weights(build(drawn(planned()).graph), tmp_path / "0.seed1.pt", seeds.mark_of("theirs", first, 1))
    (tmp_path / "0.seed2.pt").write_bytes(b"precious")
    save_weights(build(drawn(planned()).graph), tmp_path / "0.seed9.pt", seeds.mark_of("ours", first, 9))
    settle(study, tmp_path, "all")
    assert ["0.seed1.pt", "0.seed2.pt", "0.seed9.pt"] == names(tmp_path)


def test_a_seed_writes_where_it_may(tmp_path: Path) -> None:
    """Its file says whose it is; what an interrupted run left is written over, what somebody else put there is not."""
    plan = planned(objectives=[{"error": "min"}])
    study, model = optuna.create_study(directions=["minimize"]), drawn(plan)
    remember(study, "identity", "ours")
    trial = study.ask()
    trials.begin(trial, Begun("random", model.name, model.family, model.yaml, "id"))
    (whole,) = parts(plan, model)
    whole = replace(whole, score=part("a", 0.1).score)
    trials.end(study, trial, Ended((whole,)), achieved(whole, plan.objectives))
    (each,) = candidates(study, trials.read(study, {}), plan.objectives)
    job = jobs.confirm(plan, model, tmp_path, 2, 1)

    expected = {"study": "ours", "trial": 0, "column": 0, "seed": 2, "digest": model.digest}
    for _ in range(2):
        found = seeds.kept(study, tmp_path, each, 2, job)
        assert (str(tmp_path / "0.seed2.pt"), expected, (2,)) == (
            found.weights,
            found.mark,
            confirmed.files(study, "0"),
        )
        save_weights(build(model.graph), Path(found.weights), found.mark)
    torch.save({"precious": 1}, tmp_path / "0.seed2.pt")
    with pytest.raises(InputError, match="is in the place of the weights of 0 with seed 2"):
        seeds.kept(study, tmp_path, each, 2, job)


def test_a_file_is_named_by_numbers_alone(tmp_path: Path) -> None:
    """So no name of a trial leads out of the folder."""
    expected = ["12.seed1.pt", "12-2.seed1.pt"]
    assert expected == [seed_file(tmp_path, 12, column, 1).name for column in (0, 2)]
    with pytest.raises(ValueError, match="Unknown format code"):
        seed_file(tmp_path, "../../x", 0, 1)  # type: ignore[arg-type]  # what a damaged storage might give
