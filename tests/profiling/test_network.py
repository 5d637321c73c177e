"""One protocol: a family's network and a module that code made go through the same functions after they are counted."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable

import pytest
import torch
from rooms import sources
from torch import nn

import archcost
from archcost.cli.formats import printed
from archcost.cli.options import FORMATS, Shown
from archcost.nets.net import build, example
from archcost.profiling.compare import compare
from archcost.profiling.network import Counted
from archcost.profiling.result import Profile

TYPES: dict[str, type | tuple[type, ...]] = {
    "name": str,
    "family": str,
    "input": object,
    "steps": (int, type(None)),
    "digest": str,
    "cost": archcost.Cost,
    "graph": (archcost.Graph, type(None)),
    "yaml": (str, type(None)),
    "uncounted": tuple,
    "coverage": float,
    "weights": object,
}


def of_family() -> Profile:
    return archcost.profile("fractalnet-ultra-2", latency=False)


def of_module() -> Profile:
    model = archcost.load("fractalnet-ultra-2")
    return archcost.profile(build(model.graph), example(model.graph), latency=False)


BOTH: dict[str, Callable[[], Profile]] = {"family": of_family, "module": of_module}


@pytest.mark.parametrize("kind", BOTH)
def test_both_have_all_that_the_protocol_asks_for(kind: str) -> None:
    """Each name of the protocol is there, of its type; no more is asked after counting."""
    asked = {name for name in vars(Counted) if not name.startswith("_")}
    network = BOTH[kind]().model
    assert asked == TYPES.keys()
    assert [] == [name for name, types in TYPES.items() if not isinstance(getattr(network, name), types)]


def test_kinds_are_told_apart_at_the_border_alone() -> None:
    """Only what reads a source that a user gave asks which kind it is."""
    kinds = {"Model", "Module", "Reference", "Given", "nn.Module"}
    asking = {
        f"{name}.{function.name}"
        for name, tree in sources().items()
        if name.startswith(("profiling.", "report.", "cli."))
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for call in ast.walk(function)
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "isinstance"
        if kinds & set(ast.unparse(call.args[1]).split(" | "))
    }
    given = {f"profiling.sources.{name}" for name in ("named", "takes_inputs", "_reference")}
    border = {*given, "profiling.profile.counted", "profiling.modules.given"}
    of_studies = {"cli.export._export_trial", "cli.study.warm_start.enqueued"}
    apart = {"profiling.prediction.predict._operators", "profiling.suggest.suggestions.suggested"}
    others = {*of_studies, *apart, "cli.suggest.command.suggest"}
    assert {*border, *others, "cli.models.aside", "cli.models.read_model", "cli.export.export"} == asking


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("kind", BOTH)
def test_both_are_printed_and_compared(kind: str, form: str) -> None:
    """Every form takes either, and so does a comparison, in any order."""
    found = BOTH[kind]()
    assert printed(found, Shown(form), colour=False)
    assert {"name", "graph"} <= {*compare([found, found]).to_dict()["models"][0]}  # type: ignore[index]  # a list


def test_both_count_the_same_network_alike() -> None:
    """What one network costs is the same through either door; what only one has is null for the other."""
    family, module = of_family(), of_module()
    for name in ("params", "macs", "elementwise", "flops", "agree", "uncounted", "coverage"):
        assert getattr(family, name) == getattr(module, name), name
    a, b = family.to_dict(), module.to_dict()
    assert a.keys() == b.keys()
    assert a["model"].keys() == b["model"].keys()  # type: ignore[attr-defined]  # mappings
    assert (True, False) == (a["parameters"] is None, b["parameters"] is None)
    assert (False, True) == (a["yaml"] is None, b["yaml"] is None)
    assert (False, True) == tuple(whole["model"]["graph"] is None for whole in (a, b))  # type: ignore[index]  # the same
    assert (2, 0) == (len(family.columns), len(module.columns))


def test_the_witness_of_both_has_one_shape() -> None:
    """Engines, differences and verdict are one value of one type; JSON says of a module also why one failed."""
    family, module = of_family().witness, of_module().witness
    assert family is not None
    assert type(family) is type(module)
    assert ((), True) == (family.differences, family.agree)
    counts = {"params": 847716, "macs": 19182080, "unsupported": {}}
    assert {"fvcore": counts, "torch": {"macs": 19182080}} == family.to_dict()
    assert module is not None
    assert {"fvcore": {**counts, "why": ""}, "torch": {"macs": 19182080, "why": ""}} == module.to_dict()


def test_without_witnesses_nothing_agrees_or_differs() -> None:
    """None, not False: nobody looked."""
    found = archcost.profile(nn.Linear(3, 2), torch.ones(1, 3), latency=False, witness=False)
    assert (None, None, ()) == (found.witness, found.agree, found.differences)
    assert json.loads(json.dumps(found.to_dict()))["witnesses"] is None
