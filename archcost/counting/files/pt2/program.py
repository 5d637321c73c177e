"""A torch.export program as values: its nodes, what they read and write, its tensors.

The format is that of torch/_export/serde/schema.py. Texts in it are names: none is evaluated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, Final, TypeAlias, TypeVar

from archcost.counting.files.axes import Axis
from archcost.counting.files.pt2.archive import Archive
from archcost.errors import InputError, quoted

T = TypeVar("T")

MOST_NODES: Final = 200_000
LARGEST: Final = 2**53
"""The most values that a tensor may have."""
_MOST_NESTED: Final = 16
DTYPES: Final[Mapping[int, str]] = {
    1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32", 8: "float64",
    9: "complex32", 10: "complex64", 11: "complex128", 12: "bool", 13: "bfloat16", 28: "uint16", 29: "float8_e4m3fn",
    30: "float8_e5m2", 31: "float8_e4m3fnuz", 32: "float8_e5m2fnuz",
}  # fmt: skip
"""torch's dtypes by the numbers of schema.ScalarType."""
_SYMBOL: Final = re.compile(r"Symbol\('(\w{1,100})'[^()]*\)")  # as sympy writes a name
_NAME: Final = re.compile(r"[A-Za-z_]\w{0,99}")

Argument: TypeAlias = tuple[str, Any]
"""Its kind (as_tensor, as_ints, ...), and what it holds."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """What is known of a tensor: dtype, sizes (the text of one that is open), strides of one whose sizes are fixed."""

    dtype: str
    sizes: tuple[Axis, ...]
    strides: tuple[int, ...] | None
    requires_grad: bool


@dataclass(frozen=True, slots=True)
class Node:
    """One call: `target` is what is called, inputs by name, outputs; path: the module that it is of."""

    name: str
    target: str
    inputs: tuple[tuple[str, Argument], ...]
    outputs: tuple[Argument, ...]
    path: str


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes in their order, the arguments that come in and go out, and its tensors by name."""

    inputs: tuple[Argument, ...]
    outputs: tuple[Argument, ...]
    nodes: tuple[Node, ...]
    tensors: Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Weight:
    """A parameter, buffer or constant: its name in the graph and in the module, and what tells its storage."""

    placeholder: str
    name: str
    is_parameter: bool
    storage: object


@dataclass(frozen=True, slots=True)
class Program:
    """A whole program; given: the names of the user's inputs that are tensors, in order; constants: other inputs."""

    graph: Graph
    weights: tuple[Weight, ...]
    given: tuple[str, ...]
    constants: Mapping[str, Any]
    ranges: Mapping[str, tuple[int | None, int | None]] = field(default_factory=dict)

    def __deepcopy__(self, memo: object) -> Program:
        """Return itself: nothing in it changes."""
        return self


def parsed(archive: Archive) -> Program:
    """Return the program of an archive; raises InputError if it is not as torch.export writes it."""
    try:
        return _program(archive)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise InputError(f"its program is not as torch.export writes it ({type(error).__name__})") from None


def _program(archive: Archive) -> Program:
    module = _kind(archive.program["graph_module"], dict)
    graph = _graph(_kind(module["graph"], dict), 0)
    if sum(1 for _ in _all(graph)) > MOST_NODES:
        raise InputError(f"it has more than {MOST_NODES:,} nodes, the most that are read")
    places = {name: _place(facts) for name, facts in _kind(archive.weights.get("config", {}), dict).items()}
    weights: list[Weight] = []
    given: list[str] = []
    constants: dict[str, Any] = {}
    for spec in _kind(module["signature"]["input_specs"], list):
        ((kind, facts),) = _kind(spec, dict).items()
        argument = facts.get("arg", {})
        match kind:
            case "parameter" | "buffer" | "tensor_constant":
                name = _text(facts[f"{kind}_name"])
                is_parameter = kind == "parameter"
                weights.append(Weight(_text(argument["name"]), name, is_parameter, places.get(name, name)))
            case "user_input":
                what, value = _argument(argument)
                if what == "as_tensor":
                    given.append(_text(value["name"]))
                elif what in ("as_sym_int", "as_sym_float", "as_sym_bool"):
                    raise InputError(f"its input {quoted(str(value.get('as_name')))} is a number; allowed: tensors")
            case "constant_input":
                constants[_text(facts["name"])] = next(iter(_kind(facts["value"], dict).values()), None)
            case "token":
                constants[_text(argument["name"])] = None
            case _:
                raise InputError(f"it takes a {quoted(kind)}, which is not read")
    ranges = {
        name: (_limit(limits.get("min_val")), _limit(limits.get("max_val")))
        for name, limits in _kind(archive.program.get("range_constraints", {}), dict).items()
    }
    return Program(graph, tuple(weights), tuple(given), constants, ranges)


def _all(graph: Graph) -> Iterator[Node]:
    for node in graph.nodes:
        yield node
        for inner in bodies(node):
            yield from _all(inner)


def bodies(node: Node) -> list[Graph]:
    """Return the graphs that a node is given: the branches of a cond, the body of a loop."""
    return [value for _, (kind, value) in node.inputs if kind == "as_graph"]


def _graph(facts: Mapping[str, Any], depth: int) -> Graph:
    if depth > _MOST_NESTED:
        raise InputError(f"its graphs are nested deeper than {_MOST_NESTED}")
    nodes = _kind(facts["nodes"], list)
    if len(nodes) > MOST_NODES:
        raise InputError(f"it has more than {MOST_NODES:,} nodes, the most that are read")
    return Graph(
        tuple(map(_argument, _kind(facts["inputs"], list))),
        tuple(map(_argument, _kind(facts["outputs"], list))),
        tuple(_node(node, place, depth) for place, node in enumerate(nodes)),
        {_text(name): _tensor(name, each) for name, each in _kind(facts["tensor_values"], dict).items()},
    )


def _node(facts: Mapping[str, Any], place: int, depth: int) -> Node:
    inputs = []
    for each in _kind(facts["inputs"], list):
        kind, value = _argument(each["arg"])
        inputs.append((_text(each["name"]), (kind, _graph(value["graph"], depth + 1) if kind == "as_graph" else value)))
    metadata = _kind(facts.get("metadata", {}), dict)
    outputs = tuple(map(_argument, _kind(facts["outputs"], list)))
    name = facts.get("name") or f"node {place}"
    return Node(_text(name), _text(facts["target"]), tuple(inputs), outputs, _path(metadata.get("nn_module_stack")))


def _path(stack: object) -> str:
    """Return the module that a node is of, the last of 'key,path,type;key,path,type'."""
    if not isinstance(stack, str):
        return ""
    parts = stack.rpartition(";")[2].split(",")
    path = parts[1] if len(parts) > 2 else ""
    names = path.removeprefix("L__self__").strip(".").split(".")
    return (
        ".".join(names)
        if all(re.fullmatch(r"\w{1,200}", name) for name in names) and not path.startswith("_empty")
        else ""
    )


def _argument(facts: Mapping[str, Any]) -> Argument:
    ((kind, value),) = _kind(facts, dict).items()
    return _text(kind), value


def _tensor(name: str, facts: Mapping[str, Any]) -> Tensor:
    sizes = tuple(_axis(each) for each in _kind(facts["sizes"], list))
    fixed = [size for size in sizes if isinstance(size, int)]
    if any(size < 0 for size in fixed) or prod(size or 1 for size in fixed) > LARGEST:
        shape = " x ".join(map(str, sizes[:8]))
        raise InputError(f"tensor {quoted(name)} has the shape ({shape}); allowed: sizes from 0, at most 2^53 values")
    strides = [_axis(each) for each in _kind(facts.get("strides") or [], list)]
    whole = [stride for stride in strides if isinstance(stride, int) and 0 <= stride <= LARGEST]
    known = len(whole) == len(strides) == len(sizes) == len(fixed)
    dtype = DTYPES.get(facts["dtype"])
    if dtype is None:
        raise InputError(f"tensor {quoted(name)} has the dtype {quoted(str(facts['dtype']))}, which there is not")
    return Tensor(dtype, sizes, tuple(whole) if known else None, facts.get("requires_grad") is True)


def _axis(facts: Mapping[str, Any]) -> Axis:
    kind, value = _argument(facts)
    if kind == "as_int":
        return _kind(value, int)
    return _SYMBOL.sub(r"\1", _text(value["expr_str"])[:2000])[:200]


def is_name(axis: Axis) -> bool:
    """Return whether an axis that is open has a plain name, and does not follow from others by a formula."""
    return isinstance(axis, str) and _NAME.fullmatch(axis) is not None


def _place(facts: Mapping[str, Any]) -> object:
    """Return what two weights share that are one memory: their file in the archive, and the place in it."""
    meta = _kind(facts.get("tensor_meta", {}), dict)
    return (facts.get("path_name"), str(meta.get("storage_offset")), str(meta.get("sizes")), str(meta.get("strides")))


def _limit(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _kind(value: object, kind: type[T]) -> T:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError
    return value


def names_of(arguments: Sequence[Argument]) -> Iterator[str]:
    """Yield the names of what comes into a graph, '' of what has none."""
    for kind, value in arguments:
        match kind, value:
            case ("as_tensor", {"name": str(name)}) | (
                "as_sym_int" | "as_sym_bool" | "as_sym_float",
                {"as_name": str(name)},
            ):
                yield name
            case _:
                yield ""
