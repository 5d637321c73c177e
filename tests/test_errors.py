"""What an error says, as messages show it: one line, visible, cut, with its type in front."""

from __future__ import annotations

import pytest

from archcost.errors import named, one_line


class MuteError(Exception):
    """Its text cannot be made."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


LINES: dict[str, tuple[object, str]] = {
    "lines": (ValueError("no such\n   layer"), "no such layer"),
    "an escape": ("\x1b[2J", "\\x1b[2J"),
    "too long": ("ab " * 30, "ab ab ab ab ab ab..."),
    "as long as may be": ("a" * 20, "a" * 20),
    "nothing": (ValueError(), ""),
}


@pytest.mark.parametrize("case", LINES)
def test_what_an_error_says_is_one_line(case: str) -> None:
    """White space is one space each, what cannot be seen is an escape, the cut has three dots."""
    words, expected = LINES[case]
    assert expected == one_line(words, 20)


NAMED: dict[str, tuple[BaseException, str]] = {
    "with words": (ValueError("no such\nlayer"), "ValueError: no such\nlayer"),
    "without words": (AssertionError(), "AssertionError"),
    "without a text": (MuteError(), "MuteError: (its text cannot be shown)"),
}


@pytest.mark.parametrize("case", NAMED)
def test_an_error_has_its_type_in_front(case: str) -> None:
    """Words or not, even if its own text cannot be made."""
    error, expected = NAMED[case]
    assert expected == named(error)


def test_what_is_indented_below_comes_after_a_colon() -> None:
    """As in a mistake of one's own code, whose error stands in the lines below it."""
    assert one_line("it failed\n    ValueError: no\n    at a.py:3") == "it failed: ValueError: no at a.py:3"
    assert one_line("it failed:\n    ValueError: no") == "it failed: ValueError: no"
    assert one_line("    only\n    this") == "only this"
