"""The parts of a trial: its network, and the columns that one training gives besides."""

from __future__ import annotations

from archcost.graph import codec
from archcost.graph import columns as graph_columns
from archcost.graph.cost import count
from archcost.graph.dtypes import BYTES, INT8, unquantised
from archcost.graph.graph import Graph
from archcost.graph.weight_sizes import most_bytes, saved_bytes
from archcost.models.load import Model
from archcost.study.drawn import Drawn
from archcost.study.plan import StudyPlan
from archcost.study.records.part import InWay, Part
from archcost.study.workers.messages import Counted


def columns(model: Drawn) -> tuple[int, ...]:
    """Return the columns that one training gives besides the whole network: those that also train alone."""
    if not isinstance(model, Model):
        return ()
    found = graph_columns.columns(model.graph)
    return found if len(found) > 1 and model.recipe.drop_global > 0 else ()


def counted(plan: StudyPlan, model: Model) -> Counted:
    """Return what a network of a family costs, at the batch and dtypes at which the study counts."""
    (memory_bytes, weights_bytes), *others = _sizes(plan, model.graph)
    return Counted(
        *(model.digest, model.cost.params, model.cost.macs, memory_bytes, weights_bytes), others=tuple(others)
    )


def part_of(plan: StudyPlan, counted: Counted) -> Part:
    """Return a network that code made, without results."""
    return _part(plan, 0, counted)


def parts(plan: StudyPlan, model: Model) -> list[Part]:
    """Return the network, column 0, and its columns, counted and without results."""
    return [_of_graph(plan, number, graph) for number, graph in graphs(model)]


def graphs(model: Model) -> list[tuple[int, Graph]]:
    """Return the graph of the network, column 0, and those of its columns."""
    return [(0, model.graph), *((column, graph_columns.only(model.graph, [column])) for column in columns(model))]


def _of_graph(plan: StudyPlan, column: int, graph: Graph) -> Part:
    cost, ((memory_bytes, weights_bytes), *others) = count(graph), _sizes(plan, graph)
    found = Counted(codec.digest(graph), cost.params, cost.macs, memory_bytes, weights_bytes, others=tuple(others))
    return _part(plan, column, found)


def _part(plan: StudyPlan, column: int, each: Counted) -> Part:
    ways = tuple(InWay(*sizes) for sizes in each.sizes) if plan.names_ways else ()
    numbers = (column, each.digest, each.params, each.macs, each.memory_bytes)
    return Part(*numbers, weights_bytes=each.weights_bytes, ways=ways)


def _sizes(plan: StudyPlan, graph: Graph) -> tuple[tuple[int, int], ...]:
    """Return the memory that a graph needs at its peak, and its weights and buffers, in each way of a study."""
    cost, saved = count(graph), saved_bytes(graph)
    return tuple(
        (most_bytes(graph, batch, dtype), cost.weights_bytes(BYTES[unquantised(dtype)]) - saved * (dtype == INT8))
        for batch, dtype in plan.memory_at
    )
