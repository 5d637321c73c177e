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
from typing import Final, TypeAlias

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
            run = torch.export.load(file).module()
        share = compared(net, run, inputs, PT2_TOLERANCE)
    return _said(model, inputs, seed, batch, f"torch.export.load {share}")


def save_onnx(model: Model, path: Path, seed: int, batch: int | None) -> tuple[str, ...]:
    """Write one ONNX file, run it with ONNX Runtime, and say what it holds.

    Raises InputError where the extra is not installed, memory is short or the weights are too many, TargetError where
    it computes something else than the network.
    """
    runtime = _runtime()
    weights = model.cost.weights_bytes(BYTES["float32"])
    if weights > LARGEST_ONNX_BYTES:
        limit = data_size(LARGEST_ONNX_BYTES)
        raise InputError(f"given {data_size(weights)} of weights; allowed: {limit}, what one ONNX file holds")
    net, inputs = _prepared(model, seed, batch)
    with _quiet("torch.onnx"):
        _convert(_traced(net, inputs[0], batch), path, model, seed, batch)
        share = compared(net, _session(runtime, path), inputs, ONNX_TOLERANCE)
    return _said(model, inputs, seed, batch, f"ONNX Runtime {runtime.__version__} {share}")


def _runtime() -> ModuleType:
    """Return ONNX Runtime; raises InputError where one of the packages of the extra is missing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [import_module(name) for name in _PACKAGES][-1]
    except ImportError as error:
        why = shorten(" ".join(str(error).split()), 120)
        raise InputError(f"onnx files need {', '.join(_PACKAGES)} ({why}): pip install 'archcost[onnx]'") from None


def _prepared(model: Model, seed: int, batch: int | None) -> tuple[Net, list[Tensor]]:
    """Return the network as inference runs it, and seeded inputs of every batch size that is tried."""
    batches = _OPEN if batch is None else (batch,)
    size = BYTES["float32"]
    needed = peak_bytes(model.graph, max(batches), size) + 2 * model.cost.weights_bytes(size)
    free = available_memory_bytes()
    if free is not None and needed > free:
        raise InputError(f"too large to export: needs {data_size(needed)}; this machine has {data_size(free)} free")
    net = build(model.graph, Recipe(model.recipe.init), seed=seed)
    return net, [example(model.graph, b, seed=seed + b) for b in batches]


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


def _traced(net: Net, x: Tensor, batch: int | None) -> ExportedProgram:
    """Return the program of a network that has run once: what it keeps after its first run is then a constant."""
    net(x)
    program = torch.export.export(net, (x,), dynamic_shapes=None if batch else ({0: Dim("batch", min=1)},))
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # where archcost lies on this machine is nobody's business
    return program


def _convert(program: ExportedProgram, path: Path, model: Model, seed: int, batch: int | None) -> None:
    converted = torch.onnx.export(
        program,
        dynamo=True,
        verbose=False,
        input_names=["input"],
        output_names=["output"],
        dynamic_shapes=None if batch else ({0: "batch"},),
    )
    assert converted is not None  # it is only where no dynamo is asked for
    for node in converted.model.graph.all_nodes():
        node.metadata_props.clear()
    facts = {"name": model.name, "digest": model.digest, "weights": f"untrained, seed {seed}"}
    converted.model.metadata_props.update({f"archcost.{key}": value for key, value in facts.items()})
    converted.save(path, external_data=False)


def _session(runtime: ModuleType, path: Path) -> Run:
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(x: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {"input": x.numpy()})[0])

    return run


def compared(net: Run, run: Run, inputs: Sequence[Tensor], tolerance: float) -> str:
    """Say how far `run` is from `net` at most, as a share of the largest output; raises TargetError beyond `tolerance`.

    A share, since networks that are not trained give numbers from 1e-3 to 1e8.
    """
    worst = 0.0
    for x in inputs:
        expected, given = net(x), run(x)
        if not expected.isfinite().all():
            raise TargetError("with these weights the network's output is not finite: nothing to compare; try --seed")
        if given.shape != expected.shape:
            raise TargetError(f"the file gives {tuple(given.shape)}, the network {tuple(expected.shape)}")
        apart, largest = float((given - expected).abs().max()), float(expected.abs().max())
        share = apart / largest if largest else apart
        worst = share if not share <= worst else worst  # also where it is no number
    if not worst <= tolerance:
        raise TargetError(f"the file differs by {worst:.2g} of the largest output; allowed: {tolerance:g}")
    return f"differs by {worst:.2g} of the largest output at most"


def _said(model: Model, inputs: Sequence[Tensor], seed: int, batch: int | None, check: str) -> tuple[str, ...]:
    shape = ", ".join(["batch" if batch is None else str(batch), *map(str, inputs[0].shape[1:])])
    kind = str(inputs[0].dtype).removeprefix("torch.")
    steps = model.graph.steps
    unrolled = f"the recurrence is unrolled: {grouped(steps)} steps, no other length" if steps else ""
    lines = (
        f"input ({shape}), {kind}{'; any batch' if batch is None else ''}",
        unrolled,
        f"weights as initialised with seed {seed}: not trained",
        f"{check} (batch {', '.join(str(len(x)) for x in inputs)})",
    )
    return tuple(filter(None, lines))
