"""A written file in its own runtime: ONNX Runtime for ONNX, torch for torch.export."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeAlias

import torch
from torch import Tensor, nn

from archcost.errors import InputError, one_line
from archcost.machine import keep_to_itself, physical_cores

Predict: TypeAlias = Callable[[Tensor], Tensor]
"""Gives the output of a network, or of a file in its runtime, for a batch of inputs."""

_PACKAGES: Final = ("onnx", "onnxscript", "onnxruntime")


def onnxruntime() -> ModuleType:
    """Return ONNX Runtime; raises InputError if a package is missing that it or an export needs."""
    keep_to_itself()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [import_module(name) for name in _PACKAGES][-1]
    except ImportError as error:
        why = one_line(error, 120)
        raise InputError(f"onnx files need {', '.join(_PACKAGES)} ({why}): pip install {' '.join(_PACKAGES)}") from None


def session(path: Path, threads: int | None = None) -> Any:
    """Return ONNX Runtime's session of a file on the CPU; threads: None for one on each physical core."""
    runtime = onnxruntime()
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads or physical_cores()
    return runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def of_onnx(path: Path, threads: int | None = None) -> Predict:
    """Return what runs an ONNX file of one input and one output; raises InputError as `onnxruntime` does.

    threads: None for one on each physical core.
    """
    opened = session(path, threads)
    (given,) = opened.get_inputs()

    def predict(x: Tensor) -> Tensor:
        (found,) = opened.run(None, {given.name: x.numpy()})
        return torch.from_numpy(found)

    return predict


def program(path: Path) -> nn.Module:
    """Return the module of a torch.export file. Loading runs code that the file may hold: only with consent to that."""
    with warnings.catch_warnings(), path.open("rb") as file:
        warnings.simplefilter("ignore")
        loaded: nn.Module = torch.export.load(file).module()
    for name in ("train", "eval"):  # torch has them raise; a program has one mode, and switching to it changes nothing
        loaded.__dict__.pop(name, None)
    return loaded


def of_pt2(path: Path) -> Predict:
    """Return what runs a torch.export file of one input and one output, which archcost itself has written."""
    run = program(path)

    def predict(x: Tensor) -> Tensor:
        with torch.no_grad():
            found: Tensor = run(x)
        return found

    return predict
