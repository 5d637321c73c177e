"""Rounds: until all is known or the time is spent, of fresh copies where these are cheap."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from one_stage import taken

from archcost.latency.layers.rounds import Round, Run, Told, taken_by_turns
from archcost.latency.samples import Plan
from archcost.latency.targets.fake import Machine, Script

CALL_S = 0.01


class Scripted:
    """A stage whose calls, and copies, take known times of a machine's clock."""

    def __init__(self, machine: Machine, copy_s: float | None) -> None:
        self.machine, self.copy_s, self.copies, self.sizes = machine, copy_s, 0, set[int]()

    def warm(self, time_s: float) -> float:
        """Take a tenth of the time."""
        self.machine.sleep(time_s / 10)
        return CALL_S

    def renew(self) -> bool:
        """Take what a copy does."""
        if self.copy_s is None:
            return False
        self.machine.sleep(self.copy_s)
        self.copies += 1
        return True

    def round(self, size: int) -> Round:
        """Take so many calls."""
        self.machine.sleep(size * CALL_S)
        self.sizes.add(size)
        run = Run(CALL_S, {"a": CALL_S})
        return Round([CALL_S] * size, [run] * size, [0.0] * size, [run] * size)

    def told(self) -> Told:
        """Return nothing of interest."""
        return Told({}, 1)


@pytest.mark.parametrize(("copy_s", "copies"), [(0.0, 8), (0.1, 8), (0.9, 4), (3.0, 1), (None, 0)])
def test_copies_are_fresh_where_they_are_cheap(copy_s: float | None, copies: int) -> None:
    """Each round has its own if it takes at most half of an eighth of the time; the first alone if longer."""
    machine = Machine()
    stage = Scripted(machine, copy_s)
    plan = Plan()
    found = taken(stage, plan, machine.instruments(Script(), plan), lambda _: True)
    assert (8, copies) == (len(found.rounds), stage.copies)


def test_it_ends_with_the_time() -> None:
    """Rounds go on until the plan's time is spent, and have the size of a hundredth of it."""
    machine = Machine()
    stage = Scripted(machine, None)
    plan = Plan(time_s=10.0)
    found = taken(stage, plan, machine.instruments(Script(waiting=0.25), plan), lambda _: False)
    assert {10} == stage.sizes
    assert pytest.approx(0.25) == found.contention
    assert 10.0 <= machine.now_s < 10.2


def test_a_long_call_has_its_round() -> None:
    """If eight calls do not fit, a round has one."""
    machine = Machine()
    stage = Scripted(machine, None)
    plan = Plan(time_s=0.02)
    found = taken(stage, plan, machine.instruments(Script(), plan), lambda _: False)
    assert ({1}, 1) == (stage.sizes, len(found.rounds))


class Named(Scripted):
    """A stage that writes its name down with each round."""

    def __init__(self, machine: Machine, name: str, order: list[str]) -> None:
        super().__init__(machine, 0.0)
        self.name, self.order = name, order

    def round(self, size: int) -> Round:
        """Take so many calls."""
        self.order.append(self.name)
        return super().round(size)


def test_networks_by_turns_change_places() -> None:
    """A round of each is next to each other, who was last is first, and each has the plan's time."""
    machine, order = Machine(), list[str]()
    plan = Plan(time_s=10.0)
    stages = [Named(machine, "a", order), Named(machine, "b", order)]
    found = taken_by_turns(stages, plan, machine.instruments(Script(), plan), lambda _: False, 32)
    assert ["a", "b", "b", "a", "a", "b"] == order[:6]
    assert len(found[0].rounds) == len(found[1].rounds) == len(order) / 2
    assert 20.0 <= machine.now_s < 20.4


@pytest.mark.parametrize(("fewest", "size"), [(8, 4), (32, 4), (64, 2)])
def test_more_rounds_are_shorter_ones(fewest: int, size: int) -> None:
    """A round is as long as ever if so many fit into the time, and shorter if they do not."""
    machine = Machine()
    plan = Plan(time_s=1.6)
    stages = [Scripted(machine, 0.0), Scripted(machine, 0.0)]
    taken_by_turns(stages, plan, machine.instruments(Script(), plan), lambda _: True, fewest)
    assert {size} == stages[0].sizes | stages[1].sizes


def test_it_ends_when_all_networks_are_known() -> None:
    """What is asked sees the rounds of both."""
    machine, order = Machine(), list[str]()
    stages = [Named(machine, "a", order), Named(machine, "b", order)]
    asked: list[list[int]] = []

    def known(rounds: Sequence[Sequence[Round]]) -> bool:
        asked.append([len(each) for each in rounds])
        return len(rounds[1]) == 16

    taken_by_turns(stages, Plan(), machine.instruments(Script(), Plan()), known, 16)
    assert [[8, 8], [16, 16]] == asked
