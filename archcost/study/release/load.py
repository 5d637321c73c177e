"""A trained network as a torch module again, from a study or from a bundle."""

from __future__ import annotations

import json
import os
from pathlib import Path

from torch import nn

from archcost.errors import InputError, Mistake, quoted
from archcost.models.load import Model, Reference, read
from archcost.nets.export import bundle
from archcost.nets.net import build
from archcost.nets.weights import load_alone
from archcost.study.records.source import address_named, is_storage
from archcost.study.records.stored import Stored, find, member, network
from archcost.study.release.again import again
from archcost.study.release.weights import Offered, source


def load_trained(
    study_or_bundle: str | os.PathLike[str], trial: str | int | None = None, *, allow_code: bool = False
) -> nn.Module:
    """Return a trained network in evaluation mode, ready to run on the CPU.

    study_or_bundle: the folder of a bundle, or a study's file or its storage, of which `trial` names the network: '12',
    of a column '12/2'; it may be left out if the front has one network alone. The weights are those that `archcost
    export` writes. A network that code makes needs `allow_code`; the code is looked for in the study's folder, of a
    bundle in the current one. Raises InputError if there is no such network, or its weights are not there or not its
    own.
    """
    given = os.fspath(study_or_bundle)
    if Path(given).is_dir():
        if trial is not None:
            raise InputError(f"{quoted(given)} is a bundle, which has one network; allowed: no trial")
        return _of_bundle(Path(given), allow_code=allow_code)
    stored = find(address_named(given))
    name = _only(stored) if trial is None else str(trial)
    is_code = isinstance(network(member(stored, name)), Reference)
    offered = again(given, allow_code=True).offered if is_code and allow_code and not is_storage(given) else None
    return source(stored, name, offered).trained.net()


def _only(stored: Stored) -> str:
    names = [each.name for each in stored.front().members]
    if len(names) == 1:
        return names[0]
    there = ", ".join(names[:20]) or "none yet"
    raise InputError(Mistake(f"missing: the trial of {quoted(stored.name)}; on the front there are: {there}"))


def _of_bundle(folder: Path, *, allow_code: bool) -> nn.Module:
    if not bundle.is_bundle(folder):
        raise InputError(f"{quoted(str(folder))} is no bundle; allowed: a folder that 'archcost export --bundle' wrote")
    net = _untrained(folder, allow_code=allow_code)
    load_alone(net, folder / bundle.WEIGHTS)
    return net.eval()


def _untrained(folder: Path, *, allow_code: bool) -> nn.Module:
    """Return the network of a bundle without its weights."""
    model: Model | Reference = read(folder / bundle.NETWORK, allow_code=allow_code)
    if isinstance(model, Model):
        return build(model.graph, model.recipe)
    offers = json.loads((folder / bundle.FACTS).read_text("utf-8")).get("offers")
    offers = offers if isinstance(offers, dict) else {}
    return Offered(Path.cwd(), int(offers.get("classes", 0)), offers.get("input")).made(model)
