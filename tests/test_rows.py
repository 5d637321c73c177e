"""Rows as CSV: what a spreadsheet would run is text, what a terminal would act on is an escape, numbers are numbers."""

from __future__ import annotations

import csv
import io

import pytest

from archcost.rows import as_csv, of_mappings

CELLS: dict[str, tuple[object, str]] = {
    "a formula": ("=1+1", "'=1+1"),
    "a sign": ("-1+1", "'-1+1"),
    "an escape": ("\x1b[2J", "\\x1b[2J"),
    "a line break": ("one\ntwo", "one\\ntwo"),
    "a change of direction": ("\u202ecod", "\\u202ecod"),
    "a formula behind a tab": ("\t=1+1", "\\t=1+1"),
    "a list": (["=1+1", "\x1b", "plain"], "'=1+1; \\x1b; plain"),
    "an empty list": ([], ""),
    "a shape": ((3, 32, 32), "3x32x32"),
    "nothing": (None, ""),
    "a negative number": (-1.5, "-1.5"),
    "a truth": (True, "True"),
}


@pytest.mark.parametrize("case", CELLS)
def test_a_cell_acts_on_nothing(case: str) -> None:
    """Whether it stands in a row or, as text, at its head."""
    value, expected = CELLS[case]
    heads = [value] if isinstance(value, str) else ["head"]
    rows = list(csv.reader(io.StringIO(as_csv(heads, [["first", value]]))))
    assert [[expected if isinstance(value, str) else "head"], ["first", expected]] == rows


def test_mappings_have_all_columns_that_one_has() -> None:
    """In the order in which they come; what a row does not have is empty."""
    rows = [{"a": 1, "b": None}, {"c": -2, "=d": ["x", "y"]}]
    assert "a,b,c,'=d\n1,,,\n,,-2,x; y\n" == of_mappings(rows)
