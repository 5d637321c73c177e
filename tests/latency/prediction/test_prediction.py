"""Predictions: planted laws of operators and networks are found again, and what was not measured is said."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import numpy as np
import pytest

import archcost
from archcost.errors import InputError
from archcost.graph.graph import Builder, Graph
from archcost.graph.ops import Act, Conv, GlobalPool, Input, Join, Linear, Norm
from archcost.latency.kept import Unusable
from archcost.latency.prediction import kept, whole
from archcost.latency.prediction.operators import (
    DENSE,
    GROUPED,
    POINTWISE,
    UNSTACK,
    Operator,
    by_node,
    dense,
    feeding,
    of_graph,
)
from archcost.latency.prediction.predictor import Calibration, Key, Predictor
from archcost.latency.prediction.times import Seen, learnt
from archcost.latency.prediction.whole import Timed, Whole

KEY = Key("f" * 12, "cpu", "eager", 1, "float32", 1, (0, 1), None, (("torch", "2.13.0"),))
BLANK = Whole((), 1.0, 0.0, 0.0)


def law_s(operator: Operator) -> float:
    """Return what an operator is planted to take: its products at a rate of its kind, and a call."""
    out, inputs, rows = (math.exp(value) for value in operator.features[:3])
    return 2e-6 + out * inputs * rows / 2e9


def products(draw: Random, count: int) -> list[Operator]:
    return [dense(draw.randint(8, 2000), draw.randint(8, 2000), draw.randint(1, 64)) for _ in range(count)]


def calibration(seen: list[Seen], timed: list[Timed] | None = None) -> Calibration:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    first = Calibration(KEY, learnt(seen), False, (), BLANK, None, len(seen), len(timed or ()), None, 0.0, now)
    return first if timed is None else replace(first, whole=whole.learnt(timed), held_out=whole.held_out(timed))


@pytest.fixture(scope="module")
def planted() -> Calibration:
    """Return what is learnt of 200 products, and of 60 networks that take 1.5 times theirs, and 3 us a call."""
    draw = Random(0)
    seen = [Seen(each, law_s(each)) for each in products(draw, 200)]
    predictor = Predictor(calibration(seen))
    networks = [products(draw, draw.randint(3, 20)) for _ in range(60)]
    timed = [Timed(predictor.sums(each), network_s(each)) for each in networks]
    return calibration(seen, timed)


def network_s(operators: list[Operator]) -> float:
    return 1.5 * sum(map(law_s, operators)) + 3e-6 * len(operators)


def test_a_planted_law_is_found_again(planted: Calibration) -> None:
    others = [products(Random(seed), 8) for seed in range(1, 21)]
    ratios = [Predictor(planted).predict(each).median_s / network_s(each) for each in others]
    assert max(abs(ratio - 1) for ratio in ratios) < 0.05
    assert planted.held_out is not None
    assert planted.held_out.within_5 > 0.95
    assert planted.held_out.rank > 0.99


def test_parts_of_a_module_take_as_much_more_as_their_calls(planted: Calibration) -> None:
    some = products(Random(3), 5)
    slower = Predictor(replace(planted, module_call_s=1e-3))
    more_s = slower.predict(some, parts=True).median_s - Predictor(planted).predict(some).median_s
    assert more_s == pytest.approx(5e-3)
    assert slower.predict(some) == Predictor(planted).predict(some)


def test_the_interval_is_that_of_errors_held_out(planted: Calibration) -> None:
    found = Predictor(planted).predict(products(Random(3), 5))
    assert planted.held_out is not None
    assert found.interval_s == (found.median_s / planted.held_out.apart, found.median_s * planted.held_out.apart)
    assert found.in_domain
    assert found.why == ""


def test_errors_are_those_of_a_table() -> None:
    found = whole.errors(np.asarray([1.0, 2.18, 3.0]), np.asarray([1.0, 2.0, 4.0]))
    assert found.within_5 == pytest.approx(1 / 3)
    assert found.within_10 == pytest.approx(2 / 3)
    assert found.mean == pytest.approx((0 + 0.09 + 0.25) / 3)
    assert found.apart == pytest.approx(4 / 3)
    assert found.rank == pytest.approx(1.0)


def test_what_was_not_measured_is_said(planted: Calibration) -> None:
    predictor = Predictor(planted)
    large = predictor.predict([dense(500_000, 2000, 64)])
    assert not large.in_domain
    assert "larger" in large.why
    strange = predictor.predict([*products(Random(0), 3), *[Operator("fft", (1.0,), 1)] * 3])
    assert not strange.in_domain
    assert "3 calls of 6" in strange.why
    assert "fft" in strange.why


def test_few_networks_give_one_factor_and_one_overhead() -> None:
    draw = Random(1)
    seen = [Seen(each, law_s(each)) for each in products(draw, 100)]
    predictor = Predictor(calibration(seen))
    timed = [Timed(predictor.sums(each), network_s(each)) for each in (products(draw, 10) for _ in range(5))]
    found = whole.learnt(timed)
    assert found.factors == ()
    assert found.left is None
    assert found.factor == pytest.approx(1.5, rel=0.1)
    assert whole.held_out(timed) is None


def network() -> Graph:
    b = Builder()
    x = b.add("input", Input((3, 32, 32)))
    x = b.add("conv", Conv(16, 3, 1, 1), x)
    x = b.add("norm", Norm(), x)
    x = b.add("relu", Act("relu"), x)
    x = b.add("depthwise", Conv(16, 3, 2, 1, groups=16), x)
    x = b.add("project", Conv(8, 1), x)
    b.add("linear", Linear(10), b.add("pool", GlobalPool(), x))
    return b.graph()


def test_the_operators_of_a_network_are_its_nodes_without_the_input() -> None:
    found = of_graph(network(), 2)
    assert [each.kind for each in found] == ["convolution", "norm", "relu", GROUPED, POINTWISE, "globalpool", DENSE]
    conv, *_, last = found
    assert [round(math.exp(value)) for value in conv.features[:5]] == [16, 3, 2 * 32 * 32, 3, 1]
    assert [round(math.exp(value)) for value in last.features[:3]] == [10, 8, 2]


def test_operators_know_what_they_come_after() -> None:
    """What is joined to what is told by the operators before, up to the product that began them."""
    places = [each.place for each in of_graph(network(), 1)]
    assert places == [
        "convolution<",
        "norm<conv",
        "relu<norm<conv",
        "grouped<relu<norm<conv",
        "pointwise<conv",
        "globalpool<conv",
        "dense<globalpool<conv",
    ]
    assert [each.setting for each in of_graph(network(), 1)][3:] == [
        "grouped<any",
        "pointwise<any",
        "globalpool<conv",
        "dense<globalpool",
    ]


def test_the_last_convolution_before_a_sum_is_known() -> None:
    """A runtime adds in the convolution that ends last: its norm is passed over, the other convolution is not it."""
    b = Builder()
    x = b.add("input", Input((3, 8, 8)))
    left, right = b.add("left", Conv(4, 1), x), b.add("norm", Norm(), b.add("right", Conv(4, 3, 1, 1), x))
    b.add("linear", Linear(2), b.add("pool", GlobalPool(), b.add("sum", Join("sum"), left, right)))
    assert {name: each.summed for name, each in by_node(b.graph(), 1) if each.summed} == {"right": True}


def test_what_a_recurrence_reads_is_taken_apart() -> None:
    """Each sequence that a recurrence reads is taken apart step by step, which is an operator of its own."""
    graph = archcost.load("hornn-3").graph
    (last,) = [each for each in of_graph(graph, 1) if each.kind == UNSTACK]
    assert last.calls == len(feeding(graph)) * (graph.steps or 0)
    assert [each for each in of_graph(network(), 1) if each.kind == UNSTACK] == []


def test_what_a_runtime_joins_takes_nothing(planted: Calibration) -> None:
    """An operator at an absorbed place takes nothing and is no call; elsewhere the same kind is what it was."""
    inside = Predictor(replace(planted, inside=True, absorbed=("relu<product",)))
    product = products(Random(3), 1)[0]
    relu = Operator("relu", (1.0, 1.0, 1.0, 1.0, 0.0, 1.0), 1, "product")
    assert inside.sums([product, relu]) == inside.sums([product])
    assert inside.sums([product, relu._replace(after="norm")]).unknown == {"relu": 1}


def test_a_kind_is_learnt_apart_where_many_were_measured() -> None:
    """Products after a pool that take three times as long are told from the others."""
    draw = Random(0)
    slow = [each._replace(after="globalpool") for each in products(draw, 60)]
    seen = [*(Seen(each, law_s(each)) for each in products(draw, 100)), *(Seen(each, 3 * law_s(each)) for each in slow)]
    assert set(learnt(seen)) == {DENSE, "dense<", "dense<globalpool"}
    predictor, other = Predictor(calibration(seen)), products(draw, 1)[0]
    ratio = predictor.sums([other._replace(after="globalpool")]).total_s / predictor.sums([other]).total_s
    assert ratio == pytest.approx(3, rel=0.1)


def test_networks_that_something_disturbed_teach_nothing() -> None:
    """One measurement in ten that took three times as long changes predictions by little."""
    draw = Random(1)
    seen = [Seen(each, law_s(each)) for each in products(draw, 200)]
    predictor, networks = Predictor(calibration(seen)), [products(draw, draw.randint(3, 20)) for _ in range(60)]
    timed = [Timed(predictor.sums(each), network_s(each)) for each in networks]
    disturbed = [each._replace(time_s=3 * each.time_s) if place % 10 == 0 else each for place, each in enumerate(timed)]
    clean, sifted = (whole.WholeTimes(whole.learnt(each)) for each in (timed, disturbed))
    assert max(abs(sifted.time_s(each.sums) / clean.time_s(each.sums) - 1) for each in timed) < 0.05


def test_weights_cost_more_beyond_a_cache() -> None:
    """Networks whose weights do not fit take longer for each beyond; small ones do not pay for it."""
    draw = Random(2)
    seen = [Seen(each, law_s(each)) for each in products(draw, 200)]
    predictor, networks = Predictor(calibration(seen)), [products(draw, draw.randint(1, 20)) for _ in range(80)]

    def taken_s(operators: list[Operator]) -> float:
        return network_s(operators) + 2e-9 * max(0.0, predictor.sums(operators).weights - 2**20)

    found = whole.learnt([Timed(predictor.sums(each), taken_s(each)) for each in networks])
    assert found.weights_s[2] == pytest.approx(2e-9, rel=0.2)
    assert sum(found.weights_s[:2]) < 0.2e-9


def test_a_calibration_comes_back_as_it_was_kept(planted: Calibration, tmp_path: Path) -> None:
    path = kept.keep(planted, tmp_path)
    back = kept.known(KEY, tmp_path)
    assert isinstance(back, Calibration)
    some = products(Random(9), 4)
    assert Predictor(back).predict(some) == Predictor(planted).predict(some)
    assert path.parent == tmp_path


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (replace(KEY, fingerprint="0" * 12), "another"),
        (replace(KEY, versions=(("torch", "2.14.0"),)), "torch is 2.14.0, was 2.13.0"),
        (replace(KEY, affinity=(0,)), "other CPUs"),
    ],
)
def test_it_is_refused_on_another_device_or_version(
    planted: Calibration, tmp_path: Path, other: Key, words: str
) -> None:
    kept.keep(planted, tmp_path)
    with pytest.raises(InputError, match=f"refused.*{words}.*archcost calibrate --target cpu"):
        kept.at_hand(other, tmp_path)


def test_without_a_calibration_the_command_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing is calibrated.*archcost calibrate --target cpu --runtime eager"):
        kept.at_hand(KEY, tmp_path)


def test_what_else_is_calibrated_is_said(planted: Calibration, tmp_path: Path) -> None:
    kept.keep(planted, tmp_path)
    with pytest.raises(InputError, match=r"--threads 2; calibrated are: 1 thread, batch 1$"):
        kept.at_hand(replace(KEY, threads=2), tmp_path)
    with pytest.raises(InputError, match=r"--runtime compile --threads 1$"):
        kept.at_hand(replace(KEY, runtime="compile"), tmp_path)


@pytest.mark.parametrize("spoilt", ["cut", "sizes", "networks"])
def test_a_damaged_file_is_never_believed(planted: Calibration, tmp_path: Path, spoilt: str) -> None:
    kind = planted.kinds[DENSE]
    left = planted.whole.left
    assert left is not None
    wrong = {
        "cut": planted,
        "sizes": replace(planted, kinds={DENSE: replace(kind, logs=kind.logs[1:])}),
        "networks": replace(planted, whole=replace(planted.whole, left=replace(left, values=left.values[1:]))),
    }
    path = kept.keep(wrong[spoilt], tmp_path)
    if spoilt == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    found = kept.known(KEY, tmp_path)
    assert isinstance(found, Unusable)
    assert "damaged" in str(found)
