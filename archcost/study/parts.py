"""The parts of a trial: its network, and the columns that one training gives besides."""

from __future__ import annotations

from archcost.graph import codec
from archcost.graph import columns as graph_columns
from archcost.graph.cost import count
from archcost.graph.graph import Graph
from archcost.models.load import Model
from archcost.study.plan import StudyPlan
from archcost.study.records.trials import Part


def columns(model: Model) -> tuple[int, ...]:
    """Return the columns that one training gives besides the whole network: those that also train alone."""
    found = graph_columns.columns(model.graph)
    return found if len(found) > 1 and model.recipe.drop_global > 0 else ()


def parts(plan: StudyPlan, model: Model) -> list[Part]:
    """Return the network, column 0, and its columns, counted and without results."""
    alone = [(column, graph_columns.only(model.graph, [column])) for column in columns(model)]
    return [_part(plan, number, graph) for number, graph in ((0, model.graph), *alone)]


def _part(plan: StudyPlan, column: int, graph: Graph) -> Part:
    cost = count(graph)
    return Part(column, codec.digest(graph), cost.params, cost.macs, plan.memory_bytes(graph))
