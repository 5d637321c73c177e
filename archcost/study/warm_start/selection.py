"""Which trials of an earlier study come to another one, and why the others do not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from archcost.config.document import load
from archcost.errors import InputError, dotted
from archcost.latency.samples import Device
from archcost.models.load import Model
from archcost.search.domains import Point
from archcost.study.drawn import Drawn
from archcost.study.parts import counted, parts
from archcost.study.phases.limits import over
from archcost.study.phases.points import lost
from archcost.study.plan import StudyPlan
from archcost.study.records.part import Part
from archcost.study.records.trials import Begun, Trial
from archcost.study.warm_start.agreement import measured_alike
from archcost.study.warm_start.networks import Placed, placed
from archcost.study.workers.messages import Counted

Kind: TypeAlias = Literal["open", "failed", "repeats", "known", "point", "limit", "counts", "ways"]
ORIGIN: Final = "imported"
"""The origin of a trial that was carried over."""


@dataclass(frozen=True, slots=True)
class Left:
    """A trial that stays where it is.

    kind: open: it has not ended; failed: it gave no result (about: for which kind of reason); repeats: another one has
    the same result; known: the study has it; point: no point of the space (about: the key); limit: over one (about:
    which); counts: an earlier version counted or drew its network otherwise; ways: its latency was measured otherwise,
    or elsewhere.
    """

    number: int
    kind: Kind
    text: str
    about: str = ""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A trial to carry over: its point in the new study, and what is known of it there before it runs."""

    trial: Trial
    point: Point
    begun: Begun


def select(
    plan: StudyPlan, old: Iterable[Trial], have: Iterable[Trial], on: Sequence[Device]
) -> tuple[tuple[Chosen, ...], tuple[Left, ...]]:
    """Return what is carried over of a study's trials, oldest first, and what is not.

    have: the trials of the study they come to; on: the device of each of its ways. Of several trials that trained the
    same, a complete one comes before one that was pruned.
    """
    known = {each.begun.identity: each.state for each in have if each.begun and each.state in ("complete", "pruned")}
    known |= {each.begun.identity: each.state for each in have if each.begun and each.state == "complete"}
    chosen: dict[str, Chosen] = {}
    left: list[Left] = []
    for trial in sorted(old, key=lambda each: (each.state != "complete", each.number)):
        found = _judged(plan, trial, on)
        if isinstance(found, Left):
            left.append(found)
        elif known.get(found.begun.identity) in ("complete", trial.state):
            left.append(Left(trial.number, "known", "the study has it already"))
        elif (first := chosen.get(found.begun.identity)) is not None:
            left.append(Left(trial.number, "repeats", f"trial {first.trial.number} trained the same"))
        else:
            chosen[found.begun.identity] = found
    by_number = sorted(chosen.values(), key=lambda each: each.trial.number)
    return tuple(by_number), tuple(sorted(left, key=lambda each: each.number))


def _judged(plan: StudyPlan, trial: Trial, on: Sequence[Device]) -> Chosen | Left:
    number, ended, begun = trial.number, trial.ended, trial.begun
    if trial.state in ("running", "waiting"):
        return Left(number, "open", "it has not ended")
    if trial.state == "failed" or begun is None or ended is None or not ended.parts:
        return Left(number, "failed", trial.why or "it gave no result", trial.reason.kind if trial.reason else "")
    if ended.repeats is not None:
        return Left(number, "repeats", f"trial {ended.repeats} trained the same")
    try:
        found = placed(plan, load(begun.yaml, f"trial {number}"))
    except InputError as error:
        first = error.mistakes[0]
        return Left(number, "point", first.message, dotted(first.path))
    if (against := next(_against(plan, trial, ended.parts, found, on), None)) is not None:
        return against
    model, identity = found.model, plan.identity(found.model, ended.parts[0].digest)
    return Chosen(trial, found.point, Begun(ORIGIN, model.name, model.family, model.yaml, identity))


def _costs(plan: StudyPlan, model: Drawn, held: Part) -> Counted:
    """Return what a network costs: one that code made, as it was counted when it was made."""
    if isinstance(model, Model):
        return counted(plan, model)
    others = tuple((each.memory_bytes, each.weights_bytes) for each in held.ways[1:])
    return Counted(held.digest, held.params, held.macs, held.memory_bytes, held.weights_bytes or 0, others=others)


def _against(
    plan: StudyPlan, trial: Trial, held: tuple[Part, ...], found: Placed, on: Sequence[Device]
) -> Iterator[Left]:
    """Yield why a trial whose network is a point of the space is not carried over all the same."""
    if isinstance(found.model, Model):
        now = {each.column: each.digest for each in parts(plan, found.model)}
        if any(now.get(each.column) != each.digest for each in held):
            yield Left(trial.number, "counts", "its network is another one in this version of archcost")
    if why := over(plan, _costs(plan, found.model, held[0])):
        yield Left(trial.number, "limit", why.text, why.about)
    if differ := next(filter(None, (measured_alike(each, plan.setups, on) for each in held)), ""):
        yield Left(trial.number, "ways", differ)
    if why := lost(plan, held):
        yield Left(trial.number, "limit", why.text, why.about)
