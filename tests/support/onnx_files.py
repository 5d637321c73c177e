"""Small ONNX files for tests: made with onnx.helper, written and counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from archcost.counting.files.model_file import ModelFile
from archcost.counting.files.onnx import count
from archcost.counting.files.onnx.rules import shapes
from archcost.counting.files.onnx.rules.steps import Value
from archcost.counting.files.onnx.walk import Walk
from archcost.models.code import parse_input

FLOAT, INT64, BOOL, UINT8, INT32 = (
    TensorProto.FLOAT,
    TensorProto.INT64,
    TensorProto.BOOL,
    TensorProto.UINT8,
    TensorProto.INT32,
)
Ports = Mapping[str, tuple[int, Sequence[int | str] | None]]


def ports(given: Ports) -> list[Any]:
    return [helper.make_tensor_value_info(name, elem, shape) for name, (elem, shape) in given.items()]


def graph(
    nodes: Sequence[NodeProto], inputs: Ports, outputs: Sequence[str], weights: Mapping[str, Any] | None = None
) -> Any:
    """Return a graph; outputs have no types, as they may."""
    held = [numpy_helper.from_array(np.asarray(value), name) for name, value in (weights or {}).items()]
    return helper.make_graph(nodes, "graph", ports(inputs), [onnx.ValueInfoProto(name=name) for name in outputs], held)


def model(
    nodes: Sequence[NodeProto],
    inputs: Ports,
    outputs: Sequence[str],
    weights: Mapping[str, Any] | None = None,
    functions: Sequence[Any] = (),
) -> Any:
    """Return a model of ai.onnx 21, com.microsoft 1 and a domain of one's own."""
    domains = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1), helper.make_opsetid("own", 1)]
    made = graph(nodes, inputs, outputs, weights)
    return helper.make_model(made, opset_imports=domains, ir_version=10, functions=functions)


def node(op: str, inputs: str, outputs: str, domain: str = "", **attributes: Any) -> NodeProto:
    """Return a node; inputs and outputs are words, '-' is one that is left out."""
    names = [["" if name == "-" else name for name in text.split()] for text in (inputs, outputs)]
    return helper.make_node(op, *names, name=f"the_{op}", domain=domain, **attributes)


def written(folder: Path, made: Any, name: str = "net.onnx") -> Path:
    path = folder / name
    path.write_bytes(made.SerializeToString())
    return path


def counted(path: Path, *inputs: str, batch: int = 1) -> ModelFile:
    """Return what a file costs at one batch, its open axes as --input would give them."""
    opened = count.opened(path, [parse_input(text) for text in inputs])
    return count.counted(path.stem, opened, [(batch, "float32")])


def walked(model: Any, given: Sequence[Any]) -> tuple[Walk, tuple[Value, ...]]:
    """Return a pass through a model whose small inputs are known, and what is known of its outputs."""
    walk = Walk(model, Path(), {})
    values = {}
    for port, array in zip(model.graph.input, given, strict=False):
        value = shapes.value_of(port.type)
        small = hasattr(array, "dtype") and np.size(array) <= 64 and array.dtype.kind in "iufb"
        values[port.name] = replace(value, known=np.asarray(array)) if small else value
    kept: list[tuple[Value, ...]] = []
    inner = walk.nodes

    def nodes(*args: Any) -> tuple[Value, ...]:
        kept.append(inner(*args))
        return kept[-1]

    walk.nodes = nodes  # type: ignore[method-assign]  # to see what the graph gives, which a count does not need
    walk.run(values)
    return walk, kept[-1]
