"""Files of a network with weights: ONNX and torch.export, each read back and compared.

The weights are those a network begins with, or that code gives it. A recurrent network is unrolled over the steps it is
counted at; the batch stays open unless one is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

import torch
from torch import Tensor, nn

from archcost.errors import InputError
from archcost.files import checked
from archcost.graph.cost import peak_bytes
from archcost.graph.dtypes import BYTES
from archcost.graph.recipe import Recipe
from archcost.machine import available_memory_bytes, shortage
from archcost.models.load import Model, Reference
from archcost.nets import copies, factory
from archcost.nets.call import Call, weights_bytes
from archcost.nets.calls.contents import tensors_in
from archcost.nets.dtypes import name_of
from archcost.nets.export.agreement import agree
from archcost.nets.export.sessions import onnxruntime, session
from archcost.nets.export.torch_export import LARGEST_ONNX_BYTES, convert, inputs, quiet, traced
from archcost.nets.net import build, example
from archcost.nets.weights import Trained, TrainedCode
from archcost.units import data_size, grouped

Source: TypeAlias = Model | Reference | Trained | TrainedCode
"""A network, untrained or with weights, of a family or made by code."""

Run: TypeAlias = Callable[[Any], object]
"""Gives the outputs of a call."""

ONNX_TOLERANCE: Final = 1e-5
PT2_TOLERANCE: Final = 1e-6
_OPEN: Final = (2, 1, 3)  # batches an open batch is tried with; the first is traced: 1 would be taken for a constant


@dataclass(frozen=True, slots=True)
class Program:
    """What is written: a module and the calls it is tried with, the first of them traced; `facts` stand in the file.

    is_open: the batch stays open; notes: what there is to say of it.
    """

    module: nn.Module
    calls: Sequence[Call]
    is_open: bool
    facts: Mapping[str, str]
    notes: tuple[str, ...]

    def run(self, call: Call) -> list[Tensor]:
        """Return the tensors the module gives."""
        return tensors_in(self.module(*call.args, **call.kwargs))


def save_pt2(source: Source, path: Path, seed: int, batch: int | None) -> tuple[str, ...]:
    """Write what torch.export.load reads, run it again, and say what the file holds.

    Raises InputError if memory is short, TargetError where it computes something else than the network.
    """
    program = _prepared(source, seed, batch)
    with quiet("torch.export cannot export"):
        program.run(program.calls[0])
        exported = traced(program.calls[0], is_open=program.is_open)
        with checked(path) as file:
            torch.export.save(exported, file)
        with path.open("rb") as file:
            again = replace(program, module=torch.export.load(file).module())
        share = compared(program.run, again.run, program.calls, PT2_TOLERANCE)
    return _said(program, f"torch.export.load {share}")


def save_onnx(source: Source, path: Path, seed: int, batch: int | None) -> tuple[str, ...]:
    """Write one ONNX file, run it with ONNX Runtime, and say what it holds.

    Raises InputError if the extra is not installed, memory is short or the weights are too many, TargetError where
    it computes something else than the network.
    """
    onnxruntime()
    if isinstance(source, Model | Trained):
        model = source if isinstance(source, Model) else source.model
        _refuse_giants(model.cost.weights_bytes(BYTES["float32"]))
    program = _prepared(source, seed, batch)
    return _said(program, write_onnx(program, path))


def write_onnx(program: Program, path: Path) -> str:
    """Write a program as one ONNX file, run it with ONNX Runtime, and say how far it is from the module at most.

    Raises what `save_onnx` does.
    """
    version = onnxruntime().__version__
    _refuse_giants(weights_bytes(program.module))
    with quiet("torch.onnx cannot export"):
        convert(program.calls[0], path, program.facts, is_open=program.is_open)
        share = compared(program.run, _opened(path), program.calls, ONNX_TOLERANCE)
    return f"ONNX Runtime {version} {share}"


def _refuse_giants(size_bytes: int) -> None:
    if size_bytes > LARGEST_ONNX_BYTES:
        limit = data_size(LARGEST_ONNX_BYTES)
        raise InputError(f"given {data_size(size_bytes)} of weights; allowed: {limit}, what one ONNX file holds")


def _prepared(source: Source, seed: int, batch: int | None) -> Program:
    batches = _OPEN if batch is None else (batch,)
    if isinstance(source, Model | Trained):
        return _of_model(source, seed, batches)
    return _of_code(source, seed, batches)


def _of_model(source: Model | Trained, seed: int, batches: tuple[int, ...]) -> Program:
    """Return the network as inference runs it, with seeded inputs of every batch size that is tried."""
    model = source if isinstance(source, Model) else source.model
    size = BYTES["float32"]
    needed = peak_bytes(model.graph, max(batches), size) + 2 * model.cost.weights_bytes(size)
    if short := shortage(needed, available_memory_bytes()):
        raise InputError(f"too large to export: {short}")
    net = build(model.graph, Recipe(model.recipe.init), seed=seed) if isinstance(source, Model) else source.net()
    how = f"untrained, seed {seed}" if isinstance(source, Model) else source.words
    calls = [Call(net, (example(model.graph, b, seed=seed + b),)) for b in batches]
    facts = {"name": model.name, "digest": model.digest, "weights": how}
    unrolled = f"the recurrence is unrolled: {grouped(model.steps)} steps, no other length" if model.steps else ""
    untrained = f"weights as initialised with seed {seed}: not trained"
    notes = tuple(filter(None, (unrolled, untrained if isinstance(source, Model) else f"weights {how}")))
    return Program(net, calls, len(batches) > 1, facts, notes)


def _of_code(source: Reference | TrainedCode, seed: int, batches: tuple[int, ...]) -> Program:
    """Return the module that code makes, in evaluation mode, with seeded inputs of every batch size that is tried."""
    if isinstance(source, TrainedCode):
        reference, module, made, note = source.reference, source.net(), source.words, f"weights {source.words}"
    else:
        reference, made = source, f"as the code made them, seed {seed}"
        module = copies.unwrapped(factory.made(source.spec, seed=seed, folder=Path.cwd())).eval()
        note = f"weights as {source.spec.factory} made them, seed {seed}"
    free = available_memory_bytes()
    calls = [Call(module, *factory.arguments(reference.spec, b, seed=seed + b, available_bytes=free)) for b in batches]
    facts = {"name": reference.name, "factory": reference.spec.factory, "weights": made}
    return Program(module, calls, len(batches) > 1, facts, (note,))


def _opened(path: Path) -> Run:
    opened = session(path)
    names = [given.name for given in opened.get_inputs()]

    def run(call: Call) -> list[Tensor]:
        given = [tensor.numpy() for tensor in inputs(call)]
        return [torch.from_numpy(value) for value in opened.run(None, dict(zip(names, given, strict=True)))]

    return run


def compared(net: Run, run: Run, calls: Sequence[object], tolerance: float) -> str:
    """Say how far `run` is from `net` at most; raises TargetError beyond `tolerance` of the largest output."""
    shares = [agree("the file", tensors_in(net(x)), tensors_in(run(x)), tolerance, hint="; try --seed") for x in calls]
    return f"differs by {max(shares):.2g} of the largest output at most"


def _said(program: Program, check: str) -> tuple[str, ...]:
    shapes = []
    for tensor in tensors_in((program.calls[0].args, program.calls[0].kwargs)):
        shape = ", ".join(["batch" if program.is_open else str(len(tensor)), *map(str, tensor.shape[1:])])
        shapes.append(f"({shape}), {name_of(tensor.dtype)}")
    tried = ", ".join(str(len(tensors_in((call.args, call.kwargs))[0])) for call in program.calls)
    given = f"input {'; '.join(shapes)}{'; any batch' if program.is_open else ''}"
    return given, *program.notes, f"{check} (batch {tried})"
