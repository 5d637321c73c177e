"""A network that takes turns: bursts are of fresh copies where these are cheap, and of the network's state as it is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from measurements import ORIGIN
from pydantic import TypeAdapter
from torch import Tensor, nn

from archcost.latency import runtimes, targets
from archcost.latency.bursts import Burst
from archcost.latency.runtimes import Prepared, Source
from archcost.latency.samples import Plan, Samples
from archcost.latency.sampling import take
from archcost.latency.summary import summarise
from archcost.latency.targets.fake import Machine, Script

EAGER = runtimes.find("eager")


def copied(machine: Machine, call_s: float, copy_s: float, apart: Callable[[int], float]) -> Prepared:
    """Return a network each of whose copies takes another time, and as long to make."""

    def of(number: int) -> Prepared:
        def again() -> Prepared:
            machine.sleep(copy_s)
            return of(number + 1)

        return Prepared(lambda: machine.sleep(call_s * apart(number)), first_s=copy_s, again=again)

    return of(0)


def taken(call_s: float, copy_s: float, plan: Plan, apart: Callable[[int], float] = lambda _: 1.0) -> Samples:
    """Return the samples of such a network."""
    machine = Machine()
    network = copied(machine, call_s, copy_s, apart)
    (found,) = take([network], plan, ORIGIN, machine.instruments(Script(), plan))
    return found


@pytest.mark.parametrize(
    ("copy_s", "copies"),
    [(0.0, 8), (0.01, 8), (0.4, 8), (0.7, 4), (1.1, 3), (1.3, 1), (30.0, 1)],
)
def test_copies_are_made_where_they_are_cheap(copy_s: float, copies: int) -> None:
    """Each burst has its own, if it takes at most half of a block's time; else every second or third, or none."""
    found = taken(0.01, copy_s, Plan())
    row = summarise(found)
    assert (8, copies, 1) == (len(found.bursts), row.copies, row.processes)


def test_a_long_call_is_not_copied() -> None:
    """Where calls of a copy before its burst would take its time, every sample is of the first copy."""
    found = taken(0.8, 0.0, Plan())
    assert (8, {0}) == (len(found.bursts), {burst.copy for burst in found.bursts})


def test_the_interval_is_over_the_copies() -> None:
    """If every other copy takes 4% more, the blocks' medians show it, however equal the calls of one are."""
    row = summarise(taken(0.01, 0.0, Plan(), lambda number: 1 + 0.04 * (number % 2)))
    assert (8, 8, True) == (row.blocks, row.copies, row.stable)
    assert row.interval_s == pytest.approx((0.01, 0.0104))


class Counting(nn.Module):
    """It counts its calls, and knows which of its tensors it was first called with."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))
        self.weight = nn.Parameter(torch.ones(8))
        self.seen: set[int] = set()

    def forward(self, x: Tensor) -> Tensor:
        """x: anything -> the same, times 1."""
        self.calls += 1
        self.seen.add(self.weight.data_ptr())
        return x * self.weight


def test_a_copy_goes_on_in_the_state_of_the_one_before() -> None:
    """A module's own copies have what it keeps, other memory, and the module itself is as it was."""
    module = Counting()
    with EAGER.prepare(Source(module, (torch.ones(8),)), Plan()) as prepared:
        first = prepared
        first.call()
        assert first.again is not None
        second = first.again()
        assert second is not None
        second.call()
        before, after = (each.state() for each in (first, second) if each.state is not None)
    assert before.shapes == after.shapes
    assert not set(before.identities) & set(after.identities)
    assert (0, set()) == (module.calls.item(), module.seen)


class Uncopied(nn.Module):
    """A module that cannot be copied once it has run."""

    def forward(self, x: Tensor) -> Tensor:
        """x: anything, returned as it is."""
        self.kept = (each for each in ())
        return x


def test_what_cannot_be_copied_is_measured_as_it_is() -> None:
    """A module that keeps what no copy can be made of is its own only copy."""
    (found,) = targets.find("cpu").measure([Source(Uncopied(), (torch.ones(8),))], EAGER, Plan(time_s=0.05))
    assert 1 == summarise(found).copies


def test_samples_of_an_earlier_version_are_read() -> None:
    """What studies stored before bursts had a process and a copy has one of each."""
    kept = {"samples_s": (0.1,), "wall_s": 0.1, "calibration_s": None, "cpu_s": 0.1, "waited_s": 0.0}
    assert Burst((0.1,), 0.1, None, 0.1, 0.0, 0, 0) == TypeAdapter(Burst).validate_python(kept)
