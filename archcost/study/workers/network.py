"""The network of a job, made in its process: of a graph, or by code of the user's own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from archcost.counting import module as counting
from archcost.errors import ArchcostError
from archcost.graph import codec
from archcost.graph.columns import columns, only
from archcost.graph.graph import Graph
from archcost.graph.recipe import Recipe
from archcost.latency.runtimes import Source
from archcost.latency.samples import Plan
from archcost.latency.targets.cpu import threads
from archcost.machine import available_memory_bytes
from archcost.models.code import Foreign
from archcost.nets import copies, factory, identity
from archcost.nets.call import Call
from archcost.nets.net import build, example
from archcost.nets.restore import settings
from archcost.study.workers.messages import Counted
from archcost.study.workers.tasks import Code, Network, OfCode, OfGraph


@dataclass(frozen=True)
class Blueprint:
    """What a network is made from: its graph, decoded once, or its code, which runs whenever one is made."""

    network: Network
    code: Code | None
    graph: Graph | None

    @property
    def columns(self) -> tuple[int, ...]:
        """The columns of a fractal network, () of others."""
        return columns(self.graph) if self.graph is not None else ()

    def made(self, seed: int) -> nn.Module:
        """Return a network as it is trained, its weights drawn from a seed; raises InputError if its code fails."""
        match self.network:
            case OfGraph() as of:
                assert self.graph is not None
                recipe = Recipe(of.init, of.drop_local, of.drop_global)  # type: ignore[arg-type]  # one that a Recipe held
                return build(self.graph, recipe, seed=seed)
            case OfCode() as of:
                assert self.code is not None  # what a factory is named by is run with consent alone
                offers, folder = {"classes": of.classes, "input": of.input}, Path(self.code.folder)
                with settings():  # of torch: those of the process are not the code's to change
                    return copies.unwrapped(factory.made(foreign(of), seed=seed, folder=folder, offers=offers))

    def measurable(self, columns: tuple[int, ...] = ()) -> list[Measurable]:
        """Return the network as it is measured, and each of its columns."""
        if self.graph is None:
            return [Measurable(self, None)]
        return [Measurable(self, each) for each in (self.graph, *(only(self.graph, [column]) for column in columns))]


def blueprint(network: Network, code: Code | None) -> Blueprint:
    """Return what a job's network is made from."""
    return Blueprint(network, code, codec.decode(network.graph) if isinstance(network, OfGraph) else None)


@dataclass(frozen=True)
class Measurable:
    """A network as it is measured, with weights of its own.

    graph: None of what code makes; float_layers: those that stay in float32 at int8, None if measuring is to find them.
    """

    of: Blueprint
    graph: Graph | None
    float_layers: frozenset[str] | None = None

    def source(self, plan: Plan) -> Source:
        """Return the call of a plan's batch; raises InputError if code fails or takes no such input."""
        return replace(self._source(plan), float_layers=self.float_layers)

    def _source(self, plan: Plan) -> Source:
        if self.graph is not None:
            return Source(build(self.graph), (example(self.graph, plan.batch),), graph=self.graph)
        assert isinstance(self.of.network, OfCode)
        module = self.of.made(0)
        call = _call(module, foreign(self.of.network), plan.batch)
        return Source(module, call.args, call.kwargs, cast=plan.dtype != counting.own_dtype(call))


def with_layers(networks: Sequence[Measurable], layers: Sequence[Sequence[str] | None]) -> list[Measurable]:
    """Return networks whose layers in float32 at int8 are known; layers: of each, () if of none they are."""
    known = [None if each is None else frozenset(each) for each in layers] or [None] * len(networks)
    return [replace(each, float_layers=one) for each, one in zip(networks, known, strict=True)]


def foreign(network: OfCode) -> Foreign:
    """Return what code a network is made by."""
    return Foreign.model_validate_json(json.dumps(network.spec))


def _call(module: nn.Module, spec: Foreign, batch: int) -> Call:
    return Call(module, *factory.arguments(spec, batch, available_bytes=available_memory_bytes()))


def count(network: OfCode, code: Code, memory: Sequence[tuple[int, str]], seed: int, place: int = 0) -> Counted:
    """Return what a network that code makes costs, and what it is; raises InputError with the code's own error."""
    with threads(1):  # of so small a work; on a busy machine several would wait for each other
        return _counted(network, code, memory, seed, place)


def _counted(network: OfCode, code: Code, memory: Sequence[tuple[int, str]], seed: int, place: int) -> Counted:
    spec, module = foreign(network), blueprint(network, code).made(seed)
    call = _call(module, spec, 1)
    try:
        found = counting.counted(
            spec.factory, lambda batch: _call(module, spec, batch), memory, counting.own_dtype(call)
        )
    except ArchcostError:
        raise
    except Exception as error:
        raise factory.own_error(f"{spec.factory} cannot run on the data's inputs", error) from error
    (first, *others) = ((each.peak_bytes, each.weights_bytes) for each in found.accounts)
    what = identity.digest(call, [list(row) for row in found.cost.rows], spec.args)
    return Counted(what, found.cost.params, found.cost.macs, *first, found.notes, place, tuple(others))
