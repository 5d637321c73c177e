"""The parts of a trial: the network, and those columns that its training gives besides."""

from __future__ import annotations

from plans import FRACTAL, drawn, planned

from archcost.graph import codec
from archcost.graph.columns import only
from archcost.graph.cost import count, peak_bytes
from archcost.study.parts import columns, parts


def test_columns_that_train_alone_are_parts() -> None:
    """Each is counted as the network it is alone, and has no results yet."""
    plan = planned(models=[FRACTAL])
    model = drawn(plan)
    assert (1, 2) == columns(model)
    found = parts(plan, model)
    graphs = [model.graph, only(model.graph, [1]), only(model.graph, [2])]
    assert [0, 1, 2] == [each.column for each in found]
    assert [codec.digest(graph) for graph in graphs] == [each.digest for each in found]
    assert [(cost.params, cost.macs) for cost in map(count, graphs)] == [(each.params, each.macs) for each in found]
    assert [peak_bytes(graph, 1, 4) for graph in graphs] == [each.memory_bytes for each in found]
    assert {(None, ())} == {(each.score, each.samples) for each in found}


def test_a_network_whose_columns_never_train_alone_is_one_part() -> None:
    """A fractal one without global drop-path or with one column, and every other family."""
    plain = {key: value for key, value in FRACTAL.items() if key != "drop_path"}
    for template in (plain, {**FRACTAL, "columns": 1}):
        plan = planned(models=[template])
        model = drawn(plan)
        assert ((), [0]) == (columns(model), [each.column for each in parts(plan, model)])
    plan = planned()
    assert [0] == [each.column for each in parts(plan, drawn(plan))]
