"""The weights of confirmed seeds, carried over with the trials that they are of."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from archcost.errors import InputError
from archcost.study.records import confirmed, weights_folder
from archcost.study.records.front import Candidate, named
from archcost.study.records.stored import Stored, running
from archcost.study.records.weights_folder import seed_file
from archcost.study.release import seeds


def carry_over(old: Stored, new: Stored, origin: Mapping[int, int], names: Collection[str]) -> Iterator[str]:
    """Copy the weights of the seeds of networks, by their new names, marked as the new study's; yield what is missing.

    Those that are there already stay as they are.
    """
    for each in old.candidates():
        number = origin.get(each.trial.number)
        if number is None or each.confirmed is None:
            continue
        there = replace(each, trial=replace(each.trial, number=number))
        if (name := named(there.trial, there.part)) in names:
            yield from _copied(old, new, each, there, name)


def _copied(old: Stored, new: Stored, each: Candidate, there: Candidate, name: str) -> Iterator[str]:
    from archcost.nets.weights import marked, remark  # noqa: PLC0415  # loads torch

    sources = weights_folder.folder_of(old.address, old.name, old.identity)
    folder, study = weights_folder.prepared(new), running(new)
    for seed in seeds.there(old.study, sources, each):
        source = seed_file(sources, each.trial.number, each.part.column, seed)
        target = seed_file(folder, there.trial.number, there.part.column, seed)
        mark = seeds.mark_of(new.identity, there, seed)
        if not marked(source, seeds.mark_of(old.identity, each, seed)) or target.exists():
            continue
        confirmed.keep_files(study, name, {*confirmed.files(study, name), seed})  # noted before it is written
        try:
            remark(source, target, None, {**mark, "digest": seeds.digest_of(each)})
        except InputError as error:
            yield f"no weights of {name} with seed {seed}: {error.mistakes[0].message}"
