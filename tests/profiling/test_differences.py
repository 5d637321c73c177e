"""Which layers account for a difference: what is planted is named, all of it adds up, and noise is not named."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import replace

import pytest

from archcost.latency.layers.closure import closed
from archcost.latency.layers.rounds import Round, Run, Taken, Told
from archcost.latency.layers.times import ByRound, LayerTime, LayerTimes, Part
from archcost.latency.samples import Way
from archcost.profiling.layers.differences import between

WAY = Way("cpu", "eager", 1, "float32", 1)
CALL_S = 1e-5
NOTHING = ByRound(*((0.0,) * 32 for _ in range(3)))
BASE = {f"stage1.conv{number}": 1e-3 for number in range(4)} | {"stage2.conv": 2e-3, "head": 5e-4}


def times(spans_s: Mapping[str, float], *, rounds: int = 32, seed: int = 0, noise: float = 0.02) -> LayerTimes:
    """Return the times of a network whose layers take so long, each round slower or faster by some noise."""
    draw = random.Random(seed)
    taken = tuple(
        _round({key: span_s * draw.lognormvariate(0, noise) for key, span_s in spans_s.items()}) for _ in range(rounds)
    )
    parts = [Part(key, key, "Conv", "", key, 1, 1) for key in spans_s]
    return closed(Taken(taken, None), parts, Told({}, 3), WAY, 0.02)


def _round(spans_s: Mapping[str, float]) -> Round:
    own_s, idle_s = sum(spans_s.values()), CALL_S * len(spans_s)
    timed = Run(own_s + idle_s, {key: span_s + CALL_S for key, span_s in spans_s.items()})
    return Round([own_s + idle_s], [timed], [idle_s], [Run(idle_s, dict.fromkeys(spans_s, CALL_S))])


@pytest.mark.parametrize("name", list(BASE))
def test_a_layer_that_became_slower_is_named(name: str) -> None:
    """It alone, with the time that was put in, and the whole's difference is its own."""
    found = between(times(BASE), times(BASE | {name: BASE[name] + 6e-4}, seed=1))
    assert [name] == [each.name for each in found.named]
    assert pytest.approx(6e-4, rel=0.1) == found.named[0].difference_s
    assert pytest.approx(1.0, abs=0.1) == found.share(found.named[0])
    assert found.whole.differs


def test_the_parts_add_up_to_the_difference() -> None:
    """Layers that are named, all others, dispatch and what nothing explains are the whole difference."""
    found = between(times(BASE | {"gone": 3e-4}), times(BASE | {"head": 1e-4, "new": 4e-4}, seed=1))
    sum_s = sum(each.difference_s for each in (*found.named, found.residual, found.unexplained)) + found.rest_s
    assert pytest.approx(found.whole.difference_s) == sum_s
    named = {each.name: (each.first_s is None, each.other_s is None, each.difference_s > 0) for each in found.named}
    assert {"head": (False, False, False), "new": (True, False, True), "gone": (False, True, False)} == named
    assert [*BASE, "gone", "new"] == [each.name for each in found.layers]


def test_noise_is_not_named() -> None:
    """Of 3000 layers that are alike, in 50 comparisons, intervals that hold together name two at most."""
    alike = {f"layer{number}": 1e-3 for number in range(60)}
    each = (between(times(alike, seed=2 * run), times(alike, seed=2 * run + 1)) for run in range(50))
    assert sum(bool(found.named) for found in each) <= 2


def test_an_interval_holds_its_difference() -> None:
    """Rounds say where their median lies, and the difference of the means is within."""
    first = LayerTimes(WAY, 1.0, None, 0.0, 1.0, 0.0, 3, 32, (_layer(0.0, 0.0),), by_round=NOTHING)
    for time_s, interval_s in ((0.2, (0.2, 0.5)), (0.9, (0.5, 0.9)), (0.5, (0.5, 0.5))):
        (part,) = between(first, replace(first, layers=(_layer(time_s, 0.5),))).layers
        assert interval_s == part.interval_s


def _layer(time_s: float, each_s: float) -> LayerTime:
    return LayerTime("a", "Conv", "", "a", time_s, None, by_round_s=(each_s,) * 32)


def test_too_few_rounds_name_nothing() -> None:
    """Six layers need eleven rounds: with ten nothing is named, however large the difference."""
    slower = BASE | {"head": 1.0}
    few, enough = (between(times(BASE, rounds=n), times(slower, rounds=n, seed=1)) for n in (10, 11))
    assert (False, ()) == (few.told, few.named)
    assert (True, ["head"]) == (enough.told, [each.name for each in enough.named])


def test_groups_are_layers_together() -> None:
    """Those whose names begin alike are one, with the sum of their times; one of them may be in one network alone."""
    more = BASE | {"stage1.extra": 8e-4}
    found = between(times(BASE), times(more, seed=1)).at_depth(1)
    assert ["stage1", "stage2", "head"] == [each.name for each in found.layers]
    assert ["stage1"] == [each.name for each in found.named]
    assert pytest.approx((4e-3, 4.8e-3), rel=0.05) == (found.named[0].first_s, found.named[0].other_s)
    alone = between(times(BASE), times(BASE | {"tail.a": 1e-3, "tail.b": 1e-3}, seed=1)).at_depth(1).named
    assert [(None, True)] == [(each.first_s, each.difference_s > 1.9e-3) for each in alone]


def test_the_json_has_what_is_named() -> None:
    """Every layer with both times, its difference, interval and share, of which there is none without a difference."""
    told = json.loads(json.dumps(between(times(BASE), times(BASE | {"head": 2e-3}, seed=1)).to_dict(), allow_nan=False))
    assert (["head"], "eager", 32) == (told["named"], told["runtime"], told["rounds"])
    assert {"name", "first_s", "other_s", "difference_s", "interval_s", "differs", "share"} == set(told["layers"][0])
    assert {"first_s", "other_s", "difference_s", "interval_s", "differs"} == set(told["residual"])
    same = between(times(BASE), times(BASE))
    assert (None, False) == (same.share(same.layers[0]), same.whole.differs)
