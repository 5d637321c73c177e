"""Comparisons: differences and ratios are exact against the first network, layers match by name, times are paired."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import specs
from hypothesis import given
from hypothesis import strategies as st
from measurements import burst, noisy, samples

import archcost
from archcost.errors import InputError
from archcost.graph.account import Layer
from archcost.latency.samples import Change, Failure, Samples, Way
from archcost.profiling import result
from archcost.profiling.compare import TOTALS, Alone, Quantity, at_depth, compare, timed
from archcost.profiling.result import Profile


def counted(source: str, *overrides: str) -> Profile:
    """Return a shipped network's counts."""
    return archcost.profile(archcost.load(source, overrides), latency=False, witness=False)


A, B = counted("resnet-20"), counted("resnet-56")


def test_totals_stand_side_by_side() -> None:
    """Every total has both values, their difference and their ratio, equal to the profiles' own."""
    (pair,) = compare([A, B]).against
    assert list(TOTALS) == [quantity.name for quantity in pair.totals]
    for quantity in pair.totals:
        assert (getattr(A, quantity.name), getattr(B, quantity.name)) == (quantity.first, quantity.other)
    assert (583_296, 855_770 / 272_474) == (pair.totals[0].difference, pair.totals[0].ratio)


def test_layers_match_by_name() -> None:
    """A longer network has the shorter one's layers and more; names that only one has are listed in its order."""
    (pair,) = compare([A, B]).against
    names = [{layer.name for layer in found.layers} for found in (A, B)]
    assert names[0] & names[1] == {layer.name for layer in pair.layers}
    assert (len(names[0] - names[1]), len(names[1] - names[0])) == (len(pair.only_first), len(pair.only_other))
    assert Alone("stage1.block4.conv1", 2_304, 2_359_296, "Conv") in pair.only_other
    assert [layer.name for layer in B.layers if layer.name not in names[0]] == [layer.name for layer in pair.only_other]


def test_groups_are_layers_cut_to_a_depth() -> None:
    """Those whose names begin alike count together; what only one network has stays alone, and no count is lost."""
    (pair,) = at_depth(compare([A, B]), 1).against
    assert ["input", "stem", "stage1", "stage2", "stage3", "head"] == [group.name for group in pair.layers]
    assert ((), ()) == (pair.only_first, pair.only_other)
    for side in ("first", "other"):
        whole = (A if side == "first" else B).macs
        assert whole == sum(getattr(group.macs, side) for group in pair.layers)
    (finer,) = at_depth(compare([A, B]), 2).against
    assert ["stage1.block4", "stage1.block5"] == [group.name for group in finer.only_other[:2]]
    (deepest,) = at_depth(compare([A, B]), 9).against
    assert compare([A, B]).against[0].layers == deepest.layers


def test_a_layer_that_changed_says_by_how_much() -> None:
    """Layers of the same name and other widths have both counts and the difference."""
    (pair,) = compare([A, counted("resnet-20", "widths=[32, 32, 64]")]).against
    conv = next(layer for layer in pair.layers if layer.name == "stage1.block2.conv1")
    assert (2_304, 9_216, 6_912, 4.0) == (*conv.params[1:3], conv.params.difference, conv.params.ratio)
    assert not conv.same
    assert (2_359_296, 9_437_184) == conv.macs[1:3]


def test_layers_that_share_a_name_are_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a module is called twice, its calls count together: none is dropped."""
    row = Layer("twice", "Conv", "", None, (1,), 10, 100, 1, 1, 1, 1, 200)
    monkeypatch.setattr(Profile, "layers", (row, row._replace(params=0)))
    (pair,) = compare([A, B]).against
    assert [("twice", 10, 200)] == [(m.name, m.params.first, m.macs.first) for m in pair.layers]


@given(specs.bottlenecks(), specs.nins())
@specs.laws(10)
def test_turned_round_the_differences_change_sign(one: specs.Tree, other: specs.Tree) -> None:
    """What one has more the other has less; ratios are each other's inverse; nothing is lost."""
    a, b = (archcost.profile(specs.model(tree), latency=False, witness=False) for tree in (one, other))
    (there,), (back,) = compare([a, b]).against, compare([b, a]).against
    for forth, turned in zip(there.totals, back.totals, strict=True):
        assert forth.difference == -turned.difference
        assert forth.ratio is None or turned.ratio is None or forth.ratio * turned.ratio == pytest.approx(1)
    assert (there.only_first, there.only_other) == (back.only_other, back.only_first)
    macs = sum(m.macs.other for m in there.layers) + sum(alone.macs for alone in there.only_other)
    assert b.macs == macs


@given(specs.nins())
@specs.laws(10)
def test_a_network_equals_itself(tree: specs.Tree) -> None:
    """Against itself every difference is 0, every ratio 1, and no layer stands alone."""
    found = archcost.profile(specs.model(tree), latency=False, witness=False)
    (pair,) = compare([found, found]).against
    assert {(0, 1.0)} == {(q.difference, q.ratio) for q in pair.totals if q.first}
    assert all(layer.same for layer in pair.layers)
    assert ((), ()) == (pair.only_first, pair.only_other)


@given(st.integers(0, 2**60), st.integers(0, 2**60))
def test_a_ratio_to_nothing_is_none(first: int, other: int) -> None:
    """The difference is exact at any size; against 0 there is no ratio, rather than an infinite one."""
    quantity = Quantity("macs", first, other)
    assert first + quantity.difference == other
    assert (quantity.ratio is None) == (first == 0)


def test_each_network_is_compared_with_the_first() -> None:
    """Three networks make two pairs."""
    found = compare([A, B, counted("nin-cifar10")])
    assert [855_770, 966_986] == [pair.totals[0].other for pair in found.against]
    assert {272_474} == {pair.totals[0].first for pair in found.against}


@pytest.mark.parametrize("profiles", [[], [A]])
def test_fewer_than_two_are_refused(profiles: list[Profile]) -> None:
    """There is nothing to compare one network with."""
    with pytest.raises(InputError, match="allowed: two or more to compare"):
        compare(profiles)


@pytest.mark.parametrize(
    ("first", "other", "differ"),
    [
        (noisy(0.001), noisy(0.002), True),
        (noisy(0.002), noisy(0.001), True),
        (noisy(0.001, noise=0.1), noisy(0.001, noise=0.1, seed=1), False),
        (noisy(0.001, bursts=5), noisy(0.002, bursts=5), None),
    ],
)
def test_latencies_differ_where_their_ratio_does(first: Samples, other: Samples, differ: bool | None) -> None:
    """A ratio whose interval holds 1 is no difference; too few rounds cannot tell."""
    found = timed(first, other)
    assert differ is found.differ
    assert found.ratio == pytest.approx(found.other.median_s / found.first.median_s, rel=0.05)


GROWN = Change(8, 16, shapes=True)
WAITED = [burst(0.002, 0.002, waited_s=0.0004, cpu_s=0.0036) for _ in range(8)]
WORKED = [burst(0.001, 0.001, waited_s=0.0, cpu_s=0.002) for _ in range(8)]


@pytest.mark.parametrize(
    ("first", "other", "alone"),
    [
        (noisy(0.001), replace(noisy(0.002), change=GROWN), ([], ["state_changed"])),
        (replace(noisy(0.001), change=GROWN), noisy(0.002), (["state_changed"], [])),
        (replace(noisy(0.001), change=GROWN), replace(noisy(0.002), change=GROWN), ([], [])),
        (replace(noisy(0.001), denormals=0.5), replace(noisy(0.002), change=GROWN), (["denormals"], ["state_changed"])),
        (samples(WORKED), samples(WAITED), ([], ["contention"])),
        (samples(WAITED), samples(WAITED), ([], [])),
        (noisy(0.001), replace(noisy(0.002), warmup_s=(0.1,)), ([], [])),
    ],
)
def test_what_touches_one_network_alone_is_no_difference(first: Samples, other: Samples, alone: object) -> None:
    """A doubt that only one of two networks has is in their ratio: there is no verdict, and it is named."""
    found = timed(first, other)
    assert alone == tuple([doubt.kind for doubt in each] for each in found.one_sided)
    assert found.differ is (None if any(found.one_sided) else found.paired.differ)
    told = found.to_dict()
    assert (found.differ, alone) == (
        told["differ"],
        tuple([doubt["kind"] for doubt in each] for each in told["one_sided"].values()),  # type: ignore[attr-defined]
    )


@pytest.mark.parametrize("bursts", [8, 9])
def test_a_reader_may_divide(bursts: int) -> None:
    """The medians beside a ratio are those of the turns that it is of: one over the other is the ratio, exactly."""
    found = timed(noisy(0.001, bursts=bursts, noise=0.3), noisy(0.002, bursts=bursts, noise=0.3, seed=1))
    first_s, other_s = found.medians_s
    assert found.ratio == pytest.approx(other_s / first_s, rel=1e-12)
    assert {"first": first_s, "other": other_s} == found.to_dict()["median_s"]
    for median_s, bounds in zip(found.medians_s, found.intervals_s, strict=True):
        assert bounds is not None and bounds[0] <= median_s <= bounds[1]  # noqa: PT018  # None has no bounds
    apart = [abs(found.ratio / (two / one) - 1) for one, two in [(found.first.median_s, found.other.median_s)]]
    assert apart[0] > 1e-3  # those of the whole measurements are not


def test_latencies_are_paired_by_their_run() -> None:
    """The n-th measurement of one network was made by turns with the n-th of the others."""
    a = replace(A, samples=(noisy(0.001), noisy(0.008, batch=8)))
    b = replace(B, samples=(noisy(0.003), noisy(0.016, batch=8, seed=1)))
    (pair,) = compare([a, b]).against
    assert [1, 8] == [each.first.batch for each in pair.latencies]
    assert [3.0, 2.0] == pytest.approx([each.ratio for each in pair.latencies], rel=0.02)


def test_failures_and_uncounted_operators_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """What limits a comparison is told with the network it is about."""
    monkeypatch.setattr(result.Profile, "uncounted", ({"op": "aten::strange", "calls": 2},))
    failure = Failure(Way("gpu", "eager", 8, "float32", None), "no power")
    found = replace(compare([A, B]), failures=(failure,))
    told = found.warnings
    assert "gpu/eager, batch 8, float32: no power" in told
    row = {"target": "gpu", "runtime": "eager", "batch": 8, "dtype": "float32", "threads": None, "reason": "no power"}
    assert [row] == found.to_dict()["failures"]
    assert f"{A.model.name}: MACs are a lower bound, operators without a count: aten::strange" in told


def test_all_of_it_is_json() -> None:
    """The dictionary is JSON without NaN, has the promised keys, and refers to networks by position."""
    measured = [replace(found, samples=(noisy(0.001, bursts=5),)) for found in (A, B)]
    value = json.loads(json.dumps(compare(measured).to_dict(), allow_nan=False))
    assert ["archcost", "schema", "warnings", "models", "comparisons", "failures", "notes"] == list(value)
    raw = [model["latencies"][0]["raw"] for model in value["models"]]
    assert [5, 5] == [len(each["bursts"]) for each in raw]
    assert [A.model.name, B.model.name] == [model["name"] for model in value["models"]]
    (pair,) = value["comparisons"]
    keys = ["first", "other", "totals", "layers", "only_first", "only_other", "latencies"]
    assert (0, 1, keys) == (pair["first"], pair["other"], list(pair))
    assert {"first": 272_474, "other": 855_770, "difference": 583_296, "ratio": 855_770 / 272_474} == pair["totals"][
        "params"
    ]
    (latency,) = pair["latencies"]
    assert ({"first", "other"}, None, None) == (
        set(latency["median_s"]),
        latency["interval_s"]["other"],
        latency["differ"],
    )
    assert (None, 5) == (latency["ratio_interval"], latency["rounds"])
