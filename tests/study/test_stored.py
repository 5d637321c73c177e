"""A study as its storage holds it, against what a file says of it now."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from plans import planned

from archcost.study.records.database.addresses import Address
from archcost.study.records.stored import SCHEMA, Stored, described
from archcost.study.records.trials import remember


def stored(**about: Any) -> Stored:
    """Return a study in memory that says this of itself."""
    study = optuna.create_study()
    given = {"schema": SCHEMA, "name": "small", "objectives": [("error", None)], "labels": ["error"]}
    remember(study, "about", {**given, **about})
    return described(study, Address())


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"search": {"trials": 99}, "confirm": {"seeds": 9}}, []),
        ({"search": {"seed": 1}}, ["search"]),
        ({"limits": {"params": "1M"}, "fit": {"epochs": 3, "rungs": [3]}}, ["limits", "fit"]),
    ],
)
def test_what_changed_since_a_study_was_made_is_told_by_its_key(changes: dict[str, Any], expected: list[str]) -> None:
    """Of a plan and of a file alone, whose data were not read."""
    held, now = stored(same=planned().fixed), planned(**changes)
    assert expected == held.changed(now.fixed) == held.changed(now.spec.fixed)


def test_what_a_study_was_not_made_with_has_changed() -> None:
    """Of one that does not say what it was made of, everything."""
    fixed = planned().fixed
    assert sorted(fixed) == sorted(stored().changed(fixed))
