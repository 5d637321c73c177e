"""A network with weights as a file that other programs run: torch.export's and ONNX, each read back and compared.

The weights are those a network begins with: a cost needs none that are trained. A recurrent network is unrolled over
the steps it is counted at; the batch stays open unless one is asked for.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeAlias

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from archcost.cost import BYTES, peak_bytes
from archcost.errors import ArchcostError, InputError, TargetError, shorten, visible
from archcost.nets import Net, build, example
from archcost.read import Model
from archcost.recipe import Recipe
from archcost.targets.cpu import available_memory_bytes
from archcost.units import data_size, grouped

Run: TypeAlias = Callable[[Tensor], Tensor]

ONNX_TOLERANCE: Final = 1e-5
PT2_TOLERANCE: Final = 1e-6
LARGEST_ONNX_BYTES: Final = 2 * 10**9
"""Weights that one ONNX file can hold: protobuf ends at 2^31 bytes, and the nodes need room."""

_PACKAGES: Final = ("onnx", "onnxscript", "onnxruntime")
_TALKATIVE: Final = ("torch", "onnxscript", "onnx_ir")
_OPEN: Final = (2, 1, 3)  # batches an open batch is tried with; the first is traced: 1 would be taken for a constant


def save_pt2(model: Model, path: Path, seed: int, batch: int | None) -> tuple[str, ...]:
    """Write what torch.export.load reads, run it again, and say what the file holds.

    Raises InputError where memory is short, TargetError where it computes something else than the network.
    """
    net, inputs = _prepared(model, seed, batch)
    with _quiet("torch.export"):
        program = _traced(net, inputs[0], batch)
        with path.open("wb") as file:
            torch.export.save(program, file)
        with path.open("rb") as file:
            run: Run = torch.export.load(file).module()
        difference = compared(net, run, inputs, PT2_TOLERANCE)
    return _said(model, inputs, seed, batch, f"torch.export.load: {difference}")


def save_onnx(model: Model, path: Path, seed: int, batch: int | None) -> tuple[str, ...]:
    """Write one ONNX file, run it with ONNX Runtime, and say what it holds.

    Raises InputError where the extra is not installed, memory is short or the weights are too many, TargetError where
    it computes something else than the network.
    """
    runtime = _runtime()
    weights = model.cost.weights_bytes(BYTES["float32"])
    if weights > LARGEST_ONNX_BYTES:
        limit = data_size(LARGEST_ONNX_BYTES)
        raise InputError(f"{data_size(weights)} of weights; allowed: {limit}, what one ONNX file holds (pt2 has no limit)")
    net, inputs = _prepared(model, seed, batch)
    with _quiet("torch.onnx"):
        _save_onnx(model, _traced(net, inputs[0], batch), path, seed, batch)
        options = runtime.SessionOptions()
        options.log_severity_level = 3
        session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        run: Run = lambda x: torch.from_numpy(session.run(None, {"input": x.numpy()})[0])
        difference = compared(net, run, inputs, ONNX_TOLERANCE)
    return _said(model, inputs, seed, batch, f"ONNX Runtime {runtime.__version__}: {difference}")
