"""Networks that are confirmed with more epochs: who is on the front then, who was to be, and whether orders agree."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from fronts import OBJECTIVES, again, part, told
from plans import specified

from archcost.errors import InputError
from archcost.study.records import confirmed, open_trainings, trials
from archcost.study.records.best.choice import Field
from archcost.study.records.best.fidelity import fidelity
from archcost.study.records.confirmed import Extent
from archcost.study.records.database.addresses import Address
from archcost.study.records.stored import Stored
from archcost.study.records.tables import front_of, searched


def stored(study: optuna.Study) -> Stored:
    trials.remember(study, "about", {"same": {"fit": {"epochs": 3}}})
    return Stored(study, Address(Path("study.db")), "one", OBJECTIVES, ("error", "latency", "params"))


@pytest.fixture
def study() -> optuna.Study:
    """Four networks, each slower and better than the one before, three of them confirmed with 30 epochs."""
    study = told(*(part(name, error, time_s) for name, error, time_s in
                   (("a", 0.4, 0.1), ("b", 0.3, 0.2), ("c", 0.2, 0.3), ("d", 0.1, 0.4))))  # fmt: skip
    for name, error in (("0", 0.2), ("1", 0.05), ("2", 0.1)):
        confirmed.keep(study, name, replace(again(error, error), epochs=30))
    return study


def test_scores_of_longer_trainings_are_compared_with_each_other_alone(study: optuna.Study) -> None:
    """The last one had the best score of the search, and is not on the front until it is confirmed too."""
    found = stored(study)
    now = found.front()
    assert {"0", "1"} == {each.name for each in now.members}
    assert {"2", "3"} == {each.name for each in now.others}
    assert ["2"] == [each.name for each in now.left]
    assert {"0", "1", "2"} == {each.name for each in Field(found, now).candidates}


def test_what_the_last_run_asked_for_makes_the_front_also_if_others_were_trained_longer(study: optuna.Study) -> None:
    """Fewer epochs than before: the first that is confirmed anew is on the front, and its seeds are kept."""
    trials.remember(study, "extent", {"examples": 0, "epochs": 12, "data": ""})
    assert {"0", "1"} == {each.name for each in stored(study).front().members}  # as long as there are none
    confirmed.keep(study, "2", replace(again(0.15, 0.15), epochs=12))
    found = stored(study)
    assert ["2"] == [each.name for each in found.front().members]
    standing = {each.name: each.standing is not None for each in found.contenders().members}
    assert {"0": False, "1": False, "2": True, "3": False} == standing


def test_a_study_that_asks_for_no_longer_trainings_any_more_is_as_it_was_searched(study: optuna.Study) -> None:
    """Scores of the search and of trainings as long as those are compared again, and no others."""
    trials.remember(study, "extent", {"examples": 0, "epochs": 0, "data": ""})
    confirmed.keep(study, "3", again(0.12, 0.14))
    contenders = {each.name: each.values[0] for each in stored(study).contenders().members}
    assert {"0": 0.4, "1": 0.3, "2": 0.2, "3": pytest.approx(0.13)} == contenders
    assert ["3"] == [each.name for each in stored(study).front().members]


def test_who_is_confirmed_next_is_chosen_by_the_scores_of_the_search(study: optuna.Study) -> None:
    contenders = stored(study).contenders()
    assert {"0", "1", "2", "3"} == {each.name for each in contenders.members}
    assert ["3"] == [each.name for each in contenders.members if not each.standing]
    assert 0.4 == max(each.values[0] for each in contenders.members)


def test_orders_of_search_and_longer_training_are_compared(study: optuna.Study) -> None:
    """Of three pairs one is the other way round."""
    found = stored(study)
    agreed = fidelity(found, found.front())
    assert agreed is not None
    assert (3, 30, 3) == (agreed.networks, agreed.epochs, agreed.search_epochs)
    assert agreed.kendall_tau == pytest.approx(1 / 3)
    assert "tau 0.33" in agreed.words
    now = found.front()
    assert {"0": {"error": 0.4}, "1": {"error": 0.3}} == {each.name: searched(each, OBJECTIVES) for each in now.members}
    assert "fidelity" not in front_of(found, replace(now, members=(), others=()))


def test_who_was_confirmed_with_fewer_epochs_is_not_confirmed_yet(study: optuna.Study) -> None:
    """Neither left the front nor counts among the networks whose orders are compared, and is confirmed next."""
    confirmed.keep(study, "3", replace(again(0.01, 0.01), epochs=9))
    found = stored(study)
    assert "3" not in [each.name for each in found.front().left]
    assert "3" in [each.name for each in found.contenders().members if not each.standing]
    agreed = fidelity(found, found.front())
    assert agreed is not None
    assert agreed.networks == 3


def test_nothing_is_said_if_all_trainings_are_as_long() -> None:
    study = told(part("a", 0.4, 0.1), part("b", 0.3, 0.2))
    confirmed.keep(study, "0", again(0.35, 0.36))
    found = stored(study)
    now = found.front()
    assert fidelity(found, now) is None
    assert {"0", "1"} == {each.name for each in now.members}
    assert now.members == found.contenders().members


def test_one_network_has_no_order() -> None:
    study = told(part("a", 0.4, 0.1))
    confirmed.keep(study, "0", replace(again(0.2, 0.2), epochs=30))
    found = stored(study)
    agreed = fidelity(found, found.front())
    assert agreed is not None
    assert agreed.kendall_tau is None
    assert "too few networks" in agreed.words


def test_confirming_is_no_shorter_than_the_search() -> None:
    assert 0 == specified(confirm={"epochs": 2}).study.longer  # as many as in the search
    assert 5 == specified(confirm={"epochs": 5}).study.longer
    with pytest.raises(InputError, match=r"confirm\.epochs: given 1; allowed: 2 or more, the epochs of 'fit'"):
        specified(confirm={"epochs": 1})


def test_a_longer_training_is_kept_in_a_place_of_its_own(tmp_path: Path) -> None:
    places = {open_trainings.place(tmp_path, "s", "i", 0, 1, extent).path for extent in
              (Extent(), Extent(epochs=30), Extent(epochs=40), Extent(50, 30, "a"), Extent(50, 0, "a"),
               Extent(50, 0, "b"))}  # fmt: skip
    assert 6 == len(places)
