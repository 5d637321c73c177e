"""What a study would search, looked at before it runs: a key that no point can take is named."""

from __future__ import annotations

import pytest
from plans import planned

from archcost.errors import InputError
from archcost.study.preview import outlook

TEMPLATE = {"family": "fractal", "columns": 1, "widths": [4]}


def test_a_key_that_is_wrong_in_every_network_is_named() -> None:
    """Though each network has another mistake there, which is not one message for all."""
    plan = planned(models=[{**TEMPLATE, "columns": {"int": [-3, 0]}}])
    with pytest.raises(InputError) as refused:
        outlook.look(plan)
    (mistake,) = refused.value.mistakes
    words = "no feasible point among 4 points of models.0: given -3; allowed: at least 1"
    assert (("models", 0, "columns"), words) == (mistake.path, mistake.message)
    assert mistake.place is not None
    assert ("small.yaml", 1) == (mistake.place.file, mistake.place.line)


def test_a_key_that_some_network_can_take_is_not_named() -> None:
    """Points that are not feasible are counted, and the study runs."""
    found = outlook.look(planned(models=[{**TEMPLATE, "columns": {"int": [0, 2]}}]))
    assert (3, 2, (("given 0; allowed: at least 1", 1),)) == (found.looked_at, len(found.parts), found.reasons)
