"""Which nodes a runtime's kernels are made of: by names, and by what reads what.

ONNX Runtime calls a kernel as the node that it stands for, or as the value that it gives; OpenVINO lists the nodes. Of
what is left of the file, an operator that a kernel began with is found behind it, and what is nowhere else went into
the kernel that made its input.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

_BEHIND: Final = re.compile(
    r"(_nchwc|_token_\d+|_quant|/\w+ *)+$"
)  # what ONNX Runtime adds to the names of what it replaces


class Node(NamedTuple):
    """A node of an ONNX file, or of what a runtime made of it; weights: names of its own inputs that are constants."""

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    weights: tuple[str, ...] = ()


def joined(file: Sequence[Node], kernels: Mapping[str, str]) -> dict[str, tuple[int, ...]]:
    """Return for each kernel the places of the nodes that it does, in order; none of one that no node stands for.

    kernels: the operator of each by its name.
    """
    makers = _makers(file)
    places = _places(file, makers)
    owners: dict[int, str] = {}
    for kernel, op in kernels.items():
        place = places.get(_BEHIND.sub("", kernel).removeprefix("fused "))
        if place is not None and place not in owners:
            owners[place] = kernel
            _before(file, makers, owners, place, op)
    return _owned(file, makers, owners, kernels)


def listed(file: Sequence[Node], kernels: Mapping[str, Sequence[str]]) -> dict[str, tuple[int, ...]]:
    """Return the same of a runtime that says itself by which nodes' or values' names a kernel was made."""
    makers = _makers(file)
    places = _places(file, makers)
    owners: dict[int, str] = {}
    for kernel, names in kernels.items():
        owners.update((places[name], kernel) for name in names if name in places)
    return _owned(file, makers, owners, kernels)


def _makers(file: Sequence[Node]) -> dict[str, int]:
    return {value: place for place, node in enumerate(file) for value in node.outputs}


def _places(file: Sequence[Node], makers: Mapping[str, int]) -> dict[str, int]:
    """Return the place of each node by its name, and by those of its values."""
    return {**makers, **{node.name: place for place, node in enumerate(file)}}


def _owned(
    file: Sequence[Node], makers: Mapping[str, int], owners: dict[int, str], kernels: Iterable[str]
) -> dict[str, tuple[int, ...]]:
    _behind(file, makers, owners)
    found: dict[str, list[int]] = {kernel: [] for kernel in kernels}
    for place in sorted(owners):
        found[owners[place]].append(place)
    return {kernel: tuple(places) for kernel, places in found.items()}


def _before(file: Sequence[Node], makers: Mapping[str, int], owners: dict[int, str], place: int, op: str) -> None:
    """Give a kernel that is called by its end what it began with: a node of its operator, and those up to it."""
    kernel, chain = owners[place], [place]
    while not op.endswith(file[chain[-1]].op):
        maker = next((makers[value] for value in file[chain[-1]].inputs if value in makers), None)
        if maker is None or maker in owners or len(chain) > len(file):
            return
        chain.append(maker)
    owners.update(dict.fromkeys(chain, kernel))


def _behind(file: Sequence[Node], makers: Mapping[str, int], owners: dict[int, str]) -> None:
    """Give each node that no kernel is called by to the one that made the latest of its inputs, else to its reader."""
    for place, node in enumerate(file):
        if place not in owners:
            before = [makers[value] for value in node.inputs if value in makers and makers[value] in owners]
            if before:
                owners[place] = owners[max(before)]


def told(
    file: Sequence[Node], layer: Callable[[str], str | None], fits: Callable[[str, str], bool], order: Sequence[str]
) -> dict[int, str]:
    """Return the layer of each node: that of its weights, else the next one in order that its operator fits.

    layer: of a weight, None if it is of none; fits: whether an operator may be a layer's; order: of the layers, in
    which nodes stand too. A node that none fits is of the same layer as the one before it.
    """
    places = {name: place for place, name in enumerate(order)}
    owned = [next((own for weight in node.weights if (own := layer(weight)) in places), None) for node in file]
    found: dict[int, str] = {}
    at = -1
    for number, node in enumerate(file):
        own = owned[number]
        if own is not None:
            at = places[own]
        else:
            later = (places[name] for name in owned[number + 1 :] if name is not None)
            end = next((place for place in later if place > at), len(order) - 1)  # its own bias may be what is next
            at = next((place for place in range(at + 1, end + 1) if fits(node.op, order[place])), at)
        if at >= 0:
            found[number] = order[at]
    return found
