"""How a study is run: what is asked for goes before what its file says, and that before what the machine suggests."""

from __future__ import annotations

from math import inf

import pytest

from archcost.study.keys.search import Search
from archcost.study.options import Options, Wanted, options

FILE = Search(trials=7, time=60.0, patience=5.0)


@pytest.mark.parametrize(
    ("wanted", "search", "cores", "expected"),
    [
        (Wanted(), Search(), 2, Options(40, inf, 2, 1, 600.0)),
        (Wanted(), FILE, 64, Options(7, 60.0, 4, 16, 5.0)),
        (Wanted(trials=3, time_s=1.5, workers=1), FILE, 6, Options(3, 1.5, 1, 6, 5.0)),
        (Wanted(workers=9), FILE, 4, Options(7, 60.0, 9, 1, 5.0)),
        (Wanted(workers=3), FILE, 8, Options(7, 60.0, 3, 2, 5.0)),
    ],
)
def test_options_are_what_was_asked_for_or_else_the_files(
    wanted: Wanted, search: Search, cores: int, expected: Options
) -> None:
    """At most 4 workers unless asked for, who share the cores, each with one thread at least; time has no end."""
    assert expected == options(wanted, search, cores)
