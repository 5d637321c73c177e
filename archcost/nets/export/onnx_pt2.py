"""Files of a network with weights: ONNX and torch.export, each read back and compared.

The weights are those a network begins with, or that code gives it. A recurrent network is unrolled over the steps it is
counted at; the batch stays open unless one is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

import torch
from torch import Tensor, nn

from archcost.errors import InputError, TargetError
from archcost.files import checked
from archcost.graph.cost import peak_bytes
from archcost.graph.dtypes import BYTES
from archcost.graph.recipe import Recipe
from archcost.machine import available_memory_bytes, shortage
from archcost.models.load import Loaded, Model, Reference
from archcost.nets import copies, factory
from archcost.nets.call import Call, weights_bytes
from archcost.nets.calls.contents import tensors_in
from archcost.nets.dtypes import name_of
from archcost.nets.export import torch_export
from archcost.nets.export.agreement import agree, explained, outputs, reference
from archcost.nets.export.checkpoint import load_into
from archcost.nets.export.sessions import onnxruntime, session
from archcost.nets.export.torch_export import convert, inputs, quiet, traced
from archcost.nets.net import build, example
from archcost.nets.weights import Trained, TrainedCode
from archcost.units import grouped

Source: TypeAlias = Model | Reference | Loaded | Trained | TrainedCode
"""A network, untrained or with weights, of a family or made by code."""

Run: TypeAlias = Callable[[Any], object]
"""Gives the outputs of a call."""

ONNX_TOLERANCE: Final = 1e-5
PT2_TOLERANCE: Final = 1e-6
_OPEN: Final = (2, 1, 3)  # batches an open batch is tried with; the first is traced: 1 would be taken for a constant


@dataclass(frozen=True, slots=True)
class Program:
    """What is written: a module and the calls it is tried with, the first of them traced; `facts` stand in the file.

    is_open: the batch stays open; notes: what there is to say of it; weights: the same of its weights; opset: of an
    ONNX file, None: torch's choice.
    """

    module: nn.Module
    calls: Sequence[Call]
    is_open: bool
    facts: Mapping[str, str]
    notes: tuple[str, ...] = ()
    weights: str = ""
    opset: int | None = None


def save_pt2(source: Source, path: Path, seed: int, batch: int | None) -> tuple[str, ...]:
    """Write what torch.export.load reads, run it again, and say what the file holds.

    Raises InputError if memory is short, TargetError where it computes something else than the network.
    """
    program = prepared(source, seed, batch)
    _try(program)
    with _batch_hinted(program), quiet("torch.export cannot export"):
        exported = traced(program.calls[0], is_open=program.is_open)
        with checked(path) as file:
            torch.export.save(exported, file)
    with quiet("torch.export.load cannot run its file of"):
        with path.open("rb") as file:
            again = torch.export.load(file).module()
        share = _compared(program, lambda call: outputs(Call(again, call.args, call.kwargs)), PT2_TOLERANCE)
    return said(program, f"torch.export.load {share}")


def save_onnx(source: Source, path: Path, seed: int, batch: int | None, opset: int | None = None) -> tuple[str, ...]:
    """Write an ONNX file, run it with ONNX Runtime, and say what it holds.

    Weights that one file cannot hold are in a second one, whose name has `.data` behind it. Raises InputError if the
    extra is not installed or memory is short, TargetError where it computes something else than the network.
    """
    onnxruntime()
    program = replace(prepared(source, seed, batch), opset=opset)
    lines = said(program, write_onnx(program, path))
    return (*lines, f"weights in {path.name}.data: more than one ONNX file holds") if is_giant(program) else lines


def write_onnx(program: Program, path: Path) -> str:
    """Write a program as ONNX, run it with ONNX Runtime, and say how far it is from the module at most.

    Raises what `save_onnx` does.
    """
    version = onnxruntime().__version__
    _try(program)
    how = {"is_open": program.is_open, "external": is_giant(program)}
    with _batch_hinted(program), quiet("torch.onnx cannot export"):
        convert(program.calls[0], path, program.facts, **how, opset=program.opset)
    with quiet("ONNX Runtime cannot run the file of"):
        share = _compared(program, opened(path), ONNX_TOLERANCE)
    return f"ONNX Runtime {version} {share}"


def is_giant(program: Program) -> bool:
    """Return whether a program has more weights than one ONNX file holds."""
    return weights_bytes(program.module) > torch_export.LARGEST_ONNX_BYTES


def _try(program: Program) -> None:
    """Run every call that is compared later; raises TargetError with the network's own error and its batch."""
    ran = "N"
    for call in program.calls:
        try:
            reference(call)
        except TargetError as error:
            if not program.is_open:
                raise
            hint = f"allowed for a network of one batch: --batch {ran}"
            raise TargetError(f"{error} (at batch {_batch(call)}; {hint})") from error
        ran = str(_batch(call))


@contextmanager
def _batch_hinted(program: Program) -> Iterator[None]:
    """Add to what an exporter refuses that it would take the network at a fixed batch, if it would."""
    try:
        yield
    except TargetError as error:
        first = program.calls[0]
        if not program.is_open or _traces(first, is_open=True) or not _traces(first, is_open=False):
            raise
        hint = f"it fixes its batch; allowed: a file of one batch, --batch {_batch(first)}"
        raise TargetError(f"{error}; {hint}") from error


def _traces(call: Call, *, is_open: bool) -> bool:
    try:
        with quiet(""):
            traced(call, is_open=is_open)
    except TargetError:
        return False
    return True


def _batch(call: Call) -> int:
    return len(inputs(call)[0])


def prepared(source: Source, seed: int, batch: int | None) -> Program:
    """Return what is to be written of a network; batch: None for any. Raises InputError if memory is short."""
    batches = _OPEN if batch is None else (batch,)
    if isinstance(source, Loaded):
        program = prepared(source.network, seed, batch)
        words = load_into(program.module, source.file)
        return replace(program, facts={**program.facts, "weights": words}, weights=f"weights {words}")
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
    weights = untrained if isinstance(source, Model) else f"weights {how}"
    return Program(net, calls, len(batches) > 1, facts, tuple(filter(None, (unrolled,))), weights)


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
    return Program(module, calls, len(batches) > 1, facts, weights=note)


def opened(path: Path) -> Run:
    """Return what runs an ONNX file for a call."""
    runtime = session(path)
    names = [given.name for given in runtime.get_inputs()]

    def run(call: Call) -> list[Tensor]:
        given = [tensor.numpy() for tensor in inputs(call)]
        return [torch.from_numpy(value) for value in runtime.run(None, dict(zip(names, given, strict=True)))]

    return run


def _compared(program: Program, run: Run, tolerance: float) -> str:
    with explained(program.calls[0]):
        return compared(outputs, run, program.calls, tolerance)


def compared(net: Run, run: Run, calls: Sequence[object], tolerance: float) -> str:
    """Say how far `run` is from `net` at most; raises TargetError beyond `tolerance` of the largest output."""
    shares = [agree("the file", tensors_in(net(x)), tensors_in(run(x)), tolerance, hint="; try --seed") for x in calls]
    return f"differs by {max(shares):.2g} of the largest output at most"


def said(program: Program, check: str) -> tuple[str, ...]:
    """Return what a file takes, what there is to say of its weights, and how it was checked."""
    shapes = []
    for tensor in inputs(program.calls[0]):
        shape = ", ".join(["batch" if program.is_open else str(len(tensor)), *map(str, tensor.shape[1:])])
        shapes.append(f"({shape}), {name_of(tensor.dtype)}")
    tried = ", ".join(str(_batch(call)) for call in program.calls)
    given = f"input {'; '.join(shapes)}{'; any batch' if program.is_open else ''}"
    return given, *program.notes, program.weights, f"{check} (batch {tried})"
