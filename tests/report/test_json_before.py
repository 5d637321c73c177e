"""JSON of 0.1.0: its sentences become the values that later versions write, and say the same."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import combinations
from typing import Any

import pytest
from written_before import FIRST

from archcost.errors import InputError
from archcost.latency.doubts import Doubt, why
from archcost.report.json_before import doubted
from archcost.report.json_input import Compared, Profiled, typed

SENTENCES = [
    ("warm-up did not settle in 17 calls", Doubt("warmup", 17)),
    ("too few blocks: 5, at least 6 needed, for which --time 0.2s may do", Doubt("few_blocks", 5, 6)),
    ("the blocks' medians lie within +-2.1%, 2.0% asked", Doubt("wide_interval", 0.021, 0.02)),
    ("the machine itself slowed: its calibration kernel took up to 1.10 times its best", Doubt("machine_slowed", 1.1)),
    ("its level changed after 20 of 40 bursts", Doubt("level_changed", 20, 40)),
    ("the slowest block took 4.3% more than the fastest", Doubt("slow_block", 0.043)),
    ("contention: 5.1% of the sampling time went by waiting for a core", Doubt("contention", 0.051)),
]


def document(name: str) -> dict[str, Any]:
    """Return what 0.1.0 printed."""
    return dict(json.loads((FIRST / name).read_text("utf-8")))


@pytest.mark.parametrize("said", [*combinations(SENTENCES, 1), *combinations(SENTENCES, 2)])
def test_sentences_become_values(said: tuple[tuple[str, Doubt], ...]) -> None:
    """The doubts of a row are what its `why` says, and say it again."""
    text = "; ".join(sentence for sentence, _ in said)
    row = doubted({"why": text})
    assert [pytest.approx(asdict(doubt)) for _, doubt in said] == [asdict(doubt) for doubt in row["doubts"]]
    assert text == why(row["doubts"], row["enough_s"])


@pytest.mark.parametrize("text", ["it rained", "too few blocks: many", "warm-up did not settle in 17 calls, nor in 18"])
def test_a_sentence_of_nobody_is_an_unknown_doubt(text: str) -> None:
    """The row stays one that is not stable."""
    assert [Doubt("unknown")] == doubted({"why": text})["doubts"]


def test_a_profile_of_before_says_the_same() -> None:
    """Its row is not stable, with the words it had, and what the row says is no remark of its own."""
    told = document("profile.json")
    found = typed(told)
    assert isinstance(found, Profiled)
    assert [(row["stable"], row["why"]) for row in told["latencies"]] == [
        (one.latency.stable, one.latency.why) for one in found.latencies
    ]
    assert ["warmup", "few_blocks"] == [doubt.kind for doubt in found.latencies[0].latency.doubts]
    assert [] == found.remarks
    assert ["it is heavy"] == typed({**told, "warnings": [*told["warnings"], "it is heavy"]}).remarks


def test_a_comparison_of_before_says_the_same() -> None:
    """As a profile does, for each network."""
    told = document("compare.json")
    found = typed(told)
    assert isinstance(found, Compared)
    assert [row["why"] for model in told["models"] for row in model["latencies"]] == [
        one.latency.why for model in found.models for one in model.latencies
    ]
    assert [] == found.remarks


@pytest.mark.parametrize("why_", [5, None, ["a"]])
def test_another_form_is_refused(why_: object) -> None:
    """It is no JSON of archcost's."""
    told = document("profile.json")
    told["latencies"][0]["why"] = why_
    with pytest.raises(InputError, match="why is text"):
        typed(told)


def test_doubts_of_now_are_read_as_they_are() -> None:
    """A document of this version is taken at its values, and its notes are those it has."""
    told = document("profile.json")
    told["latencies"][0] |= {"doubts": [{"kind": "contention", "value": 0.5, "limit": 0.05}], "enough_s": None}
    found = typed({**told, "notes": ["a note"]})
    assert isinstance(found, Profiled)
    assert (Doubt("contention", 0.5, 0.05),) == found.latencies[0].latency.doubts
    assert ["a note"] == found.remarks
