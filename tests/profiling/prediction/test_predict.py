"""archcost calibrate and predict, from the command line and from Python, on the fake target."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from calibrated import calibrated as calibrated_fake
from click.testing import CliRunner
from torch import nn

import archcost
from archcost.cli import cli
from archcost.errors import InputError, TargetError
from archcost.latency.measure import Request
from archcost.latency.prediction import kept
from archcost.latency.prediction.operators import DENSE, GROUPED
from archcost.profiling import modules
from archcost.profiling.prediction import calibrate
from archcost.profiling.prediction.modules import of_module


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache folder with a calibration of the fake target, where every network takes a millisecond."""
    folder = tmp_path_factory.mktemp("cache")
    calibrated_fake(folder)
    return folder


@pytest.fixture
def at(calibrated: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(calibrated))
    return calibrated


def test_predict_prints_json_of_the_documented_form(at: Path) -> None:
    done = CliRunner().invoke(cli, ["predict", "resnet-20", "--target", "fake", "--json"])
    assert done.exit_code == 0, done.output
    (row,) = json.loads(done.stdout)["predictions"]
    keys = ["target", "runtime", "batch", "dtype", "threads", "median_s", "interval_s", "in_domain", "why"]
    assert list(row) == keys
    assert row["median_s"] > 0


def test_predict_prints_a_line_for_each_way(at: Path) -> None:
    done = CliRunner().invoke(cli, ["predict", "resnet-20", "--target", "fake"])
    assert done.exit_code == 0, done.output
    assert "predicted, not measured" in done.stdout
    assert "fake/eager, batch 1, float32, 1 thread" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_python_gives_what_the_command_line_gives(at: Path) -> None:
    found = archcost.predict("resnet-20", target="fake")
    done = CliRunner().invoke(cli, ["predict", "resnet-20", "--target", "fake", "--json"])
    assert found.to_dict() == json.loads(done.stdout)["predictions"][0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch": 8}, "nothing is calibrated for fake/eager, batch 8.*--batch 8"),
        ({"dtype": "int8"}, "allowed: float32"),
        ({"runtime": ["eager", "compile"]}, "allowed: one"),
    ],
)
def test_what_cannot_be_predicted_is_refused(at: Path, options: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        archcost.predict("resnet-20", target="fake", **options)


def test_a_module_is_predicted_from_its_count(at: Path) -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU6(), nn.Flatten(), nn.Linear(8 * 64, 5)
    )
    found = archcost.predict(net, torch.rand(1, 3, 8, 8), target="fake")
    assert found.median_s > 0


def test_the_operators_of_a_module_are_kinds_that_are_measured() -> None:
    net = nn.Sequential(
        *(nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.BatchNorm2d(8), nn.Hardswish(), nn.AdaptiveAvgPool2d(1)),
        *(nn.Flatten(), nn.Linear(8, 5)),
    )
    module, _ = modules.counted(modules.given(net, torch.rand(2, 8, 16, 16), Request()), Request())
    found = of_module(module, 1, "float32")
    assert [each.kind for each in found] == [GROUPED, "norm", "relu", "globalpool", DENSE]
    assert found[0].features[2] == pytest.approx(torch.log(torch.tensor(512.0)).item())  # positions of both examples


def test_an_operator_that_a_part_calls_several_times_is_so_many_calls() -> None:
    class Twice(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(torch.relu(torch.cat([x, x], 1)))

    module, _ = modules.counted(modules.given(Twice(), torch.rand(2, 8, 16, 16), Request()), Request())
    found = of_module(module, 1, "float32")
    assert [(each.kind, each.calls) for each in found] == [("concat", 1), ("relu", 2)]
    assert math.exp(found[1].features[0]) == pytest.approx(2 * 16 * 16 * 16)


def test_a_model_file_is_refused(at: Path, tmp_path: Path) -> None:
    file = tmp_path / "net.onnx"
    file.write_bytes(b"")
    with pytest.raises(InputError):
        archcost.predict(str(file), target="fake")


@pytest.mark.parametrize(
    ("left_s", "each_s", "size"), [(100.0, 1.0, 15), (3.5, 1.0, 3), (0.4, 1.0, 0), (-20.0, 1.0, 0)]
)
def test_no_more_networks_are_measured_than_fit_into_the_time(left_s: float, each_s: float, size: int) -> None:
    """Also if the last ones took so long that the time is over by more than what one takes."""
    assert size == calibrate.fitting(left_s, each_s)


def test_a_calibration_that_says_how_far_it_is_off_is_not_replaced_by_one_that_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    before = calibrated_fake(tmp_path)
    monkeypatch.setattr(calibrate, "learn", lambda *_: replace(before, held_out=None, networks=3))
    with pytest.raises(TargetError, match=r"3 networks measured, too few .* UTC stays; allowed: a longer --time"):
        calibrate.calibrated("fake", "eager", threads=1)
    assert before == kept.at_hand(before.key)
