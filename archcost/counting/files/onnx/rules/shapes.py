"""The types and shapes of what a node gives, by ONNX's own shape functions.

One node at a time, not the whole model at once as onnx.shape_inference would: small values that shapes follow from
are known here, memory is bounded, and what a function of the file or a body of control flow does is followed into it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from math import prod
from typing import Any, Final

import onnx
from onnx import NodeProto, TypeProto, numpy_helper
from onnx.shape_inference import infer_node_outputs

from archcost.counting.files.onnx.rules import guards, microsoft, own_shapes
from archcost.counting.files.onnx.rules.steps import Sizes, Step, UnknownShape, Value
from archcost.counting.files.onnx.tensors import LARGEST
from archcost.errors import InputError, one_line

_FLOAT: Final = 1  # as TensorProto numbers types
_QUANTISED: Final = frozenset({2, 3, 6})  # uint8, int8, int32


@dataclass(frozen=True, slots=True)
class Named:
    """A node whose results are wanted: its protobuf message with every attribute its own, and its name in messages."""

    node: Any
    label: str


@cache
def schema(op: str, version: int, domain: str) -> Any | None:
    """Return ONNX's schema of an operator at a version of its domain, None if there is none."""
    try:
        return onnx.defs.get_schema(op, version, domain)
    except onnx.defs.SchemaError:
        return None


def results(named: Named, step: Step) -> tuple[Value, ...]:
    """Return what is known of a node's results, in the order of its outputs; of one that is not known an empty Value.

    Raises InputError if the node cannot be what it says with the shapes that it is given.
    """
    alike = microsoft.ALIKE.get(step.op) if step.domain == microsoft.DOMAIN else None
    guards.refuse(step if alike is None else alike_step(alike, step), named.label)
    if step.domain == microsoft.DOMAIN or step.op == "SimplifiedLayerNormalization":
        return _microsofts(named, step)
    found = schema(step.op, step.version, step.domain)
    if found is None:
        return ()
    return _inferred(named, step, found)


def _inferred(named: Named, step: Step, found: Any) -> tuple[Value, ...]:
    if (own := own_shapes.results(step)) is not None or not found.has_type_and_shape_inference_function:
        return () if own is None else (_checked(own, named),)
    node = named.node
    types, data = {}, {}
    for name, value in zip(node.input, step.inputs, strict=True):
        if value is not None:
            types[name] = _type(value)
            if value.known is not None and value.known.dtype.kind in "iufb":
                data[name] = numpy_helper.from_array(value.known)
    try:
        made = infer_node_outputs(found, node, types, data, None, [onnx.helper.make_opsetid(step.domain, step.version)])
    except Exception as error:  # of several kinds, as its functions are not all alike
        if any(value is not None and (not value.is_known or value.raw is not None) for value in step.inputs):
            return ()
        reason = str(error).partition(")")[2] or str(error)
        raise InputError(f"{named.label} cannot take its inputs: {one_line(reason.strip(' :'), 160)}") from None
    return tuple(_value(made[name], named) if name in made else Value() for name in node.output)


def _microsofts(named: Named, step: Step) -> tuple[Value, ...]:
    if (alike := microsoft.ALIKE.get(step.op)) is not None and step.domain:
        inner = alike_step(alike, step)
        twin = NodeProto()
        twin.CopyFrom(named.node)
        del twin.input[:]
        twin.input.extend(named.node.input[place] for place in alike.picked(len(step.inputs)) if step.has(place))
        twin.op_type, twin.domain = inner.op, ""
        del twin.output[1:]
        found = schema(inner.op, inner.version, "")
        made = _inferred(Named(_known_attributes(twin, found), named.label), _as_floats(inner), found)
        return tuple(Value(_elem(alike, step, each), each.sizes) for each in made)
    own = microsoft.OWN.get(step.op) if step.domain else microsoft.SIMPLIFIED
    if own is None:
        return ()
    try:
        return tuple(_checked(Value(elem, shape), named) for elem, shape in own.results(step))
    except UnknownShape:
        return ()
    except (ValueError, IndexError, ZeroDivisionError):
        raise InputError(f"{named.label} cannot take its inputs: their shapes do not fit {step.op}") from None


def _as_floats(step: Step) -> Step:
    """Return a step of which quantised values are floating: ONNX has most operators for those alone."""
    if step.op in ("MatMulInteger", "QuantizeLinear", "DequantizeLinear", "Pad", "Range", "GatherND"):
        return step
    inputs = [None if v is None else replace(v, elem=_FLOAT) if v.elem in _QUANTISED else v for v in step.inputs]
    return replace(step, inputs=tuple(inputs))


def _elem(alike: microsoft.Alike, step: Step, made: Value) -> int:
    """Return the type of what an operator gives: that of the quantised values it is given, if it is given such."""
    if step.op == "QGemm" and not step.has(7):
        return _FLOAT
    given = [step.inputs[place] for place in alike.picked(len(step.inputs)) if step.has(place)]
    kinds = [value.elem for value in given if value is not None and value.elem in _QUANTISED]
    if step.op == "QGemm" or (step.op.startswith("QLinear") and kinds):
        return kinds[0]
    return alike.elem or made.elem


def alike_step(alike: microsoft.Alike, step: Step) -> Step:
    """Return a step as the operator of ai.onnx's that it is counted as, at a version that has its attributes."""
    picked = tuple(step.inputs[p] for p in alike.picked(len(step.inputs)) if step.has(p))
    attributes = step.attributes
    version = 13 if alike.op.startswith("Reduce") else 21
    return Step(alike.op, "", version, attributes, picked, step.outputs[:1])


def _known_attributes(node: Any, found: Any) -> Any:
    """Return a node without the attributes that a schema does not have."""
    kept = [attribute for attribute in node.attribute if attribute.name in found.attributes]
    if len(kept) != len(node.attribute):
        copies = [onnx.AttributeProto.FromString(attribute.SerializeToString()) for attribute in kept]
        del node.attribute[:]
        node.attribute.extend(copies)
    return node


def _type(value: Value) -> Any:
    return value.raw if value.raw is not None else _tensor_type(value.elem, value.sizes)


@lru_cache(maxsize=4096)
def _tensor_type(elem: int, sizes: Sizes | None) -> Any:
    made = TypeProto()
    made.tensor_type.elem_type = elem
    if sizes is not None:
        made.tensor_type.shape.SetInParent()
        for size in sizes:
            axis = made.tensor_type.shape.dim.add()
            if size is not None:
                axis.dim_value = size
    return made


def _value(made: Any, named: Named) -> Value:
    return _checked(value_of(made), named)


def _checked(value: Value, named: Named) -> Value:
    sizes = value.sizes or ()
    if any(size is not None and size < 0 for size in sizes) or prod(size or 1 for size in sizes) > LARGEST:
        shape = " x ".join("?" if size is None else str(size) for size in sizes[:8])
        raise InputError(f"{named.label} would give {shape} values; allowed: sizes from 0, at most 2^53 values in all")
    return value


def value_of(made: Any, sizes: Mapping[str, int] | None = None) -> Value:
    """Return what a type says; `sizes`: what open names of axes stand for."""
    if not made.HasField("tensor_type"):
        return Value(raw=made) if made.WhichOneof("value") else Value()
    tensor = made.tensor_type
    if not tensor.HasField("shape"):
        return Value(tensor.elem_type)
    return Value(tensor.elem_type, tuple(_axis(axis, sizes or {}) for axis in tensor.shape.dim))


def _axis(axis: Any, sizes: Mapping[str, int]) -> int | None:
    if axis.HasField("dim_value"):
        return int(axis.dim_value) if axis.dim_value >= 0 else None
    return sizes.get(axis.dim_param) if axis.HasField("dim_param") else None


def merged(value: Value, declared: Value | None) -> Value:
    """Return a value with what the file declares of its type where nothing is known."""
    if declared is None or value.raw is not None:
        return value
    elem = value.elem or declared.elem
    if value.sizes is None:
        return Value(elem, declared.sizes, value.known, declared.raw)
    if declared.sizes is None or len(declared.sizes) != len(value.sizes):
        return Value(elem, value.sizes, value.known)
    sizes: Sequence[int | None] = [b if a is None else a for a, b in zip(value.sizes, declared.sizes, strict=True)]
    return Value(elem, tuple(sizes), value.known)
