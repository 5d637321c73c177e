"""A choice in words: what to take and why, what would change that, what to doubt."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, assert_never

from archcost.errors import visible
from archcost.profiling.budget import Budget
from archcost.study.objectives import quantity_of
from archcost.study.records import tables
from archcost.study.records.best.choice import ENOUGH, Change, Choice, Field, Option, decide, exceeded
from archcost.study.records.front import Candidate
from archcost.units import counted_words, data_size, duration, percent, points, scaled

FEW: Final = 2
"""Seeds whose interval says nothing: what each gave is shown instead."""

_POINT: Final = 1e-3  # what is printed as 0.1 points
_NOUNS: Final = {"macs": "MACs", "memory": "of memory", "weights": "of weights"}


def advise(field: Field, budget: Budget | None, study: str = "") -> Choice:
    """Return the network to take within a budget, in words too; raises InputError as `decide` does.

    study: what the command that exports it is given, as it was typed; the storage if left out.
    """
    found = decide(field, budget)
    if found.taken is None:
        assert found.nearest is not None
        return replace(found, why=(_none(field, found.nearest, found.budget),))
    where = study or field.stored.typed or shlex.quote(str(field.stored.address))
    consent = " --allow-code" if field.stored.has_code else ""
    export = f"archcost export {where} --trial {found.taken.name} --bundle "
    why = (headline(field, found), *_beside(field, found), *_changes(found))
    doubts = tuple(_doubts(field, found.taken, found.budget))
    return replace(found, why=why, doubts=doubts, export=f"{export}trial-{found.taken.name.file}{consent}")


def headline(field: Field, found: Choice) -> str:
    """Return the answer in one sentence: what to take, what it reaches, and how likely it keeps the budget."""
    if found.taken is None:
        return found.why[0]
    return f"Take {found.taken.name}: {described(field, found.taken)}, {_kept(field, found.taken, found.budget)}."


def described(field: Field, option: Option, *, tested: bool = True) -> str:
    """Return what a network reaches, on the test split if it is tested, and at what cost: 1.2% test error at 104 us."""
    stored = field.stored
    keys = tables.column_names(stored.objectives)
    name = stored.objectives[field.learnt][0]
    test = option.test if tested else None
    value = option.objectives[keys[field.learnt]] if test is None else test
    reached = (
        f"{quantity_of(name).words(value)} {'validation' if test is None else 'test'} {visible(quantity_of(name).name)}"
    )
    costs = [_amount(stored.labels[place], name, option.objectives[keys[place]])
             for place, (name, _) in enumerate(stored.objectives) if place != field.learnt]  # fmt: skip
    return f"{reached} at {_and(costs)}" if costs else reached


def _and(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def _amount(label: str, name: str, value: float) -> str:
    """Return an amount of an objective with the word for it; of a latency alone, time says enough."""
    if name == "weights":
        return f"{data_size(round(value))} of weights"
    words = quantity_of(name).words(value)
    return words if label == "latency" else f"{words} {_NOUNS.get(name, visible(label))}"


def _limits(limits: Mapping[str, float]) -> str:
    return _and([_amount(name, name, value) for name, value in limits.items()])


def _kept(field: Field, option: Option, limits: Mapping[str, float]) -> str:
    if not limits:
        return f"the best of {counted_words(len(field.candidates), 'network')}: no budget is set"
    if "latency" not in limits:
        return f"within {_limits(limits)}"
    return f"{likely(option.probability)} likely to keep {_limits(limits)} when measured again"


def likely(probability: float) -> str:
    """Return a probability in whole percents; what is not certain is never shown as 100%."""
    return f"{min(99, round(100 * probability))}%" if probability < 1 else "100%"


def _none(field: Field, nearest: Option, limits: Mapping[str, float]) -> str:
    name, times = exceeded(nearest, limits)
    over = _over(times) if times > 1 else f"{likely(nearest.probability)} likely to keep it"
    what = f" in {name}" if len(limits) > 1 and times > 1 else ""
    return f"No network keeps {_limits(limits)}: nearest is {nearest.name}, {described(field, nearest)}, {over}{what}."


def _over(times: float) -> str:
    return f"{percent(times - 1)} over" if times < 2 else f"{times:.3g} times as much"


def _beside(field: Field, found: Choice) -> Iterator[str]:
    """Yield what the runner-up costs more, and what the one that is taken does.

    Differences are of what the choice is made by, of an accuracy that of the validation split; where the test split is
    shown beside it, that is said.
    """
    if found.taken is None or found.runner_up is None:
        return
    labels = list(field.stored.labels)
    if found.taken.test is not None:
        labels[field.learnt] = f"validation {labels[field.learnt]}"
    more = list(zip(labels, field.stored.objectives, found.more.values(), strict=True))
    worse = [(label, name, -by if quantity_of(name).goal == "max" else by) for label, (name, _), by in more]
    theirs = [_difference(label, name, by) for label, name, by in worse if by > 0]
    ours = [_difference(label, name, -by) for label, name, by in worse if by < 0]
    reaches = described(field, found.runner_up, tested=found.taken.test is not None)
    said = f"The runner-up is {found.runner_up.name}, {reaches}"
    costs = [f"{name} costs {_and(each)} more"
             for name, each in (("it", theirs), (str(found.taken.name), ours)) if each]  # fmt: skip
    yield f"{said}: {', '.join(costs) or 'it costs the same'}."
    if _contradicted(field, found.taken, found.runner_up):
        yield "The test split says otherwise; it is not chosen by, else it would be no test."


def _contradicted(field: Field, taken: Option, other: Option) -> bool:
    """Return whether the test split has two networks in another order than the validation split."""
    if taken.test is None or other.test is None:
        return False
    quantity, key = (quantity_of(field.stored.objectives[field.learnt][0]),
                     tables.column_names(field.stored.objectives)[field.learnt])  # fmt: skip
    tests, values = ([quantity.stored(each) for each in pair] for pair in (
        (taken.test, other.test), (taken.objectives[key], other.objectives[key])))  # fmt: skip
    return (tests[0] - tests[1]) * (values[0] - values[1]) < 0


def _difference(label: str, name: str, value: float) -> str:
    """Return a difference of an objective: 0.4 points of error, 24.0 us of latency."""
    match quantity_of(name).unit:
        case "share":
            words = points(value) if value >= _POINT else f"less than {points(_POINT)}"
        case "s":
            words = duration(value)
        case "bytes":
            words = data_size(round(value))
        case "scalars" | "MACs":
            words = scaled(round(value))
        case _:
            words = f"{value:.3g}"
    return f"{words} of {visible(label)}"


def _changes(found: Choice) -> Iterator[str]:
    yield from (_change(each) for each in found.changes)
    if not found.runner_up or found.changes:
        return
    if "epochs" in found.unknown:
        yield "Another measurement or another seed is not likely to change that; of more epochs that is not known."
    else:
        yield "Another measurement, another seed or more epochs are not likely to change that."


def _change(each: Change) -> str:
    match each.kind:
        case "measurement":
            assert each.probability is not None
            chance = likely(each.probability)
            return f"Another measurement could change that: {each.other} is better, and {chance} likely to keep it."
        case "seed":
            if each.probability is None:
                return f"Other seeds could change that to {each.other}: how much seeds differ is not known here."
            chance = likely(each.probability)
            return f"Other seeds could change that: {each.other} is {chance} likely to be the better one."
        case "epochs":
            return f"More epochs could change that: {each.other} gained more at the end of its training."
        case _:
            assert_never(each.kind)


def _doubts(field: Field, taken: Option, limits: Mapping[str, float]) -> Iterator[str]:
    each = next(one for one in field.candidates if one.called == taken.name)
    if taken.probability < ENOUGH:
        yield f"No network is {likely(ENOUGH)} likely to keep the budget: {taken.name} is the likeliest."
    yield from _of_training(field, each)
    for way, latency in enumerate(each.latencies()):
        if not latency.stable:
            label = f" ({field.stored.labels[_place(field, way)]})" if len(field.ways(each)) > 1 else ""
            yield f"The latency of {taken.name}{label} is not stable: {latency.why}."
    if "latency" in limits:
        yield from _of_measuring(field, each)
    if due := [each.name for each in field.entrants]:
        yield f"{_and(due)} may be better: running the study again measures what is only predicted of them."
    elif limits and (waiting := len(field.awaited)):
        yield f"{counted_words(waiting, 'network')} could not be taken: their latency is predicted, not measured."


def _place(field: Field, way: int) -> int:
    return next(place for place, (_, other) in enumerate(field.stored.objectives) if other == way)


def _of_training(field: Field, each: Candidate) -> Iterator[str]:
    """Yield what is against trusting what a network was trained to."""
    name = field.stored.objectives[field.learnt][0]
    quantity = quantity_of(name)
    if each.shared:
        yield f"{each.name} was only trained together with other columns: alone it may reach another {quantity.name}."
    if not each.standing:
        many = counted_words(len(field.candidates), "network")
        lost = field.lost(column=each.part.column > 0)
        learnt = f"; those that were trained again lost {_lost(name, lost)}" if lost and lost > 0 else ""
        yield f"{each.name} is not confirmed: the best {quantity.name} of one seed among {many} is optimistic{learnt}."
    elif each.confirmed and len(each.confirmed.scores) <= FEW:
        gave = [quantity.words(value) for score in each.confirmed.scores
                if (value := score.value(quantity.name)) is not None]  # fmt: skip
        yield f"{each.name} rests on {counted_words(len(gave), 'seed')}, which gave {' and '.join(gave)}."


def _lost(name: str, stored: float) -> str:
    quantity = quantity_of(name)
    return percent(quantity.restored(stored) - 1) if quantity.log else _difference(quantity.name, name, stored)


def _of_measuring(field: Field, each: Candidate) -> Iterator[str]:
    """Yield how little is known of what the next measurement gives."""
    for way in field.ways(each):
        known = len(way.occasions.get(each.part.digest, ()))
        if known < 2:
            again = way.again
            from_where = f"from {counted_words(again, 'second measurement')} of networks" if again else "supposed"
            yield f"{each.name} was measured once; that measurements differ by {percent(way.drift)} is {from_where}."
            return
