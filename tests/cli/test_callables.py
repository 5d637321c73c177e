"""MODEL as package.module:callable(width=0.5): every command that takes code takes its arguments."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import run

NET = """
from torch import nn

class Net(nn.Linear):
    def __init__(self, width=1.0, bias=True):
        super().__init__(4, int(8 * width), bias)
"""
HALF, WHOLE = "variants:Net(width=0.5)", "variants:Net(width=1.0)"
COUNTED = ("--input", "4", "--no-latency")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a module that makes variants of a network."""
    (tmp_path / "variants.py").write_text(NET, "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_variants_need_no_files(capsys: pytest.CaptureFixture[str]) -> None:
    """Two calls of one callable are compared, each under its own name; --set applies to both."""
    code, out, err = run(capsys, "compare", HALF, WHOLE, *COUNTED, "--set", "args.bias=false", "--json")
    assert (0, "") == (code, err)
    models = [(model["name"], model["params"]) for model in json.loads(out)["models"]]
    assert [("Net(width=0.5, bias=False)", 16), ("Net(width=1.0, bias=False)", 32)] == models
    table = run(capsys, "compare", HALF, WHOLE, *COUNTED)[1]
    assert ["A  Net(width=0.5), module", "B  Net(width=1.0), module"] == [
        line.partition(", digest")[0] for line in table.splitlines()[:2]
    ]


def test_profile_check_and_report_take_them(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    """Counts are those of the variant."""
    out = run(capsys, "profile", HALF, *COUNTED, "--no-witness", "--json")[1]
    assert ("Net(width=0.5)", 20) == (json.loads(out)["model"]["name"], json.loads(out)["params"])
    (folder / "budget.yaml").write_text("params: 30\n", "utf-8")
    codes = [run(capsys, "check", each, "--budget", "budget.yaml", *COUNTED)[0] for each in (HALF, WHOLE)]
    assert [0, 1] == codes
    code, _, err = run(capsys, "report", HALF, WHOLE, *COUNTED, "-o", "page.html")
    assert (0, True) == (code, err.endswith("wrote page.html\n"))
    page = (folder / "page.html").read_text("utf-8")
    assert all(f"Net(width={width})" in page for width in (0.5, 1.0))


def test_the_file_to_keep_has_the_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    """Exported as YAML they are its args."""
    text = (
        'name: "Net(width=0.5)"\nfamily: module\nfactory: "variants:Net"\nargs: {width: 0.5}\ninputs:\n'
        "  - {shape: [4]}\n"
    )
    assert (0, text, "") == run(capsys, "export", HALF, "--input", "4", "--to", "yaml")


@pytest.mark.parametrize("command", ["profile", "check", "export", "report", "compare", "draw"])
def test_what_is_no_literal_never_runs(capsys: pytest.CaptureFixture[str], folder: Path, command: str) -> None:
    """Exit 2 with one message, and nothing of the text was evaluated."""
    text = "variants:Net(width=open('ran', 'w'))"
    (folder / "budget.yaml").write_text("params: 30\n", "utf-8")
    more = {
        "check": ("--budget", "budget.yaml"),
        "export": ("--to", "yaml"),
        "report": ("-o", "page.html"),
        "compare": (WHOLE,),
    }
    code, out, err = run(capsys, command, text, *more.get(command, ()), "--input", "4")
    assert (2, "", 1) == (code, out, err.count("archcost: "))
    allowed = (
        "needs the graph of a family" if command == "draw" else "gives width what is no literal: 'open('ran', 'w')'"
    )
    assert allowed in err
    assert not (folder / "ran").exists()


def test_arguments_that_the_callable_does_not_take_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    """As those of a file are."""
    code, _, err = run(capsys, "profile", "variants:Net(widht=1)", *COUNTED)
    assert (2, True) == (code, "args.widht: 'variants:Net' takes no such argument (did you mean 'width'?)" in err)
