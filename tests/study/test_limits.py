"""Limits on counts: a network that needs one more than allowed is over, one that needs just that is not."""

from __future__ import annotations

from typing import Any

import pytest
from plans import FRACTAL, drawn, planned

from archcost.graph.cost import count, peak_bytes
from archcost.study.parts import counted
from archcost.study.phases.limits import Excess, budget, exceeded, over
from archcost.study.plan import StudyPlan
from archcost.study.records.reasons import Reason
from archcost.units import data_size, grouped

HALF = [{"error": "min"}, {"latency": "min", "target": "fake", "batch": 4, "dtype": "float16"}]


def limited(**limits: Any) -> StudyPlan:
    """Return the plan of a study of one network, with limits, measured with 4 examples in float16."""
    return planned(models=[FRACTAL], objectives=HALF, **({"limits": limits} if limits else {}))


PLAN = limited()
MODEL = drawn(PLAN)
COUNTED = counted(PLAN, MODEL)
COUNTS = {
    "params": MODEL.cost.params,
    "macs": MODEL.cost.macs,
    "memory": peak_bytes(MODEL.graph, 4, 2),
    "weights": count(MODEL.graph).weights_bytes(2),
}
"""Of the network: memory and weights in the batch and dtype of its way."""


def test_without_limits_nothing_is_over() -> None:
    """There is no budget, and no excess."""
    assert (None, (), None) == (budget(PLAN), exceeded(PLAN, COUNTED), over(PLAN, COUNTED))


@pytest.mark.parametrize("name", COUNTS)
def test_a_limit_is_kept_to_the_last_one(name: str) -> None:
    """Just as much as allowed is within it, one less allowed is an excess of one."""
    assert () == exceeded(limited(**{name: COUNTS[name]}), COUNTED)
    (found,) = exceeded(limited(**{name: COUNTS[name] - 1}), COUNTED)
    assert (name, COUNTS[name], COUNTS[name] - 1) == (found.name, found.actual, found.limit)


def test_all_that_is_exceeded_is_said_in_one() -> None:
    """With what was found and what is allowed, in the words of its unit; a limit that is kept is not said."""
    plan = limited(params=1, memory=1000, macs=10**9, latency="1s")
    params, memory = grouped(COUNTS["params"]), data_size(COUNTS["memory"])
    words = f"limits: params {params}; allowed: 1, memory {memory}; allowed: 1.00 kB"
    assert Reason("limit", words, "params, memory") == over(plan, COUNTED)
    assert ["params", "memory"] == [each.name for each in exceeded(plan, COUNTED)]


def test_a_limit_on_latency_is_none_on_counts() -> None:
    """It is in the budget, and only a measurement can exceed it."""
    plan = limited(latency="1us")
    found = budget(plan)
    assert found is not None
    assert (1e-6, ()) == (found.latency_s, exceeded(plan, COUNTED))


def test_an_excess_reads_as_what_it_is_about() -> None:
    """Both numbers in the words of the count."""
    assert "macs 1,234; allowed: 1,000" == str(Excess("macs", 1234, 1000, grouped))
