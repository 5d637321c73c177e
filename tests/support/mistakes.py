"""What is said of a text that is no network, line by line."""

from __future__ import annotations

import pytest

from archcost.config import document
from archcost.errors import InputError
from archcost.models import load


def told(text: str, *overrides: str) -> list[str]:
    """Return what is said of a text, one line for each mistake, without the source line below."""
    with pytest.raises(InputError) as caught:
        load.interpret(document.load(text, "m.yaml"), overrides, allow_code=True)
    assert 2 == caught.value.exit_code
    return [str(mistake).splitlines()[0] for mistake in caught.value.mistakes]


def begin(expected: list[str], actual: list[str]) -> None:
    """Assert that there are as many lines as expected, and each begins as expected."""
    assert expected == [line[: len(start)] for start, line in zip(expected, actual, strict=False)]
    assert len(expected) == len(actual), actual
