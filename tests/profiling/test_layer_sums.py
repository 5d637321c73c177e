"""Times of layers added up: every kind of sum has every layer once, and the parts of the whole are the whole."""

from __future__ import annotations

from dataclasses import replace

import pytest
from planted_peaks import steady
from planted_times import layer, of_rows, times

import archcost
from archcost.latency.roofline.rows import peaks as read_peaks
from archcost.latency.samples import Way
from archcost.profiling.layers.sums import Sum, columns_of, sums, tree, wholes
from archcost.profiling.result import Profile

WAY = Way("cpu", "eager", 1, "float32", 1)


@pytest.fixture(scope="module")
def fractal() -> Profile:
    """Return a fractal network of two columns with planted times of its layers."""
    found = archcost.profile("fractalnet-ultra-2", latency=False, witness=False)
    return replace(found, layer_times=(times(of_rows(found.layers), WAY),))


def test_sums_have_every_layer_once(fractal: Profile) -> None:
    """By operator, group and column all layers are there, the largest first, and add up to what they took."""
    assert fractal.layer_times
    (timed,) = fractal.layer_times
    found = sums(timed, columns_of(fractal.layers))
    assert ["operator", "group", "column"] == list(found)  # a group is a stage here
    for rows in found.values():
        assert {*timed.layers} == {each for one in rows for each in one.layers}
        assert len(timed.layers) == sum(len(one.layers) for one in rows)
        assert fractal.macs == sum(one.macs or 0 for one in rows)
        assert timed.parts_s == pytest.approx(sum(one.time_s for one in rows))
        assert sorted((one.time_s for one in rows), reverse=True) == [one.time_s for one in rows]
    assert {"column 1", "column 2", "(of no column)"} == {one.name for one in found["column"]}
    assert {each.name for each in fractal.layers if each.column == 2} == {
        each.name for one in found["column"] if one.name == "column 2" for each in one.layers
    }


def test_stages_are_above_groups() -> None:
    """Where groups have parts their first is a stage; what all have in common is no kind of sum."""
    layers = [layer(f"{group}.conv", group=group) for group in ("stage1.block1", "stage1.block2", "stage2.block1")]
    found = sums(times(layers, WAY), {})
    assert ["stage", "group"] == list(found)
    assert [("stage1", 2.0), ("stage2", 1.0)] == [(one.name, one.time_s) for one in found["stage"]]


def test_a_sum_knows_no_macs_of_what_nothing_is_known_of() -> None:
    """None is not 0: of a runtime's own kernels nothing is known."""
    unknown = replace(layer("reorder"), macs=None)
    assert (None, 10) == (Sum("a", (unknown,)).macs, Sum("b", (unknown, layer("c"))).macs)


@pytest.mark.parametrize(("unexplained_s", "said"), [(0.5, "+500 ms"), (-0.5, "-500 ms")])
def test_the_parts_are_the_whole(unexplained_s: float, said: str) -> None:
    """Layers, dispatch and the rest add up, and the rest has its sign."""
    timed = times([layer("a"), layer("b")], WAY, unexplained_s)
    parts = wholes(timed)
    assert timed.end_to_end_s == pytest.approx(sum(part.time_s for part in parts))
    assert said == parts[-1].said
    assert "blocks" in parts[-1].words


def test_a_tree_is_as_deep_as_it_is_asked_to_be() -> None:
    """Depth 3 of names of three parts ends in the layers themselves."""
    layers = [layer(name) for name in ("a.b.c", "a.b.d", "e")]
    assert ["a", "a.b", "a.b.c", "a.b.d", "e"] == [each.name for each in tree(layers, 3)]
    assert ["a", "e"] == [each.name for each in tree(layers, 1)]


def test_json_has_columns_and_no_peaks_that_are_not_known(fractal: Profile) -> None:
    """Each layer has its column; of what is not measured here there is no roofline."""
    told = fractal.to_dict()
    (timed,) = told["layer_times"]  # type: ignore[misc]
    assert {each.name: each.column for each in fractal.layers[1:]} == {
        row["name"]: row["column"] for row in timed["layers"]
    }
    assert [] == told["rooflines"]


@pytest.mark.parametrize("row", [{}, {"threads": 1, "flops_per_s": [], "bytes_per_s": {}, "holds_bytes": {}}])
def test_what_holds_no_peaks_is_refused(row: dict[str, object]) -> None:
    """A row of another form is a ValueError, which the border of JSON makes a mistake of."""
    with pytest.raises(ValueError, match=r"no peaks|validation"):
        read_peaks({**row, "call_s": {"value": steady(1.0).value}})
