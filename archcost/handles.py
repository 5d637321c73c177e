"""Handles for fvcore's tracer: counts of the operators it skips or gets wrong (0.1.5.post20221221, torch 2.13).

fvcore counts one multiply-add as one. Skipped: fused attention, `padding="same"`, recurrent layers and cells, baddbmm,
bilinear, matrix-vector products. Wrong: a batched right operand of matmul (1/batch), einsum beyond two forms. A handle
gets the traced inputs and outputs of one call and returns its MACs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import prod
from typing import Any, Final, TypeAlias

Shape: TypeAlias = list[int]
Handle: TypeAlias = Callable[[list[Any], list[Any]], int]


def shape_of(value: Any) -> Shape:
    """Return the shape of a traced tensor; empty for what is no tensor of known shape."""
    kind = value.type()
    sizes = kind.sizes() if kind.kind() == "TensorType" else None
    return list(sizes) if sizes is not None else []


def _listed(value: Any) -> list[Any]:
    """Return the parts of a traced list."""
    return list(value.node().inputs()) if value.node().kind() == "prim::ListConstruct" else []


def _attention(inputs: list[Any], outputs: list[Any]) -> int:
    query, key, value = (shape_of(v) for v in inputs[:3])
    return prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


def _padded_by_name(inputs: list[Any], outputs: list[Any]) -> int:
    """convNd(x, weight, bias, stride, padding as text, ...), also of one example without a batch."""
    return prod(shape_of(outputs[0])) * prod(shape_of(inputs[1])[1:])


def matmul_macs(left: Shape, right: Shape) -> int:
    """Return the MACs of left @ right for any ranks, broadcast as torch.matmul does."""
    rows = left[-2] if len(left) > 1 else 1
    columns = right[-1] if len(right) > 1 else 1
    batch = _broadcast(left[:-2], right[:-2])
    return prod(batch) * rows * left[-1] * columns


def _broadcast(left: Shape, right: Shape) -> Shape:
    width = max(len(left), len(right))
    pairs = zip([1] * (width - len(left)) + left, [1] * (width - len(right)) + right, strict=True)
    return [b if a == 1 else a for a, b in pairs]


def _matmul(inputs: list[Any], outputs: list[Any]) -> int:
    return matmul_macs(shape_of(inputs[0]), shape_of(inputs[1]))


def _baddbmm(inputs: list[Any], outputs: list[Any]) -> int:
    return matmul_macs(shape_of(inputs[1]), shape_of(inputs[2]))


def _bilinear(inputs: list[Any], outputs: list[Any]) -> int:
    """Every weight meets the product of one value of each input, once for every place."""
    return prod(shape_of(inputs[0])[:-1]) * prod(shape_of(inputs[2]))


def _matrices(values: list[Any]) -> Iterator[int]:
    yield from (prod(shape) for value in values if len(shape := shape_of(value)) == 2)


def _recurrent(inputs: list[Any], outputs: list[Any]) -> int:
    """rnn(x, states, weights, ...): every matrix of every layer and direction meets every step of every example.

    Of a packed sequence (data, batch sizes, states, weights, ...) the data holds each step once.
    """
    lists = [_listed(value) for value in inputs]
    weights = max(lists, key=lambda values: sum(_matrices(values)), default=[])
    return prod(shape_of(inputs[0])[:-1]) * sum(_matrices(weights))


def _cell(inputs: list[Any], outputs: list[Any]) -> int:
    """cell(x, state, w_ih, w_hh, ...): both matrices meet every example once; an LSTM's state is a list."""
    weights = [value for value in inputs[2:4] if len(shape_of(value)) == 2]
    return prod(shape_of(inputs[0])[:-1]) * sum(_matrices(weights))


def einsum_macs(equation: str, shapes: list[Shape]) -> int:
    """Return the MACs of an einsum contracted from left to right, as torch does without opt_einsum.

    One product over two operands multiplies once for every combination of the indices in either; an index that stands
    only in one of them and not in what follows is summed before, without multiplications.
    """
    terms, _, result = equation.replace(" ", "").partition("->")
    operands = _with_ellipses(terms.split(","), shapes)
    wanted = _result(result, [name for name, _ in operands]) if "->" in equation else _implied(operands)
    total = 0
    names, sizes = operands[0]
    for i, (right, more) in enumerate(operands[1:], 1):
        sizes = sizes | {k: max(v, sizes.get(k, 1)) for k, v in more.items()}
        later = set("".join(name for name, _ in operands[i + 1 :])) | set(wanted)
        alone = {k for k in set(names) ^ set(right) if k not in later}
        total += prod(sizes[k] for k in (set(names) | set(right)) - alone)
        names = "".join(k for k in sizes if (k in names or k in right) and k in later)
    return total


def _with_ellipses(terms: list[str], shapes: list[Shape]) -> list[tuple[str, dict[str, int]]]:
    """Return each operand's indices and their sizes; what an ellipsis stands for is named by digits, from the right."""
    found = []
    for term, shape in zip(terms, shapes, strict=True):
        hidden = len(shape) - len(term.replace("...", ""))
        names = term.replace("...", "".join(str(i) for i in range(hidden - 1, -1, -1)))
        sizes: dict[str, int] = {}
        for name, size in zip(names, shape, strict=True):
            sizes[name] = max(size, sizes.get(name, 1))
        found.append((names, sizes))
    return found


def _result(result: str, terms: list[str]) -> str:
    hidden = sorted({name for term in terms for name in term if name.isdigit()}, reverse=True)
    return result.replace("...", "".join(hidden))


def _implied(operands: list[tuple[str, dict[str, int]]]) -> str:
    every = "".join(name for name, _ in operands)
    return "".join(sorted(name for name in set(every) if every.count(name) == 1 or name.isdigit()))


def _einsum(inputs: list[Any], outputs: list[Any]) -> int:
    return einsum_macs(inputs[0].toIValue(), [shape_of(value) for value in _listed(inputs[1])])


HANDLES: Final[Mapping[str, Handle]] = {
    "aten::scaled_dot_product_attention": _attention,
    "aten::_convolution_mode": _padded_by_name,
    "aten::matmul": _matmul,
    "aten::mm": _matmul,
    "aten::bmm": _matmul,
    "aten::mv": _matmul,
    "aten::dot": _matmul,
    "aten::vdot": _matmul,
    "aten::inner": lambda i, o: prod(shape_of(o[0])) * shape_of(i[0])[-1],
    "aten::baddbmm": _baddbmm,
    "aten::addbmm": _baddbmm,
    "aten::addmv": _baddbmm,
    "aten::bilinear": _bilinear,
    "aten::einsum": _einsum,
    **{f"aten::{kind}": _recurrent for kind in ("lstm", "gru", "rnn_tanh", "rnn_relu")},
    **{f"aten::{kind}_cell": _cell for kind in ("lstm", "gru", "rnn_tanh", "rnn_relu")},
}
