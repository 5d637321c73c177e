"""The weights a network leaves a study with: a confirmed seed's, else its trial's own."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from archcost.config.document import Value
from archcost.errors import InputError, Mistake, quoted, visible
from archcost.models.load import Model, Reference
from archcost.nets import copies, factory
from archcost.nets.restore import settings
from archcost.nets.weights import Mark, Trained, TrainedCode
from archcost.study.objectives import first_learnt, quantity_of
from archcost.study.records import confirmed, weights_folder
from archcost.study.records.confirmed import SEARCHED, Confirmed, Extent
from archcost.study.records.front import Candidate
from archcost.study.records.mirror import mirror
from archcost.study.records.stored import Stored, member, network
from archcost.study.records.trials import remembered
from archcost.study.release import seeds
from archcost.training.score import Score
from archcost.units import counted_words


@dataclass(frozen=True, slots=True)
class Offered:
    """What code that makes a network gets, by consent: the folder it is looked for in, and what the data give."""

    folder: Path
    classes: int
    input: Value

    def made(self, reference: Reference) -> nn.Module:
        """Return the module; raises InputError if its code fails."""
        offers = {"classes": self.classes, "input": self.input}
        with settings():
            return copies.unwrapped(factory.made(reference.spec, seed=0, folder=self.folder, offers=offers))


@dataclass(frozen=True, slots=True)
class Source:
    """A network of a study with weights.

    model: as it is named; seed: that of confirmed weights, None of those that its trial ended with; metric: by which it
    was chosen; validation, test: what these weights had when they were trained, None if that is not known.
    """

    network: Candidate
    model: Model | Reference
    trained: Trained | TrainedCode
    seed: int | None
    metric: str
    validation: Score | None
    test: Score | None = None

    @property
    def extent(self) -> Extent:
        """How long these weights were trained."""
        confirmed = self.network.confirmed
        return SEARCHED if self.seed is None or confirmed is None else confirmed.extent


@dataclass(frozen=True, slots=True)
class _Kept:
    """A file of weights; absent: why it may not be there, and what there is instead; mark: None of an early version."""

    file: Path
    words: str
    mark: Mark | None
    absent: str


def source(stored: Stored, name: str, offered: Offered | None = None) -> Source:
    """Return a network with the weights it was confirmed with, of several seeds the median's, else with its trial's.

    offered: to code that makes the network, None without consent. Raises InputError for a name that is none, and if the
    weights folder is another study's. That the file is there is for `net` to see.
    """
    _fetched(stored, name)
    file_of = weights_folder.files(stored)
    found = member(stored, name, [each.number for each in stored.trials() if file_of(each)[0].is_file()])
    folder = weights_folder.folder_of(stored.address, stored.name, stored.identity)
    noted = [seed for seed in confirmed.files(stored.study, found.network) if found.confirmed]
    among = seeds.there(stored.study, folder, found) or tuple(noted)
    seed = confirmed.median_seed(found.confirmed, stored.objectives, among) if found.confirmed and among else None
    model, metric = network(found), quantity_of(first_learnt(stored.objectives) or "error").name
    if found.confirmed is None or seed is None:
        kept = _of_trial(stored, found)
        return Source(found, model, _trained(found, kept, offered), None, metric, found.part.score)
    # of code, the digest is also of the weights that a seed begins with
    digest = {"digest": model.digest} if isinstance(model, Model) else {}
    mark: Mark = {**seeds.mark_of(stored.identity, found, seed), **digest}
    file = weights_folder.seed_file(folder, found.trial.number, found.part.column, seed)
    words = f"of {found.network} of {visible(stored.name)}, {_seed_words(stored, found.confirmed, seed)}"
    kept = _Kept(file, words, mark, f"moved, or removed from {quoted(folder.name)}, since it was confirmed")
    alone = replace(found, part=replace(found.part, column=0))
    trained = _trained(alone, kept, offered) if not isinstance(model, Model) else _of_family(model, kept)
    place = found.confirmed.seeds.index(seed)
    tests = found.confirmed.tests
    test = tests[place] if place < len(tests) else None
    return Source(found, model, trained, seed, metric, found.confirmed.scores[place], test)


def _fetched(stored: Stored, name: str) -> None:
    """Copy the weights of a network from the study's second place, if it has one and they are not here."""
    given = remembered(stored.study, "weights")
    if given is None:
        return
    folder = weights_folder.prepared(stored)
    second = mirror(str(given), folder, stored.name, stored.identity)
    number = name.partition("@")[0].partition("/")[0]
    for file in second.names() if second is not None else ():
        if re.fullmatch(rf"{re.escape(number)}(-[0-9]+)?(\.seed[0-9]+)?\.pt", file) and second is not None:
            second.fetch(folder / file)


def _of_family(model: Model, kept: _Kept) -> Trained:
    return Trained(model, model, 0, kept.file, kept.words, kept.mark, kept.absent)


def _trained(found: Candidate, kept: _Kept, offered: Offered | None) -> Trained | TrainedCode:
    """Return weights of a trial: of a column those of the whole network. Raises InputError for code without consent."""
    model, whole = network(found), network(replace(found, part=replace(found.part, column=0)))
    if isinstance(model, Model) and isinstance(whole, Model):
        return Trained(model, whole, found.part.column, kept.file, kept.words, kept.mark, kept.absent)
    assert isinstance(model, Reference)
    if offered is None:
        words = "is code, which runs only with the study's file and --allow-code (Python: allow_code=True)"
        raise InputError(Mistake(f"{quoted(model.spec.factory)} {words}"))
    assert kept.mark is not None  # archcost 0.1.0 had no such networks
    reference = model
    return TrainedCode(reference, lambda: offered.made(reference), kept.file, kept.words, kept.mark, kept.absent)


def _seed_words(stored: Stored, found: Confirmed, seed: int) -> str:
    count = len(found.seeds)
    if count == 1:
        return f"confirmed: seed {seed}"
    median = confirmed.median_seed(found, stored.objectives, found.seeds)
    middle = "the worse" if count == 2 else "the median"
    which = middle if seed == median else f"the nearest that is kept to {middle}"
    return f"confirmed: seed {seed}, {which} of {counted_words(count, 'seed')} by validation"


def _of_trial(stored: Stored, found: Candidate) -> _Kept:
    file_of = weights_folder.files(stored)
    there = ", ".join(str(each.number) for each in stored.trials() if file_of(each)[0].is_file()) or "none"
    whole = network(replace(found, part=replace(found.part, column=0)))
    words = f"of trial {found.trial.number} of {visible(stored.name)}"
    if found.part.column:
        words += f", column {found.part.column}, shared with the others"
    why = "their seeds' were not kept" if found.confirmed and found.confirmed.seeds else "the network was not confirmed"
    file, old = file_of(found.trial)
    digest = whole.digest if isinstance(whole, Model) else found.part.digest
    mark: Mark = {"study": stored.identity, "trial": found.trial.number, "digest": digest}
    absent = f"kept are those of trials on the front; allowed: {there}"
    return _Kept(file, f"{words}; {why}", None if old else mark, absent)
