"""Networks, data and evaluations of one's own leave a study as others do, with consent."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import refused, run
from own_code import STUDY, written
from released import APART, apart

import archcost
from archcost.errors import InputError

BYTES = '''
import torch


def splits(wrong=False):
    """Return two classes of images that their mean tells apart, normalised, and how that was done."""
    chance = torch.Generator().manual_seed(0)
    targets = torch.arange(160) % 2
    raw = torch.randint(120, (160, 1, 8, 8), generator=chance) + 100 * targets[:, None, None, None]
    inputs = (raw / 255 - 0.4) / 0.25
    parts = {"train": slice(0, 80), "valid": slice(80, 120), "test": slice(120, 160)}
    splits = {name: (inputs[part], targets[part]) for name, part in parts.items()}
    how = {"scale": 1 / 255, "mean": [0.9 if wrong else 0.4], "std": [0.25]}
    return {**splits, "classes": ["dark", "bright"], "preprocess": how}
'''
OWN = """
models: [{family: module, factory: 'mynet:Small', args: {width: 4}}]
data: {code: 'mybytes:splits'}
objectives: [{metric: right, goal: max}, {macs: min}]
fit: {code: 'mytrain:fit', evaluate: 'mytrain:evaluate', epochs: 2, rungs: [2]}
search: {trials: 1, sampler: random}
confirm: {seeds: 2, members: 1}
"""


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    """Let no test find the modules of another one's folder, nor those of another file's tests."""
    _forget()
    yield
    _forget()


def _forget() -> None:
    for name in ("mynet", "mytrain", "mydata", "mybytes"):
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study whose network, data, training and evaluation are code; it has run."""
    return made(tmp_path_factory.mktemp("own"), OWN)


def made(folder: Path, study: str) -> Path:
    file = written(folder, study)
    (folder / "mybytes.py").write_text(BYTES, "utf-8")
    from archcost import cli

    with pytest.raises(SystemExit) as end:
        cli.main(["study", "run", str(file), "--allow-code", "--workers", "1"])
    assert 0 == end.value.code
    return file


@pytest.mark.parametrize(
    "to", [("--to", "pt2", "-o", "x.pt2"), ("--bundle", "b"), ("--to", "pt2", "-o", "x", "--no-scores")]
)
def test_code_does_not_run_without_consent(
    capsys: pytest.CaptureFixture[str], own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: tuple[str, ...]
) -> None:
    """Exit code 2, nothing is written, and the code was not imported; so it is from Python."""
    monkeypatch.chdir(tmp_path)
    assert "--allow-code" in refused(capsys, "export", str(own), "--trial", "0", *to)
    with pytest.raises(InputError, match="allow_code=True"):
        archcost.load_trained(own, "0")
    assert ([], False) == (list(tmp_path.iterdir()), "mynet" in sys.modules)


def test_its_own_evaluation_judges_the_file(capsys: pytest.CaptureFixture[str], own: Path, tmp_path: Path) -> None:
    """A pt2 file is handed what the network was, and gives the metric that was recorded."""
    file = str(tmp_path / "x.pt2")
    code, out, err = run(capsys, "export", str(own), "--trial", "0", "--to", "pt2", "-o", file, "--allow-code")
    assert (0, True, True) == (code, "validation right " in out, "test       right " in out), out + err
    assert "confirmed: seed" in out


def test_a_bundle_of_code_takes_bytes(capsys: pytest.CaptureFixture[str], own: Path, tmp_path: Path) -> None:
    """The data's own preprocessing is inside; predict.py gives the test error; the module comes back with consent."""
    code, out, err = run(capsys, "export", str(own), "--trial", "0", "--bundle", str(tmp_path / "b"), "--allow-code")
    assert 0 == code, out + err
    meta = json.loads((tmp_path / "b" / "meta.json").read_text("utf-8"))
    assert (["dark", "bright"], "uint8", [1, 8, 8]) == (
        meta["classes"],
        meta["input"]["dtype"],
        meta["input"]["shape"],
    )
    assert meta["test"]["right"] == pytest.approx(meta["recorded"]["test"]["right"], abs=1e-3)
    chance = torch.Generator().manual_seed(0)
    targets = torch.arange(160) % 2
    raw = torch.randint(120, (160, 1, 8, 8), generator=chance) + 100 * targets[:, None, None, None]
    np.savez(tmp_path / "test.npz", x=raw[120:].to(torch.uint8).numpy(), y=targets[120:].numpy())
    (tmp_path / "apart.py").write_text(APART.replace('META["test"]["count"]', "40"), "utf-8")
    error, said, _, seen = map(float, apart(tmp_path, "apart.py", tmp_path / "b", "test.npz").split())
    assert (40, True) == (seen, abs(error - said) <= 0.001)
    with pytest.raises(InputError, match="allow_code=True"):
        archcost.load_trained(tmp_path / "b")
    x = torch.randn(2, 1, 8, 8)
    with chdir(own.parent), torch.no_grad():
        again = archcost.load_trained(tmp_path / "b", allow_code=True)
        torch.testing.assert_close(archcost.load_trained(own, "0", allow_code=True)(x), again(x))


def test_code_that_has_changed_is_refused(
    capsys: pytest.CaptureFixture[str], own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its file, as going on with the study does: for a file, for a bundle, and when one of them is loaded."""
    folder = shutil.copytree(own.parent, tmp_path / "copy")
    file, kept = folder / own.name, ("export", str(folder / own.name), "--trial", "0", "--allow-code")
    code, out, err = run(capsys, *kept, "--bundle", str(tmp_path / "b"))
    assert 0 == code, out + err
    with (folder / "mynet.py").open("a") as opened:
        opened.write("# another one\n")
    monkeypatch.chdir(folder)
    sys.modules.pop("mynet", None)
    for to in (
        ("--bundle", str(tmp_path / "c")),
        ("--to", "pt2", "-o", "x.pt2"),
        ("--to", "pt2", "-o", "x", "--no-scores"),
    ):
        message = refused(capsys, *kept, *to)
        assert (True, True) == ("'mynet.py' changed since the study ran" in message, "--code-changed" in message)
    assert (False, False) == ((tmp_path / "c").exists(), (folder / "x.pt2").exists())
    for of, trial in ((file, "0"), (tmp_path / "b", None)):
        with pytest.raises(InputError, match=r"'mynet.py' changed since the study ran.*code_changed=True"):
            archcost.load_trained(of, trial, allow_code=True)
        assert archcost.load_trained(of, trial, allow_code=True, code_changed=True)
    code, out, err = run(capsys, *kept, "--to", "pt2", "-o", "x.pt2", "--code-changed")
    assert 0 == code, out + err


def test_preprocessing_that_does_not_make_the_inputs_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Bytes that give other inputs than those of training would give other answers."""
    file = made(tmp_path, OWN.replace("'mybytes:splits'", "'mybytes:splits', args: {wrong: true}"))
    capsys.readouterr()
    to = ("--bundle", str(tmp_path / "b"), "--allow-code")
    assert "'preprocess' does not make the inputs of 'train'" in refused(
        capsys, "export", str(file), "--trial", "0", *to
    )


@pytest.mark.parametrize("data", ["{name: digits, examples: 200}", "{code: 'mydata:splits'}",
                                  "{code: 'mydata:splits', args: {form: loose}}",
                                  "{code: 'mydata:splits', args: {form: bytes}}"])  # fmt: skip
def test_a_module_on_any_data_is_bundled(capsys: pytest.CaptureFixture[str], tmp_path: Path, data: str) -> None:
    """Built-in data take bytes, as bytes of one's own do; other tensors are handed over as the network takes them."""
    study = STUDY.replace("{name: digits, examples: 200}", data).replace("trials: 3", "trials: 1")
    file = made(tmp_path, study)
    code, out, err = run(capsys, "export", str(file), "--trial", "0", "--bundle", str(tmp_path / "b"), "--allow-code")
    assert 0 == code, out + err
    meta = json.loads((tmp_path / "b" / "meta.json").read_text("utf-8"))
    expected = ("uint8", "image") if "digits" in data or "bytes" in data else ("float32", "tensor")
    assert expected == (meta["input"]["dtype"], meta["input"]["layout"])
    assert meta["validation"]["error"] == pytest.approx(meta["recorded"]["validation"]["error"], abs=1e-3)
