"""A trained network as a torch module again, from a study or from a bundle."""

from __future__ import annotations

import json
import os
from pathlib import Path

from torch import nn

from archcost.errors import InputError, Mistake, quoted
from archcost.graph.dtypes import INT8
from archcost.models.load import Model, Reference, read
from archcost.nets.export import bundle
from archcost.nets.net import build
from archcost.nets.weights import load_alone
from archcost.study.code import digests
from archcost.study.code.consent import Consent
from archcost.study.records.source import address_named, is_storage
from archcost.study.records.stored import Stored, find, member, network
from archcost.study.release.again import again
from archcost.study.release.weights import Offered, source
from archcost.study.workers import isolation


def load_trained(
    study_or_bundle: str | os.PathLike[str],
    trial: str | int | None = None,
    *,
    allow_code: bool = False,
    code_changed: bool = False,
) -> nn.Module:
    """Return a trained network in evaluation mode, ready to run on the CPU.

    study_or_bundle: the folder of a bundle, or a study's file, its URL or its storage, of which `trial` names the
    network: '12', of a column '12/2'; it may be left out if the front has one network alone. In another way to run,
    '12@onnxruntime', it is the same module; in 8 bits it is a file and no module, and is refused. The weights are those
    that `archcost export` writes. A network that code makes needs `allow_code`; the code is looked for in the study's
    folder, of a bundle in the current one, and refused if it has changed since the study ran, unless `code_changed` is
    given. Raises InputError if there is no such network, or its weights are not there or not its own.
    """
    consent = Consent(allow_code, code_changed)
    given = os.fspath(study_or_bundle)
    if Path(given).is_dir():
        if trial is not None:
            raise InputError(f"{quoted(given)} is a bundle, which has one network; allowed: no trial")
        return _of_bundle(Path(given), consent)
    stored = find(address_named(given))
    name = _only(stored) if trial is None else str(trial)
    found = member(stored, name)
    if found.way.quantised:
        words = "runs in 8 bits, as an ONNX file that 'archcost export' writes, and is no torch module"
        raise InputError(Mistake(f"{quoted(name)} {words}; allowed: {quoted(found.network)}, in float32"))
    is_code = isinstance(network(found), Reference)
    offered = again(given, stored, consent).offered if is_code and allow_code and not is_storage(given) else None
    return source(stored, name, offered).trained.net()


def _only(stored: Stored) -> str:
    names = [each.name for each in stored.front().members]
    if len(names) == 1:
        return names[0]
    there = ", ".join(names[:20]) or "none yet"
    raise InputError(Mistake(f"missing: the trial of {quoted(stored.name)}; on the front there are: {there}"))


def _of_bundle(folder: Path, consent: Consent) -> nn.Module:
    if not bundle.is_bundle(folder):
        raise InputError(f"{quoted(str(folder))} is no bundle; allowed: a folder that 'archcost export --bundle' wrote")
    way = json.loads((folder / bundle.FACTS).read_text("utf-8")).get("way")
    if isinstance(way, dict) and way.get("dtype") == INT8:
        words = f"holds a network of 8 bits, which is no torch module; {bundle.WEIGHTS} has the weights before that"
        raise InputError(f"{quoted(str(folder))} {words}; allowed: a bundle of the same network in float32")
    net = _untrained(folder, consent)
    load_alone(net, folder / bundle.WEIGHTS)
    return net.eval()


def _untrained(folder: Path, consent: Consent) -> nn.Module:
    """Return the network of a bundle without its weights."""
    model: Model | Reference = read(folder / bundle.NETWORK, allow_code=consent.allow_code)
    if isinstance(model, Model):
        return build(model.graph, model.recipe)
    facts = json.loads((folder / bundle.FACTS).read_text("utf-8"))
    offers, before = (held if isinstance(held, dict) else {} for held in (facts.get("offers"), facts.get("code")))
    found = Offered(Path.cwd(), int(offers.get("classes", 0)), offers.get("input")).made(model)
    if not consent.code_changed:
        digests.refuse_other_network(before, isolation.imported(Path.cwd()))
    return found
