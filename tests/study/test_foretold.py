"""A latency limit is judged by prediction before anything is measured, if the device was calibrated."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from calibrated import calibrated
from click.testing import CliRunner

from archcost.cli import cli
from archcost.graph.graph import Graph
from archcost.latency.prediction import predictor
from archcost.latency.prediction.operators import of_graph
from archcost.latency.prediction.predictor import Calibration, Predictor
from archcost.models.load import load
from archcost.study.phases.foretold import Foretold

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
    assert Foretold((asked,), 1.01 * limit_s).over(graph) is None  # it straddles the limit: measured
    reason = Foretold((asked,), 0.99 * limit_s).over(graph)
    assert reason is not None
    assert reason.kind == "limit"
    assert "latency predicted" in reason.text


def test_one_way_that_may_keep_the_limit_is_enough(cache: tuple[Path, Calibration], graph: Graph) -> None:
    slow = Predictor(cache[1])
    fast = Predictor(replace(cache[1], held_out=replace(cache[1].held_out, apart=1000.0)))
    limit_s = 0.5 * low_s(cache[1], graph)
    assert Foretold((slow,), limit_s).over(graph) is not None
    assert Foretold((slow, fast), limit_s).over(graph) is None


def test_what_was_not_measured_is_not_judged(cache: tuple[Path, Calibration], graph: Graph) -> None:
    few = replace(cache[1], kinds={"norm": cache[1].kinds["norm"]})
    assert Foretold((Predictor(few),), 1e-12).over(graph) is None


def test_without_predictors_nothing_is_judged(graph: Graph) -> None:
    assert Foretold((), 1e-12).over(graph) is None


def test_a_study_measures_nothing_that_is_predicted_to_be_over(
    cache: tuple[Path, Calibration], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache[0]))
    monkeypatch.setattr(predictor, "_OUTSIDE", 1.0)  # so few operators were measured that few networks are inside
    file = tmp_path / "study.yaml"
    file.write_text(STUDY, "utf-8")
    done = CliRunner().invoke(cli, ["study", "run", str(file)])
    assert "3 x limits: latency predicted" in done.output
