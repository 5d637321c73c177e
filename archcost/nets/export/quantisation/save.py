"""A network as an ONNX file of 8 bits, checked against itself and compared with the network."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

from torch import Tensor

from archcost import scratch
from archcost.errors import InputError
from archcost.nets.call import Call
from archcost.nets.export import onnx_pt2
from archcost.nets.export.agreement import outputs
from archcost.nets.export.quantisation import file, words
from archcost.nets.export.quantisation.calibration import Arrays, drawn
from archcost.nets.export.quantisation.spec import Quantisation
from archcost.nets.export.quantisation.trials import Measures, Times, quantised
from archcost.nets.export.sessions import onnxruntime
from archcost.nets.export.torch_export import LARGEST_ONNX_BYTES, inputs, quiet
from archcost.units import data_size

Timing: TypeAlias = Callable[[Arrays], Times]
"""Gives what measures files on these inputs."""


def save_int8(
    source: onnx_pt2.Source,
    path: Path,
    seed: int,
    batch: int | None,
    opset: int | None = None,
    timing: Timing | None = None,
) -> tuple[str, ...]:
    """Write one ONNX file in 8 bits, run it with ONNX Runtime, and say what it holds.

    Its ranges are those of inputs drawn with the seed. With `timing`, layers are left in float32 by what they take here
    at the batch, at 1 if it is any. Raises what `save_onnx` does, InputError for more weights than
    one file holds, and TargetError if the network has no product, or if what runs is not what is written.
    """
    version = onnxruntime().__version__
    program = replace(onnx_pt2.prepared(source, seed, batch), opset=opset)
    if onnx_pt2.is_giant(program):
        limit = data_size(LARGEST_ONNX_BYTES)
        raise InputError(f"more weights in float32 than one ONNX file holds; allowed at int8: {limit}")
    how = Quantisation(weights=file.fitting_weights())
    with scratch.folder() as folder:
        whole = folder / "float32.onnx"
        onnx_pt2.write_onnx(program, whole)
        names, whole_bytes = file.input_names(whole), whole.stat().st_size
        measures = Measures(timing and timing(_arrays(names, min(program.calls, key=_batch))))
        made = quantised(whole, path, how, drawn(program.calls[0], names, how.examples, seed), measures)
    with quiet("ONNX Runtime cannot run"):
        run = onnx_pt2.opened(path)
        share = onnx_pt2.compared(partial(_written, path, names), run, program.calls, file.TOLERANCE)
        apart = onnx_pt2.compared(outputs, run, program.calls, math.inf)
    types = f"{how.weights} weights, {how.activations} activations: {data_size(path.stat().st_size)}"
    lines = onnx_pt2.said(program, f"ONNX Runtime {version} {share}, from the file run in float32")
    held = f"{types}, {data_size(whole_bytes)} in float32"
    return *lines, held, how.words, f"8 bits: {apart}, from the network", *words.lines(made.findings)


def _written(path: Path, names: list[str], call: Call) -> list[Tensor]:
    return file.emulated(path, _arrays(names, call))


def _arrays(names: list[str], call: Call) -> Arrays:
    return dict(zip(names, (tensor.numpy() for tensor in inputs(call)), strict=True))


def _batch(call: Call) -> int:
    return len(inputs(call)[0])
