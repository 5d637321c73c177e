"""Schedules: every value lives until its last reader and no longer, and what others still need is not written over."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from specs import Tree, fractals, laws, model, models

from archcost.graph.columns import beside, columns, only
from archcost.graph.graph import Builder, readers
from archcost.graph.liveness import scheduled
from archcost.graph.ops import Act, Conv, Input, Join


@given(models())
@laws(100)
def test_a_value_dies_at_its_last_reader(tree: Tree) -> None:
    """After each node exactly the values with no reader to come are dead; of all, the output alone is left."""
    nodes = model(tree).graph.nodes
    schedule, reading = scheduled(nodes), readers(nodes)
    assert [*enumerate(node.inputs for node in nodes)] == [*schedule.reads.items()]
    expected = {i: {j for j in range(len(nodes)) if reading[j] and reading[j][-1] == i} for i in range(len(nodes))}
    assert expected == {i: set(dead) for i, dead in schedule.dies.items()}


@given(models())
@laws(100)
def test_what_is_written_over_has_no_other_reader(tree: Tree) -> None:
    """A node that writes over its first input is the only one that reads it, and is where it dies."""
    nodes = model(tree).graph.nodes
    schedule, reading = scheduled(nodes), readers(nodes)
    for i in schedule.overwrites:
        first = nodes[i].inputs[0]
        assert [i] == reading[first]
        assert first in schedule.dies[i]


@given(fractals(all_columns=True), st.data())
@laws(50)
def test_a_cut_schedule_is_that_of_the_network_that_is_left(tree: Tree, data: st.DataObject) -> None:
    """What is left of a network without other columns runs as the column does that is a network of its own."""
    graph = model(tree).graph
    column = data.draw(st.sampled_from(columns(graph)))
    cut = scheduled(graph.nodes, beside(graph.nodes, [column]))
    alone = scheduled(only(graph, [column]).nodes)
    place = {position: i for i, position in enumerate(cut.reads)}
    assert alone.reads == {place[i]: tuple(place[j] for j in inputs) for i, inputs in cut.reads.items()}
    assert alone.dies == {place[i]: tuple(place[j] for j in dead) for i, dead in cut.dies.items()}
    assert alone.overwrites == {place[i] for i in cut.overwrites}


def test_a_part_keeps_what_others_may_read() -> None:
    """Within a part nothing dies, and a value made outside is not written over, though all together would do so."""
    builder = Builder()
    x = builder.add("input", Input((2, 4, 4)))
    one = builder.add("one", Conv(2, 1), x)
    two = builder.add("two", Act("relu"), one)
    three = builder.add("three", Conv(2, 1), two)
    four = builder.add("four", Join("sum"), three, two)
    whole = scheduled(builder.graph().nodes)
    part = whole.part({two, three, four})
    assert (frozenset({two, four}), frozenset({four})) == (whole.overwrites, part.overwrites)
    assert {two: (one,), three: (two,), four: (three, two)} == part.reads
    assert {two: (), three: (), four: ()} == part.dies
