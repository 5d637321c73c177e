"""From rounds to layers: the sum closes, what nothing explains has its sign, and what is not sure is doubted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from archcost.latency.layers.closure import closed, is_known, middle
from archcost.latency.layers.rounds import Round, Run, Taken, Told
from archcost.latency.layers.times import LayerTimes, Part
from archcost.latency.samples import Way

WAY = Way("cpu", "eager", 1, "float32", 1)
PARTS = (Part("conv", "conv", "Conv", "stem", "conv", 100, 8), Part("relu", "relu", "Act", "stem", "relu", 0, 4))
READ_S = 0.001  # of the clock, in each part of a timed call
CALL_S = 0.01  # of a part that costs nothing


def round_of(parts_s: Mapping[str, float], *, whole_s: float | None = None, size: int = 4) -> Round:
    """Return a round of a network whose parts take so long beside their call, and the clock's reading beside both."""
    own_s = sum(parts_s.values())
    idle_s = CALL_S * len(parts_s)
    timed = Run(own_s + idle_s + READ_S * len(parts_s), {key: s + CALL_S + READ_S for key, s in parts_s.items()})
    still = Run(idle_s + READ_S * len(parts_s), dict.fromkeys(parts_s, CALL_S + READ_S))
    return Round(
        [own_s + idle_s if whole_s is None else whole_s] * size, [timed] * size, [idle_s] * size, [still] * size
    )


def times(rounds: Sequence[Round], told: Told | None = None, contention: float | None = None) -> LayerTimes:
    """Return what rounds give at a precision of 2%."""
    return closed(Taken(tuple(rounds), contention), PARTS, told or Told(None, 3), WAY, 0.02)


def test_layers_and_dispatch_add_up_to_the_whole() -> None:
    """Neither the call of a layer nor the clock is in its time; calls are the residual, reading is told apart."""
    found = times([round_of({"conv": 2.0, "relu": 1.0})] * 8)
    assert [("conv", 2.0), ("relu", 1.0)] == [(each.name, pytest.approx(each.time_s)) for each in found.layers]
    assert (3.02, 3.0, 0.02) == pytest.approx((found.end_to_end_s, found.parts_s, found.residual_s))
    assert pytest.approx(0.0, abs=1e-12) == found.unexplained_s
    assert (2 * READ_S, 3.022 / 3.02, ()) == (
        pytest.approx(found.attributing_s), pytest.approx(found.inflation), found.doubts,
    )  # fmt: skip


@pytest.mark.parametrize(("whole_s", "unexplained_s"), [(3.32, 0.3), (2.82, -0.2)])
def test_what_nothing_explains_has_its_sign(whole_s: float, unexplained_s: float) -> None:
    """It is the whole less layers and dispatch, of either sign, and a doubt from 3% on."""
    found = times([round_of({"conv": 2.0, "relu": 1.0}, whole_s=whole_s)] * 8)
    assert pytest.approx(unexplained_s) == found.unexplained_s
    ((kind, value, limit),) = [(each.kind, each.value, each.limit) for each in found.doubts]
    assert ("unexplained", pytest.approx(unexplained_s / whole_s), 0.03) == (kind, value, limit)


def test_the_json_is_the_public_one() -> None:
    """Every key of the format is there, and the sum is that of the rows."""
    row = times([round_of({"conv": 2.0, "relu": 1.0})] * 8).to_dict()
    keys = "target runtime batch dtype threads end_to_end_s parts_s residual_s unexplained_s inflation layers".split()
    assert not set(keys) - set(row)
    layers = row["layers"]
    assert isinstance(layers, list)
    assert "name op group module time_s interval_s share fused macs bytes roof_share bound".split() == list(layers[0])
    assert row["parts_s"] == sum(layer["time_s"] for layer in layers)
    assert ("Conv", "stem", [], 100, 8, None, None) == tuple(
        layers[0][key] for key in ("op", "group", "fused", "macs", "bytes", "roof_share", "bound")
    )


def test_intervals_are_over_blocks() -> None:
    """A layer's interval holds all eight blocks' times; five rounds have none, and say so."""
    rounds = [round_of({"conv": 2.0 + 0.01 * number, "relu": 1.0}) for number in range(8)]
    found = times(rounds)
    assert pytest.approx((2.0, 2.07)) == found.layers[0].interval_s
    few = times(rounds[:5])
    assert (None, ["few_blocks"]) == (few.layers[0].interval_s, [each.kind for each in few.doubts])


def test_what_nothing_explains_may_be_noise() -> None:
    """Its own range over the blocks tells whether 0 is in it."""
    rounds = [round_of({"conv": 2.0, "relu": 1.0}, whole_s=3.02 + 0.1 * (number % 2 - 0.25)) for number in range(8)]
    found = times(rounds)
    assert pytest.approx((-0.025, 0.075)) == found.unexplained_interval_s
    assert found.unexplained_interval_s is not None
    assert found.unexplained_interval_s[0] < 0 < found.unexplained_interval_s[1]


def test_a_layer_that_is_not_steady_is_doubted() -> None:
    """The whole may be known where one of its slowest layers is not, as two layers move against each other."""
    rounds = [round_of({"conv": 2.0 + 0.5 * (number % 2), "relu": 1.5 - 0.5 * (number % 2)}) for number in range(8)]
    found = times(rounds, contention=0.2)
    assert ["unsteady_layers", "contention"] == [each.kind for each in found.doubts]
    assert not is_known(rounds, 0.02)
    assert is_known([round_of({"conv": 2.0, "relu": 1.0})] * 8, 0.02)


def test_a_disturbed_call_is_left_out() -> None:
    """One round in eight that took ten times as long changes nothing."""
    steady, slow = round_of({"conv": 2.0, "relu": 1.0}), round_of({"conv": 20.0, "relu": 10.0})
    assert times([steady] * 8).to_dict()["parts_s"] == times([*[steady] * 4, slow, *[steady] * 4]).to_dict()["parts_s"]
    assert [2, 3] == middle([4, 1, 3, 2], float)


def test_nodes_that_run_as_one_are_named() -> None:
    """The layer that multiplies has the time; what no part is has the runtime's name, and its share is said."""
    rounds = [round_of({"conv": 2.0, "reorder": 1.0})] * 8
    found = times(rounds, Told({"conv": ("conv", "relu")}, 3))
    assert [("conv", ("conv", "relu"), 100), ("reorder", (), None)] == [
        (each.name, each.fused, each.macs) for each in found.layers
    ]
    assert pytest.approx(1 / 3.02) == found.to_dict()["unmapped_share"]
    assert pytest.approx(3.0) == times(rounds, Told({}, 3)).unmapped_s + found.layers[0].time_s


def test_what_binds_a_layer_can_be_told_later() -> None:
    """Roofs are put in by whoever knows them."""
    found = times([round_of({"conv": 2.0, "relu": 1.0})] * 8)
    told = found.bounded(lambda layer: (0.5, "compute") if layer.macs else (None, None))
    assert [(0.5, "compute"), (None, None)] == [(each.roof_share, each.bound) for each in told.layers]
