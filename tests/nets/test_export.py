"""What leaves archcost is the network that went in: text reads back to it, programs compute what it computes."""

from __future__ import annotations

import json
import logging
import os
import random
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from specs import Tree, laws, model, models

import archcost
from archcost.config import document
from archcost.errors import InputError, TargetError
from archcost.graph import codec
from archcost.graph.recipe import Recipe
from archcost.models import load, published
from archcost.models.code import parse_input
from archcost.models.load import Model, Reference
from archcost.nets.export import formats, onnx_pt2
from archcost.nets.net import build, example

IMAGE: Tree = {"input": [3, 9, 9], "classes": 4}
SPARSE = {"kernel": 3, "widths": [6, 5, 4], "sparse": [1, 1, 1], "window": 3, "pool": "max"}
WORDS: Tree = {"family": "hornn", "input": {"steps": 4, "vocab": 11}, "hidden": 6, "order": 3}
SMALL: dict[str, Tree] = {
    "bottleneck": {**IMAGE, "family": "bottleneck", "depths": [1, 2], "widths": [8, 12], "groups": 2},
    "option A": {**IMAGE, "family": "bottleneck", "block": "basic", "depths": [1, 1], "widths": [16, 24],
                 "shortcut": "pad", "order": "pre", "dropout": 0.2},
    "nin": {**IMAGE, "family": "nin", "layers": [{"kernel": 3, "widths": [6, 4], "pool": "avg", "dropout": 0.5}]},
    "cic": {**IMAGE, "family": "nin", "span": 2, "layers": [SPARSE]},
    "rir": {**IMAGE, "family": "rir", "depths": [1, 1], "widths": [4, 6], "outer_shortcut": True},
    "fractal": {**IMAGE, "family": "fractal", "columns": 3, "widths": [4, 6], "dropout": 0.1,
                "drop_path": {"local": 0.15, "global": 0.5}},
    "hornn": WORDS,
    "hornn max": {**WORDS, "pooling": "max", "embedding": 5},
    "hornn fofe": {**WORDS, "pooling": "fofe", "readout": "last", "dropout": 0.3},
    "hornn gated": {**WORDS, "pooling": "gated"},
    "hornn on vectors": {**WORDS, "input": {"steps": 5, "features": 3}, "classes": 2, "pooling": "gated"},
    "one step": {**WORDS, "input": {"steps": 1, "vocab": 11}},
}  # fmt: skip


def loaded(text: str) -> Model:
    return load.expand(document.load(text, "exported.yaml"))


@laws(150)
@given(models())
def test_yaml_reads_back_to_the_same_network(tree: Tree) -> None:
    """The exported YAML gives an equal spec, so the same graph and recipe."""
    first = model(tree)
    text = formats.as_yaml(first)
    again = loaded(text)
    assert (first.spec, first.digest, first.recipe) == (again.spec, again.digest, again.recipe)
    assert text == formats.as_yaml(again)


@pytest.mark.parametrize("name", published.names())
def test_shipped_networks_survive_every_text(name: str) -> None:
    """Every published network comes back from YAML and JSON with the same name and digest."""
    found = archcost.load(name)
    again = loaded(formats.as_yaml(found))
    assert (found.name, found.digest) == (again.name, again.digest)
    value = json.loads(formats.as_json(found))
    assert (found.name, found.digest) == (value["name"], value["digest"])
    assert found.graph == codec.decode(value["graph"])


@laws(80)
@given(models())
def test_json_reads_back_to_the_same_graph(tree: Tree) -> None:
    """codec.decode of the exported JSON is the graph, names and columns included."""
    found = model(tree)
    assert found.graph == codec.decode(json.loads(formats.as_json(found))["graph"])


def test_yaml_leaves_defaults_out() -> None:
    """Only what was chosen is written; a key set to its default is not."""
    found = archcost.load("resnet-20", ["order=post", "block=basic"])
    keys = ["name", "family", "input", "classes", "block", "depths", "widths"]
    assert keys == [line.split(":")[0] for line in formats.as_yaml(found).splitlines()]


@pytest.mark.parametrize(
    "name",
    ["true", "null", "1e3", "0o17", "~", "- a", "a: b", "#c", "'q\"", "x\\n", "a\tb", "\x1b[2J\u202e", "Zoë 字 😀",
     " edge ", "{}", "[", "&a", "*a", "!t", "%", "@", "`", "|", ">", "?", "<<", "=", "\u2028", "\x7f\x85", "\ufeff"],
)  # fmt: skip
def test_names_survive_yaml(name: str) -> None:
    """Text that YAML could take for something else, or that cannot be printed, comes back as it was."""
    found = model({**SMALL["nin"], "name": name})
    text = formats.as_yaml(found)
    assert name == loaded(text).name
    assert all(line.isprintable() for line in text.splitlines())


def eager(found: Model, seed: int) -> torch.nn.Module:
    return build(found.graph, Recipe(found.recipe.init), seed=seed)


@pytest.mark.parametrize("case", SMALL)
def test_pt2_computes_what_the_network_computes(case: str, tmp_path: Path) -> None:
    """A torch.export file, loaded in its own right, gives the seeded network's outputs for any batch."""
    found, path = model(SMALL[case]), tmp_path / "net.pt2"
    said = formats.export(found, "pt2", path, seed=3)
    assert any("not trained" in line and "seed 3" in line for line in said)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.load(path).module()
    for batch in (1, 2, 7):
        x = example(found.graph, batch, seed=9)
        torch.testing.assert_close(program(x), eager(found, 3)(x), rtol=1e-6, atol=1e-6)
    assert [path] == list(tmp_path.iterdir())


@pytest.mark.parametrize("case", SMALL)
def test_onnx_computes_what_the_network_computes(case: str, tmp_path: Path) -> None:
    """An ONNX file, run by ONNX Runtime, gives the seeded network's outputs for any batch."""
    import onnxruntime

    found, path = model(SMALL[case]), tmp_path / "net.onnx"
    formats.export(found, "onnx", path, seed=3)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [["input"], ["output"]] == [[v.name for v in side] for side in (session.get_inputs(), session.get_outputs())]
    assert "batch" == session.get_inputs()[0].shape[0]
    for batch in (1, 2, 7):
        x = example(found.graph, batch, seed=9)
        given = torch.from_numpy(session.run(None, {"input": x.numpy()})[0])
        torch.testing.assert_close(given, eager(found, 3)(x).detach(), rtol=1e-5, atol=1e-5)
    facts = session.get_modelmeta().custom_metadata_map
    assert (found.digest, "untrained, seed 3") == (facts["archcost.digest"], facts["archcost.weights"])
    assert [path] == list(tmp_path.iterdir())


@pytest.mark.parametrize("to", ["pt2", "onnx"])
@pytest.mark.parametrize("case", ["nin", "hornn fofe"])
def test_a_fixed_batch_is_fixed(to: str, case: str, tmp_path: Path) -> None:
    """With --batch the file takes that batch alone, and the note says so."""
    found = model(SMALL[case])
    for batch in (1, 4):
        path = tmp_path / f"net{batch}.{to}"
        said = formats.export(found, to, path, batch=batch)
        assert said[0].startswith(f"input ({batch}, ")
        assert "any batch" not in said[0]
        with pytest.raises(Exception, match=r"dimension|size"):
            _run(to, path, example(found.graph, batch + 1))


def _run(to: str, path: Path, x: torch.Tensor) -> None:
    if to == "pt2":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.export.load(path).module()(x)
    else:
        import onnxruntime

        onnxruntime.InferenceSession(path).run(None, {"input": x.numpy()})


@pytest.mark.parametrize("to", ["pt2", "onnx"])
def test_the_same_seed_gives_the_same_file(to: str, tmp_path: Path) -> None:
    """Bytes depend on network and seed, not on the day, the folder or this machine's paths."""
    paths = [tmp_path / name for name in ("a", "b", "c")]
    for path, seed in zip(paths, (0, 0, 1), strict=True):
        formats.export(model(SMALL["nin"]), to, path, seed=seed)
    a, b, c = (path.read_bytes() for path in paths)
    assert (True, False) == (a == b, a == c)
    assert str(Path(archcost.__file__).parent).encode() not in a


@pytest.mark.parametrize("to", ["pt2", "onnx"])
def test_exporters_are_silent_and_leave_nothing_behind(
    to: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """No print, no warning, no log line; random state, gradient mode and log levels stay as they were."""
    levels = [logging.getLogger(name).level for name in ("torch", "onnxscript", "onnx_ir")]
    torch.manual_seed(5)
    before, python = torch.get_rng_state(), random.getstate()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        formats.export(model(SMALL["hornn"]), to, tmp_path / "net")
    assert ([], "", "") == (caught, *capfd.readouterr())
    assert levels == [logging.getLogger(name).level for name in ("torch", "onnxscript", "onnx_ir")]
    assert torch.equal(before, torch.get_rng_state())
    assert python == random.getstate()
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("to", ["pt2", "onnx"])
def test_a_file_that_computes_something_else_is_not_written(
    to: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the check fails an older file stays, and nothing half-written is left."""
    monkeypatch.setattr(onnx_pt2, f"{to.upper()}_TOLERANCE", -1.0)
    path = tmp_path / "net"
    path.write_text("older")
    with pytest.raises(TargetError, match="differs by"):
        formats.export(model(SMALL["nin"]), to, path)
    assert ([path], "older") == (list(tmp_path.iterdir()), path.read_text())


def test_what_an_exporter_raises_is_a_target_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exporter that fails is named with the words of its first cause; nothing is left."""

    def failing(*_: object, **__: object) -> None:
        raise ValueError("good advice") from RuntimeError("no such\noperator \x1b[2J")

    monkeypatch.setattr(torch.export, "export", failing)
    message = r"torch.export cannot export this network: RuntimeError: no such operator \\x1b\[2J"
    with pytest.raises(TargetError, match=message):
        formats.export(model(SMALL["nin"]), "pt2", tmp_path / "net.pt2")
    assert [] == list(tmp_path.iterdir())


def _fixed(*values: float) -> onnx_pt2.Run:
    return lambda _: torch.tensor(values)


COMPARED = {
    "equal": (_fixed(1, 2), _fixed(1, 2), None),
    "close": (_fixed(1, 2), _fixed(1, 2.00001), None),
    "far": (_fixed(1, 2), _fixed(1, 2.1), "differs by"),
    "nan": (_fixed(1, 2), _fixed(1, float("nan")), "differs by nan"),
    "infinite": (_fixed(1, float("inf")), _fixed(1, float("inf")), "not finite"),
    "zero": (_fixed(0, 0), _fixed(0, 0), None),
    "not zero": (_fixed(0, 0), _fixed(0, 1), "differs by 1"),
    "scaled": (_fixed(1e8, 1), _fixed(1e8, 2), None),
    "shape": (_fixed(1, 2), _fixed(1), "gives"),
}


@pytest.mark.parametrize("case", COMPARED)
def test_the_comparison(case: str) -> None:
    """The difference is a share of the largest output; what is no number, or has another shape, never passes."""
    expected, given_, message = COMPARED[case]
    if message is None:
        assert "differs by" in onnx_pt2.compared(expected, given_, [torch.zeros(1)], 1e-5)
    else:
        with pytest.raises(TargetError, match=message):
            onnx_pt2.compared(expected, given_, [torch.zeros(1)], 1e-5)


def test_what_does_not_fit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights beyond the memory are refused before they are made."""
    monkeypatch.setattr(onnx_pt2, "available_memory_bytes", lambda: 1000)
    with pytest.raises(InputError, match=r"too large to export: needs .* free"):
        formats.export(model(SMALL["nin"]), "pt2", tmp_path / "net.pt2")
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_named(package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one of them the message says what to install."""
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match="pip install onnx onnxscript onnxruntime"):
        formats.export(model(SMALL["nin"]), "onnx", tmp_path / "net.onnx")
    assert [] == list(tmp_path.iterdir())


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    """The formats there are stand in the message."""
    with pytest.raises(InputError, match=r"unknown format 'onx' \(did you mean 'onnx'\?\); allowed: 'json', 'yaml'"):
        formats.export(model(SMALL["nin"]), "onx", tmp_path / "net")


@pytest.mark.parametrize("to", ["json", "pt2"])
@pytest.mark.parametrize("name", ["nowhere/net", "net\0", "n" * 300, "."])
def test_a_path_that_cannot_be_written_is_said(to: str, name: str, tmp_path: Path) -> None:
    """A folder that is not there, a name no file can have, a folder itself: one InputError, nothing left."""
    with pytest.raises(InputError, match="cannot write"):
        formats.export(model(SMALL["nin"]), to, os.path.join(tmp_path, name))  # noqa: PTH118  # as it was typed
    assert [] == list(tmp_path.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="a device file is POSIX")
def test_a_device_is_not_replaced() -> None:
    """Renaming over /dev/null would take it away from everybody."""
    with pytest.raises(InputError, match="not a regular file"):
        formats.export(model(SMALL["nin"]), "pt2", os.devnull)
    assert not Path(os.devnull).is_file()


MODULES = """
import torch
from torch import nn

class Image(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, width, 3), nn.Linear(width, 5)
    def forward(self, x):
        return self.fc(self.conv(x).mean((2, 3)))

class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.linear = nn.Embedding(20, 8), nn.Linear(8, 3)
    def forward(self, ids, *, mask):
        hidden = self.linear(self.embedding(ids)) * mask[..., None]
        return {"hidden": hidden, "sum": hidden.sum(1)}

class Branch(nn.Module):
    def forward(self, x):
        return x * 2 if float(x.sum()) > 0 else x
"""
CALLS = {"Image": ("3,9,9",), "Words": ("7:int64:20", "mask=7")}


@pytest.fixture
def foreign_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Reference]:
    """Return what gives the reference to a class of MODULES; each test imports a file of its own."""
    name = f"exported_{abs(hash(tmp_path)):x}"
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / f"{name}.py").write_text(MODULES)
    monkeypatch.chdir(folder)

    def reference(made: str) -> Reference:
        found = load.read(f"{name}:{made}", inputs=[parse_input(text) for text in CALLS.get(made, ("4",))])
        assert isinstance(found, Reference)
        return found

    return reference


@pytest.mark.parametrize("to", ["pt2", "onnx"])
@pytest.mark.parametrize("made", CALLS)
def test_modules_are_exported(made: str, to: str, tmp_path: Path, foreign_code: Callable[[str], Reference]) -> None:
    """Any module that torch can export becomes a file that computes what it computes, for any batch, by name or not."""
    said = formats.export_module(foreign_code(made), to, tmp_path / "net", seed=3)
    assert any(line.startswith("input (batch, ") and line.endswith("any batch") for line in said)
    assert any("differs by" in line and "batch 2, 1, 3" in line for line in said)
    assert (tmp_path / "net").stat().st_size > 0


def test_what_torch_cannot_export_is_said(tmp_path: Path, foreign_code: Callable[[str], Reference]) -> None:
    """A branch on data is one TargetError with torch's reason, and leaves no file."""
    with pytest.raises(TargetError, match=r"torch.export cannot export this network"):
        formats.export_module(foreign_code("Branch"), "pt2", tmp_path / "net.pt2")
    assert not (tmp_path / "net.pt2").exists()


def test_code_has_no_graph_to_export(tmp_path: Path, foreign_code: Callable[[str], Reference]) -> None:
    """JSON is a family's graph: for code the formats there are stand in the message."""
    with pytest.raises(InputError, match="unknown format of a module 'json'"):
        formats.export_module(foreign_code("Image"), "json", tmp_path / "net.json")
