"""JSON that archcost 0.1.0 printed: its sentences become values, here alone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from archcost.latency.doubts import Doubt, Kind
from archcost.units import parse_duration

# as 0.1.0 wrote them, which later versions do not change: the first number is the value, the second the limit
_SENTENCES: Final[tuple[tuple[Kind, re.Pattern[str]], ...]] = (
    ("warmup", re.compile(r"warm-up did not settle in ([0-9]{1,9}) calls")),
    ("few_blocks", re.compile(r"too few blocks: ([0-9]{1,9}), at least ([0-9]{1,9}) needed"
                              r"(?:, for which --time ([0-9.]{1,20}s) may do)?")),
    ("wide_interval", re.compile(r"the blocks' medians lie within \+-([0-9.]{1,20}%), ([0-9.]{1,20}%) asked")),
    ("machine_slowed", re.compile(r"the machine itself slowed: its calibration kernel took up to ([0-9.]{1,20}) times "
                                  r"its best")),
    ("level_changed", re.compile(r"its level changed after ([0-9]{1,9}) of ([0-9]{1,9}) bursts")),
    ("slow_block", re.compile(r"the slowest block took ([0-9.]{1,20}%) more than the fastest")),
    ("contention", re.compile(r"contention: ([0-9.]{1,20}%) of the sampling time went by waiting for a core")),
)  # fmt: skip


def doubted(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a latency's row with the doubts that its `why` says, numbers as they were rounded there."""
    why = row.get("why", "")
    if not isinstance(why, str):
        raise ValueError("why is text")  # noqa: TRY004  # pydantic tells where
    found = [_doubt(sentence) for sentence in why.split("; ")] if why else []
    enough_s = next((known for _, known in found if known is not None), None)
    return {**row, "doubts": [doubt for doubt, _ in found], "enough_s": enough_s}


def _doubt(sentence: str) -> tuple[Doubt, float | None]:
    """Return what a sentence says, and the time in which enough blocks may fit; one that is not 0.1.0's is unknown."""
    for kind, pattern in _SENTENCES:
        if found := pattern.fullmatch(sentence):
            value, limit, time = (*found.groups(), None, None)[:3]
            numbers = [None if each is None else _number(each) for each in (value, limit)]
            return Doubt(kind, *numbers), None if time is None else parse_duration(time)
    return Doubt("unknown"), None


def _number(text: str) -> float:
    return float(text.rstrip("%")) / (100 if text.endswith("%") else 1)


def notes(warnings: Sequence[str]) -> list[str]:
    """Return the warnings that are about no latency: of those, a latency's own row says the same."""
    return [line for line in warnings if ": not stable: " not in line]
