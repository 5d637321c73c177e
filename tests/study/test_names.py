"""The names of a study's networks: written and read in one place."""

from __future__ import annotations

import pytest

from archcost.errors import InputError
from archcost.study.records.names import Name, read

NAMES = [
    ("12", Name(12)),
    ("12/2", Name(12, 2)),
    ("12@int8", Name(12, way="int8")),
    ("12/2@int8", Name(12, 2, "int8")),
    ("0", Name(0)),
]


@pytest.mark.parametrize(("text", "name"), NAMES)
def test_a_name_is_read_as_it_is_written(text: str, name: Name) -> None:
    """Trial, column and way, and nothing is lost in between."""
    assert (name, text) == (read(text), str(name))


@pytest.mark.parametrize("text", ["", "x", "12/0", "012", "12/", "12@", "-1", "12/2/1", "12@a b"])
def test_what_is_no_name_is_refused(text: str) -> None:
    """A column counts from 1, and a number has no zeros in front."""
    with pytest.raises(InputError, match="allowed: a trial's number"):
        read(text)


def test_a_name_in_a_files_name() -> None:
    """A stroke would be a folder."""
    assert (Name(12, 2, "int8").file, Name(3).file) == ("12-2-int8", "3")
