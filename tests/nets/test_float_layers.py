"""Which layers of a file of 8 bits stay in float32, and that a plain session of ONNX Runtime leaves them so."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from archcost.nets.call import Call
from archcost.nets.export.quantisation import file, words
from archcost.nets.export.quantisation.calibration import drawn
from archcost.nets.export.quantisation.choice import Allowed, Layers, Probe, by_accuracy, by_time, losing
from archcost.nets.export.quantisation.spec import Findings, FloatLayer, LayerTimes, Quantisation, Turns
from archcost.nets.export.quantisation.trials import Measures, Mixtures, Times, quantised
from archcost.nets.export.torch_export import onnx_file

HERE = all(importlib.util.find_spec(name) for name in ("onnx", "onnxscript", "onnxruntime"))
needs_onnx = pytest.mark.skipif(not HERE, reason="ONNX Runtime is not installed")

ORDER = ("stem", "expand", "depthwise", "reduce", "head")
PLANTED = (LayerTimes("expand", 40e-6, 20e-6), LayerTimes("depthwise", 84e-6, 228e-6), LayerTimes("stem", 47e-6, 50e-6))
EVERY = ("0", "2", "4", "5", "9", "10", "13")
CHOICES = [
    frozenset(names) for names in (*((name,) for name in EVERY), ("0", "2"), ("2", "4", "5"), ("9", "10"), EVERY)
]
EIGHT_BIT = frozenset({"QLinearConv", "QGemm", "QLinearMatMul", "MatMulIntegerToFloat"})


def planted(saved_s: Mapping[str, float], total_s: float = 500e-6) -> Callable[[Layers, Layers], Turns]:
    """Return turns in which a file is faster by what each of its layers in float32 saves."""

    def turns(first: Layers, other: Layers) -> Turns:
        one, two = (total_s - sum(saved_s.get(name, 0.0) for name in layers) for layers in (first, other))
        return Turns(one, two, one != two)

    return turns


def names(found: Collection[FloatLayer]) -> set[str]:
    return {layer.name for layer in found}


def test_a_layer_that_loses_is_named() -> None:
    """The depthwise convolution that 8 bits slow, and no layer that differs by less than profiles do."""
    assert [PLANTED[1]] == list(losing(PLANTED))


@pytest.mark.parametrize(
    ("saved_s", "expected"),
    [
        ({"depthwise": 144e-6}, {"depthwise"}),
        ({"depthwise": -60e-6}, set()),  # it loses alone, and conversions around it take longer still
        ({"depthwise": -60e-6, "stem": 50e-6, "expand": 50e-6}, {"stem", "expand", "depthwise"}),
        ({"depthwise": -60e-6, "reduce": 90e-6, "head": 5e-6}, {"depthwise", "reduce", "head"}),
        ({"depthwise": -60e-6, "stem": 50e-6, "expand": 20e-6}, set()),  # less than a twentieth, for more memory
    ],
)
def test_a_layer_stays_in_float32_where_the_whole_is_faster(saved_s: dict[str, float], expected: set[str]) -> None:
    """Alone, or together with all that is before or behind it, whose conversions it shares."""
    found = by_time(losing(PLANTED), ORDER, 500e-6, planted(saved_s))
    assert expected == names(found)
    assert {"slower"} >= {layer.kind for layer in found}


def probe(costs: Mapping[str, float], slow: Collection[str] = ()) -> Probe:
    """Return what finds an error of 0.08, and in 8 bits so much more for each layer; `slow` ones may not go back."""

    def score(layers: Layers, count: int | None) -> float:
        return 0.08 + sum(cost for name, cost in costs.items() if name not in layers)

    return Probe(score, lambda layers: -len(layers), lambda layers: not layers & set(slow))


@pytest.mark.parametrize(
    ("costs", "slow", "expected"),
    [
        ({"stem": 0.001, "head": 0.001}, (), ()),
        ({"stem": 0.002, "reduce": 0.02, "head": 0.0005}, (), ("reduce",)),
        ({"stem": 0.01, "reduce": 0.02, "head": 0.0005}, (), ("reduce", "stem")),
        ({"stem": 0.01, "reduce": 0.02}, ("reduce",), ("stem",)),
    ],
)
def test_layers_that_cost_accuracy_go_back(
    costs: dict[str, float], slow: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    """Those that cost most first, until no more is lost than is allowed; none without which 8 bits gain too little."""
    found = by_accuracy(ORDER, frozenset(), 0.08, probe(costs, slow), Allowed(lost=0.003))
    assert expected == tuple(layer.name for layer in found)


class Mixed(nn.Sequential):
    """Convolutions with and without activations that a quantiser removes, a transposed one, and products at the end."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 8, 3, 2, 1),
            nn.ReLU6(),
            nn.Conv2d(8, 8, 3, 1, 1, groups=8),
            nn.ReLU(),
            nn.Conv2d(8, 4, 1),
            nn.ConvTranspose2d(4, 4, 2, 2),
            nn.Hardswish(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(16, 8),
            nn.Linear(8, 8),
            nn.ReLU(),
            nn.Unflatten(1, (2, 4)),
            nn.Linear(4, 3),
        )


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any]]:
    """Return the files of a network in float32 and in 8 bits, and inputs."""
    folder = tmp_path_factory.mktemp("mixed")
    torch.manual_seed(0)
    call = Call(Mixed().eval(), (torch.randn(1, 3, 12, 12),))
    with torch.no_grad(), onnx_file(call) as source:
        (folder / "float32.onnx").write_bytes(source.read_bytes())
        inputs = list(drawn(call, file.input_names(source)))
    file.write(folder / "float32.onnx", folder / "int8.onnx", Quantisation(), inputs, {})
    return folder / "float32.onnx", folder / "int8.onnx", dict(inputs[0])


def kernels(path: Path, arrays: Mapping[str, Any], folder: Path) -> tuple[Counter[str], Any]:
    """Return the operators that a plain session of ONNX Runtime makes of a file, and what it gives."""
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(folder / "ran.onnx")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return Counter(n.op_type for n in onnx.load(folder / "ran.onnx").graph.node), session.run(None, dict(arrays))[0]


@needs_onnx
@pytest.mark.parametrize("layers", CHOICES, ids=lambda layers: "+".join(sorted(layers)))
def test_a_plain_session_leaves_them_in_float32(layers: frozenset[str], files: Any, tmp_path: Path) -> None:
    """All other products run in 8 bits, and what is given is what the file says when it is run as it is written."""
    source, small, arrays = files
    file.mix(source, small, tmp_path / "mixed.onnx", layers)
    ran, given = kernels(tmp_path / "mixed.onnx", arrays, tmp_path)
    # no runtime has 8-bit kernels of transposed convolutions, so that the file of 8 bits has one product fewer
    count = len(file.layer_nodes(source)) - 1 - len(layers - {"5"})
    assert count == sum(ran[name] for name in EIGHT_BIT)
    (expected,) = file.emulated(tmp_path / "mixed.onnx", arrays)
    assert float((expected - torch.from_numpy(given)).abs().max()) <= file.TOLERANCE * float(expected.abs().max())


@needs_onnx
def test_a_network_that_is_all_in_float32_gives_what_it_gave(files: Any, tmp_path: Path) -> None:
    """Nothing of 8 bits is left where only products and activations are, each as it was."""
    import onnx

    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU6(), nn.Conv2d(8, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 3)).eval()
    call = Call(net, (torch.randn(1, 3, 9, 9),))
    with torch.no_grad(), onnx_file(call) as source:
        inputs = list(drawn(call, file.input_names(source)))
        file.write(source, tmp_path / "int8.onnx", Quantisation(), inputs, {})
        file.mix(source, tmp_path / "int8.onnx", tmp_path / "mixed.onnx", frozenset({"0", "2", "4"}))
        expected = net(*call.args)
    ops = {node.op_type for node in onnx.load(tmp_path / "mixed.onnx").graph.node}
    assert {"Conv", "Relu", "Clip"} == ops
    _, given = kernels(tmp_path / "mixed.onnx", inputs[0], tmp_path)
    torch.testing.assert_close(torch.from_numpy(given), expected)


@needs_onnx
def test_times_and_scores_decide_what_a_file_has(files: Any, tmp_path: Path) -> None:
    """By nodes' times a layer is tried, by turns it is left in float32, and a score takes back what costs accuracy."""
    source, _, arrays = files
    owners = {nodes[0]: layer for layer, nodes in file.layer_nodes(source).items()}
    lost = {"2": 10.0, "9": 5.0}

    def nodes(path: Path) -> dict[str, float]:
        slow = lost if path != source else {}
        return {node: 20.0 + slow.get(layer, 0.0) for node, layer in owners.items()}

    def taken_s(path: Path) -> float:
        return 400.0 if path == source else 100.0 - 8 * ("2" in held(path)) + 3 * ("9" in held(path))

    def score(path: Path, count: int | None) -> float:
        return 0.1 if path == source or "13" in held(path) else 0.2

    def turns(first: Path, other: Path) -> Turns:
        return Turns(taken_s(first), taken_s(other), True)

    measures = Measures(Times(nodes, turns), score)
    made = quantised(source, tmp_path / "made.onnx", Quantisation(examples=1), [arrays], measures, {"name": "planted"})
    assert {"2", "13"} == set(made.float_layers) == held(made.path)
    assert [("2", "slower", 100.0, 92.0), ("13", "accuracy", 0.2, 0.1)] == [
        (each.name, each.kind, each.before, each.after) for each in made.reasons
    ]
    assert (LayerTimes("2", 20.0, 30.0), LayerTimes("9", 20.0, 25.0)) == made.findings.losing
    assert (0.1, 0.1, 3 * (8 * 9 + 3 * 4)) == (made.float32_score, made.score, made.findings.float_bytes)


def held(path: Path) -> set[str]:
    """Return the layers that a file says it has in float32."""
    import onnx

    told = {each.key: each.value for each in onnx.load(path).metadata_props}
    return set(filter(None, told.get("archcost.float_layers", "").split(", ")))


def test_what_was_found_is_said() -> None:
    """Each layer that loses by its name with its times, those left in float32 with why, and that 8 bits do not pay."""
    slow = (LayerTimes("stem", 47e-6, 121e-6), LayerTimes("depthwise", 84e-6, 228e-6))
    left = (FloatLayer("stem", "slower", 500e-6, 430e-6), FloatLayer("head", "accuracy", 0.09, 0.0825))
    turns = Turns(400e-6, 430e-6, True)
    assert [
        "slower in 8 bits than in float32: 'stem' (121 us, 47.0 us), 'depthwise' (228 us, 84.0 us)",
        "left in float32: 'stem': the network takes 430 us so, 500 us with it in 8 bits",
        "left in float32: 'head': the score is 0.0825 so, 0.09 with it in 8 bits",
        "in 8 bits all the same, as the network is not faster with it in float32: 'depthwise'",
        "int8 does not pay on this device: 430 us, 0.93 times as fast as float32 by turns with it (400 us); this "
        "processor has no instructions for products of 8 bits",
    ] == list(words.lines(Findings(left, slow, turns, 5, 0, ())))
    (line,) = words.lines(Findings((), (), turns, 100, 0, ("avx512_vnni",)))
    assert line.endswith("; its layers are small: 4.00 us each in float32")
    assert [] == list(words.lines(Findings((), (), Turns(400e-6, 200e-6, True), 5, 0, ())))


@needs_onnx
def test_layers_that_are_in_float32_already_are_not_tried(files: Any, tmp_path: Path) -> None:
    """More are found on top of them, and outputs are compared only of files that lose too much."""
    source, small, arrays = files
    (tmp_path / "int8.onnx").write_bytes(small.read_bytes())
    tried: list[set[str]] = []

    def score(path: Path, count: int | None) -> float:
        tried.append(held(path))
        return 0.1 if "13" in held(path) else 0.2

    mixtures = Mixtures(source, tmp_path / "int8.onnx", frozenset({"0", "2"}), [arrays])
    (found,) = mixtures.by_accuracy((), score, 0.1, Allowed())
    assert ("13", "accuracy", 0.2, 0.1) == (found.name, found.kind, found.before, found.after)
    assert all({"0", "2"} <= each for each in tried)
    assert {*EVERY} - {"0", "2"} == set.union(*tried) - {"0", "2"}
    tried.clear()
    assert () == mixtures.by_accuracy((found,), score, 0.1, Allowed())
    assert [{"0", "2", "13"}] == tried
