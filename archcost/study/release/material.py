"""A study's data, loaded again: as its networks read them, and as a bundle takes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from archcost.data.spec import DataSpec
from archcost.data.splits import Dataset, Split, as_rows, fingerprint
from archcost.errors import InputError, Mistake
from archcost.models.load import Model
from archcost.nets.export.preprocess import Layout
from archcost.study.records.stored import Stored
from archcost.study.records.trials import remembered

Load: TypeAlias = Callable[[DataSpec], Dataset]
Part: TypeAlias = Literal["validation", "test"]


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """A study's data; dataset: as the network reads them, normalised; raw: as they are before; layout: of the raw."""

    dataset: Dataset
    raw: Dataset
    layout: Layout

    def split(self, part: Part, *, raw: bool = False) -> Split:
        """Return a split; the test split is read when it is asked for."""
        held = self.raw if raw else self.dataset
        return held.validation if part == "validation" else held.read_test()


def material(stored: Stored, spec: DataSpec, load: Load, model: Model) -> Material:
    """Return the data of a network of a study; raises InputError if they are not those that it was trained on.

    load: reads a data set, and raises InputError if it cannot.
    """
    dataset = load(spec)
    if stored.changed({"data": dataset.fingerprint}):
        raise _other(f"the data of {dataset.source} are not those that the study was made with", stored, dataset)
    if dataset.kind == "text":
        return Material(dataset, dataset, "tokens")
    if dataset.kind == "image":
        recurrent = model.steps is not None
        return Material(as_rows(dataset) if recurrent else dataset, dataset, "rows" if recurrent else "image")
    if spec.read_as == "rows":
        return Material(dataset, load(spec.model_copy(update={"read_as": "image"})), "rows")
    return Material(dataset, dataset, "sequence")


def _other(what: str, stored: Stored, dataset: Dataset) -> InputError:
    made = str(remembered(stored.study, "about").get("same", {}).get("data", "unknown"))
    given, allowed = dataset.fingerprint[:12], made[:12]
    return InputError(Mistake(f"{what}: fingerprint {given}; allowed: {allowed}, or another study", ("data",)))


def check_test(stored: Stored, held: Material) -> None:
    """Raise InputError if the test split is not the one that the study was confirmed on."""
    kept, now = remembered(stored.study, "test"), fingerprint(held.dataset.read_test())
    if kept is not None and kept != now and kept != fingerprint(held.raw.read_test()):
        words = f"the test split of {held.dataset.source} has changed since the study began: fingerprint {now[:12]}"
        raise InputError(Mistake(f"{words}; allowed: {kept[:12]}", ("data",)))
