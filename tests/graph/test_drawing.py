"""The drawing of a network: well-formed, complete, inert, the same every time, and nothing on top of anything else."""

from __future__ import annotations

import re
from itertools import combinations, pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from commands import run
from hypothesis import given
from specs import FAMILIES, Tree, fractals, laws, model

import archcost
from archcost.graph.cost import count
from archcost.graph.drawing.boxes import MANY, scheme
from archcost.graph.drawing.layout import Layout, Placed, layout
from archcost.graph.drawing.svg import draw
from archcost.graph.graph import Builder, Graph
from archcost.graph.ops import Act, Concat, Conv, Input, Join, Op, Recall
from archcost.models import published

SVG = "{http://www.w3.org/2000/svg}"


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)  # noqa: S314  # our own text


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in parsed(svg).iter(f"{SVG}text")]


def placed(graph: Graph) -> Layout:
    return layout(scheme(graph, count(graph)))


def drawn(name: str, *overrides: str) -> str:
    found = archcost.load(name, overrides)
    return draw(found.graph, found.name)


def chain(*ops: Op, steps: int | None = None) -> Graph:
    b = Builder(steps)
    for i, op in enumerate(ops):
        b.add(f"node{i}", op, *((i - 1,) if i else ()))
    return b.graph()


@pytest.mark.parametrize("name", published.names())
def test_every_shipped_network_is_well_formed_and_complete(name: str) -> None:
    """The picture parses, says its name, and holds every node's name, or above 300 nodes every group's, as text."""
    found = archcost.load(name)
    svg = draw(found.graph, found.name)
    root, words = parsed(svg), texts(svg)
    many = len(found.graph.nodes) > MANY
    names = found.cost.by_group() if many else [node.name for node in found.graph.nodes]
    assert [] == [each for each in names if not any(each in word for word in words)]
    assert ("img", found.name) == (root.get("role"), root.findtext(f"{SVG}title"))
    assert f"{found.cost.params:,} params" in (root.findtext(f"{SVG}desc") or "")
    assert f"{found.cost.macs:,} MACs" in " ".join(words)


def boxes_of(path: str) -> list[tuple[int, int]]:
    """Return the points at which a path's straight pieces and curves end."""
    return [(int(x), int(y)) for x, y in re.findall(r"(-?\d+) (-?\d+)", path)]


def overlap(a: Placed, b: Placed) -> bool:
    return a.x < b.right and b.x < a.right and a.y < b.bottom and b.y < a.bottom


def crossings(found: Layout) -> list[tuple[int, tuple[int, int]]]:
    """Return every box that a vertical piece of an edge runs through."""
    crossed = []
    for edge in found.edges:
        for (x, y), (to_x, to_y) in pairwise(edge.points):
            if x == to_x and not edge.back:
                crossed += [
                    (i, (x, y)) for i, box in enumerate(found.boxes)
                    if box.x < x < box.right and min(y, to_y) < box.bottom and box.y < max(y, to_y)
                ]  # fmt: skip
    return crossed


def loose(graph: Graph, found: Layout) -> list[tuple[int, int]]:
    """Return every edge that does not lead from the foot of one box to the top of another."""
    reads = enumerate(scheme(graph, count(graph)).inputs)
    links = [(i, target) for target, inputs in reads for i in inputs]
    return [
        (i, target)
        for (i, target), edge in zip(links, found.edges, strict=False)
        for source, end, start, stop in [(found.boxes[i], found.boxes[target], edge.points[0], edge.points[-1])]
        if (source.bottom, end.y) != (start[1], stop[1])
        or not (source.x < start[0] < source.right and end.x < stop[0] < end.right)
    ]


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_stands_on_anything_else(family: str) -> None:
    """Boxes do not overlap, edges run past boxes, and all of it lies inside the picture."""

    @laws(60)
    @given(FAMILIES[family])
    def law(tree: Tree) -> None:
        found = placed(model(tree).graph)
        assert [] == [pair for pair in combinations(found.boxes, 2) if overlap(*pair)]
        assert [] == crossings(found)
        assert [] == loose(model(tree).graph, found)
        points = [point for edge in found.edges for point in edge.points]
        points += [point for box in found.boxes for point in ((box.x, box.y), (box.right, box.bottom))]
        assert all(0 < x < found.width and 0 < y < found.height for x, y in points)
        assert all(a.y + a.height < b.y for a, b in pairwise(found.frames))

    law()


@pytest.mark.parametrize("name", [n for n in published.names() if len(archcost.load(n).graph.nodes) <= MANY])
def test_shipped_networks_have_no_crossing(name: str) -> None:
    """No edge of a shipped network runs through a box."""
    assert [] == crossings(placed(archcost.load(name).graph))


@laws(40)
@given(fractals())
def test_columns_stand_in_lanes(tree: Tree) -> None:
    """A column's boxes are all in one lane, left of the next column's; a join is as wide as the columns it joins."""
    graph = model(tree).graph
    plan = scheme(graph, count(graph))
    found = layout(plan)
    lanes: dict[int, set[int]] = {}
    for box, place in zip(plan.boxes, found.boxes, strict=True):
        if box.column is not None:
            lanes.setdefault(box.column, set()).add(place.middle)
    assert all(len(middles) == 1 for middles in lanes.values())
    order = [min(lanes[column]) for column in sorted(lanes)]
    assert order == sorted(set(order))
    for box, place, reads in zip(plan.boxes, found.boxes, plan.inputs, strict=True):
        if box.joins:
            assert place.x <= min(found.boxes[i].x for i in reads)
            assert place.right >= max(found.boxes[i].right for i in reads)


@pytest.mark.parametrize("pooling", ["none", "max", "fofe", "gated"])
def test_recurrent_edges_are_dashed_and_labelled(pooling: str) -> None:
    """One edge per recall leads back from the state, with the steps it reaches back beside it."""
    svg = drawn("hornn-3", f"pooling={pooling}")
    back = [path for path in parsed(svg).iter(f"{SVG}path") if path.get("class") == "back"]
    single = pooling in ("none", "fofe")
    assert (1 if single else 3) == len(back)
    labels = ["t−1, t−2, t−3"] if single else ["t−1", "t−2", "t−3"]
    assert all(label in texts(svg) for label in labels)
    assert all(boxes_of(path.get("d") or "")[0][1] > boxes_of(path.get("d") or "")[-1][1] for path in back)
    assert "stroke-dasharray" in svg


def test_chains_are_one_box() -> None:
    """conv-norm-relu is one box of three lines; a value that two nodes read ends a box."""
    graph = archcost.load("resnet-20").graph
    found = scheme(graph, count(graph)).boxes
    assert ("stem.conv", "stem.norm", "stem.relu") == tuple(name for _, name in found[1].lines)
    b = Builder()
    x = b.add("conv", Conv(2, 1), b.add("input", Input((1, 2, 2))))
    b.add("sum", Join("sum"), b.add("relu", Act("relu"), x), x)
    assert [1, 1, 1, 1] == [len(box.lines) for box in scheme(b.graph(), count(b.graph())).boxes]


def test_a_recalled_value_ends_a_box() -> None:
    """The node a recall hands over is the last of its box: the dashed edge leaves from where the value is."""
    graph = archcost.load("hornn-3", ["dropout=0.5"]).graph
    plan = scheme(graph, count(graph))
    (loop,) = plan.loops
    recall = next(node.op for node in graph.nodes if isinstance(node.op, Recall))
    assert graph.nodes[recall.source].name == plan.boxes[loop.source].lines[-1][1]


def test_three_hundred_nodes_are_drawn_one_more_is_collapsed() -> None:
    """Up to 300 nodes each is named; from 301 on every group is a box with its totals."""
    few = chain(Input((1, 2, 2)), *[Conv(1, 1)] * (MANY - 1))
    more = chain(Input((1, 2, 2)), *[Conv(1, 1)] * MANY)
    assert (MANY, 1) == (len(placed(few).boxes), len(placed(more).boxes))
    svg = drawn("resnet-164")
    assert {"stage2", "nodes", "182", "params", "326,656", "MACs", "81,788,928"} <= set(texts(svg))
    assert "552 nodes" in svg


def test_collapsed_groups_that_feed_each_other_are_drawn() -> None:
    """Gates and recurrence of a large gated network read each other: what cannot go down goes back up."""
    svg = drawn("hornn-3-gated", "order=50")
    assert {"gates", "recurrence", "t−1 … t−50"} <= set(texts(svg))
    assert 2 == svg.count('class="back"')


def test_many_nodes_and_many_groups_are_drawn() -> None:
    """10,000 groups that read the two before them are boxes below each other."""
    b = Builder()
    x = y = b.add("input", Input((1, 1, 1)))
    for i in range(10_000):
        with b.group(f"group{i}"):
            x, y = b.add("relu", Act("relu"), x), b.add("sum", Join("sum"), x, y)
    b.add("out", Join("sum"), x, y)
    found = placed(b.graph())
    assert 10_001 == len(found.boxes)
    assert [] == [pair for pair in pairwise(found.boxes[1:]) if overlap(*pair)]


def test_many_passing_edges_share_tracks() -> None:
    """Where everything reads everything before it, edges from one box run together."""
    b = Builder()
    before = [b.add("input", Input((1, 1, 1)))]
    for i in range(40):
        before.append(b.add(f"concat{i}", Concat(), *before) if i % 2 else b.add(f"conv{i}", Conv(1, 1), before[-1]))
    found = placed(b.graph())
    assert found.width < 2_000
    assert [] == crossings(found)


HOSTILE = [
    "</title><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "]]><!--&lt;&amp;&#0;",
    "\x00\x1b[2J\u202eevil\u2028\ufffe\uffff\ud800",
    "字" * 50,
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_are_inert(text: str) -> None:
    """What a name holds is text and nothing else: no element, no control character, nothing XML cannot hold."""
    b = Builder()
    with b.group(text + "group"):
        x = b.add("input", Input((1, 4, 4)))
        b.add(text, Conv(1, 1), x)
    for graph in (b.graph(), _long(text)):
        svg = draw(graph, text)
        root = parsed(svg)
        known = {"svg", "title", "desc", "style", "defs", "marker", "path", "rect", "text", "g"}
        assert known >= {element.tag.removeprefix(SVG) for element in root.iter()}
        attributes = {name for element in root.iter() for name in element.attrib}
        assert not {name for name in attributes if name.startswith("on") or "href" in name}
        assert not re.search("[\x00-\x09\x0b-\x1f\u202e\u2028\ufffe\uffff\ud800-\udfff]", svg)
        svg.encode("utf-8")


def _long(text: str) -> Graph:
    b = Builder()
    x = b.add("input", Input((1, 4, 4)))
    with b.group(text):
        for i in range(MANY):
            x = b.add(f"{text}{i}", Act("relu"), x)
    return b.graph()


def test_nothing_is_fetched_or_run() -> None:
    """No script, no reference outside the file, no foreign content; light and dark by the reader's setting."""
    svg = drawn("fractalnet-20")
    assert not re.search(r"<script|foreignObject|@import|javascript:|href|<image|<use", svg)
    assert ["http://www.w3.org/2000/svg"] == re.findall(r"https?://[^\"']+", svg)
    assert set(re.findall(r"url\(([^)]*)\)", svg)) <= {"#archcost-tip", "#archcost-backtip"}
    assert "prefers-color-scheme:dark" in svg


@pytest.mark.parametrize("name", ["fractalnet-20", "hornn-3-gated", "rir-18-wide", "resnet-164"])
def test_the_same_network_gives_the_same_bytes(name: str) -> None:
    """Drawing twice gives one text."""
    assert drawn(name) == drawn(name)


def test_tooltips_hold_shape_and_counts() -> None:
    """Every box's title tells shape, parameters and MACs of its nodes."""
    assert "stem.conv: Conv, shape 16×32×32, 432 params, 442,368 MACs" in tips("resnet-20")
    last = "readout.linear: Linear, shape 10000, 4,010,000 params, 140,000,000 MACs, 35 runs"
    assert last in tips("hornn-3", "input.steps=35")


def tips(name: str, *overrides: str) -> list[str]:
    groups = parsed(drawn(name, *overrides)).iter(f"{SVG}g")
    return "\n".join(group.findtext(f"{SVG}title") or "" for group in groups).splitlines()


def test_an_input_alone_is_drawn() -> None:
    """The smallest network is one box."""
    assert 1 == len(placed(chain(Input((3, 2, 2)))).boxes)
    parsed(draw(chain(Input((3, 2, 2)))))


def test_an_input_in_a_group_of_its_own_is_drawn() -> None:
    """A group without a cost has a frame like any other."""
    b = Builder()
    with b.group("source"):
        x = b.add("input", Input((1, 2, 2)))
    with b.group("rest"):
        b.add("relu", Act("relu"), x)
    assert {"source", "rest", "0 MACs"} <= set(texts(draw(b.graph())))


def test_columns_that_are_no_lanes_are_drawn_all_the_same() -> None:
    """Two nodes of one column side by side, as no fractal network has them, do not cover each other."""
    b = Builder()
    x = b.add("input", Input((1, 2, 2)))
    b.add("join", Join("sum"), *(b.add(f"conv{i}", Conv(1, 1), x, column=1) for i in range(3)))
    found = placed(b.graph())
    assert [] == [pair for pair in combinations(found.boxes, 2) if overlap(*pair)]


def test_the_command_prints_or_writes_the_picture(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """`archcost draw MODEL` prints the SVG; with -o it is in the file, and nothing is printed."""
    code, out, err = run(capsys, "draw", "nin-cifar10", "--set", "name=mine")
    assert (0, "") == (code, err)
    assert drawn("nin-cifar10", "name=mine") == out
    path = tmp_path / "graph.svg"
    assert (0, "", "") == run(capsys, "draw", "nin-cifar10", "--set", "name=mine", "-o", str(path))
    assert out == path.read_text("utf-8")
    assert [path] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("resnet-20", "-o", "nowhere/graph.svg"), "cannot write 'nowhere/graph.svg'"),
        (("resnet-5",), "neither a file nor a shipped network"),
        (("resnet-20", "--set", "widht=3"), "(did you mean 'widths'?)"),
        (("resnet-20", "-o", "."), "is a directory"),
        ((), "Missing argument 'MODEL'"),
    ],
)
def test_mistakes_are_one_message_and_exit_2(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    """A model or a path that will not do is said on standard error; nothing is printed."""
    code, out, err = run(capsys, "draw", *arguments)
    assert (2, "") == (code, out)
    assert message in err
    assert "Traceback" not in err
