"""A first study of a network of one's own, written from its signature, as it is typed."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import refused, run
from own_code import written

from archcost.config import document
from archcost.study.spec import load_study

SIGNATURE = """
from typing import Literal
from torch import nn


def net(width=64, blocks: int = 2, ratio=0.5, scale=1.0, sizes=(8, 16), norm=True,
        act: Literal["relu", "gelu"] = "relu", kind="plain", depth: int = 3, kernel_size=5, spare=None,
        zero=0, classes=10, input=None, *, order: int):
    return nn.Linear(1, classes)


def fails(classes, width=7):
    raise ValueError(f"width {width} and {classes} classes")


def none():
    return None


def exits():
    print("bye")
    raise SystemExit(3)


def needs(width, depth: int):
    return nn.Linear(1, 1)
"""
ARGS = {
    "width": {"int": [32, 128], "step": 8},
    "blocks": {"int": [1, 4]},
    "ratio": {"float": [0.25, 0.75]},
    "scale": {"choice": [0.5, 1.0, 2.0]},
    "sizes": {"scale": [8, 16], "by": {"choice": [0.5, 1, 2]}},
    "norm": {"choice": [False, True]},
    "act": {"choice": ["relu", "gelu"]},
    "kind": "plain",
    "depth": {"int": [1, 6]},
    "kernel_size": {"int": [3, 7], "step": 2},
    "zero": 0,
    "order": {"int": [1, 4]},
}
"""A domain around every default that has a size; what has none is left as it is, or out."""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code is looked for in the current folder first."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "signed.py").write_text(SIGNATURE, "utf-8")


def test_a_signature_becomes_domains(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Those around the defaults, the options of a Literal, what a type says; what the study gives is left out."""
    code, out, err = run(capsys, "study", "new", "signed:net", "--data", "digits", "-o", "first.yaml")
    assert (0, "") == (code, out)
    command = "archcost study run first.yaml --allow-code"
    assert ["wrote first.yaml; next:", f"  {command} --dry-run", f"  {command}"] == err.splitlines()
    (template,) = load_study(tmp_path / "first.yaml").templates
    assert isinstance(template, dict)
    assert ARGS == template["args"]


def test_the_study_runs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """As it was written, on data by name, or from code."""
    written(tmp_path)
    for data, name in (("digits", "first.yaml"), ("mydata:splits", "second.yaml")):
        command = ("study", "new", "mynet:Small", "--data", data, "--set", "width={int: [2, 3]}", "-o", name)
        assert 0 == run(capsys, *command)[0]
        short = ("--set", "fit.epochs=1", "--set", "fit.rungs=[1]", "--set", "confirm.members=0", "--trials", "1")
        fake = ("--set", "objectives.1={latency: min, threads: 1, target: fake}", "--storage", f"{name}.db")
        code, _, err = run(capsys, "study", "run", name, "--allow-code", *short, *fake)
        assert 0 == code, err


def test_without_a_file_it_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """And is a study."""
    code, out, _ = run(capsys, "study", "new", "signed:net", "--data", "ptb")
    assert 0 == code
    tree = document.load(out, "printed").tree
    assert isinstance(tree, dict)
    assert [{"perplexity": "min"}, {"latency": "min", "threads": 1}] == tree["objectives"]


WRONG = {
    "a name that is none": (("signed:nett", "--data", "digits"), "has nothing called 'nett' (did you mean 'net'?)"),
    "no name of code": (("signed", "--data", "digits"), "given 'signed'; allowed: 'package.module:callable'"),
    "no such data": (("signed:net", "--data", "digit"), "unknown data set 'digit' (did you mean 'digits'?)"),
    "data that need a path": (("signed:net", "--data", "images"), "'images' needs --path"),
    "data that have a path": (("signed:net", "--data", "digits", "--path", "x"), "--path goes with"),
    "an argument that nothing is known of": (("signed:needs", "--data", "digits"), "allowed: --set width=VALUE"),
    "an argument that it does not take": (("signed:net", "--data", "digits", "--set", "hight=3"), "takes no 'hight'"),
    "an argument that is mistyped": (
        ("signed:net", "--data", "digits", "--set", "widht=3", "--set", "bloks=2"),
        "takes no 'widht' (did you mean 'width'?)",
    ),
    "another one": (
        ("signed:net", "--data", "digits", "--set", "widht=3", "--set", "bloks=2"),
        "takes no 'bloks' (did you mean 'blocks'?)",
    ),
    "a factory that fails": (("signed:fails", "--data", "digits"), "refused: width 7 and 10 classes (ValueError at "),
    "a value with which it fails": (("signed:fails", "--data", "digits", "--set", "width=9"), "refused: width 9 and"),
    "domains all of which fail": (("signed:fails", "--data", "digits", "--set", "width={int: [8, 8]}"), "width 8"),
    "one that gives no module": (("signed:none", "--data", "digits"), "returned None; allowed: a torch.nn.Module"),
    "one that exits": (("signed:exits", "--data", "digits"), "SystemExit"),
    "data that fail": (("signed:fails", "--data", "signed:none"), "signed:none"),
    "an assignment that is none": (("signed:net", "--data", "digits", "--set", "width"), "allowed: NAME=VALUE"),
    "a domain that is none": (("signed:net", "--data", "digits", "--set", "width={int: [4, 1]}"), "args.width"),
    "another folder": (("signed:net", "--data", "digits", "-o", "sub/first.yaml"), "in its own folder first"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_a_study_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path, case: str) -> None:
    """With what is allowed; no file is written."""
    (tmp_path / "sub").mkdir()
    typed, words = WRONG[case]
    assert words in refused(capsys, "study", "new", *typed)
    assert [] == list(tmp_path.rglob("*.yaml"))


def test_a_file_that_is_there_stays(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """It may have been changed since it was written."""
    (tmp_path / "first.yaml").write_text("mine", "utf-8")
    assert "is there already" in refused(capsys, "study", "new", "signed:net", "--data", "digits", "-o", "first.yaml")
    assert "mine" == (tmp_path / "first.yaml").read_text("utf-8")
