"""What 8 bits gain in ONNX Runtime, what they cost, and which layers lose.

Three questions, each with a target of its own:

- speed: a network in float32 and in 8 bits by turns, one thread, as `profile --dtype int8` times them;
- planted: a depthwise convolution that 8 bits slow stands in a network; in how many of ten profiles is it named?
- accuracy: networks are trained on Fashion-MNIST for a few epochs, quantised with 512 training images, and scored as
  files on the whole validation split. Points lost are against the float32 file; gain kept is the share of the time
  saved by 8 bits alone that is left when layers have gone back to float32 for their accuracy.

    python studies/benchmarks/int8.py [speed] [planted] [accuracy] [--examples 12000] [--epochs 3]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import torch
from sidebyside import machine, milliseconds, table
from torch import Tensor, nn

import archcost
from archcost.data.load import load as load_data
from archcost.data.spec import DataSpec
from archcost.data.splits import Dataset, Split
from archcost.latency.runtimes.onnxruntime import file_times
from archcost.latency.samples import Plan
from archcost.models.load import Model, load
from archcost.nets.call import Call
from archcost.nets.export.quantisation.file import fitting_weights, input_names
from archcost.nets.export.quantisation.spec import MOST_EXAMPLES, Findings, Quantisation
from archcost.nets.export.quantisation.trials import Measures, quantised
from archcost.nets.export.sessions import of_onnx
from archcost.nets.export.torch_export import convert
from archcost.nets.net import build
from archcost.training import calibration, fit, scoring
from archcost.training.spec import Fit

SPEED: Final = {"resnet-20": 2.0, "nin-cifar10": 3.0, "fractalnet-20": 4.0, "resnet-50": 3.0}
"""How many times as fast 8 bits are to be."""

TRAINED: Final[dict[str, tuple[str, ...]]] = {
    "resnet-20": ("input=[1, 28, 28]",),
    "nin-cifar10": (
        "input=[1, 28, 28]",
        "layers=[{kernel: 5, widths: [96, 80, 48], pool: max}, {kernel: 5, widths: [96, 96, 96], pool: avg}, "
        "{kernel: 3, widths: [96, 96, 10]}]",
    ),
    "fractalnet-20": ("input=[1, 28, 28]", "widths=[16, 32, 64, 128]", "dropout=[0, 0.1, 0.2, 0.3]"),
}
"""Networks that are trained, and what is changed of them: NiN at half its width, FractalNet at a quarter, 16 layers."""

GAIN_KEPT, POINTS_LOST = 0.95, 0.3


def planted() -> nn.Module:
    """Return a network whose depthwise convolution of 7x7 takes twice as long in 8 bits, named '4'."""
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(3, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 128, 1), nn.ReLU()),
        *(nn.Conv2d(128, 128, 7, padding=3, groups=128), nn.ReLU(), nn.Conv2d(128, 256, 1), nn.ReLU()),
        *(nn.Conv2d(256, 256, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, 10)),
    ).eval()


def findings(source: str | nn.Module, inputs: Tensor | None = None, *, time_s: float) -> Findings:
    """Return what a profile at int8 finds."""
    asked = {"dtype": "int8", "runtime": "onnxruntime", "time": f"{time_s}s"}
    found = archcost.profile(source, inputs, **asked, threads=1, witness=False).latencies[0]
    assert found.int8 is not None  # int8 was asked for
    return found.int8


def speed() -> Iterator[list[str]]:
    """Yield a row for each network: both times, how many times as fast, and the target."""
    for name, target in SPEED.items():
        found = findings(name, time_s=20)
        assert found.turns is not None  # it was timed
        times = 1 / found.turns.slowdown
        left = ", ".join(layer.name for layer in found.float_layers) or "none"
        both = milliseconds(found.turns.first_s), milliseconds(found.turns.other_s)
        yield [name, *both, f"{times:.2f}", left, f"at least {target:g}: {'met' if times >= target else 'missed'}"]


def named(rounds: int) -> str:
    """Return in how many profiles the planted layer is named."""
    count = sum("4" in {each.name for each in findings(planted(), torch.randn(1, 3, 48, 48), time_s=3).losing}
                for _ in range(rounds))  # fmt: skip
    return f"a planted depthwise layer is named in {count} of {rounds} (target: 10 of 10)"


def trained(model: Model, data: Dataset, epochs: int) -> nn.Module:
    """Return a network after so many epochs."""
    net = build(model.graph, model.recipe, seed=0)
    for _ in fit.epochs(fit.begin(net, data, Fit(epochs=epochs))):
        pass
    calibration.recalibrate(net, data)
    return net.eval()


def batches(split: Split, data: Dataset) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield inputs and targets of a split, 256 at a time."""
    return scoring.given(split, data, torch.device("cpu"))


def error(path: Path, count: int | None, data: Dataset) -> float:
    """Return the error of a file, as a share of so many validation images, of all if None."""
    predict, wrong, seen = of_onnx(path), 0, 0
    for inputs, targets in batches(data.validation, data):
        wrong += int((predict(inputs).argmax(1) != targets).sum())
        seen += len(targets)
        if count is not None and seen >= count:
            break
    return wrong / seen


def accuracy(examples: int, epochs: int, folder: Path) -> Iterator[list[str]]:
    """Yield a row for each trained network: its errors, what is in float32, points lost and gain kept."""
    data = load_data(DataSpec(name="fashion-mnist", examples=examples), folder=Path.cwd())
    first = next(inputs for inputs, _ in batches(data.train, data))
    for name, changes in TRAINED.items():
        model = load(name, changes)
        net, source = trained(model, data, epochs), folder / f"{name}.onnx"
        with torch.no_grad():
            net(first[:2])
            convert(Call(net, (first[:2],)), source, {}, is_open=True)
        (given,) = input_names(source)
        images = [{given: one.numpy()} for inputs, _ in batches(data.train, data) for one in inputs.split(1)]
        how = Quantisation(fitting_weights(), calibration="training", examples=MOST_EXAMPLES)
        times = file_times(images[0], Plan(threads=1, time_s=20))
        kept = []
        for score in (None, lambda path, count: error(path, count, data)):
            made = quantised(source, folder / "made.onnx", how, images, Measures(times, score))
            assert made.findings.turns is not None  # it was timed
            kept.append(1 - made.findings.turns.slowdown)
        assert made.score is not None  # the last one was scored
        assert made.float32_score is not None
        lost, gain = 100 * (made.score - made.float32_score), kept[1] / kept[0]
        meets = lost <= POINTS_LOST and gain >= GAIN_KEPT
        left = ", ".join(f"{layer.name} ({layer.kind})" for layer in made.reasons) or "none"
        errors = f"{made.float32_score:.2%}", f"{made.score:.2%}", f"{lost:.2f}"
        yield [name, *errors, f"{1 / (1 - kept[1]):.2f}", f"{gain:.1%}", left, "met" if meets else "missed"]


def main() -> None:
    """Print the tables of the questions that were asked, all of them if none is named."""
    parser = argparse.ArgumentParser()
    parser.add_argument("questions", nargs="*", choices=("speed", "planted", "accuracy", []), default=[])
    parser.add_argument("--examples", type=int, default=12_000)
    parser.add_argument("--epochs", type=int, default=3)
    asked = parser.parse_args()
    questions = asked.questions or ["speed", "planted", "accuracy"]
    print(machine())
    if "speed" in questions:
        heads = ["network", "float32", "int8", "times as fast", "in float32", "target"]
        print(table(heads, list(speed())), flush=True)
    if "planted" in questions:
        print(named(10), flush=True)
    if "accuracy" in questions:
        heads = ["network", "error, float32", "error, int8", "points lost", "times as fast", "gain kept"]
        heads += ["in float32", f"at most {POINTS_LOST} points, at least {GAIN_KEPT:.0%}"]
        with TemporaryDirectory() as folder:
            print(table(heads, list(accuracy(asked.examples, asked.epochs, Path(folder)))))


if __name__ == "__main__":
    main()
