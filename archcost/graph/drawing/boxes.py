"""The boxes of a drawing: single nodes, chains such as conv-norm-relu, or whole groups.

Above 300 nodes a whole group is one box.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, assert_never

from archcost.errors import shorten, visible
from archcost.graph.cost import Cost, Row, listed
from archcost.graph.graph import Graph, readers
from archcost.graph.ops import (
    Act,
    Bias,
    Concat,
    Conv,
    Dropout,
    GlobalPool,
    Input,
    Join,
    Last,
    Linear,
    Lookup,
    Norm,
    Op,
    Pad,
    Pool,
    Recall,
    Scale,
    Shape,
    Window,
)
from archcost.units import grouped

MANY: Final = 300
"""Nodes above which every group is one box."""

Kind: TypeAlias = Literal["dense", "join", "pool", "state", "plain"]
_TRAILING = (Norm, Act, Dropout, Bias)  # drawn in the box of what they follow


@dataclass(frozen=True, slots=True)
class Box:
    """One box: a line for each of its nodes (what it is, what it is called) and a tooltip.

    `joins`: drawn as wide as the lanes that meet in it. `shape`: what it hands on; `reshapes`: its input had another.
    `nodes`: their whole names.
    """

    lines: tuple[tuple[str, str], ...]
    tip: tuple[str, ...]
    kind: Kind
    group: str = ""
    column: int | None = None
    shape: str = ""
    reshapes: bool = True
    joins: bool = False
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Loop:
    """An edge that goes back up; `delays` are those of a recall, none if two collapsed groups feed each other."""

    source: int
    target: int
    delays: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Scheme:
    """Boxes in an order in which every edge goes forward, `inputs` for each of them, and what goes back."""

    boxes: tuple[Box, ...]
    inputs: tuple[tuple[int, ...], ...]
    loops: tuple[Loop, ...]
    collapsed: bool


def scheme(graph: Graph, cost: Cost) -> Scheme:
    """Return the boxes of a graph; in linear time, so that 200,000 nodes collapse at once."""
    collapsed = len(graph.nodes) > MANY
    owner = _groups(graph) if collapsed else _chains(graph)
    members: list[list[int]] = [[] for _ in range(max(owner) + 1)]
    for position, box in enumerate(owner):
        members[box].append(position)
    make = _group_box if collapsed else _chain_box
    boxes = tuple(make(graph, cost, positions) for positions in members)
    inputs: list[dict[int, None]] = [{} for _ in boxes]
    back: dict[tuple[int, int], set[int]] = {}
    for position, node in enumerate(graph.nodes):
        target = owner[position]
        for i in node.inputs:
            if owner[i] < target:
                inputs[target][owner[i]] = None
            elif owner[i] > target:
                back.setdefault((owner[i], target), set())
        if isinstance(node.op, Recall):
            back.setdefault((owner[node.op.source], target), set()).update(node.op.delays)
    loops = tuple(Loop(source, target, tuple(sorted(delays))) for (source, target), delays in back.items())
    return Scheme(boxes, tuple(map(tuple, inputs)), loops, collapsed)


def _groups(graph: Graph) -> list[int]:
    """Return every node's box: one for each group, in the order they begin."""
    order: dict[str, int] = {}
    return [order.setdefault(node.group, len(order)) for node in graph.nodes]


def _chains(graph: Graph) -> list[int]:
    """Return every node's box: that of its input where it follows it and nothing else reads the value between."""
    reading = readers(graph.nodes)
    recalled = {node.op.source for node in graph.nodes if isinstance(node.op, Recall)}
    owner: list[int] = []
    boxes = 0
    for node in graph.nodes:
        before = node.inputs[0] if len(node.inputs) == 1 else None
        if (
            before is not None
            and len(reading[before]) == 1
            and before not in recalled
            and (node.group, node.column) == (graph.nodes[before].group, graph.nodes[before].column)
            and _follows(graph.nodes[before].op, node.op)
        ):
            owner.append(owner[before])
        else:
            owner.append(boxes)
            boxes += 1
    return owner


def _follows(before: Op, op: Op) -> bool:
    gathered = isinstance(before, Window) and isinstance(op, Conv)
    weighted = isinstance(before, Scale) and isinstance(op, Linear)
    return gathered or weighted or (isinstance(op, _TRAILING) and not isinstance(before, Input | Recall))


def _chain_box(graph: Graph, cost: Cost, positions: Sequence[int]) -> Box:
    nodes = [graph.nodes[i] for i in positions]
    first, last = nodes[0], nodes[-1]
    before = {graph.nodes[i].shape for i in first.inputs}
    lines = tuple((what(node.op, len(node.inputs)), shown(node.name)) for node in nodes)
    tip = tuple(_tip(cost.rows[i]) for i in positions)
    joins = isinstance(first.op, Join | Concat)
    shape, reshapes = dimensions(last.shape), before != {last.shape}
    names = tuple(node.name for node in nodes)
    return Box(lines, tip, _kind(first.op), first.group, first.column, shape, reshapes, joins, names)


def _group_box(graph: Graph, cost: Cost, positions: Sequence[int]) -> Box:
    last = graph.nodes[positions[-1]]
    if len(positions) == 1:
        return _chain_box(graph, cost, positions)
    total = listed(tuple(cost.rows[i] for i in positions)).total
    facts = (("nodes", grouped(total.rows)), ("params", grouped(total.params)), ("MACs", grouped(total.macs)))
    name = shown(last.group) or "no group"
    lines = ((name, ""), *facts)
    tip = (f"{name}: {facts[0][1]} nodes", f"{facts[1][1]} params, {facts[2][1]} MACs")
    names = tuple(graph.nodes[i].name for i in positions)
    return Box(lines, tip, "plain", last.group, None, dimensions(last.shape), nodes=names)


def _tip(row: Row) -> str:
    runs = f", {grouped(row.runs)} runs" if row.runs > 1 else ""
    counts = f"{grouped(row.params)} params, {grouped(row.macs)} MACs"
    return f"{shown(row.name)}: {row.op}, shape {dimensions(row.shape)}, {counts}{runs}"


def shown(text: str) -> str:
    """Return a name as it is drawn: short, and without characters that XML 1.0 (2.2) or a terminal could not take."""
    return visible(shorten(text, 200)).replace("\ufffe", "\\ufffe").replace("\uffff", "\\uffff")


def dimensions(shape: Shape) -> str:
    """Return a shape as people write it: 64×56×56; a token has none."""
    return "×".join(map(str, shape)) or "token"


def past(delays: Sequence[int]) -> str:
    """Return delays as steps before t: t−1, t−2; a long run from its first to its last."""
    if len(delays) > 3:
        return f"t−{delays[0]} … t−{delays[-1]}"
    return ", ".join(f"t−{delay}" for delay in delays)


def _kind(op: Op) -> Kind:
    match op:
        case Conv() | Linear() | Lookup() | Window():
            return "dense"
        case Join() | Concat():
            return "join"
        case Pool() | GlobalPool() | Pad():
            return "pool"
        case Recall():
            return "state"
        case _:
            return "plain"


def what(op: Op, inputs: int) -> str:
    """Return an operator in a few words."""
    match op:
        case Input():
            return f"input {dimensions(op.shape)}" if op.below is None else f"input, token below {op.below}"
        case Conv():
            groups = f", {op.groups} groups" if op.groups > 1 else ""
            return f"conv {_side(op.kernel, op.stride)}, {op.out}{groups}"
        case Linear():
            return f"linear {op.out}"
        case Lookup():
            return f"lookup {op.rows} → {op.out}"
        case Join():
            return f"{op.kind} of {inputs}"
        case Pool():
            return f"{op.kind} pool {_side(op.kernel, op.stride)}"
        case GlobalPool():
            return "global average"
        case Pad():
            return f"pad to {op.out}" + (f" / {op.stride}" if op.stride > 1 else "")
        case Window():
            return f"{op.count} windows of {op.span}"
        case Scale():
            shown = ", ".join(f"{factor:.3g}" for factor in op.factors[:3])
            return f"scale {shown}{', …' if len(op.factors) > 3 else ''}"
        case Dropout():
            return f"dropout {op.rate:.3g}"
        case Recall():
            return f"state {past(op.delays)}"
        case Act():
            return op.kind
        case Last():
            return "last step"
        case Bias() | Norm() | Concat():
            return type(op).__name__.lower()
        case _:
            assert_never(op)


def _side(kernel: int, stride: int) -> str:
    return f"{kernel}×{kernel}" + (f" / {stride}" if stride > 1 else "")
