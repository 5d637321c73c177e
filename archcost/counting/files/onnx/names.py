"""Which layer a node is of, by scopes, paths in names, and names of weights."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from archcost.counting.files.onnx.frames import Line

_TEXT = re.compile(r"'([^']*)'|\"([^\"]*)\"")


def layers(lines: Sequence[Line]) -> list[tuple[str, str]]:
    """Return for each node its name and the layer that it is grouped with.

    The name is the layer's if the file tells it, else the node's own. A node of which the file does not tell the layer
    (an activation between two) is grouped with the one before it, the first ones with the first that is told.
    """
    told = [_layer(line) for line in lines]
    before = next(filter(None, told), "")
    found = []
    for line, layer in zip(lines, told, strict=True):
        before = layer or before
        name = ".".join(line.place)
        found.append((layer or name, before or name))
    return found


def _layer(line: Line) -> str:
    """Return the layer of a node as torch names modules, '' if the file does not tell."""
    if line.scopes:  # "['', 'layer1', 'layer1.0', 'conv2d']": the modules from the outside in, and the operator
        modules: list[str] = [one or other for one, other in _TEXT.findall(line.scopes)][:-1]
        if modules and modules[-1]:
            return modules[-1]
    # "/layer1/layer1.0/conv1/Conv"; of "/Conv", in no layer, its weights may tell
    if modules := [part for part in line.place[0].split("/") if part][:-1]:
        return ".".join(_joined(modules))
    return next(_owners(line.weights), "")


def _joined(parts: Sequence[str]) -> Iterator[str]:
    """Yield the parts of a path, without what the next one repeats: layer1, layer1.0 is layer1.0."""
    for part, after in zip(parts, (*parts[1:], ""), strict=True):
        if not after.startswith(f"{part}."):
            yield part


def _owners(weights: Sequence[str]) -> Iterator[str]:
    """Yield the layers that a node's weights are of: 'layer1.0.conv1.weight' is of layer1.0.conv1."""
    for weight in weights:
        owner, dot, _ = weight.replace("/", ".").rpartition(".")
        if dot and owner.strip("."):
            yield owner.strip(".")
