"""Rungs: who has fallen behind there, by the best of a trial's networks, and in a study that runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from commands import run
from plans import planned

from archcost.errors import InputError
from archcost.study.phases.points import fallen_behind
from archcost.study.records.database.addresses import address
from archcost.study.records.reasons import Reason
from archcost.study.records.stored import find
from archcost.study.records.trials import Trial

BLANK = Trial(0, "pruned", {}, (), None, {}, None)
PASSED = [replace(BLANK, rungs={1: (0.2 + number / 10, -5.0)}) for number in range(5)]
"""Five trials without columns, as an earlier version kept them, and behind each other."""

STUDY = """
models:
  - family: fractal
    columns: {int: [1, 2]}
    widths: {scale: [4, 8], by: {choice: [1, 2, 3, 4]}}
    drop_path: {local: {choice: [0.0, 0.1, 0.2]}, global: 0.5}
data: {name: digits, examples: 300}
objectives: [{error: min}, {params: min}]
fit: {epochs: 2, rungs: [1, 2]}
search: {trials: 14, seed: 3, share: 10%}
confirm: {members: 0}
"""


def test_a_network_that_is_behind_ends() -> None:
    """The reason says where, of how many, and what share went on."""
    reason = Reason("pruned", "at epoch 1 not among the best 33.3% of 6 trials")
    assert reason == fallen_behind(planned(), 1, [(0.9, -5.0)], PASSED)


def test_the_best_of_its_columns_decides() -> None:
    """A column that errs less, or that costs less, keeps the trial; one that is behind as well does not."""
    whole = (0.9, -4.0)
    assert None is fallen_behind(planned(), 1, [whole, (0.1, -5.0)], PASSED)
    assert None is fallen_behind(planned(), 1, [whole, (0.9, -6.0)], PASSED)
    assert None is not fallen_behind(planned(), 1, [whole, (0.8, -5.0)], PASSED)


def test_columns_of_others_count_too() -> None:
    """A trial is behind those whose column is better, though their whole network is not."""
    shallow = [replace(each, columns={1: ((0.05, -6.0),)}) for each in PASSED]
    assert None is fallen_behind(planned(), 1, [(0.1, -5.0)], PASSED)
    assert None is not fallen_behind(planned(), 1, [(0.1, -5.0)], shallow)


def test_the_first_few_and_those_at_the_end_go_on() -> None:
    """Trials that came to another rung, or to none, are not among those that have come to this one."""
    behind = [(0.9, -5.0)]
    assert None is fallen_behind(planned(), 1, behind, [*PASSED[:3], BLANK, replace(BLANK, rungs={2: (0.1, -9.0)})])
    assert None is not fallen_behind(planned(), 1, behind, PASSED[:4])
    assert None is fallen_behind(planned(), 2, behind, [replace(each, rungs={2: (0.1, -9.0)}) for each in PASSED])


def test_the_share_is_the_study_s() -> None:
    """A larger one lets the second best go on, a smaller one waits for more trials."""
    second = [(0.25, -5.0)]
    assert None is not fallen_behind(planned(search={"share": 0.3}), 1, second, PASSED)
    assert None is fallen_behind(planned(search={"share": "40%"}), 1, second, PASSED)
    assert None is fallen_behind(planned(search={"share": 0.1}), 1, [(0.9, -5.0)], PASSED)


@pytest.mark.parametrize("share", [0, 1, 1.5, "110%", "many", True])
def test_a_share_is_between_none_and_all(share: object) -> None:
    """What is none, or no number, is refused at its place."""
    with pytest.raises(InputError, match=r"search\.share: "):
        planned(search={"share": share})


def test_a_study_keeps_the_rungs_of_columns(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Of each trial with columns; none ends at a rung before ten have come there, as a tenth of them goes on."""
    file = tmp_path / "study.yaml"
    file.write_text(STUDY, "utf-8")
    code, _, err = run(capsys, "study", "run", str(file), "--workers", "1")
    assert 0 == code, err
    found = [each for each in find(address("study.db", tmp_path)).trials() if each.reached(1)]
    ended = {each.number: len(each.ended.parts) for each in found if each.ended}
    assert {each.number: len(each.reached(1)) for each in found} == ended
    assert {1, 3} == set(ended.values())
    assert {"complete"} == {each.state for each in found[:9]}
    assert {"complete", "pruned"} == {each.state for each in found}
