"""Counts that leave an operator out are 'at least' so many in all that people read."""

from __future__ import annotations

import csv
import html
import io
import re
from pathlib import Path

import pytest
from commands import run

CODE = """
import torch
class Net(torch.nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, width, 3, padding=1)
    def forward(self, x):
        return torch.linalg.qr(self.conv(x)).Q
class Exact(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 8, 3, padding=1)
    def forward(self, x):
        return self.conv(x)
"""
MACS, ELEMENTWISE = 4 * 27 * 64, 4 * 64  # of Net at 3 x 8 x 8: the convolution and its bias
FLOPS = 2 * MACS + ELEMENTWISE
COUNT = ("--input", "3,8,8", "--no-latency")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder with code that has an operator without a count, and budgets."""
    monkeypatch.chdir(tmp_path)
    Path("bounded.py").write_text(CODE, "utf-8")
    Path("loose.yaml").write_text("macs: 1M\n", "utf-8")
    Path("tight.yaml").write_text("macs: 1k\n", "utf-8")


def test_a_table_says_at_least(capsys: pytest.CaptureFixture[str]) -> None:
    """Of MACs, elementwise operations, FLOPs, groups and the training step; parameters are exact; 80 columns hold."""
    lines = run(capsys, "profile", "bounded:Net", *COUNT)[1].splitlines()
    told = {line.split()[0]: line for line in lines if line.startswith("  ")}
    for name, value in (("MACs", MACS), ("elementwise", ELEMENTWISE), ("FLOPs", FLOPS)):
        assert f"at least {value:,}" in told[name]
    assert "at least" in told["training"]
    assert "at least" not in told["parameters"]
    assert "least MACs" in told["group"]
    assert [] == [line for line in lines if len(line) > 80]


def test_markdown_says_at_least(capsys: pytest.CaptureFixture[str]) -> None:
    """In the cells, and in the heads of the groups."""
    out = run(capsys, "profile", "bounded:Net", *COUNT, "--format", "markdown")[1]
    assert f"| MACs | at least {MACS:,} | one example |" in out
    assert f"| FLOPs | at least {FLOPS:,} | 2 MACs + elementwise |" in out
    assert "| group | parameters | MACs, at least | elementwise, at least |" in out


@pytest.mark.parametrize(
    ("models", "macs", "ratio"),
    [
        (("bounded:Net", "bounded:Exact"), ("at least 6.91 k", "13.8 k", "at most +6.91 k"), "at most 2.00"),
        (("bounded:Exact", "bounded:Net"), ("13.8 k", "at least 6.91 k", "at least -6.91 k"), "at least 0.50"),
        (("bounded:Net", "bounded:Net"), ("at least 6.91 k", "at least 6.91 k", "0 counted"), "1.00 counted"),
    ],
)
def test_a_comparison_says_which_is_a_bound(
    capsys: pytest.CaptureFixture[str], models: tuple[str, str], macs: tuple[str, ...], ratio: str
) -> None:
    """Of the counts, of their difference and of their ratio, in the table and in Markdown."""
    lines = run(capsys, "compare", *models, *COUNT)[1].splitlines()
    (row,) = [line for line in lines if line.startswith("MACs ")]
    assert [*macs, ratio] == re.split(r"  +", row)[1:]
    out = run(capsys, "compare", *models, *COUNT, "--format", "markdown")[1]
    assert f"| MACs | {' | '.join([*macs, ratio])} |" in out
    assert [] == [line for line in lines if len(line) > 80]


def test_csv_of_a_comparison_has_numbers_and_names_the_bound(capsys: pytest.CaptureFixture[str]) -> None:
    """The values stay numbers; a column says which of them is a lower bound."""
    out = run(capsys, "compare", "bounded:Net", "bounded:Exact", *COUNT, "--format", "csv")[1]
    told = {row["quantity"]: row for row in csv.DictReader(io.StringIO(out)) if not row["layer"]}
    assert (str(MACS), "first") == (told["macs"]["value_first"], told["macs"]["at_least"])
    assert "" == told["params"]["at_least"]


@pytest.mark.parametrize(
    ("budget", "code", "expected"),
    [
        ("loose.yaml", 0, f"cannot tell macs 1,000,000 at least {MACS:,} at least 0.7% no count for linalg_qr"),
        ("tight.yaml", 1, f"FAIL macs 1,000 at least {MACS:,} at least 691.2% at least 5.91 k over"),
    ],
)
def test_a_verdict_says_at_least(capsys: pytest.CaptureFixture[str], budget: str, code: int, expected: str) -> None:
    """Whether the limit is exceeded or not."""
    found, out, _ = run(capsys, "check", "bounded:Net", *COUNT, "--budget", budget)
    words = " ".join(out.split())
    assert (code, True) == (found, expected in words), words


def text_of(page: str) -> str:
    """Return what is read in a page."""
    body = re.sub(r"<(script|style).*?</\1>", "", Path(page).read_text("utf-8"), flags=re.DOTALL)
    return " ".join(html.unescape(re.sub("<[^>]+>", " ", body)).split())


def test_a_page_says_at_least(capsys: pytest.CaptureFixture[str]) -> None:
    """On the cards, in the verdict, in the tables; the row of the operator has no count instead of 0."""
    assert 0 == run(capsys, "report", "bounded:Net", *COUNT, "--budget", "tight.yaml", "-o", "page.html")[0]
    text = text_of("page.html")
    for words in (
        f"macs: at least {MACS:,} of at most 1,000; at least 5.91 k over",
        f"at least {FLOPS:,} = 2 MACs + {ELEMENTWISE} elementwise",
        "The MACs are a lower bound: some operators have no count.",
        "not counted not counted not counted",
    ):
        assert words in text
    assert re.search(r"Training step at least [0-9.]+ k MACs", text)


def test_a_page_of_several_says_at_least(capsys: pytest.CaptureFixture[str]) -> None:
    """In the first sentence, in the totals, and beside the chart; --input goes to the code alone."""
    typed = ("report", "bounded:Net", "bounded:Exact", "hornn-1", "bounded:Net", *COUNT, "-o", "page.html")
    assert 0 == run(capsys, *typed)[0]
    text = text_of("page.html")
    for words in (
        "B has at most 2 times the MACs",
        "D has exactly the counted MACs",
        f"MACs at least {MACS:,} 13,824",
        "at most 2.000",
        "Where operators have no count, MACs are a lower bound.",
    ):
        assert words in text
