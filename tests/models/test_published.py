"""The networks that ship are the published ones: every row of published.csv is counted to its last unit."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

import archcost
from archcost.models import published

FOLDER = Path(__file__).parents[2] / "archcost" / "models" / "published"
with (FOLDER / "published.csv").open(encoding="utf-8", newline="") as table:
    ROWS = list(csv.DictReader(table))


@pytest.mark.parametrize("row", ROWS, ids=[row["file"] for row in ROWS])
def test_counts_are_the_published_ones(row: dict[str, str]) -> None:
    """Parameters and MACs equal those that were published, by the file and by the shipped name."""
    expected = (row["name"], int(row["params"]), int(row["macs"]))
    for source in (next(FOLDER.glob(f"*/{row['file']}.yaml")), row["file"]):
        model = archcost.load(source)
        assert expected == (model.name, model.cost.params, model.cost.macs)


def test_every_file_has_a_row() -> None:
    """No network ships without a published count, and no count without its network."""
    named = sorted(row["file"] for row in ROWS)
    assert named == sorted(file.stem for file in FOLDER.glob("*/*.yaml"))
    assert named == published.names()
    assert len(ROWS) == len({row["name"] for row in ROWS})


def test_every_file_says_where_it_comes_from() -> None:
    """A published network names its paper in the first line."""
    for file in FOLDER.glob("*/*.yaml"):
        first = file.read_text(encoding="utf-8").splitlines()[0]
        assert first.startswith("# "), file.name


# columns of FractalNet-20 (1605.07648): depth, MACs
COLUMNS = {1: (5, 67_834_880), 2: (10, 228_267_008), 3: (20, 549_131_264)}


@pytest.mark.parametrize("column", COLUMNS)
def test_columns_of_fractalnet(column: int) -> None:
    """Each column alone, taken by an override, costs what the closed form says."""
    model = archcost.load("fractalnet-20", [f"use_columns=[{column}]"])
    convs = [node for node in model.graph.nodes if node.column is not None and type(node.op).__name__ == "Conv"]
    assert COLUMNS[column] == (len(convs), model.cost.macs)


def test_shapes_of_fractalnet() -> None:
    """35 convolutions and 10 joins in five blocks."""
    ops = archcost.load("fractalnet-20").cost.by_op()
    assert (35, 10) == (ops["Conv"].rows, ops["Join"].rows)


def test_order_three_against_one() -> None:
    """Two more states cost 2 H^2 parameters and as many MACs per token."""
    one, three = archcost.load("hornn-1").cost, archcost.load("hornn-3").cost
    assert (2 * 400**2,) * 2 == (three.params - one.params, three.macs - one.macs)


def test_names_are_words() -> None:
    """No name and no title shows what a program writes for nothing."""
    shown = [row["name"] for row in ROWS] + [published.title(name) for name in published.names()]
    assert [] == [text for text in shown if "None" in text]
