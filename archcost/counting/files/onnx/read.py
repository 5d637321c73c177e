"""An ONNX file is opened: parsed within limits, and its graphs and tensors are checked."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import onnx
from google.protobuf.message import DecodeError

from archcost.counting.files.onnx import tensors, wire
from archcost.errors import InputError, Mistake, Place, one_line, quoted
from archcost.machine import available_memory_bytes, shortage
from archcost.units import data_size

MOST_BYTES: Final = 2**31 - 1
"""The largest protobuf message; larger networks have their weights beside the file."""


def opened(path: Path) -> Any:
    """Return the onnx.ModelProto of a file; raises InputError, with the file's name, if it is none that can be read."""
    try:
        model = _parsed(path)
        _checked(model, path.parent)
    except OSError as error:
        raise _of(path, error.strerror or str(error)) from None
    except InputError as error:
        raise InputError(*(Mistake(m.message, m.path, Place(str(path))) for m in error.mistakes)) from None
    return model


def _of(path: Path, words: str) -> InputError:
    return InputError(Mistake(words, place=Place(str(path))))


def _parsed(path: Path) -> Any:
    if not path.is_file():
        raise InputError("is a directory, where an ONNX file is wanted" if path.is_dir() else "is no regular file")
    with path.open("rb") as file:
        if not (size := path.stat().st_size):
            raise InputError("is empty")
        if size > MOST_BYTES:
            raise InputError(f"has {data_size(size)}; allowed: {data_size(MOST_BYTES)}, the largest protobuf message")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                measured = wire.measured(data)
            except wire.NoProtobufError:
                raise InputError("is no ONNX file, or is cut off: it is no whole protobuf message") from None
            if short := shortage(measured.parsed_bytes + size, available_memory_bytes()):
                raise InputError(f"too large to read: {short}")
            content = data[:]
    try:
        model = onnx.ModelProto.FromString(content)
    except (DecodeError, RecursionError, ValueError) as error:
        raise InputError(f"is no ONNX file, or is cut off: {one_line(error, 120)}") from None
    if not model.HasField("graph") or not (model.graph.node or model.graph.output):
        raise InputError("is no ONNX file: it holds no graph")
    return model


def _checked(model: Any, folder: Path) -> None:
    """Raise InputError where functions, graphs or tensors are not as ONNX defines them."""
    _refuse_recursion(model)
    _refuse_disorder(model.graph, frozenset())
    for function in model.functions:
        _refuse_disorder_of(function.node, set(function.input), quoted(function.name))
    for tensor in _tensors(model):
        tensors.check(tensor, folder)
    for sparse in _sparse(model):
        tensors.check_sparse(sparse)


def _refuse_disorder(graph: Any, outside: frozenset[str]) -> None:
    """Raise InputError if a value is used before it is made, or made twice: nodes are sorted, without a circle."""
    known = set(outside) | {each.name for each in graph.input} | {each.name for each in graph.initializer}
    known |= {each.values.name for each in graph.sparse_initializer}
    _refuse_disorder_of(graph.node, known, quoted(graph.name or "graph"))
    for output in graph.output:
        if output.name not in known:
            raise InputError(f"output {quoted(output.name)} is made by no node")


def _refuse_disorder_of(nodes: Any, known: set[str], where: str) -> None:
    made: set[str] = set()
    for place, node in enumerate(nodes):
        name = quoted(node.name or f"{node.op_type} {place}")
        for given in node.input:
            if given and given not in known:
                words = "which no node before it makes: nodes have to be sorted, without a circle"
                raise InputError(f"node {name} of {where} reads {quoted(given)}, {words}")
        for graph in _inner(node):
            _refuse_disorder(graph, frozenset(known))
        for given in filter(None, node.output):
            if given in made:
                raise InputError(f"node {name} of {where} makes {quoted(given)}, which another node makes too")
            made.add(given)
            known.add(given)


def _inner(node: Any) -> Iterator[Any]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _refuse_recursion(model: Any) -> None:
    """Raise InputError if a function of the file calls itself, by a detour or not."""
    calls = {
        (f.domain, f.name): {(n.domain, n.op_type) for n in _all_nodes(f.node) if n.op_type} for f in model.functions
    }
    done: set[tuple[str, str]] = set()
    for start in calls:
        path: list[tuple[str, str]] = []
        waiting = [(start, False)]
        while waiting:
            name, leaving = waiting.pop()
            if leaving:
                done.add(path.pop())
            elif name in path:
                raise InputError(f"function {quoted(name[1])} calls itself")
            elif name in calls and name not in done:
                path.append(name)
                waiting += [(name, True), *((each, False) for each in calls[name])]


def _all_nodes(nodes: Any) -> Iterator[Any]:
    for node in nodes:
        yield node
        for graph in _inner(node):
            yield from _all_nodes(graph.node)


def _graphs(model: Any) -> Iterator[Any]:
    yield model.graph
    for nodes in (model.graph.node, *(function.node for function in model.functions)):
        for node in _all_nodes(nodes):
            yield from _inner(node)


def _tensors(model: Any) -> Iterator[Any]:
    """Yield every tensor that a file holds: initialisers, sparse ones' parts, and those in attributes."""
    for graph in _graphs(model):
        yield from graph.initializer
    for sparse in _sparse(model):
        yield sparse.values
        yield sparse.indices
    for attribute in _attributes(model):
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors


def _sparse(model: Any) -> Iterator[Any]:
    for graph in _graphs(model):
        yield from graph.sparse_initializer
    for attribute in _attributes(model):
        if attribute.HasField("sparse_tensor"):
            yield attribute.sparse_tensor
        yield from attribute.sparse_tensors


def _attributes(model: Any) -> Iterator[Any]:
    """Yield the attributes of every node, in graphs inside others and in functions too."""
    for nodes in (model.graph.node, *(function.node for function in model.functions)):
        for node in _all_nodes(nodes):
            yield from node.attribute
