"""The weights of confirmed seeds: where they are written, and which of them are kept."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias

import optuna

from archcost.errors import InputError, Mistake, quoted
from archcost.models.load import Model
from archcost.nets.weights import Mark, marked
from archcost.study.records import confirmed
from archcost.study.records.front import Candidate, Front, Objectives
from archcost.study.records.stored import network
from archcost.study.records.trials import Recorded, remembered
from archcost.study.records.weights_folder import seed_file
from archcost.study.workers.tasks import Train

Keep: TypeAlias = Literal["median", "all"]


def mark_of(identity: str, each: Candidate, seed: int) -> Mark:
    """Return what the file of a confirmed seed says of itself; the digest of its graph comes on top."""
    return {"study": identity, "trial": each.trial.number, "column": each.part.column, "seed": seed}


def kept(study: optuna.Study, folder: Path, each: Candidate, seed: int, job: Train) -> Train:
    """Return the job of training a network with a seed so that it keeps the weights; the study notes that before.

    Raises InputError if there is a file in the place that this study has not written.
    """
    mark = mark_of(str(remembered(study, "identity") or ""), each, seed)
    file = seed_file(folder, each.trial.number, each.part.column, seed)
    if file.exists() and not (seed in confirmed.files(study, each.network) and marked(file, mark)):
        place = quoted(f"{folder.name}/{file.name}")
        what = f"{place} is in the place of the weights of {each.network} with seed {seed}, and not of this study"
        raise InputError(Mistake(f"{what}; allowed: move it, then run again to go on"))
    confirmed.keep_files(study, each.network, {*confirmed.files(study, each.network), seed})
    return replace(job, weights=str(file), mark={**mark, "digest": digest_of(each)})


def digest_of(each: Candidate) -> str:
    """Return the digest that marks a network's weights: of its graph, or of what code has made in its trial."""
    model = network(each)
    return model.digest if isinstance(model, Model) else each.part.digest


def there(study: Recorded, folder: Path, each: Candidate) -> tuple[int, ...]:
    """Return the seeds with which a network was confirmed and whose weights are in a file."""
    scored = each.confirmed.seeds if each.confirmed else ()
    noted = (seed for seed in confirmed.files(study, each.network) if seed in scored)
    return tuple(s for s in noted if seed_file(folder, each.trial.number, each.part.column, s).is_file())


def settle(study: optuna.Study, folder: Path, front: Front, objectives: Objectives, keep: tuple[Keep, int]) -> None:
    """Remove the weights of seeds that are not to be kept: of networks off the front, and all but the median's.

    keep: which, and how many seeds there shall be: as long as one is missing, nothing is decided. Only files are
    removed that the study says it has written, and that say so themselves.
    """
    which, seeds = keep
    members: dict[str, list[Candidate]] = {}
    for each in front.members:
        members.setdefault(each.network, []).append(each)
    for name, ways in members.items():
        found = confirmed.confirmed(study, name)
        if found and which == "median" and not found.missing(seeds):
            # in each way another seed may be the median
            middles = {confirmed.median_seed(each.confirmed, objectives, there(study, folder, each))
                       for each in ways if each.confirmed}  # fmt: skip
            _remove(study, folder, ways[0], middles - {None})
    for each in front.others:
        if each.network not in members:
            _remove(study, folder, each, ())


def _remove(study: optuna.Study, folder: Path, each: Candidate, kept: Collection[int | None]) -> None:
    """Remove the files of a network's seeds but for those that are kept, and note which are left."""
    noted = confirmed.files(study, each.network)
    for seed in [seed for seed in noted if seed not in kept]:
        file = seed_file(folder, each.trial.number, each.part.column, seed)
        mark = mark_of(str(remembered(study, "identity") or ""), each, seed)
        if file.is_file() and marked(file, mark):
            file.unlink(missing_ok=True)
    if not set(noted) <= set(kept):
        confirmed.keep_files(study, each.network, set(noted) & set(kept))
