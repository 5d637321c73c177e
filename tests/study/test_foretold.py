"""A latency limit is judged by prediction before anything is measured, if the device was calibrated."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from calibrated import calibrated
from click.testing import CliRunner
from plans import planned, specified

from archcost.cli import cli
from archcost.errors import InputError
from archcost.graph.graph import Graph
from archcost.latency.prediction import predictor
from archcost.latency.prediction.operators import of_graph
from archcost.latency.prediction.predictor import Calibration, Predictor
from archcost.models.load import load
from archcost.report.blocks import Chart, Lines, Scatter
from archcost.report.study import document as report
from archcost.study.phases.foretold import Foretold
from archcost.study.records import confirmed
from archcost.study.records.database.addresses import address
from archcost.study.records.part import Part, Predicted
from archcost.study.records.stored import find

STUDY = """
models: [{family: bottleneck, block: basic, depths: [1], widths: [{int: [4, 6]}]}]
data: {name: digits, examples: 100}
objectives: [{error: min}, {latency: min, target: fake, threads: 1, time: 0.05}]
limits: {latency: 1 us}
fit: {epochs: 1}
search: {trials: 2, sampler: grid}
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Calibration]:
    folder = tmp_path_factory.mktemp("cache")
    return folder, calibrated(folder)


@pytest.fixture(scope="module")
def graph() -> Graph:
    return load("resnet-20").graph


def low_s(calibration: Calibration, graph: Graph) -> float:
    found = Predictor(calibration).predict(of_graph(graph, 1))
    assert found.in_domain
    assert found.interval_s is not None
    return found.interval_s[0]


def test_a_network_whose_whole_interval_is_over_the_limit_is_refused(
    cache: tuple[Path, Calibration], graph: Graph
) -> None:
    asked = Predictor(cache[1])
    limit_s = low_s(cache[1], graph)
    assert Foretold({0: asked}, True, 1.01 * limit_s).over(graph) is None  # it straddles the limit: measured
    reason = Foretold({0: asked}, True, 0.99 * limit_s).over(graph)
    assert reason is not None
    assert reason.kind == "limit"
    assert "latency predicted" in reason.text


def test_one_way_that_may_keep_the_limit_is_enough(cache: tuple[Path, Calibration], graph: Graph) -> None:
    slow = Predictor(cache[1])
    fast = Predictor(replace(cache[1], held_out=replace(cache[1].held_out, apart=1000.0)))
    limit_s = 0.5 * low_s(cache[1], graph)
    assert Foretold({0: slow}, True, limit_s).over(graph) is not None
    assert Foretold({0: slow, 1: fast}, True, limit_s).over(graph) is None


def test_what_was_not_measured_is_not_judged(cache: tuple[Path, Calibration], graph: Graph) -> None:
    few = replace(cache[1], kinds={"norm": cache[1].kinds["norm"]})
    assert Foretold({0: Predictor(few)}, True, 1e-12).over(graph) is None


def test_without_all_predictors_nothing_is_judged(cache: tuple[Path, Calibration], graph: Graph) -> None:
    assert Foretold({0: Predictor(cache[1])}, False, 1e-12).over(graph) is None


def test_a_study_measures_nothing_that_is_predicted_to_be_over(
    cache: tuple[Path, Calibration], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache[0]))
    monkeypatch.setattr(predictor, "_OUTSIDE", 1.0)  # so few operators were measured that few networks are inside
    file = tmp_path / "study.yaml"
    file.write_text(STUDY, "utf-8")
    done = CliRunner().invoke(cli, ["study", "run", str(file)])
    assert "3 x limits: latency predicted" in done.output


def test_a_prediction_stands_in_for_measuring_where_it_says_enough(
    cache: tuple[Path, Calibration], graph: Graph
) -> None:
    asked = Predictor(cache[1])
    whole = Part(0, "a", 1, 1, 1)
    found = Predictor(cache[1]).predict(of_graph(graph, 1))
    (filled,) = Foretold({0: asked}, instead=(0,)).filled([whole], [graph])
    assert [Predicted(0, found.median_s, *(found.interval_s or (0, 0)))] == list(filled.predicted)
    straddles = Foretold({0: asked}, limit_s=found.median_s, instead=(0,))
    assert [whole] == straddles.filled([whole], [graph])  # it is measured, as the limit is in its interval
    few = replace(cache[1], kinds={"norm": cache[1].kinds["norm"]})
    assert [whole] == Foretold({0: Predictor(few)}, instead=(0,)).filled([whole], [graph])
    assert [whole] == Foretold({0: asked}).filled([whole], [graph])  # nobody asked for it


def test_in_eight_bits_latency_is_measured() -> None:
    ways = [{"runtime": "onnxruntime"}, {"runtime": "onnxruntime", "dtype": "int8"}]
    latency = {"latency": "min", "target": "cpu", "threads": 1}
    plan = planned(objectives=[{"error": "min"}, {**latency, "predict": True, "ways": ways}, latency])
    assert plan.predicts == (0,)
    assert plan.paths == (("objectives", 1, "ways", 0), ("objectives", 1, "ways", 1), ("objectives", 2))


def test_another_type_than_float32_is_not_predicted() -> None:
    latency = {"latency": "min", "target": "cpu", "threads": 1, "predict": True, "dtype": "bfloat16"}
    with pytest.raises(InputError, match=r"objectives\.1\.predict: goes with dtype float32 alone, given bfloat16"):
        specified(objectives=[{"error": "min"}, latency])


def test_what_goes_with_a_latency_goes_with_nothing_else() -> None:
    with pytest.raises(InputError, match="goes with 'latency' only"):
        specified(objectives=[{"error": "min", "predict": True}, {"latency": "min", "target": "fake"}])


PREDICTS = STUDY.replace("time: 0.05", "time: 0.05, predict: true").replace("limits: {latency: 1 us}\n", "")


def test_a_latency_that_cannot_be_predicted_is_the_users_mistake(
    cache: tuple[Path, Calibration], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache[0]))
    file = tmp_path / "study.yaml"
    file.write_text(PREDICTS.replace("threads: 1", "threads: 2"), "utf-8")
    done = CliRunner().invoke(cli, ["study", "run", str(file)])
    assert isinstance(done.exception, InputError)
    said = str(done.exception)
    assert said.startswith(f"{file}:4:90: objectives.1.predict: ")
    assert "first: archcost calibrate --target fake --runtime eager --threads 2" in said
    assert not (tmp_path / "study.db").exists()


def test_a_study_measures_the_networks_alone_that_may_be_on_its_front(
    cache: tuple[Path, Calibration], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache[0]))
    monkeypatch.setattr(predictor, "_OUTSIDE", 1.0)
    file = tmp_path / "study.yaml"
    file.write_text(PREDICTS.replace("{int: [4, 6]}", "{int: [4, 24]}").replace("trials: 2", "trials: 6"), "utf-8")
    done = CliRunner().invoke(cli, ["study", "run", str(file), "--set", "confirm.members=0"])
    assert done.exit_code == 0, done.output
    stored = find(address(str(tmp_path / "study.db"), tmp_path))
    parts = [part for each in stored.trials() if each.ended for part in each.ended.parts]
    assert len(parts) == 6
    assert all(part.predicted and not part.samples for part in parts)
    measured = {str(each.trial.number) for each in stored.candidates()}
    assert {each.network for each in stored.front().members} <= measured == set(confirmed.everything(stored.study))
    assert len(measured) + len(stored.awaited()) == 6
    assert f"measuring {len(measured)} network" in done.output or done.output.count("may be on the front") > 1
    status = json.loads(CliRunner().invoke(cli, ["study", "status", str(file), "--json"]).stdout)
    assert status["predicted"] == [each.name for each in stored.awaited()]
    verdict, front = report.study(stored, "").sections[:2]
    said = [line for each in verdict.blocks if isinstance(each, Lines) for line in each.lines]
    assert any("is predicted, not measured" in line for line in said) is bool(stored.awaited())
    (chart,) = [each for each in front.blocks if isinstance(each, Chart)]
    assert isinstance(chart.drawn, Scatter)
    drawn = {each.name: each for each in chart.drawn.series}
    apart = drawn.get("latency predicted, not measured")
    assert len(stored.awaited()) == (len(apart.x) if apart else 0)
