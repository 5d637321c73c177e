"""The weights a network leaves a study with: a confirmed seed's, else its trial's own."""

from __future__ import annotations

from dataclasses import dataclass, replace

from archcost.errors import InputError, Mistake, quoted, visible
from archcost.models.load import Model
from archcost.nets.weights import Mark, Trained
from archcost.study.records import confirmed, weights_folder
from archcost.study.records.confirmed import Confirmed
from archcost.study.records.front import Candidate
from archcost.study.records.stored import Stored, member, network
from archcost.study.release import seeds
from archcost.training.score import Score
from archcost.units import counted_words


@dataclass(frozen=True, slots=True)
class Source:
    """A network of a study with weights.

    seed: that of confirmed ones, None of those that its trial ended with; validation, test: what these weights had
    when they were trained, None if that is not known.
    """

    network: Candidate
    trained: Trained
    seed: int | None
    validation: Score | None
    test: Score | None = None


def source(stored: Stored, name: str) -> Source:
    """Return a network with the weights it was confirmed with, of several seeds the median's, else with its trial's.

    Raises InputError for a name that is none, and if the weights folder is another study's. That the file is there is
    for `Trained.net` to see.
    """
    file_of = weights_folder.files(stored)
    found = member(stored, name, [each.number for each in stored.trials() if file_of(each)[0].is_file()])
    folder = weights_folder.folder_of(stored.address, stored.name, stored.identity)
    noted = [seed for seed in confirmed.files(stored.study, found.name) if found.confirmed]
    among = seeds.there(stored.study, folder, found) or tuple(noted)
    seed = confirmed.median_seed(found.confirmed, stored.objectives, among) if found.confirmed and among else None
    if found.confirmed is None or seed is None:
        return _of_trial(stored, found)
    place = found.confirmed.seeds.index(seed)
    model = _of_family(found)
    mark: Mark = {**seeds.mark_of(stored.identity, found, seed), "digest": model.digest}
    file = weights_folder.seed_file(folder, found.trial.number, found.part.column, seed)
    words = f"of {found.name} of {visible(stored.name)}, {_seed_words(stored, found.confirmed, seed)}"
    absent = f"moved, or removed from {quoted(folder.name)}, since it was confirmed"
    trained = Trained(model, model, 0, file, words, mark, absent)
    return Source(found, trained, seed, *_recorded(found.confirmed, place))


def _recorded(found: Confirmed, place: int) -> tuple[Score, Score | None]:
    """Return what a seed had on validation, and on test split if there is one."""
    return found.scores[place], found.tests[place] if place < len(found.tests) else None


def _of_family(found: Candidate) -> Model:
    """Return the network of a candidate; raises InputError if code makes it."""
    model = network(found)
    if not isinstance(model, Model):
        raise InputError(Mistake(f"trial {quoted(found.name)} is made by code; its weights are not exported yet"))
    return model


def _seed_words(stored: Stored, found: Confirmed, seed: int) -> str:
    count = len(found.seeds)
    if count == 1:
        return f"confirmed: seed {seed}"
    median = confirmed.median_seed(found, stored.objectives, found.seeds)
    middle = "the worse" if count == 2 else "the median"
    which = middle if seed == median else f"the nearest that is kept to {middle}"
    return f"confirmed: seed {seed}, {which} of {counted_words(count, 'seed')} by validation"


def _of_trial(stored: Stored, found: Candidate) -> Source:
    file_of = weights_folder.files(stored)
    there = ", ".join(str(each.number) for each in stored.trials() if file_of(each)[0].is_file()) or "none"
    whole = _of_family(replace(found, part=replace(found.part, column=0)))
    words = f"of trial {found.trial.number} of {visible(stored.name)}"
    if found.part.column:
        words += f", column {found.part.column}, shared with the others"
    why = "their seeds' were not kept" if found.confirmed and found.confirmed.seeds else "the network was not confirmed"
    file, old = file_of(found.trial)
    mark: Mark = {"study": stored.identity, "trial": found.trial.number, "digest": whole.digest}
    absent = f"kept are those of trials on the front; allowed: {there}"
    column, said = found.part.column, f"{words}; {why}"
    trained = Trained(_of_family(found), whole, column, file, said, None if old else mark, absent)
    return Source(found, trained, None, found.part.score)
