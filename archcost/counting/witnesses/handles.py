"""Handles for fvcore's tracer: counts of the operators that it skips or gets wrong.

fvcore counts one multiply-add as one. Skipped: fused attention, `padding="same"`, recurrent layers and cells, baddbmm,
bilinear, matrix-vector and grouped products, distances, affine grids, weights of few bits. Wrong: a batched right
operand of matmul (1/batch), einsum beyond two forms. A handle gets the traced inputs and outputs of one call and
returns its MACs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import prod
from typing import Any, Final, TypeAlias

Sizes: TypeAlias = list[int]
Handle: TypeAlias = Callable[[list[Any], list[Any]], int]


def sizes_of(value: Any) -> Sizes:
    """Return the shape of a traced tensor; empty for what is no tensor of known shape."""
    kind = value.type()
    sizes = kind.sizes() if kind.kind() == "TensorType" else None
    return list(sizes) if sizes is not None else []


def _listed(value: Any) -> list[Any]:
    """Return the parts of a traced list."""
    return list(value.node().inputs()) if value.node().kind() == "prim::ListConstruct" else []


def _attention(inputs: list[Any], _: list[Any]) -> int:
    query, key, value = (sizes_of(v) for v in inputs[:3])
    return prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


def _padded_by_name(inputs: list[Any], outputs: list[Any]) -> int:
    """convNd(x, weight, bias, stride, padding as text, ...), also of one example without a batch."""
    return prod(sizes_of(outputs[0])) * prod(sizes_of(inputs[1])[1:])


def matmul_macs(left: Sizes, right: Sizes) -> int:
    """Return the MACs of left @ right for any ranks, broadcast as torch.matmul does."""
    rows = left[-2] if len(left) > 1 else 1
    columns = right[-1] if len(right) > 1 else 1
    return prod(_broadcast(left[:-2], right[:-2])) * rows * left[-1] * columns


def _broadcast(left: Sizes, right: Sizes) -> Sizes:
    width = max(len(left), len(right))
    pairs = zip([1] * (width - len(left)) + left, [1] * (width - len(right)) + right, strict=True)
    return [b if a == 1 else a for a, b in pairs]


def _matmul(inputs: list[Any], _: list[Any]) -> int:
    return matmul_macs(sizes_of(inputs[0]), sizes_of(inputs[1]))


def _added(inputs: list[Any], _: list[Any]) -> int:
    """(what is added, left, right, ...)."""
    return matmul_macs(sizes_of(inputs[1]), sizes_of(inputs[2]))


def _bilinear(inputs: list[Any], _: list[Any]) -> int:
    """Every weight meets the product of one value of each input, once for every place."""
    return prod(sizes_of(inputs[0])[:-1]) * prod(sizes_of(inputs[2]))


def _matrices(values: list[Any]) -> Iterator[int]:
    yield from (prod(sizes) for value in values if len(sizes := sizes_of(value)) == 2)


def _recurrent(inputs: list[Any], _: list[Any]) -> int:
    """rnn(x, states, weights, ...): every matrix of every layer and direction meets every step of every example.

    Of a packed sequence (data, batch sizes, states, weights, ...) the data holds each step once.
    """
    lists = [_listed(value) for value in inputs]
    weights = max(lists, key=lambda values: sum(_matrices(values)), default=[])
    return prod(sizes_of(inputs[0])[:-1]) * sum(_matrices(weights))


def _cell(inputs: list[Any], _: list[Any]) -> int:
    """cell(x, state, w_ih, w_hh, ...): both matrices meet every example once; an LSTM's state is a list."""
    weights = [value for value in inputs[2:4] if len(sizes_of(value)) == 2]
    return prod(sizes_of(inputs[0])[:-1]) * sum(_matrices(weights))


def einsum_macs(equation: str, shapes: list[Sizes], path: list[int] | None = None) -> int:
    """Return the MACs of an einsum, contracted pair by pair as torch does: along `path`, else from left to right.

    A pair multiplies once for every combination of the indices in either, where an index that stands in only one of
    them and in nothing that follows is summed before. A pair that sums over no index is no matrix product but an
    elementwise one: 0 MACs.
    """
    terms, _, result = equation.replace(" ", "").partition("->")
    operands = _with_ellipses(terms.split(","), shapes)
    wanted = set(_result(result, operands) if "->" in equation else _implied(operands))
    order = iter(path or [])
    total = 0
    while len(operands) > 1:
        pair = sorted((next(order), next(order))) if path else [0, 1]
        right, left = operands.pop(pair[1]), operands.pop(pair[0])
        later = wanted.union(*(sizes.keys() for sizes in operands))
        macs, made = _contracted(left, right, later)
        total += macs
        operands.insert(len(operands) if path else 0, made)
    return total


def _contracted(left: dict[str, int], right: dict[str, int], later: set[str]) -> tuple[int, dict[str, int]]:
    """Return the MACs of one pair, and the indices it leaves; a size of 1 is broadcast."""
    both = {k: max(left.get(k, 1), right.get(k, 1)) for k in {**left, **right}}
    alone = {k for k in both if (k in left) != (k in right) and k not in later}
    summed = {k for k in both if k in left and k in right and k not in later}
    macs = prod(size for k, size in both.items() if k not in alone) if any(_wide(k, left, right) for k in summed) else 0
    return macs, {k: size for k, size in both.items() if k in later}


def _wide(index: str, left: dict[str, int], right: dict[str, int]) -> bool:
    """Return whether a common index is summed in the product: where one side has it once, it is summed before."""
    return left[index] > 1 and right[index] > 1


def _with_ellipses(terms: list[str], shapes: list[Sizes]) -> list[dict[str, int]]:
    """Return each operand's indices and their sizes; what an ellipsis stands for is named by digits, from the right."""
    found = []
    for term, shape in zip(terms, shapes, strict=True):
        hidden = len(shape) - len(term.replace("...", ""))
        names = term.replace("...", "".join(str(i) for i in range(hidden - 1, -1, -1)))
        sizes: dict[str, int] = {}
        for name, size in zip(names, shape, strict=True):
            sizes[name] = max(size, sizes.get(name, 1))
        found.append(sizes)
    return found


def _result(result: str, operands: list[dict[str, int]]) -> str:
    hidden = sorted({name for sizes in operands for name in sizes if name.isdigit()}, reverse=True)
    return result.replace("...", "".join(hidden))


def _implied(operands: list[dict[str, int]]) -> str:
    every = [name for sizes in operands for name in sizes]
    return "".join(sorted(name for name in set(every) if every.count(name) == 1 or name.isdigit()))


def _einsum(inputs: list[Any], _: list[Any]) -> int:
    path = [value.toIValue() for value in _listed(inputs[2])] if len(inputs) > 2 else []
    equation: str = inputs[0].toIValue()
    return einsum_macs(equation, [sizes_of(value) for value in _listed(inputs[1])], path or None)


def _tensordot(inputs: list[Any], outputs: list[Any]) -> int:
    """(left, right, dimensions of left, dimensions of right): every output meets what is summed."""
    left = sizes_of(inputs[0])
    summed: list[int] = [value.toIValue() for value in _listed(inputs[2])]
    return prod(sizes_of(outputs[0])) * prod(left[d] for d in summed)


def _grouped(inputs: list[Any], outputs: list[Any]) -> int:
    """(left, right, ...): every output sums over left's last dimension, but for sums that are cut into groups."""
    left, right = sizes_of(inputs[0]), sizes_of(inputs[1])
    summed = left[-1]
    if len(left) == len(right) == 2:  # what is summed falls into groups: each has a product of its own
        return left[0] * summed * right[1]
    return prod(sizes_of(outputs[0])) * summed


def _distances(inputs: list[Any], outputs: list[Any]) -> int:
    """(rows, rows, p, ...): of Euclidean distances a multiply-add for every component."""
    return prod(sizes_of(outputs[0])) * sizes_of(inputs[0])[-1] if inputs[2].toIValue() == 2 else 0


def _grid(inputs: list[Any], outputs: list[Any]) -> int:
    """Every place (x, y, 1) is multiplied with a matrix of as many columns."""
    return prod(sizes_of(outputs[0])) * sizes_of(inputs[0])[-1]


def _quantized(inputs: list[Any], outputs: list[Any]) -> int:
    return prod(sizes_of(outputs[0])) * sizes_of(inputs[0])[-1]


def _is_complex(value: Any) -> list[bool]:
    """Return whether a traced tensor is complex, or each tensor of a traced list; nothing for what is no tensor."""
    kind = value.type()
    if kind.kind() == "TensorType":
        return [str(kind.scalarType()).startswith("Complex")]
    return [found for part in _listed(value) for found in _is_complex(part)]


def _scaled(handle: Handle) -> Handle:
    """Return a handle that counts a complex product as the four real ones that it consists of."""

    def scaled(inputs: list[Any], outputs: list[Any]) -> int:
        macs = handle(inputs, outputs)
        return 4 * macs if macs and any(found for value in inputs for found in _is_complex(value)) else macs

    return scaled


_OWN: Final[Mapping[str, Handle]] = {
    "aten::scaled_dot_product_attention": _attention,
    "aten::_convolution_mode": _padded_by_name,
    **{f"aten::{kind}": _matmul for kind in ("matmul", "mm", "bmm", "mv", "dot", "vdot")},
    "aten::inner": lambda i, o: prod(sizes_of(o[0])) * sizes_of(i[0])[-1],
    "aten::outer": lambda i, o: 0,
    "aten::linear": lambda i, o: prod(sizes_of(o[0])) * sizes_of(i[1])[-1],
    **{f"aten::{kind}": _added for kind in ("baddbmm", "baddbmm_", "addmm", "addbmm", "addmv")},
    "aten::bilinear": _bilinear,
    "aten::tensordot": _tensordot,
    "aten::einsum": _einsum,
    **{f"aten::{kind}": _recurrent for kind in ("lstm", "gru", "rnn_tanh", "rnn_relu")},
    **{f"aten::{kind}_cell": _cell for kind in ("lstm", "gru", "rnn_tanh", "rnn_relu")},
    "aten::_grouped_mm": _grouped,
    "aten::_scaled_grouped_mm": _grouped,
    "aten::cdist": _distances,
    "aten::affine_grid_generator": _grid,
    **{f"aten::_weight_{kind}_mm": _quantized for kind in ("int8pack", "int4pack", "int4pack_for_cpu")},
    "torchvision::deform_conv2d": _padded_by_name,
    "quantized::linear_dynamic": _quantized,
    "quantized::linear_relu_dynamic": _quantized,
}
HANDLES: Final[Mapping[str, Handle]] = {name: _scaled(handle) for name, handle in _OWN.items()}
"""By the name the tracer gives; norms and pools, which fvcore adds to its total, are kept apart by their names."""
