"""The parts of a trial: its network, and the columns that one training gives besides."""

from __future__ import annotations

from archcost.graph import codec
from archcost.graph import columns as graph_columns
from archcost.graph.cost import count
from archcost.graph.dtypes import BYTES
from archcost.graph.graph import Graph
from archcost.models.load import Model
from archcost.study.drawn import Drawn
from archcost.study.plan import StudyPlan
from archcost.study.records.trials import Part
from archcost.study.workers.messages import Counted


def columns(model: Drawn) -> tuple[int, ...]:
    """Return the columns that one training gives besides the whole network: those that also train alone."""
    if not isinstance(model, Model):
        return ()
    found = graph_columns.columns(model.graph)
    return found if len(found) > 1 and model.recipe.drop_global > 0 else ()


def counted(plan: StudyPlan, model: Model) -> Counted:
    """Return what a network of a family costs, at the batch and dtype at which the study counts."""
    weights = count(model.graph).weights_bytes(BYTES[plan.dtype])
    return Counted(model.digest, model.cost.params, model.cost.macs, plan.memory_bytes(model.graph), weights)


def part_of(counted: Counted) -> Part:
    """Return a network that code made, without results."""
    return Part(
        *(0, counted.digest, counted.params, counted.macs, counted.memory_bytes), weights_bytes=counted.weights_bytes
    )


def parts(plan: StudyPlan, model: Model) -> list[Part]:
    """Return the network, column 0, and its columns, counted and without results."""
    alone = [(column, graph_columns.only(model.graph, [column])) for column in columns(model)]
    return [_part(plan, number, graph) for number, graph in ((0, model.graph), *alone)]


def _part(plan: StudyPlan, column: int, graph: Graph) -> Part:
    cost = count(graph)
    weights_bytes = cost.weights_bytes(BYTES[plan.dtype])
    return Part(
        *(column, codec.digest(graph), cost.params, cost.macs, plan.memory_bytes(graph)), weights_bytes=weights_bytes
    )
