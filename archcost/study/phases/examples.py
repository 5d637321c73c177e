"""The data that members are confirmed with, if they have more examples than the search's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from archcost.config.validation import located
from archcost.data.load import fresh
from archcost.data.spec import DataSpec
from archcost.data.splits import Dataset
from archcost.errors import InputError, Mistake
from archcost.study.records.confirmed import Extent
from archcost.study.spec import StudySpec
from archcost.units import grouped

_KEY: Final = ("confirm", "examples")


def extended(spec: StudySpec, count: int | None) -> Dataset:
    """Return a study's data with so many training examples, None for all; nothing of them is kept in memory.

    Raises InputError, at `confirm.examples`, if there are fewer.
    """
    data = spec.study.data
    assert isinstance(data, DataSpec)  # the key goes with no others
    try:
        return fresh(data.model_copy(update={"examples": count}), folder=Path(spec.source.file).parent)
    except InputError as error:
        found = (replace(each, path=_KEY) if each.path == ("data", "examples") else each for each in error.mistakes)
        raise InputError(*(located(spec.source, each) for each in found)) from None


def with_examples(spec: StudySpec, extent: Extent, searched: int) -> Extent:
    """Return how long members are trained, with the examples that the study says; searched: those that trials have.

    Raises InputError, at `confirm.examples`, if there are fewer, or it asks for fewer than trials have.
    """
    data, wanted = spec.study.data, spec.study.confirm.examples
    idle = not spec.study.confirm.members
    if idle or wanted is None or not isinstance(data, DataSpec) or wanted == (data.examples or "all"):
        return extent
    found = extended(spec, None if wanted == "all" else wanted)
    count = len(found.train)
    if count < searched:
        words = f"given {grouped(count)}; allowed: {grouped(searched)}, with which the search trains, or all"
        raise InputError(located(spec.source, Mistake(words, _KEY)))
    return replace(extent, examples=count, data=found.fingerprint) if count > searched else extent
