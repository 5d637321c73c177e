"""Model files on the command line: profile, compare, check, report; what they cannot do ends with 2 and a message."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from commands import run
from torch import nn

from archcost.nets.export import formats


@pytest.fixture
def pt2(tmp_path: Path) -> str:
    path = tmp_path / "net.pt2"
    program = torch.export.export(
        nn.Linear(8, 4).eval(), (torch.randn(2, 8),), dynamic_shapes=({0: torch.export.Dim("b")},)
    )
    torch.export.save(program, path)
    return str(path)


@pytest.fixture
def onnx(tmp_path: Path) -> str:
    from archcost.models.load import load

    path = tmp_path / "net.onnx"
    formats.export(load("resnet-20"), "onnx", str(path))
    return str(path)


def test_a_pt2_file_is_profiled(capsys: pytest.CaptureFixture[str], pt2: str) -> None:
    """Counts as JSON; without consent no latency, with the reason."""
    code, out, _ = run(capsys, "profile", pt2, "--json", "--batch", "1,4")
    told = json.loads(out)
    assert (0, "pt2", 32, None, []) == (
        code, *(told["model"]["family"], told["macs"], told["agree"], told["latencies"])
    )  # fmt: skip
    assert [(1, 4 * 36), (4, 4 * 36)] == [(each["batch"], each["weights_bytes"]) for each in told["memory"]]
    assert any("--allow-code" in note for note in told["notes"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("profile", "--set", "a=1"), "a model file has no keys to override"),
        (
            ("profile", "--dtype", "float16", "--no-latency"),
            "given float16; allowed: 'float32', a file is run in its own",
        ),
        (("profile", "--runtime", "eager"), "running a pt2 file needs --allow-code"),
        (("profile", "--input", "3,8", "--input", "4", "--no-latency"), "given more than the file has inputs"),
        (("draw",), "archcost draw needs the graph of a family, and"),
        (("suggest", "--no-latency"), "archcost suggest needs the graph of a family, and"),
        (("export", "--to", "json"), "is an exported file already; allowed: a network to export"),
    ],
)
def test_what_a_file_cannot_do_is_refused(
    capsys: pytest.CaptureFixture[str], pt2: str, arguments: tuple[str, ...], words: str
) -> None:
    """With exit code 2, one message, and nothing on standard output."""
    command, *rest = arguments
    code, out, err = run(capsys, command, pt2, *rest)
    assert (2, "") == (code, out)
    assert words in err
    assert "Traceback" not in err


@pytest.mark.parametrize("name", ["net.pt", "net.pth", "net.ckpt"])
def test_pickles_are_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """TorchScript is saved under these names too; the message says what to give instead."""
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(b"PK")
    code, _, err = run(capsys, "profile", name)
    assert 2 == code
    assert "allowed: the code that makes the network" in err


def test_broken_files_end_with_2(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One message with the file's name."""
    monkeypatch.chdir(tmp_path)
    Path("broken.pt2").write_bytes(b"PK\3\4")
    code, out, err = run(capsys, "profile", "broken.pt2", "--no-latency")
    assert (2, "", True) == (code, out, err.count("broken.pt2: is no file that torch.export.save wrote") == 1)


def test_a_missing_package_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ONNX file is read by the package onnx."""
    monkeypatch.setitem(sys.modules, "onnx", None)
    path = tmp_path / "net.onnx"
    path.write_bytes(b"\x08\x08")
    code, _, err = run(capsys, "profile", str(path))
    assert (2, True) == (code, "onnx not installed: pip install onnx" in err)


def test_an_onnx_file_is_measured_by_onnx_runtime(capsys: pytest.CaptureFixture[str], onnx: str) -> None:
    """It is what runs an ONNX file if no runtime is asked for; the batch that is left open is --batch."""
    code, out, _ = run(capsys, "profile", onnx, "--json", "--batch", "2", "--time", "0.2s")
    told = json.loads(out)
    assert (0, "onnx", 40_813_184, None) == (code, told["model"]["family"], told["macs"], told["agree"])
    assert [("onnxruntime", 2)] == [(row["runtime"], row["batch"]) for row in told["latencies"]]


def test_an_onnx_file_is_compared_checked_and_reported(
    capsys: pytest.CaptureFixture[str], onnx: str, tmp_path: Path
) -> None:
    """Beside the network that it was made from, by turns in the runtime that runs both."""
    code, out, _ = run(capsys, "compare", onnx, "resnet-20", "--json", "--time", "0.2s")
    (pair,) = json.loads(out)["comparisons"]
    assert (0, 0) == (code, pair["totals"]["macs"]["difference"])
    assert ["onnxruntime"] == [row["runtime"] for row in pair["latencies"]]
    budget = tmp_path / "budget.yaml"
    budget.write_text("{macs: 40M}")
    assert 1 == run(capsys, "check", onnx, "--budget", str(budget), "--no-latency")[0]
    page = tmp_path / "page.html"
    assert 0 == run(capsys, "report", onnx, "--no-latency", "-o", str(page))[0]
    assert "net" in page.read_text("utf-8")


def test_eager_does_not_run_an_onnx_file(capsys: pytest.CaptureFixture[str], onnx: str) -> None:
    """The counts are printed, and the failure is the target's."""
    code, out, err = run(capsys, "profile", onnx, "--runtime", "eager", "--time", "0.2s")
    assert (3, True) == (code, "40,813,184" in out)
    assert "an ONNX file is no torch module; allowed: the runtimes onnxruntime and openvino" in err


@pytest.mark.skipif(find_spec("openvino") is None, reason="the extra openvino is not installed")
def test_an_onnx_file_is_measured_by_openvino(capsys: pytest.CaptureFixture[str], onnx: str) -> None:
    """At a batch that is not the file's own."""
    code, out, _ = run(capsys, "profile", onnx, "--runtime", "openvino", "--batch", "2", "--time", "0.2s", "--json")
    assert (0, ["openvino"]) == (code, [row["runtime"] for row in json.loads(out)["latencies"]])
