"""A study as its storage holds it: read without running anything, so without torch."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import optuna

from archcost import __version__, storage, trials
from archcost.document import load
from archcost.errors import InputError, Mistake, quoted
from archcost.front import Candidate, Front, candidates, front
from archcost.objectives import QUANTITIES
from archcost.read import Model, alone, expand
from archcost.trials import Trial, remembered

SCHEMA: Final = 1
_NUMBERS: Final = re.compile(r"[0-9][0-9,.]*(e[+-]?[0-9]+)?( ?(ns|us|ms|s))?\b")


@dataclass(frozen=True, slots=True)
class Stored:
    """An open study: what its storage holds and the names of its objectives with the place of each one's way."""

    study: optuna.Study
    url: str
    name: str
    objectives: tuple[tuple[str, int | None], ...]
    labels: tuple[str, ...]
    known: dict[int, Trial] = field(default_factory=dict)
    """Trials that have ended, read once."""

    @property
    def reference(self) -> tuple[float, ...] | None:
        """The point in stored values that hypervolumes are measured from, None as long as there is none."""
        held = remembered(self.study, "reference")
        return None if held is None else tuple(held)

    def restored(self, values: Sequence[float]) -> list[float]:
        """Return stored values of the objectives in base units."""
        return [QUANTITIES[name].restored(value) for (name, _), value in zip(self.objectives, values, strict=True)]

    def trials(self) -> tuple[Trial, ...]:
        """Return every trial."""
        return trials.read(self.study, self.known)

    def candidates(self) -> tuple[Candidate, ...]:
        """Return every network that could be on the front."""
        return candidates(self.study, self.trials(), self.objectives)

    def front(self) -> Front:
        """Return the front as it is known now."""
        return front(self.candidates(), self.reference)


def find(url: str) -> Stored:
    """Return the study that a storage holds; raises InputError where it holds none of archcost's, or a later one's."""
    study = storage.find(storage.opened(url), url)
    about = remembered(study, "about")
    if not isinstance(about, dict) or about.get("schema") != SCHEMA:
        given = about.get("archcost", "unknown") if isinstance(about, dict) else "another program"
        raise InputError(
            Mistake(f"the study in {quoted(storage.shown(url))} was made by {given}; allowed: archcost {__version__}'s")
        )
    pairs = tuple((str(name), way if way is None else int(way)) for name, way in about["objectives"])
    return Stored(study, url, str(about["name"]), pairs, tuple(map(str, about["labels"])))


def unnumbered(reason: str) -> str:
    """Return what reasons that differ in numbers alone have in common."""
    return _NUMBERS.sub("#", reason)


def alike(reasons: Iterable[str]) -> list[tuple[str, int]]:
    """Return reasons with how often each stands there, most often first; those that differ in numbers alone are one."""
    first: dict[str, str] = {}
    found = Counter(first.setdefault(unnumbered(each), each) for each in reasons)
    return found.most_common()


def worded(stored: Stored, values: Sequence[float]) -> list[str]:
    """Return stored values of the objectives as people read them."""
    each = zip(stored.objectives, stored.restored(values), strict=True)
    return [QUANTITIES[name].words(value) for (name, _), value in each]


def network(candidate: Candidate) -> Model:
    """Return the network of a candidate: of a column, the column as a network of its own."""
    assert candidate.trial.begun is not None
    model = expand(load(candidate.trial.begun.yaml, f"trial {candidate.trial.number}"))
    column = candidate.part.column
    return alone(model, column) if column else model
