"""The network of a study to take: the best that is likely enough to keep a budget."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from statistics import fmean, stdev
from typing import Any, Final, Literal, TypeAlias

from archcost.errors import InputError, Mistake
from archcost.graph.cost import count
from archcost.graph.dtypes import BYTES
from archcost.profiling.budget import UNITS, Budget
from archcost.study.objectives import first_learnt, quantity_of
from archcost.study.records import tables
from archcost.study.records.best import chances
from archcost.study.records.best.entrants import entrants
from archcost.study.records.front import Awaited, Candidate, Front
from archcost.study.records.names import Name, Way
from archcost.study.records.part import achieved
from archcost.study.records.stored import Stored, network

ENOUGH: Final = 0.8
"""The probability to keep the budget from which on a network may be taken."""

_EVEN: Final = 0.5  # if none is as likely as that to keep it, none does
_WORTH: Final = 0.1  # a change of the answer is named from this probability on

_KEYS: Final = {name: each.name for name, each in zip(UNITS, fields(Budget), strict=True)}

Kind: TypeAlias = Literal["measurement", "seed", "epochs"]


@dataclass(frozen=True, slots=True)
class Change:
    """What would change a choice: what has to be done again, and which network may be taken then.

    probability: that the other one then is the better choice, None if nothing says how likely that is.
    """

    kind: Kind
    other: Name
    probability: float | None


@dataclass(frozen=True, slots=True)
class Option:
    """One network that could be taken.

    objectives: in base units, under the names of `tables.column_names`; test: the mean on the test split, None if it
    was not tested; counts: what else a budget may limit; probability: that it keeps the budget when measured again.
    """

    name: Name
    objectives: Mapping[str, float]
    test: float | None
    counts: Mapping[str, float]
    probability: float

    def to_dict(self) -> dict[str, Any]:
        """Return the network as JSON holds it; column and way are null of a whole network and of the first way."""
        name = self.name
        found = {"trial": name.trial, "column": name.column or None, "way": name.way}
        return {"take": str(name), **found, "objectives": dict(self.objectives), "probability": self.probability}


@dataclass(frozen=True, slots=True)
class Choice:
    """The network to take, None if none keeps the budget; then `nearest` is the one that misses it by least.

    budget: limits by name, in base units, empty if there is none; runner_up: who would be taken without the first; why:
    the answer in sentences, and what would change it; unknown: of what nothing says whether it would; doubts: what is
    against trusting it, a sentence each; export: the command that writes the network.
    """

    taken: Option | None
    runner_up: Option | None
    nearest: Option | None
    budget: Mapping[str, float]
    changes: tuple[Change, ...]
    unknown: tuple[Kind, ...] = ()
    why: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    export: str | None = None

    @property
    def take(self) -> str | None:
        """The name of the network to take: 12, of a column 12/2, in another way 12@int8."""
        return str(self.taken.name) if self.taken else None

    @property
    def probability(self) -> float | None:
        """The probability that it keeps the budget on the next measurement, None if none is taken."""
        return self.taken.probability if self.taken else None

    @property
    def more(self) -> dict[str, float]:
        """What the runner-up has more of each objective, empty if there is none."""
        if self.taken is None or self.runner_up is None:
            return {}
        ours, theirs = self.taken.objectives, self.runner_up.objectives
        return {key: theirs[key] - ours[key] for key in ours}

    def to_dict(self) -> dict[str, Any]:
        """Return the choice as JSON holds it; what there is not is null."""
        nothing = {"take": None, "trial": None, "column": None, "way": None, "objectives": None, "probability": None}
        return {
            **(self.taken.to_dict() if self.taken else nothing),
            "runner_up": {**self.runner_up.to_dict(), "more": self.more} if self.runner_up else None,
            "why": " ".join(self.why),
            "export": self.export,
            "nearest": self.nearest.to_dict() if self.nearest else None,
            "budget": {_KEYS[name]: limit for name, limit in self.budget.items()},
            "changes": [
                {"kind": each.kind, "take": str(each.other), "probability": each.probability} for each in self.changes
            ],
            "doubts": list(self.doubts),
        }


@dataclass(frozen=True)
class Field:
    """The networks that one of a study is chosen from, and what is known of them whatever the budget is."""

    stored: Stored
    now: Front

    @cached_property
    def candidates(self) -> tuple[Candidate, ...]:
        """Every network of a complete trial: a budget may leave no member of the front."""
        return self.now.comparable

    @cached_property
    def awaited(self) -> tuple[Awaited, ...]:
        """Every network with a latency that is predicted, not measured."""
        return self.stored.awaited()

    @cached_property
    def entrants(self) -> tuple[Awaited, ...]:
        """Those of them that would be measured next if the study ran again."""
        return entrants(self.stored) if self.awaited else ()

    @cached_property
    def learnt(self) -> int:
        """The place of the first objective that is learnt: by it the best is chosen."""
        names = [name for name, _ in self.stored.objectives]
        return names.index(str(first_learnt(self.stored.objectives)))

    @cached_property
    def _measured(self) -> dict[int, chances.Measured]:
        """What was measured in each setup, by its place."""
        places = sorted({place for each in self.candidates for place in each.way.places})
        return {place: chances.measured(self.candidates, place) for place in places}

    @property
    def measures(self) -> bool:
        """Whether the study measures a latency at all."""
        return any(way is not None for _, way in self.stored.objectives)

    def ways(self, each: Candidate) -> tuple[chances.Measured, ...]:
        """Return what was measured, for each latency of a network as it runs in its way."""
        return self._of_ways[each.way]

    @cached_property
    def _of_ways(self) -> dict[Way, tuple[chances.Measured, ...]]:
        ways = {each.way for each in self.candidates}
        return {way: tuple(self._measured[place] for place in way.places) for way in ways}

    def lost(self, *, column: bool) -> float | None:
        """Return by how much confirmed networks are worse than their first scores: what luck had given them.

        column: of columns, which were trained with others before. None if none is confirmed.
        """
        return self._losses[column]

    @cached_property
    def _losses(self) -> tuple[float | None, float | None]:
        firsts = [(each, achieved(each.part, self.stored.objectives)[self.learnt]) for each in self.candidates]
        each_kind = (
            [each.values[self.learnt] - first for each, first in firsts
             if each.standing and (each.part.column > 0) is column]
            for column in (False, True)
        )  # fmt: skip
        whole, columns = (fmean(values) if values else None for values in each_kind)
        return whole, columns

    def expected(self, each: Candidate) -> float:
        """Return the stored value to expect of a network if it is trained again.

        The best of many single scores is better than it will be again: what confirmed ones lost, one that is not is
        supposed to lose too, and at least what seeds differ by.
        """
        value = each.values[self.learnt]
        return value if each.standing else value + max(self._losses[each.part.column > 0] or 0.0, self.seeds[0])

    @cached_property
    def seeds(self) -> tuple[float, int]:
        """The standard deviation between seeds of a network, pooled, of stored values; and its degrees of freedom."""
        quantity = quantity_of(self.stored.objectives[self.learnt][0])
        runs = [
            [quantity.stored(value) for score in each.confirmed.scores
             if (value := score.value(quantity.name)) is not None]
            for each in self.candidates if each.confirmed
        ]  # fmt: skip
        several = [each for each in runs if len(each) > 1]
        freedom = sum(len(each) - 1 for each in several)
        squares = math.fsum((len(each) - 1) * stdev(each) ** 2 for each in several)
        return (math.sqrt(squares / freedom) if freedom else 0.0), freedom

    @cached_property
    def _ranked(self) -> list[tuple[Candidate, Option]]:
        """Every network, the best first: by what is learnt, then by the other objectives; probabilities of no budget.

        What has no test, and so on, is the same for every budget: it is put together once.
        """
        order = sorted(self.candidates, key=lambda each: (self.expected(each), each.values))
        return [(each, self._option(each)) for each in order]

    def _option(self, each: Candidate) -> Option:
        name, test = each.called, tables.tested(each, self.stored.objectives)
        counts = {"params": each.part.params, "macs": each.part.macs, "memory": each.part.memory_bytes}
        return Option(name, tables.known(each, self.stored.objectives), test, counts, 1.0)

    def _weights_bytes(self, each: Candidate) -> int:
        """Return the size of weights and buffers; earlier versions did not keep it, and had families only."""
        if each.part.weights_bytes is not None:
            return each.part.weights_bytes
        if each.part.digest not in self._counted:
            graph = network(each).graph
            self._counted[each.part.digest] = count(graph).weights_bytes(BYTES[self.stored.dtype]) if graph else 0
        return self._counted[each.part.digest]

    @cached_property
    def _counted(self) -> dict[str, int]:
        """The sizes that were counted again, by graph."""
        return {}

    def options(self, limits: Mapping[str, float]) -> list[tuple[Candidate, Option]]:
        """Return every network, the best first, with the probability that it keeps to limits."""
        found = []
        for (each, option), ways in zip(self._ranked, self._ranked_ways, strict=True):
            counts = option.counts
            if "weights" in limits:
                counts = {**counts, "weights": self._weights_bytes(each)}
            likely = float(all(counts[name] <= limit for name, limit in limits.items() if name != "latency"))
            if likely and "latency" in limits:  # it is one limit in every way
                likely = math.prod(way.chance(each.part.digest, limits["latency"]) for way in ways)
            found.append((each, Option(option.name, option.objectives, option.test, counts, likely)))
        return found

    @cached_property
    def _ranked_ways(self) -> list[tuple[chances.Measured, ...]]:
        """What was measured in the way of each of them: a report asks for the options of many budgets."""
        return [self.ways(each) for each, _ in self._ranked]


def within(stored: Stored, given: Mapping[str, float | None]) -> Budget | None:
    """Return a study's own limits, in place of them those that are given by their names, None if there are none.

    Raises InputError for values that are no limits.
    """
    own = stored.limits
    return limited(
        {**(own.limits() if own else {}), **{name: limit for name, limit in given.items() if limit is not None}}
    )


def limited(limits: Mapping[str, float | None]) -> Budget | None:
    """Return limits by their names as a budget, None if there are none; raises InputError for what is no limit."""
    held: dict[str, Any] = {_KEYS[name]: limit for name, limit in limits.items()}
    return Budget(**held) if held else None


def decide(field: Field, budget: Budget | None) -> Choice:
    """Return the network to take within a budget, without words; raises InputError for a limit that nothing measures.

    It is the best of those that keep the budget with a probability of ENOUGH; if there is none, the one that is most
    likely to keep it, as long as that is more likely than not. None is taken whose own latency is above the limit.
    """
    limits = budget.limits() if budget else {}
    if "latency" in limits and not field.measures:
        allowed = "allowed: a limit on what the study counts"
        raise InputError(Mistake(f"the study has measured no latency; {allowed}", ("latency",)))
    every = field.options(limits)
    if not every:
        raise InputError(Mistake(f"the study has {field.stored.lack}: there is nothing to choose from"))
    inside = [pair for pair in every if not limits or exceeded(pair[1], limits)[1] <= 1]
    ranked = [pair for pair in inside if pair[1].probability >= ENOUGH]
    unsure = [pair for pair in inside if _EVEN <= pair[1].probability < ENOUGH]
    ranked += sorted(unsure, key=lambda pair: -pair[1].probability)
    if not ranked:
        nearest = min(every, key=lambda pair: exceeded(pair[1], limits)[1])[1]
        return Choice(None, None, nearest, limits, ())
    (taken, first), *others = ranked
    changes = tuple(_changes(field, (taken, first), others[:1], every))
    unknown: tuple[Kind, ...] = (
        ("epochs",) if any(_still_falling(field, taken, o) is None for o, _ in others[:1]) else ()
    )
    return Choice(first, others[0][1] if others else None, None, limits, changes, unknown)


def exceeded(option: Option, limits: Mapping[str, float]) -> tuple[str, float]:
    """Return the limit that a network misses by most, and what it has of it in times of the limit."""
    has = [(name, value) for name, value in option.counts.items() if name in limits]
    if "latency" in limits:
        has += [("latency", value) for key, value in option.objectives.items() if key.startswith("latency_s")]
    return max(((name, value / limits[name]) for name, value in has), key=lambda each: each[1])


def _changes(
    field: Field,
    taken: tuple[Candidate, Option],
    runner_up: Sequence[tuple[Candidate, Option]],
    every: Sequence[tuple[Candidate, Option]],
) -> Iterator[Change]:
    """Yield what could change the answer: a measurement that lets a better one in, other seeds, more epochs."""
    better = every[: every.index(taken)]
    if open_ones := [option for _, option in better if option.probability >= _WORTH]:
        yield Change("measurement", open_ones[0].name, open_ones[0].probability)
    for other, option in runner_up:
        chance = _by_seeds(field, taken[0], other)
        if chance is None or chance >= _WORTH:
            yield Change("seed", option.name, chance)
        if _still_falling(field, taken[0], other):
            yield Change("epochs", option.name, None)


def _by_seeds(field: Field, taken: Candidate, other: Candidate) -> float | None:
    """Return how likely the other network's true mean over seeds is the better one; None if no two seeds are known."""
    deviation, freedom = field.seeds
    if not freedom:
        return None
    apart = field.expected(other) - field.expected(taken)
    runs = [len(each.confirmed.scores) if each.confirmed and each.standing else 1 for each in (taken, other)]
    width = deviation * math.sqrt(sum(1 / each for each in runs))
    return chances.student(-apart / width, freedom) if width > 0 else float(apart < 0)


def _still_falling(field: Field, taken: Candidate, other: Candidate) -> bool | None:
    """Return whether the other network gained more between its last two rungs than it is behind now.

    None if that is not known: one of them came to fewer than two rungs, or is a column.
    """
    reached = [each.trial.rungs for each in (taken, other)]
    if any(each.part.column for each in (taken, other)) or min(map(len, reached)) < 2:
        return None
    ours, theirs = ([values[field.learnt] for _, values in sorted(each.items())] for each in reached)
    behind = field.expected(other) - field.expected(taken)
    return (theirs[-2] - theirs[-1]) - (ours[-2] - ours[-1]) > max(behind, 0.0)
