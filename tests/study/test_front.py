"""The front of a study as it is confirmed: what comes onto it, what leaves it, and what is told of both."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from fronts import OBJECTIVES, again, fronted, part, taken, told
from measurements import samples

from archcost.cli.study.lines import status_lines
from archcost.study.records import confirmed, tables, trials
from archcost.study.records.database.addresses import address
from archcost.study.records.front import bounds, restored
from archcost.study.records.reasons import Reason
from archcost.study.records.stored import described
from archcost.study.records.trials import Ended


def test_networks_of_one_graph_have_one_latency() -> None:
    """The one with most samples; where one was measured by turns, that."""
    study = told(part("a", 0.1, 0.174, 9), part("a", 0.2, 0.147, 8), part("b", 0.3, 0.160, 8))
    now = fronted(study)
    assert ["0", "2"] == [each.name for each in now.members]
    assert [0.174, 0.160] == [pytest.approx(restored(each, OBJECTIVES)[1]) for each in now.members]
    confirmed.keep(study, "1", again(0.2, by_turns=(taken(0.15),)))
    found = {each.name: restored(each, OBJECTIVES)[1] for each in (*fronted(study).members, *fronted(study).others)}
    assert {"0": 0.15, "1": 0.15, "2": 0.160} == {name: pytest.approx(value) for name, value in found.items()}


def test_counts_are_exact_integers() -> None:
    """6274 is no exp(log(6274)) = 6274.000000000004, neither in the table of all trials nor in an interval."""
    study = told(part("a", 0.1))
    confirmed.keep(study, "0", again(0.1, 0.2))
    now = fronted(study)
    (row,) = tables.rows(trials.read(study, {}), now, OBJECTIVES)
    found = [row["params"], tables.known(now.members[0], OBJECTIVES)["params"], *bounds(now.members[0], OBJECTIVES)[2]]
    assert ["6274"] * 4 == list(map(repr, found))


def test_a_row_says_what_the_front_says() -> None:
    """The mean of its seeds, its test, why its latency is not to be trusted; beside it what its trial gave."""
    study = told(part("a", 0.1, bursts=2))
    confirmed.keep(study, "0", again(0.2, 0.4))
    (row,) = tables.rows(trials.read(study, {}), fronted(study), OBJECTIVES)
    assert (True, 2, False) == (row["confirmed"], row["seeds"], row["stable"])
    assert [0.3, 0.3, 0.1] == [pytest.approx(row[key]) for key in ("error", "test", "first.error")]
    assert "too few blocks: 2" in row["why"][0]


def test_reasons_are_wrapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long reason is told to its end, within 80 columns."""
    monkeypatch.chdir(tmp_path)  # a path is not wrapped
    study = optuna.create_study()
    trials.remember(study, "about", {"schema": 1, "name": "x", "objectives": [["error", None]], "labels": ["error"]})
    trials.fail(study, study.ask(), Ended(reason=Reason("input", f"input: {'word ' * 40}end")))
    lines = list(status_lines(described(study, address("study.db", tmp_path)), None))
    assert max(map(len, lines)) <= 80
    assert any(line.endswith(" end") for line in lines)


def test_a_confirmed_network_has_the_latency_of_its_graph() -> None:
    """Of two networks of one graph, whose blocks differ, the worse is not on the front for a latency of its own."""
    by_turns = samples([[0.1]] * 7 + [[0.2]])
    study = told(part("a", 0.2), part("a", 0.3))
    confirmed.keep(study, "0", again(0.2, 0.2, by_turns=(by_turns,)))
    now = fronted(study)
    assert ["0"] == [each.name for each in now.members]
    assert now.members[0].values[1] == now.others[0].values[1]
