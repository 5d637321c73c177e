"""The network of a job, made in the process that does it: of a graph, or by code of the user's own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from archcost.counting import module as counting
from archcost.errors import ArchcostError
from archcost.graph import codec
from archcost.graph.columns import only
from archcost.graph.graph import Graph
from archcost.graph.recipe import Recipe
from archcost.latency.runtimes import Source
from archcost.latency.samples import Plan
from archcost.machine import available_memory_bytes
from archcost.models.code import Foreign
from archcost.nets import copies, factory, identity
from archcost.nets.call import Call
from archcost.nets.net import build, example
from archcost.study.workers.messages import Code, Counted, Network, OfCode, OfGraph


def foreign(network: OfCode) -> Foreign:
    """Return what code a network is made by."""
    return Foreign.model_validate_json(json.dumps(network.spec))


def made(network: Network, code: Code | None, seed: int) -> nn.Module:
    """Return a network as it is trained, its weights drawn from a seed; raises InputError if its code fails."""
    if isinstance(network, OfGraph):
        recipe = Recipe(network.init, network.drop_local, network.drop_global)  # type: ignore[arg-type]  # one that a Recipe held
        return build(codec.decode(network.graph), recipe, seed=seed)
    assert code is not None  # what a factory is named by is run with consent alone
    offers = {"classes": network.classes, "input": network.input}
    return copies.unwrapped(factory.made(foreign(network), seed=seed, folder=Path(code.folder), offers=offers))


@dataclass(frozen=True)
class Measurable:
    """A network as it is measured: of a graph also those of its columns, with weights of their own."""

    network: Network
    code: Code | None
    graph: Graph | None

    def source(self, plan: Plan, seed: int = 0) -> Source:
        """Return the call of a plan's batch; raises InputError if code fails or takes no such input."""
        if self.graph is not None:
            return Source(build(self.graph), (example(self.graph, plan.batch),), graph=self.graph)
        assert isinstance(self.network, OfCode)
        module = made(self.network, self.code, seed)
        call = _call(module, foreign(self.network), plan.batch)
        return Source(module, call.args, call.kwargs, cast=plan.dtype != counting.own_dtype(call))


def measurable(network: Network, code: Code | None, columns: tuple[int, ...] = ()) -> list[Measurable]:
    """Return a network as it is measured, and each of its columns."""
    if isinstance(network, OfCode):
        return [Measurable(network, code, None)]
    graph = codec.decode(network.graph)
    return [Measurable(network, code, each) for each in (graph, *(only(graph, [column]) for column in columns))]


def _call(module: nn.Module, spec: Foreign, batch: int) -> Call:
    return Call(module, *factory.arguments(spec, batch, available_bytes=available_memory_bytes()))


def count(network: OfCode, code: Code, memory: tuple[int, str], seed: int, place: int = 0) -> Counted:
    """Return what a network that code makes costs, and what it is; raises InputError with the code's own error."""
    spec, module = foreign(network), made(network, code, seed)
    call = _call(module, spec, 1)
    try:
        found = counting.counted(
            spec.factory, lambda batch: _call(module, spec, batch), [memory], counting.own_dtype(call)
        )
    except ArchcostError:
        raise
    except Exception as error:
        raise factory.own_error(f"{spec.factory} cannot run on the data's inputs", error) from error
    (account,) = found.accounts
    what = identity.digest(call, [list(row) for row in found.cost.rows], spec.args)
    return Counted(what, found.cost.params, found.cost.macs, account.peak_bytes, account.weights_bytes,
                   found.notes, place)  # fmt: skip
