"""What a study's report is gathered from, read once: trials, front, objectives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, TypeVar

from optuna.trial import FrozenTrial

from archcost.errors import InputError, Mistake, quoted
from archcost.latency.samples import Origin, Samples
from archcost.profiling.budget import Budget
from archcost.report.blocks import Axis, Form
from archcost.study.objectives import quantity_of
from archcost.study.records import confirmed
from archcost.study.records.front import Awaited, Candidate, Front, only
from archcost.study.records.interruption import as_left
from archcost.study.records.names import Way
from archcost.study.records.part import placed
from archcost.study.records.stored import Stored
from archcost.study.records.tables import front_of
from archcost.study.records.trials import Trial, remembered
from archcost.units import grouped

_FORMS: Final[dict[str, Form]] = {
    "error": "share",
    "latency": "seconds",
    "params": "count",
    "macs": "count",
    "memory": "bytes",
}  # all others are bare numbers


@dataclass(frozen=True)
class Found:
    """A study and what was found; about: what `exploring.begin` kept; json: the front as `study front --json`."""

    stored: Stored
    trials: tuple[Trial, ...]
    now: Front
    about: dict[str, Any]
    json: dict[str, Any]
    runs: bool | None = None

    @property
    def same(self) -> Mapping[str, Any]:
        """What may not change while the study goes on: data, fit, limits, objectives, search."""
        return self.stored.same

    @cached_property
    def frozen(self) -> list[FrozenTrial]:
        """The trials as optuna has them, with the domains of their parameters."""
        return self.stored.study.get_trials(deepcopy=False)

    @cached_property
    def budget(self) -> Budget | None:
        """The study's limits, None if it has none."""
        return self.stored.limits

    @cached_property
    def limits(self) -> dict[str, float]:
        """The limits by name, in base units."""
        return self.budget.limits() if self.budget else {}

    @property
    def dtype(self) -> str:
        """What memory is counted in: the dtype of the first way to measure, as a study counts it."""
        return self.stored.dtype

    @cached_property
    def batch(self) -> int:
        """The batch that memory is counted at."""
        ways = [each for each in self.same.get("objectives", ()) if "latency" in each]
        return int(ways[0].get("batch", 1)) if ways else 1

    @cached_property
    def epochs(self) -> int:
        """Epochs of a whole training, 0 if the study does not say."""
        return int(self.same.get("fit", {}).get("epochs", 0))

    @cached_property
    def origins(self) -> tuple[Origin, ...]:
        """Where measurements come from, each once, conditions left out of account."""
        every = (each.origin for part in self._parts for each in part.values())
        again = (each.origin for one in self.now.members if one.confirmed for each in one.confirmed.samples)
        each = {(o.target, o.runtime, o.device, o.versions): o for origins in (every, again) for o in origins}
        return tuple(each.values())

    @cached_property
    def setups(self) -> Mapping[int, str]:
        """In words, each setup in which latency is measured, by its place."""
        known = {place: str(each.way) for part in self._parts for place, each in part.items()}
        return dict(sorted(known.items()))

    @cached_property
    def ways(self) -> tuple[Way, ...]:
        """The ways in which networks run: one of a study that names none."""
        return self.stored.ways or (only(self.stored.objectives),)

    @cached_property
    def predicted(self) -> tuple[Awaited, ...]:
        """The networks with a latency that is predicted, not measured."""
        return self.stored.awaited()

    @cached_property
    def _parts(self) -> list[Mapping[int, Samples]]:
        in_trials = [part.measured for trial in self.trials if trial.ended for part in trial.ended.parts]
        again = confirmed.everything(self.stored.study).values() if any(each.predicts for each in self.trials) else ()
        return [*in_trials, *(placed(each.samples, each.skipped) for each in again)]

    @cached_property
    def places(self) -> range:
        """The places of the objectives."""
        return range(len(self.stored.objectives))

    def words(self, place: int, stored: float) -> str:
        """Return a stored value of an objective as people read it."""
        quantity = quantity_of(self.stored.objectives[place][0])
        return quantity.words(quantity.restored(stored))

    def restored(self, place: int, stored: float) -> float:
        """Return a stored value of an objective in base units."""
        return quantity_of(self.stored.objectives[place][0]).restored(stored)

    def title(self, place: int) -> str:
        """Return what an objective is called on an axis: with the setup that a latency is measured in, if it is one."""
        at, label = self.stored.objectives[place][1], self.stored.labels[place]
        if at is None:
            return label
        setups = {self.setups[way.places[at]] for way in self.ways if way.places[at] in self.setups}
        if len(setups) > 1:
            return f"{label} (each point in its own way)"
        return f"{label} ({setups.pop()})" if setups else label

    def axis(self, place: int) -> Axis:
        """Return the axis of an objective."""
        return quantity_axis(self.stored.objectives[place][0], self.title(place))


def found(stored: Stored, runs: bool | None = None) -> Found:
    """Return what a study holds; raises InputError if no trial is complete.

    runs: whether a process runs it, None if that is not known: what was under way if none does is interrupted.
    """
    now = stored.front()
    if not now.members:
        where = quoted(str(stored.address))
        raise InputError(
            Mistake(
                f"the study in {where} has {stored.lack}: nothing to report; 'archcost study status' says how far it is"
            )
        )
    about = remembered(stored.study, "about")
    every = as_left(stored.trials(), runs)
    return Found(stored, every, now, about if isinstance(about, dict) else {}, front_of(stored, now), runs)


def quantity_axis(name: str, title: str) -> Axis:
    """Return the axis of a quantity: of one that counts by its ratios, a logarithmic one."""
    return Axis(title, _FORMS.get(name, "number"), quantity_of(name).log)


def some(names: Sequence[str], most: int = 10) -> str:
    """Return the first names in words, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {grouped(more)} more" if more > 0 else "")


def marks(each: Candidate, knee: str | None) -> tuple[str, ...]:
    """Return what is special about a member, in words."""
    words = (("knee", each.name == knee), ("shared weights", each.shared))
    return tuple(word for word, holds in words if holds)


T = TypeVar("T")


def thinned(values: Sequence[T], most: int) -> tuple[T, ...]:
    """Return at most so many values, evenly spread over all: always the same ones."""
    if len(values) <= most:
        return tuple(values)
    return tuple(values[place * len(values) // most] for place in range(most))
