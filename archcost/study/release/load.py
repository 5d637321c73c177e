"""A trained network as a torch module again, from a study or from a bundle."""

from __future__ import annotations

import os
from pathlib import Path

from archcost.errors import InputError, Mistake, quoted
from archcost.models.load import load
from archcost.nets.export import bundle
from archcost.nets.net import Net, build
from archcost.nets.weights import load_alone
from archcost.study.records.source import address_named
from archcost.study.records.stored import Stored, find
from archcost.study.release.weights import source


def load_trained(study_or_bundle: str | os.PathLike[str], trial: str | int | None = None) -> Net:
    """Return a trained network in evaluation mode, ready to run on the CPU.

    study_or_bundle: the folder of a bundle, or a study's file or its storage, of which `trial` names the network: '12',
    of a column '12/2'; it may be left out if the front has one network alone. The weights are those that `archcost
    export` writes. Raises InputError if there is no such network, or its weights are not there or not its own.
    """
    given = os.fspath(study_or_bundle)
    if Path(given).is_dir():
        if trial is not None:
            raise InputError(f"{quoted(given)} is a bundle, which has one network; allowed: no trial")
        return _of_bundle(Path(given))
    stored = find(address_named(given))
    return source(stored, _only(stored) if trial is None else str(trial)).trained.net()


def _only(stored: Stored) -> str:
    names = [each.name for each in stored.front().members]
    if len(names) == 1:
        return names[0]
    there = ", ".join(names[:20]) or "none yet"
    raise InputError(Mistake(f"missing: the trial of {quoted(stored.name)}; on the front there are: {there}"))


def _of_bundle(folder: Path) -> Net:
    if not bundle.is_bundle(folder):
        raise InputError(f"{quoted(str(folder))} is no bundle; allowed: a folder that 'archcost export --bundle' wrote")
    model = load(folder / bundle.NETWORK)
    net = build(model.graph, model.recipe)
    load_alone(net, folder / bundle.WEIGHTS)
    return net.eval()
