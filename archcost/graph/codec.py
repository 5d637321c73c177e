"""A graph as JSON and back, and its digest.

The JSON crosses to another machine, the digest keys a stored result.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import fields
from math import isfinite
from typing import Final, Literal, TypeAlias, get_args, get_origin, get_type_hints

from archcost.errors import InputError, Mistake, Path, unknown
from archcost.graph.graph import Graph, GraphError, Node, derived
from archcost.graph.ops import OPS, Op, ShapeError

JSON: TypeAlias = None | bool | int | float | str | list["JSON"] | dict[str, "JSON"]
SCHEMA: Final = 1
LARGEST: Final = 200_000
"""Nodes, and steps back in time, from which a network is refused."""

NODE: Final = ("name", "op", "inputs", "column", "group")
"""What is said of a node, in the order of a packed one."""

_BY_NAME: Final[dict[str, Callable[..., Op]]] = {op.__name__: op for op in OPS}
_LEAST: Final = {"padding": 0}  # every other integer of an operator is at least 1


def encode(graph: Graph) -> dict[str, JSON]:
    """Return a graph as plain JSON values; shapes are left out, they follow from the rest."""
    nodes: list[JSON] = [
        {
            "name": node.name,
            "op": _encode_op(node.op),
            "inputs": list(node.inputs),
            "column": node.column,
            "group": node.group,
        }
        for node in graph.nodes
    ]
    return {"schema": SCHEMA, "steps": graph.steps, "nodes": nodes}


def _encode_op(op: Op) -> JSON:
    values = {field.name: getattr(op, field.name) for field in fields(op)}
    return {"op": type(op).__name__, **{k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}}


def digest(graph: Graph) -> str:
    """Return the SHA-256 of what a graph computes: operators, input positions and steps; names do not count."""
    lines = [[_encode_op(node.op), list(node.inputs)] for node in graph.nodes]
    text = json.dumps([graph.steps, lines], separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def decode(value: JSON) -> Graph:
    """Return the graph that `encode` made; raises InputError for anything else, with the path of what is wrong."""
    top = _mapping(value, ())
    _only(top, ("schema", "steps", "nodes"), ())
    if type(top.get("schema")) is not int or top["schema"] != SCHEMA:
        raise InputError(Mistake(f"given {top.get('schema')!r}; this version reads {SCHEMA}", ("schema",)))
    steps, items = top.get("steps"), top.get("nodes")
    if not (steps is None or (isinstance(steps, int) and not isinstance(steps, bool) and steps >= 1)):
        raise InputError(Mistake("steps are a positive integer or null", ("steps",)))
    if not isinstance(items, list) or len(items) > LARGEST:
        raise InputError(Mistake(f"a graph has a list of nodes, at most {LARGEST}", ("nodes",)))
    nodes: list[Node] = []
    for position, item in enumerate(items):
        nodes.append(_decode_node(item, nodes, steps, ("nodes", position)))
    try:
        return Graph(tuple(nodes), steps)
    except GraphError as error:
        raise InputError(Mistake(str(error), ("nodes",))) from None


def pack(graph: Graph) -> dict[str, JSON]:
    """Return a graph as `encode` does, but short: each operator once, a node as a row of what NODE names.

    The operator of a node is its place among the operators.
    """
    operators: dict[Op, int] = {}
    nodes: list[JSON] = [
        [node.name, operators.setdefault(node.op, len(operators)), list(node.inputs), node.column, node.group]
        for node in graph.nodes
    ]
    return {"schema": SCHEMA, "steps": graph.steps, "operators": [*map(_encode_op, operators)], "nodes": nodes}


def unpack(value: JSON) -> Graph:
    """Return the graph that `pack` made; raises InputError for anything else, as `decode` does."""
    top = _mapping(value, ())
    _only(top, ("schema", "steps", "operators", "nodes"), ())
    operators, rows = top.get("operators"), top.get("nodes")
    if not isinstance(operators, list) or not isinstance(rows, list):
        raise InputError(Mistake("a packed graph has a list of operators and a list of nodes"))
    nodes: list[JSON] = []
    for position, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(NODE):
            raise InputError(Mistake(f"a node is a list of {', '.join(NODE)}", ("nodes", position)))
        item = dict(zip(NODE, row, strict=True))
        place = item["op"]
        if type(place) is not int or not 0 <= place < len(operators):
            raise InputError(Mistake("a node names an operator by its place", ("nodes", position)))
        nodes.append({**item, "op": operators[place]})
    return decode({"schema": top.get("schema"), "steps": top.get("steps"), "nodes": nodes})


def _mapping(value: JSON, path: Path) -> dict[str, JSON]:
    if not isinstance(value, dict):
        raise InputError(Mistake(f"expected a mapping, not {type(value).__name__}", path))
    return value


def _only(item: dict[str, JSON], keys: tuple[str, ...], path: Path) -> None:
    if strange := sorted(item.keys() - set(keys)):
        raise InputError(*(Mistake(unknown("key", key, keys), (*path, key)) for key in strange))


def _decode_node(value: JSON, before: list[Node], steps: int | None, path: Path) -> Node:
    item = _mapping(value, path)
    _only(item, NODE, path)
    name, group, column, inputs = (item.get(key) for key in ("name", "group", "column", "inputs"))
    if not isinstance(name, str) or not isinstance(group, str) or not (column is None or type(column) is int):
        raise InputError(Mistake("a node has a name and a group (text) and a column (an integer or null)", path))
    if not isinstance(inputs, list):
        raise InputError(Mistake("inputs are a list of positions", (*path, "inputs")))
    positions = tuple(i for i in inputs if type(i) is int and 0 <= i < len(before))
    if len(positions) < len(inputs):
        raise InputError(Mistake("inputs are positions of earlier nodes", (*path, "inputs")))
    op = _decode_op(_mapping(item.get("op"), (*path, "op")), (*path, "op"))
    try:
        return derived(Node(name, op, positions, column, group, (), 0), before, steps)[0]
    except ShapeError as error:
        raise InputError(Mistake(str(error), path)) from None


def _decode_op(item: dict[str, JSON], path: Path) -> Op:
    kind = item.get("op")
    if not isinstance(kind, str) or kind not in _BY_NAME:
        raise InputError(Mistake(unknown("operator", str(kind), _BY_NAME), path))
    hints = get_type_hints(_BY_NAME[kind])
    given = {key: tuple(v) if isinstance(v, list) else v for key, v in item.items() if key != "op"}
    wrong = [
        key for key in hints.keys() | given.keys() if key not in hints or not _fits(given.get(key), hints[key], key)
    ]
    if wrong:
        raise InputError(*(Mistake(f"not a {kind}'s {key}: {given.get(key)!r}", (*path, key)) for key in sorted(wrong)))
    return _BY_NAME[kind](**given)


def _fits(value: object, hint: object, key: str) -> bool:
    """Return whether a decoded value has the type a field is declared with; integers have a least value by field."""
    args = get_args(hint)
    if get_origin(hint) is Literal:
        return value in args
    if get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(_fits(v, args[0], key) for v in value)
    if args:
        return any(_fits(value, arg, key) for arg in args)
    if hint is int:
        return type(value) is int and value >= _LEAST.get(key, 1) and (key != "delays" or value <= LARGEST)
    if hint is float:
        return isinstance(value, float) and isfinite(value) and (key != "rate" or 0 <= value < 1)
    return type(value) is hint
