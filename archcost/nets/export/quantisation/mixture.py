"""A file of 8 bits with layers in float32, which a plain session of ONNX Runtime leaves so.

ONNX Runtime quantises a float32 Conv or Gemm between tensors of 8 bits itself (its pass WeightBiasQuantization, on in
every session). It knows them by their names, so they are written as its own operators, which its optimiser makes of
them anyway: FusedConv, FusedGemm, FusedMatMul.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from importlib import import_module
from typing import Any, Final

_QUANTISE: Final = "QuantizeLinear"
_RESTORE: Final = "DequantizeLinear"
_REMOVED: Final = frozenset({"Relu", "Clip"})  # the quantiser leaves them to the range of what follows
_RENAMED: Final = "_QuantizeLinear_Input"  # behind an output's name in that of what is rounded to give it
_PRODUCTS_OUT: Final = frozenset({"Gemm", "MatMul"})  # 8-bit kernels of these can give float32
_OWN_DOMAIN: Final = "com.microsoft"
_OWN: Final = {"Conv": "FusedConv", "Gemm": "FusedGemm", "MatMul": "FusedMatMul"}


def leave(small: Any, whole: Any, nodes: Collection[str]) -> None:
    """Bring these nodes of a model of 8 bits back to what they are in the model of float32 that it was made from.

    small: is changed; whole: is not; nodes: products, by their names, which both models have.
    """
    graph = small.graph
    kept = set(nodes)
    for node in [each for each in graph.node if each.name in nodes]:
        kept |= _restore(graph, whole.graph, node)
    _join(graph, kept)
    _give(graph, kept)
    for node in [each for each in graph.node if each.name in nodes]:
        _own(small, node)
    _clean(graph)


def give(small: Any) -> None:
    """Let the products that give a network's outputs give them in float32: they add up in 32 bits, and need no grid."""
    _give(small.graph, frozenset())
    _clean(small.graph)


def _restore(graph: Any, whole: Any, node: Any) -> set[str]:
    """Give a node its own weights, and what the quantiser has removed behind it; return the names of the latter."""
    original = next(each for each in whole.node if each.name == node.name)
    values = {each.name: each for each in whole.initializer}
    for place in range(1, len(original.input)):
        if (name := original.input[place]) in values:
            node.input[place] = _value(graph, values[name])
    chain = list(_removed(whole, original.output[0], node.output[0].removesuffix(_RENAMED)))
    if not chain or original.output[0] == node.output[0]:
        return set()
    given, at = node.output[0], list(graph.node).index(node)
    node.output[0] = original.output[0]
    for offset, each in enumerate(chain, start=1):
        copy = type(each)()
        copy.CopyFrom(each)
        for place in range(1, len(each.input)):
            if each.input[place] in values:
                copy.input[place] = _value(graph, values[each.input[place]])
        graph.node.insert(at + offset, copy)
    graph.node[at + len(chain)].output[0] = given
    return {each.name for each in chain}


def _value(graph: Any, value: Any) -> str:
    """Return the name under which a model has a value of float32; it is added if it is not there."""
    taken = {name for node in graph.node for name in node.output}
    name = f"{value.name}_float32" if value.name in taken else value.name
    if name not in {each.name for each in graph.initializer}:
        graph.initializer.add().CopyFrom(value)
        graph.initializer[-1].name = name
    return str(name)


def _removed(whole: Any, name: str, until: str) -> Iterator[Any]:
    """Yield the activations between two tensors of a model, none if something else is between them."""
    found = []
    while name != until:
        readers = [node for node in whole.node if name in node.input]
        if len(readers) != 1 or readers[0].op_type not in _REMOVED:
            return
        found.append(readers[0])
        name = readers[0].output[0]
    yield from found


def _join(graph: Any, kept: Collection[str]) -> None:
    """Let what stays in float32 read what is given in float32, without rounding to 8 bits between."""
    makers = _makers(graph)
    for node in graph.node:
        if node.name not in kept:
            continue
        for place, name in enumerate(node.input):
            if (source := _rounded(makers, name)) and _is_float(graph, makers, source, kept):
                node.input[place] = source


def _give(graph: Any, kept: Collection[str]) -> None:
    """Let a network give what is float32, or a product of 8 bits that can be, as it is, without rounding it."""
    makers = _makers(graph)
    for given in graph.output:
        source = _rounded(makers, given.name)
        maker = makers.get(source)
        if maker is None or len([node for node in graph.node if source in node.input]) != 1:
            continue
        if maker.name in kept or maker.op_type in _PRODUCTS_OUT:
            graph.node.remove(makers[given.name])
            maker.output[0] = given.name


def _makers(graph: Any) -> dict[str, Any]:
    return {name: node for node in graph.node for name in node.output}


def _rounded(makers: dict[str, Any], name: str) -> str:
    """Return the tensor of which this one is the same, rounded to 8 bits; '' if it is none."""
    back = makers.get(name)
    if back is None or back.op_type != _RESTORE:
        return ""
    before = makers.get(back.input[0])
    if (
        before is None or before.op_type != _QUANTISE or before.input[1:] != back.input[1:]
    ):  # of another scale: a factor
        return ""
    return str(before.input[0])


def _is_float(graph: Any, makers: dict[str, Any], name: str, kept: Collection[str]) -> bool:
    """Return whether a tensor is an input, or made by what does not round its own inputs to 8 bits."""
    maker = makers.get(name)
    if maker is None:
        return name in {each.name for each in graph.input}
    return maker.name in kept or not any(_restores(makers, each) for each in maker.input)


def _restores(makers: dict[str, Any], name: str) -> bool:
    return name in makers and makers[name].op_type == _RESTORE


def _own(small: Any, node: Any) -> None:
    """Write a node that reads 8 bits as ONNX Runtime's own operator, with the ReLU behind it."""
    graph, makers = small.graph, _makers(small.graph)
    restored = [_restores(makers, name) for name in node.input]
    if not (all(restored) if node.op_type == "MatMul" else restored[0]):
        return
    if node.op_type == "ConvTranspose":  # has no such operator: a step that changes nothing is between it and 8 bits
        at, given = list(graph.node).index(node), node.output[0]
        node.output[0] = f"{given}_float32"
        graph.node.insert(at + 1, _same(node.output[0], given))
        return
    is_gemm = node.op_type == "Gemm"
    node.op_type, node.domain = _OWN[node.op_type], _OWN_DOMAIN
    if all(each.domain != _OWN_DOMAIN for each in small.opset_import):
        entry = small.opset_import.add()
        entry.domain, entry.version = _OWN_DOMAIN, 1
    if node.op_type == "FusedMatMul":
        return
    readers = [each for each in graph.node if node.output[0] in each.input]
    make = import_module("onnx").helper.make_attribute
    if len(readers) == 1 and readers[0].op_type == "Relu":
        node.attribute.append(make("activation", "Relu"))
        node.output[0] = readers[0].output[0]
        graph.node.remove(readers[0])
    elif is_gemm:  # is refused without any
        node.attribute.extend([make("activation", "LeakyRelu"), make("activation_alpha", 1.0)])


def _same(name: str, given: str) -> Any:
    return import_module("onnx").helper.make_node("LeakyRelu", [name], [given], name=f"{given}_same", alpha=1.0)


def _clean(graph: Any) -> None:
    """Remove what no output needs."""
    while True:
        read = {name for node in graph.node for name in node.input} | {each.name for each in graph.output}
        dead = [node for node in graph.node if not read & set(node.output)]
        if not dead:
            break
        for node in dead:
            graph.node.remove(node)
    values = [each for each in graph.initializer if each.name in read]
    del graph.initializer[:]
    graph.initializer.extend(values)
