"""A network with weights as a file that other programs run: torch.export's and ONNX, each read back and compared.

The weights are those a network begins with, or that code gives it. A recurrent network is unrolled over the steps it is
counted at; the batch stays open unless one is asked for.
"""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from importlib import import_module
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeAlias

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from archcost import copies, factory
from archcost.cost import BYTES, peak_bytes
from archcost.errors import ArchcostError, InputError, TargetError, shorten, visible
from archcost.nets import build, example
from archcost.passes import Call, found, weights_bytes
from archcost.read import Model, Reference
from archcost.recipe import Recipe
from archcost.targets.cpu import available_memory_bytes
from archcost.units import data_size, grouped

Run: TypeAlias = Callable[[Any], object]
"""Gives the outputs of a call."""

ONNX_TOLERANCE: Final = 1e-5
PT2_TOLERANCE: Final = 1e-6
LARGEST_ONNX_BYTES: Final = 2 * 10**9
"""Weights that one ONNX file can hold: protobuf ends at 2^31 bytes, and the nodes need room."""

_PACKAGES: Final = ("onnx", "onnxscript", "onnxruntime")
_TALKATIVE: Final = ("torch", "onnxscript", "onnx_ir")
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
        return found(self.module(*call.args, **call.kwargs))


def save_pt2(source: Model | Reference, path: Path, seed: int, batch: int | None) -> tuple[str, ...]:
    """Write what torch.export.load reads, run it again, and say what the file holds.

    Raises InputError where memory is short, TargetError where it computes something else than the network.
    """
    program = _prepared(source, seed, batch)
    with _quiet("torch.export"):
        traced = _traced(program)
        with path.open("wb") as file:
            torch.export.save(traced, file)
        with path.open("rb") as file:
            again = replace(program, module=torch.export.load(file).module())
        share = compared(program.run, again.run, program.calls, PT2_TOLERANCE)
    return _said(program, f"torch.export.load {share}")


def save_onnx(source: Model | Reference, path: Path, seed: int, batch: int | None) -> tuple[str, ...]:
    """Write one ONNX file, run it with ONNX Runtime, and say what it holds.

    Raises InputError where the extra is not installed, memory is short or the weights are too many, TargetError where
    it computes something else than the network.
    """
    runtime = _runtime()
    if isinstance(source, Model):
        _refuse_giants(source.cost.weights_bytes(BYTES["float32"]))
    program = _prepared(source, seed, batch)
    _refuse_giants(weights_bytes(program.module))
    with _quiet("torch.onnx"):
        _convert(_traced(program), path, program)
        share = compared(program.run, _session(runtime, path), program.calls, ONNX_TOLERANCE)
    return _said(program, f"ONNX Runtime {runtime.__version__} {share}")


def _refuse_giants(size_bytes: int) -> None:
    if size_bytes > LARGEST_ONNX_BYTES:
        limit = data_size(LARGEST_ONNX_BYTES)
        raise InputError(f"given {data_size(size_bytes)} of weights; allowed: {limit}, what one ONNX file holds")


def _runtime() -> ModuleType:
    """Return ONNX Runtime; raises InputError where one of the packages of the extra is missing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [import_module(name) for name in _PACKAGES][-1]
    except ImportError as error:
        why = shorten(" ".join(str(error).split()), 120)
        raise InputError(f"onnx files need {', '.join(_PACKAGES)} ({why}): pip install 'archcost[onnx]'") from None


def _prepared(source: Model | Reference, seed: int, batch: int | None) -> Program:
    batches = _OPEN if batch is None else (batch,)
    if isinstance(source, Model):
        return _of_model(source, seed, batches)
    return _of_code(source, seed, batches)


def _of_model(model: Model, seed: int, batches: tuple[int, ...]) -> Program:
    """Return the network as inference runs it, with seeded inputs of every batch size that is tried."""
    size = BYTES["float32"]
    needed = peak_bytes(model.graph, max(batches), size) + 2 * model.cost.weights_bytes(size)
    free = available_memory_bytes()
    if free is not None and needed > free:
        raise InputError(f"too large to export: needs {data_size(needed)}; this machine has {data_size(free)} free")
    net = build(model.graph, Recipe(model.recipe.init), seed=seed)
    calls = [Call(net, (example(model.graph, b, seed=seed + b),)) for b in batches]
    facts = {"name": model.name, "digest": model.digest, "weights": f"untrained, seed {seed}"}
    unrolled = f"the recurrence is unrolled: {grouped(model.steps)} steps, no other length" if model.steps else ""
    notes = tuple(filter(None, (unrolled, f"weights as initialised with seed {seed}: not trained")))
    return Program(net, calls, len(batches) > 1, facts, notes)


def _of_code(reference: Reference, seed: int, batches: tuple[int, ...]) -> Program:
    """Return the module that code makes, in evaluation mode, with seeded inputs of every batch size that is tried."""
    module = copies.unwrapped(factory.made(reference.spec, seed=seed, folder=Path.cwd())).eval()
    free = available_memory_bytes()
    calls = [Call(module, *factory.arguments(reference.spec, b, seed=seed + b, available_bytes=free)) for b in batches]
    made = f"as the code made them, seed {seed}"
    facts = {"name": reference.name, "factory": reference.spec.factory, "weights": made}
    notes = (f"weights as {reference.spec.factory} made them, seed {seed}",)
    return Program(module, calls, len(batches) > 1, facts, notes)


@contextmanager
def _quiet(what: str) -> Iterator[None]:
    """Let exporters neither print, warn nor log; what they raise becomes a TargetError, a full disk stays itself."""
    loggers = [(logger, logger.level) for logger in map(logging.getLogger, _TALKATIVE)]
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), torch.no_grad():
            warnings.simplefilter("ignore")
            for logger, _ in loggers:
                logger.setLevel(logging.ERROR)
            yield
    except (ArchcostError, OSError):
        raise
    except Exception as error:
        first: BaseException = error
        while first.__cause__ is not None:  # exporters wrap what went wrong in advice
            first = first.__cause__
        words = shorten(" ".join(str(first).split()), 300)
        raise TargetError(f"{what} cannot export this network: {type(first).__name__}: {visible(words)}") from error
    finally:
        for logger, level in loggers:
            logger.setLevel(level)


def _traced(program: Program) -> ExportedProgram:
    """Return the program of a network that has run once: what it keeps after its first run is then a constant."""
    first = program.calls[0]
    program.run(first)
    spread = _spread(first, Dim("batch", min=1)) if program.is_open else None
    traced = torch.export.export(program.module, first.args, dict(first.kwargs), dynamic_shapes=spread)
    for node in traced.graph.nodes:
        node.meta.pop("stack_trace", None)  # where archcost lies on this machine is nobody's business
    return traced


def _spread(call: Call, batch: object) -> dict[str, Any]:
    """Return which dimensions are open, by the names of the forward's parameters: the first of every tensor."""
    bound = inspect.signature(call.module.forward).bind(*call.args, **call.kwargs)
    return {name: _opened(value, batch) for name, value in bound.arguments.items()}


def _opened(value: object, batch: object) -> object:
    match value:
        case Tensor():
            return {0: batch}
        case tuple() | list():
            return type(value)(_opened(part, batch) for part in value)
        case Mapping():
            return {key: _opened(part, batch) for key, part in value.items()}
        case _:
            return None


def _convert(traced: ExportedProgram, path: Path, program: Program) -> None:
    first = program.calls[0]
    single = len(found((first.args, first.kwargs))) == 1
    outputs = len(program.run(first))
    converted = torch.onnx.export(
        traced,
        dynamo=True,
        verbose=False,
        input_names=["input"] if single else None,
        output_names=["output"] if outputs == 1 else [f"output{i}" for i in range(outputs)],
        dynamic_shapes=_spread(first, "batch") if program.is_open else None,
    )
    assert converted is not None  # it is only where no dynamo is asked for
    for node in converted.model.graph.all_nodes():
        node.metadata_props.clear()
    converted.model.metadata_props.update({f"archcost.{key}": value for key, value in program.facts.items()})
    converted.save(path, external_data=False)


def _session(runtime: ModuleType, path: Path) -> Run:
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]

    def run(call: Call) -> list[Tensor]:
        bound = inspect.signature(call.module.forward).bind(*call.args, **call.kwargs)
        given = [tensor.numpy() for tensor in found(list(bound.arguments.values()))]
        return [torch.from_numpy(value) for value in session.run(None, dict(zip(names, given, strict=True)))]

    return run


def compared(net: Run, run: Run, inputs: Sequence[object], tolerance: float) -> str:
    """Say how far `run` is from `net` at most, as a share of the largest output; raises TargetError beyond `tolerance`.

    A share, since networks that are not trained give numbers from 1e-3 to 1e8.
    """
    worst = 0.0
    for x in inputs:
        expected, given = found(net(x)), found(run(x))
        if [t.shape for t in expected] != [t.shape for t in given]:
            raise TargetError(f"the file gives {_sizes(given)}, the network {_sizes(expected)}")
        for one, other in zip(expected, given, strict=True):
            share = _apart(one.double(), other.double())
            worst = share if not share <= worst else worst  # also where it is no number
    if not worst <= tolerance:
        raise TargetError(f"the file differs by {worst:.2g} of the largest output; allowed: {tolerance:g}")
    return f"differs by {worst:.2g} of the largest output at most"


def _apart(expected: Tensor, given: Tensor) -> float:
    if not expected.isfinite().all():
        raise TargetError("with these weights the network's output is not finite: nothing to compare; try --seed")
    if not expected.numel():
        return 0.0
    apart, largest = float((given - expected).abs().max()), float(expected.abs().max())
    return apart / largest if largest else apart


def _sizes(tensors: Sequence[Tensor]) -> str:
    return ", ".join(str(tuple(tensor.shape)) for tensor in tensors)


def _said(program: Program, check: str) -> tuple[str, ...]:
    shapes = []
    for tensor in found((program.calls[0].args, program.calls[0].kwargs)):
        shape = ", ".join(["batch" if program.is_open else str(len(tensor)), *map(str, tensor.shape[1:])])
        shapes.append(f"({shape}), {str(tensor.dtype).removeprefix('torch.')}")
    tried = ", ".join(str(len(found((call.args, call.kwargs))[0])) for call in program.calls)
    given = f"input {'; '.join(shapes)}{'; any batch' if program.is_open else ''}"
    return given, *program.notes, f"{check} (batch {tried})"
