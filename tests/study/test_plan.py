"""The plan of a study: what its file and its data fix before it runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from datasets_small import images, sequences
from plans import FRACTAL, drawn, planned

from archcost.errors import InputError
from archcost.graph.cost import peak_bytes
from archcost.latency.samples import Plan
from archcost.machine import physical_cores
from archcost.study.parts import parts
from archcost.study.workers.tasks import Setup

LATENCY = {"latency": "min", "target": "fake"}


@pytest.mark.parametrize(
    ("objectives", "labels", "places"),
    [
        ([{"error": "min"}], ("error",), (None,)),
        ([LATENCY, {"error": "min"}], ("latency", "error"), (0, None)),
        (
            [LATENCY, {"error": "min"}, {**LATENCY, "batch": 2}],
            ("latency.0", "error", "latency.1"),
            (0, None, 1),
        ),
    ],
)
def test_an_objective_has_a_label_and_the_place_of_its_way(
    objectives: list[dict[str, Any]], labels: tuple[str, ...], places: tuple[int | None, ...]
) -> None:
    """Of several latencies each has its number; what is not measured has no way."""
    plan = planned(objectives=objectives)
    assert (labels, places) == (plan.labels, tuple(way for _, way in plan.objectives))


def test_a_way_is_what_its_objective_says() -> None:
    """Threads that are left out are the physical cores."""
    full = {**LATENCY, "batch": 3, "threads": 2, "dtype": "bfloat16", "precision": "5%", "time": "3s"}
    plan = planned(objectives=[{"error": "min"}, full, LATENCY])
    assert Setup("fake", "eager", Plan(3, "bfloat16", 2, 0.05, 3.0)) == plan.setups[0]
    assert Setup("fake", "eager", Plan(1, "float32", physical_cores(), 0.02, 2.0)) == plan.setups[1]


@pytest.mark.parametrize(("key", "name"), [("target", "abacus"), ("runtime", "abacus")])
def test_a_way_that_is_none_is_refused_at_its_key(key: str, name: str) -> None:
    """Before any data are looked at."""
    with pytest.raises(InputError) as refused:
        planned(objectives=[{"error": "min"}, {**LATENCY, key: name}])
    (mistake,) = refused.value.mistakes
    assert (("objectives", 1, key), True) == (mistake.path, mistake.message.startswith(f"unknown {key} '{name}'"))
    assert mistake.place is not None
    assert "small.yaml" == mistake.place.file


def test_networks_are_counted_in_a_call_of_the_first_way() -> None:
    """Its batch and dtype; without any, one example in float32."""
    first = {**LATENCY, "batch": 8, "dtype": "float16"}
    plan = planned(objectives=[{"error": "min"}, first, LATENCY])
    graph = drawn(plan).graph
    assert ("float16", peak_bytes(graph, 8, 2)) == (plan.ways[0].dtype, parts(plan, drawn(plan))[0].memory_bytes)
    plan = planned(objectives=[{"error": "min"}])
    assert ("float32", peak_bytes(graph, 1, 4)) == (plan.ways[0].dtype, parts(plan, drawn(plan))[0].memory_bytes)


def test_a_network_takes_what_the_data_give() -> None:
    """Images to one family, their rows to a recurrent one; sequences as they are."""
    assert (1, 8, 8) == drawn(planned()).input
    hornn = {"family": "hornn", "hidden": 4, "order": 1}
    assert {"steps": 8, "features": 8} == drawn(planned(models=[hornn])).input
    plan = planned(sequences(), models=[hornn], data={"name": "sequences", "path": "walks.npz"})
    assert {"steps": 6, "features": 2} == drawn(plan).input


def test_what_is_no_network_is_refused_at_its_template() -> None:
    """A drawn value that cannot be is a mistake of the study's file."""
    plan = planned(models=[FRACTAL, {**FRACTAL, "widths": [{"int": [1, 2]}] * 12}])
    with pytest.raises(InputError) as refused:
        plan.model(plan.spec.space.tree({"model": 1, **{f"1.widths.{place}": 1 for place in range(12)}}))
    assert ("models", 1) == refused.value.mistakes[0].path[:2]


CHANGES: dict[str, dict[str, Any]] = {
    "models": {"models": [FRACTAL]},
    "objectives": {"objectives": [{"error": "min"}]},
    "limits": {"limits": {"params": "1M"}},
    "fit": {"fit": {"epochs": 3, "rungs": [1, 3]}},
    "search": {"search": {"seed": 1}},
}


@pytest.mark.parametrize("key", CHANGES)
def test_what_may_not_change_is_told_by_its_key(key: str) -> None:
    """Of two studies that differ in one key, that one differs in what is fixed, and nothing else."""
    before, after = planned().fixed, planned(**CHANGES[key]).fixed
    assert {key} == {name for name in before if before[name] != after[name]}
    assert {"models", "data", "objectives", "limits", "fit", "search"} == before.keys() == after.keys()


def test_data_are_fixed_by_their_fingerprint() -> None:
    """Others under the same name are other data."""
    before, after = planned().fixed, planned(replace(images(), fingerprint="others")).fixed
    assert ({"data"}, "others") == ({name for name in before if before[name] != after[name]}, after["data"])


def test_how_long_and_how_much_may_change() -> None:
    """Trials, time, patience, confirming and the storage are of a run, not of the study."""
    later = {"search": {"trials": 7, "time": "1h", "patience": "1m"}, "confirm": {"seeds": 9}, "storage": "x.db"}
    assert planned().fixed == planned(**later).fixed


def test_networks_that_would_train_the_same_have_one_identity() -> None:
    """Of graph, recipe, training and data: another search or objective changes nothing, each of those four does."""
    fractal = planned(models=[FRACTAL])
    model = drawn(fractal)
    same = planned(models=[FRACTAL], search={"seed": 9}, objectives=[{"error": "min"}])
    assert fractal.identity(model) == same.identity(drawn(same))
    local = {**FRACTAL, "drop_path": {"global": 0.25}}
    others = [
        planned(models=[{**FRACTAL, "widths": [4, 6]}]),
        planned(models=[local]),
        planned(models=[FRACTAL], fit={"epochs": 3, "rungs": [3]}),
        planned(replace(images(), fingerprint="others"), models=[FRACTAL]),
    ]
    assert 5 == len({fractal.identity(model), *(plan.identity(drawn(plan)) for plan in others)})
    assert model.digest == drawn(others[1]).digest
