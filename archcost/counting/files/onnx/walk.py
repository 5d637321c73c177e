"""A pass through an ONNX graph: each node's shapes and work, bodies and functions too."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from onnx import helper

from archcost.counting.files.onnx import control, tensors
from archcost.counting.files.onnx.frames import Frame, Line, Pass, Scope
from archcost.counting.files.onnx.rules import costs, known, shapes
from archcost.counting.files.onnx.rules.shapes import Named
from archcost.counting.files.onnx.rules.steps import Step, Value
from archcost.counting.files.onnx.wire import MOST_NODES
from archcost.errors import InputError, quoted

SCOPES: Final = "pkg.torch.onnx.name_scopes"
"""The key under which torch's exporter keeps the modules that a node is of."""


_MOST_NESTED: Final = 60  # calls of functions and bodies inside each other; Python's own limit is not far


class Walk:
    """One pass through a model; `sizes`: what the names of open axes stand for."""

    def __init__(self, model: Any, folder: Path, sizes: Mapping[str, int]) -> None:
        self.model, self.folder, self.sizes = model, folder, sizes
        self.functions = {(each.domain, each.name): each for each in model.functions}
        self.state = Pass(self.graph)
        self.constants: dict[str, Value] = {}
        self.visited = 0

    def run(self, inputs: Mapping[str, Value]) -> None:
        """Pass through the whole model with its inputs of the given types."""
        frame = Frame(_versions(self.model.opset_import))
        graph = self.model.graph
        scope: Scope = {}
        for name, value in inputs.items():
            scope[name] = self.state.alive.born(value)
        self.graph(graph, scope, frame)

    def graph(self, graph: Any, scope: Scope, frame: Frame) -> tuple[Value, ...]:
        """Pass through a graph whose inputs are in scope; return its outputs."""
        for tensor in graph.initializer:
            scope[tensor.name] = self._weight(tensor, tensor.name, frame)
        for sparse in graph.sparse_initializer:
            name = sparse.values.name
            scope[name] = self.constants.setdefault(
                name, Value(sparse.values.data_type, tuple(sparse.dims), weight=name)
            )
        return self.nodes(graph.node, [each.name for each in graph.output], scope, frame, graph.value_info)

    def _weight(self, tensor: Any, name: str, frame: Frame) -> Value:
        full = "/".join((*frame.path, name)) if frame.path else name
        if full not in self.constants:
            value = tensors.small(tensor, self.folder)
            self.constants[full] = Value(tensor.data_type, tuple(tensor.dims), value, weight=full)
        return self.constants[full]

    def nodes(self, nodes: Any, outputs: Sequence[str], scope: Scope, frame: Frame, declared: Any) -> tuple[Value, ...]:
        """Pass through nodes in their order; what nobody reads any more dies."""
        types = {each.name: shapes.value_of(each.type, self.sizes) for each in declared}
        last = _last_uses(nodes, outputs)
        for place, node in enumerate(nodes):
            self.visited += 1
            if self.visited > MOST_NODES:
                raise InputError(f"its functions and loops would run more than {MOST_NODES:,} nodes one by one")
            made = self._node(node, place, scope, frame)
            for name, value in zip(node.output, made, strict=False):
                if name:
                    scope[name] = replace(shapes.merged(value, types.get(name)), owner=value.owner, weight=value.weight)
            self.state.alive.note()
            for name in last.get(place, ()):
                if (gone := _own(scope).get(name)) is not None:
                    self.state.alive.dies(gone)
        found = tuple(scope.get(name, Value()) for name in outputs)
        for name in last.get(len(nodes), ()):
            if (gone := _own(scope).get(name)) is not None:
                self.state.alive.dies(gone)
        return found

    def _node(self, node: Any, place: int, scope: Scope, frame: Frame) -> tuple[Value, ...]:
        if len(frame.keys) > _MOST_NESTED:
            raise InputError(f"its functions and graphs call each other deeper than {_MOST_NESTED}")
        label = f"node {quoted(node.name or f'{node.op_type} {place}')}"
        inner = replace(frame, keys=(*frame.keys, place))
        step = self._step(node, scope, frame)
        if (function := self.functions.get((node.domain, node.op_type))) is not None:
            return self._function(function, node, step, inner)
        if control.enters(step):
            return control.entered(self.state, node, step, scope, replace(inner, path=(*frame.path, node.name)))
        if step.op == "Constant" and not step.domain:
            return (self._constant(node, step, frame),)
        bound = Named(_bound(node, frame.given), label)
        values = shapes.results(bound, step)
        values = (*values, *[Value()] * (len(node.output) - len(values)))[: len(node.output)]
        contents = known.computed(step, [value.sizes for value in values])
        values = tuple(replace(value, known=each) for value, each in zip(values, contents, strict=True))
        values = self._stored(step, values)
        self.note(node, replace(step, outputs=values), inner)
        return values

    def _stored(self, step: Step, values: tuple[Value, ...]) -> tuple[Value, ...]:
        """Return results with the storage that each is in: their own, or that of what they are a view of."""
        if costs.is_view(step) and step.inputs and (source := step.inputs[0]) is not None:
            first = self.state.alive.again(replace(values[0], owner=source.owner, weight=source.weight))
            return (first, *map(self.state.alive.born, values[1:]))
        return tuple(map(self.state.alive.born, values))

    def _step(self, node: Any, scope: Scope, frame: Frame) -> Step:
        domain = "" if node.domain == "ai.onnx" else node.domain
        inputs = tuple(scope.get(name, Value()) if name else None for name in node.input)
        attributes = dict(_attributes(node, frame.given))
        outputs = tuple(Value() if name else None for name in node.output)
        return Step(node.op_type, domain, frame.versions.get(domain, 1), attributes, inputs, outputs)

    def _constant(self, node: Any, step: Step, frame: Frame) -> Value:
        for attribute in node.attribute:
            if attribute.name == "value" and attribute.HasField("t"):
                return self._weight(attribute.t, node.output[0], frame)
            if attribute.name == "sparse_value":
                tensor = attribute.sparse_tensor
                return Value(tensor.values.data_type, tuple(tensor.dims), weight=node.output[0])
        content = step.attributes.get("value", next(iter(step.attributes.values()), None))
        value = known.constant(content)
        return Value() if value is None else Value(known.elem_of(value), value.shape, value)

    def _function(self, function: Any, node: Any, step: Step, frame: Frame) -> tuple[Value, ...]:
        """Return what a function of the file gives for a call of it: its nodes run with its own attributes."""
        scope: Scope = {}
        for name, value in zip(function.input, step.inputs, strict=False):
            if value is not None:
                scope[name] = self.state.alive.again(value)
        defaults = {each.name: each for each in function.attribute_proto}
        given = {**defaults, **{each.name: _resolved(each, frame.given) for each in node.attribute}}
        versions = {**frame.versions, **_versions(function.opset_import)}
        path = (*frame.path, node.name or node.op_type)
        inner = Frame(versions, given, frame.runs, path, frame.keys)
        made = self.nodes(function.node, list(function.output), scope, inner, function.value_info)
        return tuple(self.state.alive.again(value) for value in made)

    def note(self, node: Any, step: Step, frame: Frame) -> None:
        """Add what a node does to its line."""
        work = costs.work(step).times(frame.runs)
        line = self.state.seen.lines.get(frame.keys)
        if line is not None:
            line.add(work, frame.runs)
            return
        weights = tuple(value.weight if value is not None else "" for value in step.inputs)
        name = node.name or f"{node.op_type}_{frame.keys[-1]}"
        scopes = next((each.value for each in node.metadata_props if each.key == SCOPES), "")
        op = f"{step.domain}::{step.op}" if step.domain else step.op
        place = (*filter(None, frame.path), name)
        self.state.seen.lines[frame.keys] = Line(place, op, step.op, work, frame.runs, weights, scopes)


def _versions(opsets: Any) -> dict[str, int]:
    return {"" if each.domain == "ai.onnx" else each.domain: each.version for each in opsets}


def _own(scope: Scope) -> Mapping[str, Value]:
    """Return the names of a scope itself, without those around it."""
    return scope.maps[0] if isinstance(scope, ChainMap) else scope


def _last_uses(nodes: Any, outputs: Sequence[str]) -> dict[int, list[str]]:
    """Return by the place of a node the names that are read last there; what nobody reads dies where it is made."""
    last: dict[str, int] = {}
    for place, node in enumerate(nodes):
        last.update(dict.fromkeys((name for name in node.output if name), place))
        last.update(dict.fromkeys(_reads(node), place))
    last.update(dict.fromkeys(outputs, len(nodes)))
    places: dict[int, list[str]] = {}
    for name, place in last.items():
        places.setdefault(place, []).append(name)
    return places


def _reads(node: Any) -> Iterator[str]:
    yield from filter(None, node.input)
    for attribute in node.attribute:
        for graph in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
            for inner in graph.node:
                yield from _reads(inner)
            for output in graph.output:
                yield output.name


def _resolved(attribute: Any, given: Mapping[str, Any]) -> Any:
    """Return an attribute, or what the function was called with if it only names that."""
    return given.get(attribute.ref_attr_name, attribute) if attribute.ref_attr_name else attribute


def _attributes(node: Any, given: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for each in node.attribute:
        attribute = _resolved(each, given)
        if attribute.ref_attr_name:
            continue  # the call leaves it out
        value = helper.get_attribute_value(attribute)
        if attribute.type == attribute.TENSOR:
            value = tensors.small(value, Path()) if value.data_location != value.EXTERNAL else None
        yield each.name, value


def _bound(node: Any, given: Mapping[str, Any]) -> Any:
    """Return a node whose attributes are all its own: those that name a function's are replaced, or left out."""
    if not any(each.ref_attr_name for each in node.attribute):
        return node
    made = type(node)()
    made.CopyFrom(node)
    del made.attribute[:]
    for each in node.attribute:
        attribute = _resolved(each, given)
        if not attribute.ref_attr_name:
            added = made.attribute.add()
            added.CopyFrom(attribute)
            added.name = each.name
    return made
