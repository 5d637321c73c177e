"""The export formats: a network as JSON or YAML, or with weights as ONNX or torch.export."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from archcost.config.writer import to_yaml
from archcost.errors import InputError, unknown
from archcost.files import placed, placed_pair, write_whole
from archcost.graph import codec
from archcost.models.load import Loaded, Model, Reference

if TYPE_CHECKING:
    from archcost.nets.export.quantisation.save import Timing
    from archcost.nets.weights import Trained, TrainedCode


def as_json(model: Model) -> str:
    """Return a network's name and graph, one node a line; codec.decode reads the value of `graph`."""
    value = codec.encode(model.graph)
    nodes = value.pop("nodes")
    assert isinstance(nodes, list)  # so does encode make it
    lines = ",\n  ".join(json.dumps(node) for node in nodes)
    name, head = json.dumps(model.name), json.dumps(value)[:-1]
    return f'{{"name": {name}, "digest": "{model.digest}", "graph": {head}, "nodes": [\n  {lines}\n]}}}}\n'


def as_yaml(model: Model) -> str:
    """Return the YAML that is read as the same network, with the keys that are not the defaults."""
    return to_yaml(model.spec)


TEXTS: Final[dict[str, Callable[[Model], str]]] = {"json": as_json, "yaml": as_yaml}
PROGRAMS: Final = ("onnx", "pt2")
"""Files that hold weights."""
FORMATS: Final = (*TEXTS, *PROGRAMS)
BESIDE: Final = ".data"
"""What is behind an ONNX file's name in that of its weights, if they are in a file of their own."""


def export(
    source: Model | Loaded | Trained | TrainedCode,
    to: str,
    path: str | os.PathLike[str],
    *,
    seed: int = 0,
    batch: int | None = None,
    opset: int | None = None,
) -> tuple[str, ...]:
    """Write a network, untrained or with weights, whole or not at all; return what there is to say of it.

    `seed` is that of the weights, `batch` a fixed batch size, any size if left out: both for files with weights,
    which are read back and run before they get their name; `opset` is that of an ONNX file, torch's choice if left out.
    Raises InputError if the format, the path or the memory will not do, TargetError where the file computes something
    else.
    """
    if to not in FORMATS:
        raise InputError(unknown("format", to, FORMATS))
    if to in TEXTS:
        model = source if isinstance(source, Model) else getattr(source, "model", None)
        if not isinstance(model, Model):
            raise InputError(f"{to} needs the graph of a family, and code makes this network")
        write_whole(path, TEXTS[to](model))
        return ()
    return _saved(source, to, Path(path), seed, batch, opset)


def export_module(
    source: Reference | Loaded,
    to: str,
    path: str | os.PathLike[str],
    *,
    seed: int = 0,
    batch: int | None = None,
    opset: int | None = None,
) -> tuple[str, ...]:
    """Write the module that code makes, as `export` writes a network; code has no graph, so no text but its name.

    Raises InputError if the format, the path or the code will not do, TargetError as `export` does.
    """
    if to not in PROGRAMS:
        raise InputError(unknown("format of a module", to, PROGRAMS))
    return _saved(source, to, Path(path), seed, batch, opset)


def export_int8(
    source: Model | Reference | Loaded | Trained | TrainedCode,
    path: str | os.PathLike[str],
    *,
    seed: int = 0,
    batch: int | None = None,
    opset: int | None = None,
    timing: Timing | None = None,
) -> tuple[str, ...]:
    """Write a network as an ONNX file of 8 bits, as `export` writes one of float32; ranges are those of drawn inputs.

    timing: measures which layers are better left in float32, none are without it. Raises InputError if the path, the
    memory or the code will not do, or if it has more weights than a file holds; TargetError if it cannot be quantised,
    or the file computes something else than is written.
    """
    from archcost.nets.export.quantisation.save import save_int8  # noqa: PLC0415  # loads torch

    with placed(Path(path)) as part:
        return save_int8(source, part, seed, batch, opset, timing)


def _saved(
    source: Model | Reference | Loaded | Trained | TrainedCode,
    to: str,
    path: Path,
    seed: int,
    batch: int | None,
    opset: int | None,
) -> tuple[str, ...]:
    from archcost.nets.export.onnx_pt2 import save_onnx, save_pt2  # noqa: PLC0415  # loads torch

    if to == "onnx":
        with placed_pair(path, BESIDE) as part:
            return save_onnx(source, part, seed, batch, opset)
    if opset is not None:
        raise InputError(f"{to} has no opset; allowed: only with onnx")
    with placed(path) as part:
        return save_pt2(source, part, seed, batch)
