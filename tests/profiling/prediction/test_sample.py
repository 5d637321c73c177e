"""The designed sample: operators that can be run alone, each once, and networks of every family."""

from __future__ import annotations

from itertools import islice
from random import Random

from archcost.latency.prediction.operators import CONVOLUTION, DENSE, GROUPED, POINTWISE, of_graph
from archcost.profiling.prediction.sample import FAMILIES, networks, singles


def test_networks_are_of_all_families_and_the_same_for_a_seed() -> None:
    some = list(islice(networks(Random(1)), 20))
    assert {model.spec.family for model in some} == {"bottleneck", "nin", "fractal", "rir", "hornn"}
    assert [model.digest for model in some] == [model.digest for model in islice(networks(Random(1)), 20)]
    assert len({model.digest for model in some}) == 20


def test_a_family_can_be_left_out() -> None:
    some = islice(networks(Random(1), [family for family in FAMILIES if family != "rir"]), 12)
    assert {model.spec.family for model in some} == {"bottleneck", "nin", "fractal", "hornn"}


def test_single_operators_are_different_and_cover_the_kinds() -> None:
    some = list(islice(singles(Random(0), networks(Random(1))), 400))
    assert len(set(some)) == 400
    kinds = {operator.kind for single in some for operator in of_graph(single.graph(), 1)}
    assert {POINTWISE, CONVOLUTION, GROUPED, DENSE, "norm", "relu", "sum", "max_pool", "globalpool", "window"} <= kinds
    assert all(single.graph().works[-1].macs <= 250_000_000 for single in some)
