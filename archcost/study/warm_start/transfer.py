"""Trials of an earlier study carried over: results, weights, and what was confirmed.

Each step can be done again and adds nothing then: who is killed in between imports again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from archcost.data.splits import Dataset
from archcost.errors import InputError, Mistake, quoted
from archcost.latency.samples import Device
from archcost.search.domains import active
from archcost.search.points import PREFIX, distribution, stored
from archcost.study import run
from archcost.study.code import digests
from archcost.study.plan import StudyPlan
from archcost.study.records import confirmed, weights_folder
from archcost.study.records.database import locks
from archcost.study.records.database.addresses import Address
from archcost.study.records.stored import Stored, running
from archcost.study.records.trials import Trial, remember, remembered
from archcost.study.warm_start import agreement, seeds
from archcost.study.warm_start.selection import Chosen, Left, select

FROM: Final = f"{PREFIX}imported"
"""The attribute of a trial that says which one it was: its study's identity, and its number there."""


_NUMBER: Final = re.compile("[0-9]+")
"""Of the trial, with which the name of a network begins."""


@dataclass(frozen=True, slots=True)
class Carried:
    """What an import did: trials by old and new number with their state, what was left, and of whom there is more.

    weights, confirmed: the new names of those whose weights, or confirmed results, came too; notes: what did not.
    """

    trials: tuple[tuple[int, int, str], ...]
    left: tuple[Left, ...]
    weights: tuple[str, ...]
    confirmed: tuple[str, ...]
    notes: tuple[str, ...]


def carry_over(old: Stored, plan: StudyPlan, dataset: Dataset, address: Address) -> Carried:
    """Carry the trials of a study over into that of a plan, which is made if it is not there yet; `old` stays as it is.

    Raises InputError, before anything is made, if they are not comparable or are one study; if another process runs the
    study.
    """
    if address == old.address:
        raise InputError(Mistake(f"{quoted(str(address))} is the study itself; allowed: another study's storage"))
    if differ := agreement.disagreements(old, plan):
        raise InputError(*differ)
    on, before = agreement.devices(plan.setups), old.trials()
    with locks.running(address), run.begun(plan, address) as new:
        if new.identity == old.identity:
            raise InputError(Mistake(f"{quoted(str(address))} is a copy of the study itself; allowed: another study"))
        chosen, left = select(plan, before, new.trials(), on)
        study = running(new)
        frozen = {each.number: each for each in old.study.get_trials(deepcopy=False)}
        for each in chosen:
            study.add_trial(_written(plan, old, each, frozen[each.trial.number]))
        if not plan.code_changed:
            digests.keep(study, digests.known(old.study))
        origin = _origins(study, old)
        weights, missed = _weights(old, new, origin)
        again, untested = _confirmed(old, new, plan, dataset, on, origin)
        lost = tuple(seeds.carry_over(old, new, origin, confirmed.everything(new.study)))
        trials = tuple((each.trial.number, origin[each.trial.number], each.trial.state) for each in chosen)
        return Carried(trials, left, weights, again, (*missed, *untested, *lost))


def _of(old: Stored) -> str:
    return old.identity or str(old.address)  # archcost 0.1.0 gave none


def _written(plan: StudyPlan, old: Stored, chosen: Chosen, was: FrozenTrial) -> FrozenTrial:
    """Return a trial as the new study keeps it: all that the old one said, at its point there."""
    domains = active(plan.spec.space.draw, chosen.point, lambda name, _: chosen.point[name])[1]
    own = {"begun": asdict(chosen.begun), "writes": True}  # the file of its weights is this study's
    made = create_trial(
        state=was.state,
        values=was.values if was.state is TrialState.COMPLETE else None,
        params={name: stored(domain, chosen.point[name]) for name, domain in domains.items()},
        distributions={name: distribution(domain) for name, domain in domains.items()},
        user_attrs=was.user_attrs
        | {f"{PREFIX}{key}": value for key, value in own.items()}
        | {FROM: {"study": _of(old), "trial": was.number}},
    )
    made.datetime_start, made.datetime_complete = was.datetime_start, was.datetime_complete
    return made


def _origins(study: optuna.Study, old: Stored) -> dict[int, int]:
    """Return the new number of every trial that came from a study, by its old one, now or earlier."""
    found = ((each.number, each.user_attrs.get(FROM)) for each in study.get_trials(deepcopy=False))
    return {int(held["trial"]): number for number, held in found if held and held["study"] == _of(old)}


def _weights(old: Stored, new: Stored, origin: Mapping[int, int]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Copy the weights that are kept of trials, marked as the new study's; return whose, and why others are not."""
    from archcost.nets.weights import marked, remark  # noqa: PLC0415  # loads torch

    file_of, folder = weights_folder.files(old), weights_folder.prepared(new)
    came: list[str] = []
    notes: list[str] = []
    for trial in old.trials():
        if trial.number not in origin or not (source := file_of(trial))[0].is_file():
            continue
        number, file = origin[trial.number], folder / f"{origin[trial.number]}.pt"
        mark: dict[str, str | int] = {"study": new.identity, "trial": number}
        if file.exists() and marked(file, mark):
            continue
        try:
            _refuse_other(file)
            remark(source[0], file, _mark(old, trial, is_old=source[1]), mark | {"digest": _digest(trial)})
            came.append(str(number))
        except InputError as error:
            notes.append(f"no weights of trial {number}: {error.mistakes[0].message}")
    return tuple(came), tuple(notes)


def _refuse_other(file: Path) -> None:
    if file.exists():
        raise InputError(Mistake(f"{quoted(f'{file.parent.name}/{file.name}')} is in their place"))


def _digest(trial: Trial) -> str:
    assert trial.ended is not None  # a trial that was carried over
    return trial.ended.parts[0].digest


def _mark(old: Stored, trial: Trial, *, is_old: bool) -> dict[str, str | int] | None:
    return None if is_old else {"study": old.identity, "trial": trial.number, "digest": _digest(trial)}


def _confirmed(
    old: Stored, new: Stored, plan: StudyPlan, dataset: Dataset, on: Sequence[Device], origin: Mapping[int, int]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Keep what was confirmed of trials, unless the new study has that; return of which networks, and why not."""
    from archcost.data.splits import fingerprint  # noqa: PLC0415  # loads torch

    there, have = dict(_again(old, origin)), confirmed.everything(new.study)
    missing = {name: found for name, found in there.items() if name not in have}
    if not missing:
        return (), ()
    # without tensors of its own, the split is part of the data's fingerprint
    now = fingerprint(dataset.read_test()) if dataset.tested and not dataset.loose else None
    if remembered(old.study, "test") != now or remembered(new.study, "test") not in (None, now):
        return (), ("nothing that was confirmed: it was tested on another test split",)
    if now is not None:
        remember(running(new), "test", now)
    if old.examples:  # of the search, whose data are the same
        remember(running(new), "examples", old.examples)
        remember(running(new), "kind", plan.gives.kind)
    for name, found in missing.items():
        alike = not agreement.measured_alike(found, plan.setups, on)
        confirmed.keep(running(new), name, found if alike else replace(found, samples=(), skipped=()))
    return tuple(missing), ()


def _again(old: Stored, origin: Mapping[int, int]) -> Iterator[tuple[str, confirmed.Confirmed]]:
    """Yield what was confirmed of the networks of trials, by their new names."""
    for name, found in confirmed.everything(old.study).items():
        number = _NUMBER.match(name)
        if number and int(number[0]) in origin:
            yield f"{origin[int(number[0])]}{name[number.end() :]}", found
