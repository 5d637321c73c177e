"""archcost export as users meet it: output, exit codes, files that are whole or not there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from commands import refused, run

import archcost
from archcost.graph import codec
from archcost.nets.export import formats, onnx_pt2

SMALL = "family: nin\ninput: [3, 8, 8]\nclasses: 4\nlayers: [{kernel: 3, widths: [6, 4]}]\n"


@pytest.fixture
def small(tmp_path: Path) -> str:
    """A small network's file, in a folder of its own."""
    path = tmp_path / "models" / "small.yaml"
    path.parent.mkdir()
    path.write_text(SMALL, "utf-8")
    return str(path)


def test_texts_are_printed_or_written(capsys: pytest.CaptureFixture[str], small: str, tmp_path: Path) -> None:
    """json and yaml go to standard output, with -o the same text into the file and nothing to the terminal."""
    for to in ("json", "yaml"):
        code, out, err = run(capsys, "export", small, "--to", to)
        assert (0, "") == (code, err)
        path = tmp_path / f"small.{to}"
        assert (0, "", "") == run(capsys, "export", small, "--to", to, "-o", str(path))
        assert out == path.read_text("utf-8")


def test_yaml_can_be_profiled_and_json_decoded(capsys: pytest.CaptureFixture[str], small: str, tmp_path: Path) -> None:
    """What was printed is the network, overrides included."""
    change = ("--set", "layers.0.widths=[5, 4]")
    expected = archcost.load(small, [change[1]]).digest
    path = tmp_path / "again.yaml"
    path.write_text(run(capsys, "export", small, *change, "--to", "yaml")[1], "utf-8")
    value = json.loads(run(capsys, "export", small, *change, "--to", "json")[1])
    assert (expected, expected) == (archcost.load(path).digest, codec.digest(codec.decode(value["graph"])))


def test_pt2_is_written_and_described(capsys: pytest.CaptureFixture[str], small: str, tmp_path: Path) -> None:
    """Input, untrained weights and the comparison are said on standard output; only the file is there."""
    path = tmp_path / "small.pt2"
    code, out, _ = run(capsys, "export", small, "--to", "pt2", "-o", str(path), "--seed", "3", "--batch", "2")
    assert 0 == code
    for text in (
        "input (2, 3, 8, 8), float32",
        "initialised with seed 3: not trained",
        "torch.export.load differs by 0 ",
    ):
        assert text in out
    assert ["models", "small.pt2"] == sorted(each.name for each in tmp_path.iterdir())


def test_sequences_are_said_to_be_unrolled(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A recurrent network's file takes the counted number of steps; the output tells."""
    tiny = ("--set", "hidden=4", "--set", "input={steps: 3, vocab: 7}")
    out = run(capsys, "export", "hornn-3", *tiny, "--to", "pt2", "-o", str(tmp_path / "net.pt2"))[1]
    assert "input (batch, 3), int64; any batch" in out
    assert "unrolled: 3 steps, no other length" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Missing argument 'MODEL'"),
        (("resnet-20",), "Missing option '--to'"),
        (("resnet-20", "--to", "tflite"), "'tflite' is not one of 'json', 'yaml', 'onnx', 'pt2'"),
        (("resnet-20", "--to", "onnx"), "--to onnx needs -o FILE"),
        (("resnet-20", "--to", "pt2"), "--to pt2 needs -o FILE"),
        (("resnet-20", "--to", "json", "--batch", "2"), "--batch: json holds no batch"),
        (("resnet-20", "--to", "pt2", "-o", "x", "--batch", "0"), "0 is not in the range"),
        (("resnet-20", "--to", "pt2", "-o", "x", "--seed", "-1"), "-1 is not in the range"),
        (("resnet-20", "--to", "pt2", "-o", "x", "--batch", "2147483648"), "too large to export"),
        (("resnet-20", "--to", "pt2", "-o", "nowhere/net.pt2"), "cannot write 'nowhere/net.pt2'"),
        (("resnet-20", "--to", "json", "-o", "nowhere/net.json"), "cannot write 'nowhere/net.json'"),
        (("resnet-20", "--to", "json", "-o", "."), "is a directory"),
        (
            ("resnet-20", "--to", "json", "--weights", "w.pt"),
            "--weights: json holds no weights; allowed: only with onnx",
        ),
        (("resnet-20", "--to", "pt2", "-o", "x", "--weights", "no.pt"), "cannot read 'no.pt': No such file"),
        (("resnet-20", "--to", "pt2", "-o", "x", "--opset", "18"), "--opset: pt2 has none; allowed: only with onnx"),
        (("resnet-20", "--to", "pt2", "-o", "x", "--opset", "0"), "0 is not in the range"),
        (("a.yaml", "--trial", "3", "--to", "pt2", "-o", "x", "--weights", "w"), "--trial and --weights exclude each"),
        (("a.yaml", "--trial", "3", "--bundle", "x", "--opset", "18"), "--bundle and --opset exclude each other"),
        (("resnet-5", "--to", "json"), "neither a file nor a shipped network"),
        (("resnet-20", "--to", "json", "--set", "widht=3"), "(did you mean 'widths'?)"),
    ],
)
def test_mistakes_are_one_message_and_exit_2(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    """What a user got wrong is said on standard error, without a traceback; nothing is written."""
    monkeypatch.chdir(tmp_path)
    assert message in refused(capsys, "export", *arguments)
    assert [] == list(tmp_path.iterdir())


def test_a_missing_package_is_exit_2_and_is_named(
    capsys: pytest.CaptureFixture[str], small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without ONNX Runtime the message is what to install."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    code, out, err = run(capsys, "export", small, "--to", "onnx", "-o", str(tmp_path / "small.onnx"))
    assert (2, "") == (code, out)
    assert "pip install onnx onnxscript onnxruntime" in err
    assert [tmp_path / "models"] == list(tmp_path.iterdir())


def test_a_failed_check_is_exit_3_and_leaves_no_file(
    capsys: pytest.CaptureFixture[str], small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that computes something else is not kept."""
    monkeypatch.setattr(onnx_pt2, "PT2_TOLERANCE", -1.0)
    code, out, err = run(capsys, "export", small, "--to", "pt2", "-o", str(tmp_path / "small.pt2"))
    assert (3, "", True) == (code, out, "differs by" in err)
    assert [tmp_path / "models"] == list(tmp_path.iterdir())


def test_interrupted_leaves_no_file(
    capsys: pytest.CaptureFixture[str], small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while a program is compared ends with 130 and removes what was half-written."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(onnx_pt2, "compared", interrupted)
    assert 130 == run(capsys, "export", small, "--to", "pt2", "-o", str(tmp_path / "small.pt2"))[0]
    assert [tmp_path / "models"] == list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="limits of a process are POSIX")
def test_a_full_disk_is_said(small: str, tmp_path: Path) -> None:
    """If the file does not fit, one message says so, and nothing of it is left."""
    script = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000));"
        "from archcost import load; from archcost.nets.export import formats; from archcost.errors import InputError\n"
        f"try: formats.export(load({small!r}), 'pt2', {str(tmp_path / 'small.pt2')!r})\n"
        "except InputError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=120, check=False)
    assert done.stdout.startswith(b"cannot write "), done.stderr.decode()
    assert [tmp_path / "models"] == list(tmp_path.iterdir())


def test_the_choices_are_those_of_the_library() -> None:
    """The command lists its formats itself, so that --help loads nothing; they are the same."""
    from archcost.cli.export import _FORMATS, _TEXTS

    assert (formats.FORMATS, tuple(formats.TEXTS)) == (_FORMATS, _TEXTS)


@pytest.mark.parametrize("to", ["json", "yaml"])
def test_texts_load_no_torch(to: str) -> None:
    """A network is written as text in a fraction of the time that torch takes to load."""
    script = (
        "import sys; from archcost import load; from archcost.nets.export import formats;"
        f"formats.TEXTS[{to!r}](load('resnet-20')); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60, check=False)
    assert (b"False\n", b"") == (done.stdout, done.stderr)


def test_help_says_which_weights_are_trained(capsys: pytest.CaptureFixture[str]) -> None:
    """Those of a study; nobody takes the file of another network for a trained one."""
    words = " ".join(run(capsys, "export", "--help")[1].split())
    assert "With --trial, MODEL is a study and the weights are trained ones: those that were confirmed" in words
    assert "pt2 hold weights as initialised, not trained." in words


def test_int8_is_an_onnx_file(capsys: pytest.CaptureFixture[str], small: str, tmp_path: Path) -> None:
    """--to may be left out; the file runs at any batch, and says what it holds and where its ranges are from."""
    whole, path = tmp_path / "whole.onnx", tmp_path / "net.onnx"
    assert 0 == run(capsys, "export", small, "--to", "onnx", "-o", str(whole))[0]
    code, out, _ = run(capsys, "export", small, "--dtype", "int8", "-o", str(path))
    assert 0 == code
    assert "uint8 activations: " in out
    assert "ranges from 8 inputs drawn at random: no accuracy is claimed" in out
    assert "(batch 2, 1, 3)" in out
    kinds = {
        node["op"] for node in json.loads(run(capsys, "profile", str(path), "--no-latency", "--json")[1])["layers"]
    }
    assert {"QuantizeLinear", "DequantizeLinear", "Conv"} <= kinds
    assert {"net.onnx", "whole.onnx"} == {each.name for each in tmp_path.iterdir() if each.suffix == ".onnx"}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("--to", "pt2", "-o", "x.pt2"), "given pt2 for --dtype int8; allowed: --to onnx"),
        (("--to", "json"), "given json for --dtype int8; allowed: --to onnx"),
        (("--to", "onnx"), "--dtype int8 needs -o FILE: it is not text"),
        (("--trial", "3", "-o", "x.onnx"), "--dtype int8 and --trial exclude each other: its ranges would be those of"),
        (("--trial", "3", "--bundle", "b"), "--bundle and --dtype exclude each other; allowed: one of them"),
    ],
)
def test_int8_goes_with_onnx_alone(asked: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What it does not go with is a mistake before anything is built."""
    code, _, err = run(capsys, "export", "resnet-20", "--dtype", "int8", *asked)
    assert 2 == code
    assert err.startswith(f"archcost: {message}")
