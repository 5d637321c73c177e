"""Doubts: every kind has words, those of several latencies the range of their numbers."""

from __future__ import annotations

from typing import get_args

import pytest

from archcost.latency.doubts import Doubt, Kind, brief, why, words

WORDS = [
    ([Doubt("state_changed", 2000, 1000)],
     "its own state changes between calls: its tensors took 1.00 kB before the samples and 2.00 kB after them, so "
     "that no two samples are of the same network"),
    ([Doubt("state_drifted", 0.25, 0.05)],
     "its own state changes between calls, and its time with it: 25.0% more at the end than at first"),
    ([Doubt("warmup", 17)], "warm-up did not settle in 17 calls"),
    ([Doubt("few_blocks", 5, 6)], "too few blocks: 5, at least 6 needed, for which --time 20s may do"),
    ([Doubt("wide_interval", 0.02001, 0.02)], "the blocks' medians lie within +-2.1%, 2.0% asked"),
    ([Doubt("machine_slowed", 1.1, 1.05)],
     "the machine itself slowed: its calibration kernel took up to 1.10 times its best"),
    ([Doubt("level_changed", 20, 40)], "its level changed after 20 of 40 bursts"),
    ([Doubt("slow_block", 0.0429)], "the slowest block took 4.3% more than the fastest"),
    ([Doubt("contention", 0.2, 0.05)], "contention: 20.0% of the sampling time went by waiting for a core"),
    ([Doubt("macs_skipped", 0, 805_000_000)],
     "what runs multiplies 0 times, of 805,000,000 MACs counted: the runtime leaves out what no output needs, and "
     "computes beforehand what depends on no input"),
    ([Doubt("denormals", 0.25, 0.001)],
     "25.0% of its weights and inputs are denormal, below the smallest normal number: processors take many times as "
     "long for those; torch.set_flush_denormal(True) makes them 0"),
    ([Doubt("denormal_values", 0.25, 0.001)],
     "25.0% of its values between operators are denormal, below the smallest normal number: processors take many times "
     "as long for those; torch.set_flush_denormal(True) makes them 0"),
    ([Doubt("unexplained", -0.0412, 0.03)], "layers and dispatch leave -4.1% of the whole unexplained"),
    ([Doubt("unsteady_layers", 0.0812, 0.05)], "of the slowest layers one is known to +-8.2% alone"),
    ([Doubt("unknown")], "an earlier version of archcost doubted it"),
    ([Doubt("warmup", 90), Doubt("warmup", 17), Doubt("warmup", 100)], "warm-up did not settle in 17 to 100 calls"),
    ([Doubt("level_changed", 20, 40), Doubt("level_changed", 9, 48)],
     "its level changed after 9 to 20 of 40 to 48 bursts"),
    ([Doubt("contention", 0.2, 0.05), Doubt("contention", 0.20001, 0.05)],
     "contention: 20.0% of the sampling time went by waiting for a core"),
]  # fmt: skip


@pytest.mark.parametrize(("doubts", "expected"), WORDS)
def test_every_kind_has_words(doubts: list[Doubt], expected: str) -> None:
    """One doubt, or several of a kind with the range of their numbers; numbers that look the same are one."""
    assert expected == words(doubts, 20.0)


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_kind_has_a_few_words(kind: Kind) -> None:
    """They fit into a line beside a latency, whatever the number is."""
    for value in (None, 0.5, 1e300, float("nan")):
        assert 0 < len(brief(Doubt(kind, value))) <= 30 or value == 1e300


def test_no_kind_is_left_out() -> None:
    """The table above has all kinds."""
    assert set(get_args(Kind)) == {doubts[0].kind for doubts, _ in WORDS}


def test_all_doubts_are_one_text() -> None:
    """They are apart by a semicolon; nothing is the empty text."""
    both = [Doubt("warmup", 2), Doubt("few_blocks", 5.0, 6.0)]
    assert "warm-up did not settle in 2 calls; too few blocks: 5, at least 6 needed" == why(both)
    assert "" == why([])


@pytest.mark.parametrize("number", [None, float("inf"), -1.0, 0.0])
def test_numbers_of_another_program_have_words(number: float | None) -> None:
    """Whatever a file says, it can be shown."""
    for kind in get_args(Kind):
        assert words([Doubt(kind, number, number)], number)
