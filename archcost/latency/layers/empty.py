"""An ONNX file of as many nodes as a network has kernels, that do nothing."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Final, NamedTuple

from archcost.latency.runtimes import OnnxFile

_OPSET: Final = 17
_IR: Final = 8
_SHAPE: Final = (1, 1)
_HELD: Final = {"least": (1, (), -1.0), "most": (1, (), 1.0), "length": (7, (1,), 1)}
"""Constants that nodes may have as inputs: ONNX's type (float or int64), shape and value."""


class Idle(NamedTuple):
    """A node that hands on its one number: its name, an operator that does so, and its inputs behind the number."""

    name: str
    op: str
    constants: tuple[str, ...] = ()


def written(path: Path, nodes: Sequence[Idle]) -> OnnxFile:
    """Write a file of these nodes, one behind the other; constants are named least, most (-1, 1) and length (1)."""
    helper, numpy = import_module("onnx.helper"), import_module("numpy")
    values = [f"y{number}" for number in range(len(nodes) + 1)]
    made = [
        helper.make_node(node.op, [values[place], *node.constants], [values[place + 1]], node.name)
        for place, node in enumerate(nodes)
    ]
    used = dict.fromkeys(name for node in nodes for name in node.constants)
    held = [helper.make_tensor(name, kind, shape, [value]) for name in used for kind, shape, value in (_HELD[name],)]
    ends = [helper.make_tensor_value_info(name, 1, _SHAPE) for name in (values[0], values[-1])]
    graph = helper.make_graph(made, "empty", ends[:1], ends[1:], held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
    path.write_bytes(model.SerializeToString())
    return OnnxFile(path, {values[0]: numpy.zeros(_SHAPE, "float32")})
