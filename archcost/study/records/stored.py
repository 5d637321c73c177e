"""A study as its storage holds it: read without running anything, so without torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

import optuna

from archcost.config.document import load
from archcost.errors import InputError, Mistake, TargetError, named, one_line, quoted, visible
from archcost.models.load import Model, Reference, alone, interpret
from archcost.profiling.budget import UNITS, Budget
from archcost.study.objectives import is_quantity, quantity_of
from archcost.study.records import trials
from archcost.study.records.confirmed import Extent
from archcost.study.records.database import connections, leases, requests, storage
from archcost.study.records.database.addresses import Address
from archcost.study.records.database.leases import Held as Lent
from archcost.study.records.database.team import WORKER
from archcost.study.records.front import (
    Awaited,
    Candidate,
    Front,
    absent,
    as_searched,
    awaited,
    by_way,
    candidates,
    front,
)
from archcost.study.records.names import Name, Way
from archcost.study.records.reasons import Reason
from archcost.study.records.trials import Held, Recorded, Trial, remembered
from archcost.units import counted_words
from archcost.version import __version__

SCHEMA: Final = 1
WAYS: Final = 2
"""The schema of a study that names ways, of which an earlier version would see the first alone."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A process that works on a study; doing: the leases that it holds, trial:3 or seed:12:1."""

    host: str
    pid: int
    role: str
    doing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stored:
    """A study: what its storage holds and the names of its objectives with the place of each one's way.

    ways: in which each network runs, () of a study that names none; note: what there is to say of how it was read.
    """

    study: Recorded
    address: Address
    name: str
    objectives: tuple[tuple[str, int | None], ...]
    labels: tuple[str, ...]
    known: dict[int, Trial] = field(default_factory=dict)
    """Trials that have ended, read once."""
    note: str = ""
    ways: tuple[Way, ...] = ()
    work: tuple[Lent, ...] = ()
    """Who works on it, and on what, as it was read."""
    waiting: int = 0
    """How many measurements were asked for, and wait, as it was read."""
    typed: str = ""
    """What commands are given to open it again, as it was typed; '' if that is not known."""

    @property
    def workers(self) -> tuple[Worker, ...]:
        """The processes that work on it, as it was read."""
        living = [each for each in self.work if each.lives]
        there = [each for each in living if each.lease.name.startswith(WORKER)]
        return tuple(
            Worker(**{key: each.about[key] for key in ("host", "pid", "role")},
                   doing=tuple(one.lease.name for one in living if one.owner == each.owner and one is not each))
            for each in there
        )  # fmt: skip

    @property
    def has_code(self) -> bool:
        """Whether it runs code of the user's own, which needs consent."""
        return bool(remembered(self.study, "code"))

    @property
    def reference(self) -> tuple[float, ...] | None:
        """The point in stored values that hypervolumes are measured from, None as long as there is none."""
        held = remembered(self.study, "reference")
        return None if held is None else tuple(held)

    @property
    def identity(self) -> str:
        """What tells this study from all others, '' of one that archcost 0.1.0 made and nobody has gone on with."""
        return str(remembered(self.study, "identity") or "")

    @property
    def same(self) -> Mapping[str, Any]:
        """What may not change while the study goes on: data, fit, limits, objectives, search."""
        held = remembered(self.study, "about").get("same")
        return held if isinstance(held, dict) else {}

    @property
    def limits(self) -> Budget | None:
        """The study's limits, None if it has none."""
        given = self.same.get("limits") or {}
        held = {field.name: given.get(name) for name, field in zip(UNITS, fields(Budget), strict=True)}
        return Budget(**held) if any(value is not None for value in held.values()) else None

    @property
    def dtype(self) -> str:
        """What memory is counted in: the dtype of the first way to measure, as a study counts it."""
        if self.ways:
            return self.ways[0].dtype
        ways = [each for each in self.same.get("objectives", ()) if "latency" in each]
        return str(ways[0].get("dtype", "float32")) if ways else "float32"

    def changed(self, fixed: Mapping[str, object]) -> list[str]:
        """Return the keys of what may not change that are not as they were when this study was made."""
        made = self.same
        return [key for key, value in fixed.items() if key not in made or value != made[key]]

    def restored(self, values: Sequence[float]) -> list[float]:
        """Return stored values of the objectives in base units."""
        return [quantity_of(name).restored(value) for (name, _), value in zip(self.objectives, values, strict=True)]

    def trials(self) -> tuple[Trial, ...]:
        """Return every trial; raises InputError if what is stored is not what archcost writes."""
        with self.undamaged():
            every = trials.read(self.study, self.known)
            if odd := [each.number for each in every if each.values and len(each.values) != len(self.objectives)]:
                raise ValueError(f"trial {odd[0]} has another number of values than there are objectives")
            return every

    def candidates(self) -> tuple[Candidate, ...]:
        """Return every network that could be on the front; raises InputError as `trials` does."""
        every = self.trials()
        with self.undamaged():
            return candidates(self.study, every, self.objectives, self.ways, self.limits if self.ways else None)

    def awaited(self) -> tuple[Awaited, ...]:
        """Return every network with a latency that is predicted, not measured; raises InputError as `trials` does."""
        every = self.trials()
        if not any(trial.predicts for trial in every):
            return ()
        with self.undamaged():
            return awaited(self.study, every, self.objectives, self.ways, self.limits)

    @property
    def lack(self) -> str:
        """What it has in place of a front that is empty, in words."""
        if waiting := len(self.awaited()):
            words = f"only predicted latencies, of {counted_words(waiting, 'network')}"
            return f"{words}; running it again measures those that may be on the front"
        return "no complete trial yet"

    def searched(self) -> tuple[Candidate, ...]:
        """Return the candidates with scores that are comparable with each other; raises InputError as `trials` does."""
        found = self.candidates()
        with self.undamaged():
            return as_searched(found, self.objectives, self.asked)

    def contenders(self) -> Front:
        """Return the front from which members are confirmed: of scores that all networks have."""
        return front(self.searched(), self.reference, self.asked)

    @property
    def epochs(self) -> int:
        """The epochs of the search's trainings, 0 if the study does not say."""
        return int((self.same.get("fit") or {}).get("epochs", 0))

    @property
    def examples(self) -> int:
        """The training examples of the search's trainings, 0 if nothing was confirmed with more."""
        return int(remembered(self.study, "examples") or 0)

    @property
    def unit(self) -> str:
        """What its data have many of, in words: tokens of a text, examples of others."""
        kind = remembered(self.study, "kind")
        if kind is None:  # the objectives tell, if one is of texts alone
            kind = "text" if any(quantity_of(name).kinds == ("text",) for name, _ in self.objectives) else "image"
        return "tokens" if kind == "text" else "examples"

    @property
    def asked(self) -> Extent | None:
        """How long its last run trained members, None if it never was longer than the search did."""
        held = remembered(self.study, "extent")
        return Extent(**held) if isinstance(held, dict) else None

    def front(self) -> Front:
        """Return the front as it is known now; raises InputError as `trials` does."""
        found = self.candidates()
        with self.undamaged():
            now = front(found, self.reference, self.asked)
            for each in (*now.members, *now.left):
                each.latencies()  # what is damaged in their samples is found here, not when they are shown
            return now

    def by_way(self) -> tuple[tuple[Way, Front], ...]:
        """Return the front of each way that it names alone; raises InputError as `trials` does."""
        found = self.candidates() if self.ways else ()
        with self.undamaged():
            return by_way(found, self.ways, self.reference, self.asked)

    def absent(self) -> tuple[tuple[Name, Reason], ...]:
        """Return the points that networks of complete trials do not have in some way, each with the reason."""
        found = [(Name(trial.number, part.column, way.name), why)
                 for trial in self.trials() if trial.state == "complete" and trial.ended
                 for part in trial.ended.parts if trial.ended.repeats is None
                 for way in self.ways if (why := absent(part, way, self.limits))]  # fmt: skip
        return tuple(found)

    def frozen(self) -> Stored:
        """Return the study as it is now, which needs its storage no more."""
        if isinstance(self.study, Held):
            return self
        return replace(self, study=Held(tuple(self.study.get_trials(deepcopy=False)), self.study.user_attrs))

    def undamaged(self) -> AbstractContextManager[None]:
        """Raise InputError inside where what others have changed in a storage has a form that nothing is made of.

        In a storage that runs, what is wrong is our own mistake, and stays what it is.
        """
        return _undamaged(self.address) if isinstance(self.study, Held) else nullcontext()


# what Python says of a value of another form than was expected
_DAMAGE: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RecursionError,
    TargetError,
    TypeError,
    ValueError,
)


@contextmanager
def _undamaged(address: Address) -> Iterator[None]:
    """Raise InputError if what a storage holds has another form than what is written to one."""
    try:
        yield
    except _DAMAGE as error:
        words = one_line(address.hidden(named(error)), 300)
        raise InputError(Mistake(f"the study in {quoted(str(address))} is damaged: {words}")) from error


def find(address: Address) -> Stored:
    """Return the study at an address, as it is now: its storage is closed, and nothing in it has changed.

    Raises InputError if there is none of archcost's, or it is a later one's, or damaged.
    """
    store, note = storage.reading(address)
    try:
        with connections.told(address), _undamaged(address):
            study = storage.find(store)
            work, waiting = leases.shown(store.engine), requests.shown(store.engine)
            return replace(described(study, address).frozen(), note=note, work=work, waiting=waiting)
    finally:
        storage.close(store)


def described(study: optuna.Study, address: Address) -> Stored:
    """Return a study with what it says of itself; raises InputError if it is not archcost's, or a later one's."""
    about = remembered(study, "about")
    if not isinstance(about, dict) or about.get("schema") not in (SCHEMA, WAYS):
        given = str(about.get("archcost", "unknown")) if isinstance(about, dict) else "another program"
        where = quoted(str(address))
        raise InputError(
            Mistake(f"the study in {where} was made by {visible(given)}; allowed: archcost {__version__}'s")
        )
    pairs = tuple((str(name), way if way is None else int(way)) for name, way in about["objectives"])
    labels = tuple(map(str, about["labels"]))
    if len(pairs) != len(labels) or not all(is_quantity(name) for name, _ in pairs):
        raise ValueError("its objectives are not archcost's")
    if not isinstance(about.get("same", {}), dict):
        raise TypeError("what it was made of is missing")
    ways = tuple(_way(number, each) for number, each in enumerate(about.get("ways", ())))
    return Stored(study, address, str(about["name"]), pairs, labels, ways=ways)


def running(stored: Stored) -> optuna.Study:
    """Return the study of a storage that is open to be written to."""
    assert isinstance(stored.study, optuna.Study)  # not one that was only read
    return stored.study


def _way(number: int, held: Mapping[str, Any]) -> Way:
    name, places = held["name"], tuple(int(place) for place in held["places"])
    return Way(number, None if name is None else str(name), places, str(held["runtime"]), str(held["dtype"]))


def worded(stored: Stored, values: Sequence[float]) -> list[str]:
    """Return stored values of the objectives as people read them."""
    each = zip(stored.objectives, stored.restored(values), strict=True)
    return [quantity_of(name).words(value) for (name, _), value in each]


def labelled(stored: Stored, values: Sequence[float]) -> str:
    """Return stored values of the objectives in a line, each after its label."""
    return ", ".join(map(" ".join, zip(stored.labels, worded(stored, values), strict=True)))


def member(stored: Stored, name: str, weights: Sequence[int] | None = None) -> Candidate:
    """Return the network of that name, on the front or not; raises InputError with some of those there are.

    weights: the trials that have some, which alone are named then.
    """
    now = stored.front()
    every = {each.name: each for each in (*now.members, *now.others)}
    if name in [each.name for each in stored.awaited()]:
        words = f"the latency of {quoted(name)} is predicted, not measured"
        raise InputError(Mistake(f"{words}; allowed: {', '.join([*every][:20]) or 'none yet'}, which are measured"))
    if name not in every:
        there = [key for key, each in every.items() if weights is None or each.trial.number in weights]
        kind = "there are" if weights is None else "with weights there are"
        raise InputError(Mistake(f"no complete trial {quoted(name)}; {kind}: {', '.join(there[:20]) or 'none yet'}"))
    return every[name]


def network(candidate: Candidate | Awaited) -> Model | Reference:
    """Return the network of a candidate: of a column, the column as a network of its own; of code, none of which runs,
    the reference to it.
    """
    assert candidate.trial.begun is not None
    model = interpret(load(candidate.trial.begun.yaml, f"trial {candidate.trial.number}"), allow_code=True)
    column = candidate.part.column
    return alone(model, column) if column and isinstance(model, Model) else model
