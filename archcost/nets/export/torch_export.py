"""A call as a traced program, by torch.export, and converted to ONNX.

The program takes its inputs in an order of its own.

What depends on data cannot be traced: torch.export refuses it, where a converter of its own would freeze one branch.
"""

from __future__ import annotations

import errno
import functools
import inspect
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from archcost import scratch
from archcost.errors import ArchcostError, TargetError, named, one_line
from archcost.machine import collector_off
from archcost.nets.call import Call, weights_bytes
from archcost.nets.calls.contents import tensors_in
from archcost.nets.export import operator_table
from archcost.nets.export.agreement import fresh, outputs

LARGEST_ONNX_BYTES: Final = 2 * 10**9
"""Weights that one ONNX file can hold: protobuf ends at 2^31 bytes, and the nodes need room."""

SCOPES: Final = "pkg.torch.onnx.name_scopes"
"""Where a node of an ONNX file has the modules that it is in; kept where its weights do not tell: a product's."""

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_COMPRESSED: Final = frozenset({torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc})
_TALKATIVE: Final = ("torch", "onnxscript", "onnx_ir")


@contextmanager
def quiet(cannot: str) -> Iterator[None]:
    """Let exporters neither print, warn nor log; what they raise becomes a TargetError, a full disk stays itself.

    cannot: who cannot do what, the beginning of the message.
    """
    loggers = [(logger, logger.level) for logger in map(logging.getLogger, _TALKATIVE)]
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), torch.no_grad():
            warnings.simplefilter("ignore")
            for logger, _ in loggers:
                logger.setLevel(logging.CRITICAL)  # torch logs a traceback of what it raises, too
            yield
    except (ArchcostError, OSError):
        raise
    except Exception as error:
        first = _first(error)
        if isinstance(first, OSError) and first.errno in _FULL:
            raise first from None
        raise TargetError(f"{cannot} this network: {one_line(named(first), 300)}") from error
    finally:
        for logger, level in loggers:
            logger.setLevel(level)


def _first(error: BaseException) -> BaseException:
    """Return what went wrong first: exporters wrap it in advice, inductor keeps it in an attribute."""
    while (inner := error.__cause__ or getattr(error, "inner_exception", None)) is not None:
        error = inner
    return error


def traced(call: Call, *, is_open: bool) -> ExportedProgram:
    """Return the program of a network that has run once: what it keeps after its first run is then a constant.

    is_open: whether the batch, the first dimension of every input, stays open. Raises TargetError for sparse tensors in
    compressed layouts, of which torch.export asks what ends the process.
    """
    if (held := next(_compressed(call), None)) is not None:
        raise TargetError(f"torch.export cannot trace this network: it ends the process at {held.layout} tensors")
    spread = _spread(call, Dim("batch", min=1)) if is_open else None
    args, kwargs = fresh(call)  # a forward may write to its inputs
    with redirect_stderr(StringIO()):  # where it fails it prints the graph so far
        program = torch.export.export(call.module, args, kwargs, dynamic_shapes=spread)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # where archcost lies on this machine is nobody's business
    return program


def _compressed(call: Call) -> Iterator[Tensor]:
    """Yield the tensors of a call in compressed sparse layouts."""
    held = (*call.module.parameters(), *call.module.buffers(), *inputs(call))
    return (each for each in held if each.layout in _COMPRESSED)


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


def inputs(call: Call) -> list[Tensor]:
    """Return the tensors of a call in the order in which its ONNX program takes them: as given, not as declared."""
    return tensors_in((call.args, call.kwargs))


def convert(
    call: Call, path: Path, facts: Mapping[str, str], *, is_open: bool, external: bool = False, opset: int | None = None
) -> None:
    """Write the ONNX program of a network that has run once, `facts` in it; external: its weights beside the file.

    opset: of the file, torch's choice if it is None; raises TargetError if the program cannot be converted to it.
    """
    single = len(inputs(call)) == 1
    given = outputs(call)
    count = len(tensors_in(given))
    with nullcontext() if _is_plain(given) else _tensors_alone(call), operator_table.kept(), collector_off():
        converted = torch.onnx.export(
            traced(call, is_open=is_open),
            dynamo=True,
            verbose=False,
            input_names=["input"] if single else None,
            output_names=["output"] if count == 1 else [f"output{i}" for i in range(count)],
            dynamic_shapes=_spread(call, "batch") if is_open else None,
            opset_version=opset,
        )
    assert converted is not None  # it is only if no dynamo is asked for
    written = converted.model.opset_imports[""]
    if opset not in (None, written):  # torch warns, and leaves the program at another
        words = f"torch.onnx cannot bring this network to opset {opset}; allowed: one that it can, such as {written}"
        raise TargetError(words)
    for node in converted.model.graph.all_nodes():
        kept = {SCOPES: node.metadata_props.get(SCOPES, "")} if node.op_type == "MatMul" else {}
        node.metadata_props.clear()
        node.metadata_props.update(kept)
    converted.model.metadata_props.update({f"archcost.{key}": value for key, value in facts.items()})
    converted.save(path, external_data=external)


def _is_plain(given: object) -> bool:
    """Return whether outputs are of the kinds that an exporter takes: tensors in tuples, lists and dictionaries."""
    match given:
        case Tensor() | None:
            return True
        case dict():
            return all(map(_is_plain, given.values()))
        case tuple() | list():
            return all(map(_is_plain, given))
        case _:
            return False


@contextmanager
def _tensors_alone(call: Call) -> Iterator[None]:
    """Let a network give its tensors alone: ONNX has no outputs of another kind, and torch.onnx fails at them.

    Its forward is replaced on the module itself, so that parameters keep their names in the file.
    """
    own, held = call.module.forward, call.module.__dict__

    @functools.wraps(own)
    def forward(*args: object, **kwargs: object) -> tuple[Tensor, ...]:
        return tuple(tensors_in(own(*args, **kwargs)))

    before = held.copy()
    held["forward"] = forward
    try:
        yield
    finally:
        del held["forward"]
        if "forward" in before:
            held["forward"] = before["forward"]


@contextmanager
def onnx_file(call: Call) -> Iterator[Path]:
    """Yield the ONNX file of a call at its own batch, in a directory that is gone with the context.

    Raises TargetError with torch's reason if it cannot be exported, and where the disk will not hold it.
    """
    with ExitStack() as stack:
        try:
            path = stack.enter_context(scratch.folder()) / "network.onnx"
            _written(call, path)
        except OSError as error:
            raise TargetError(f"the network cannot be written to a file{scratch.where()}: {error.strerror}") from error
        yield path


def _written(call: Call, path: Path) -> None:
    is_large = weights_bytes(call.module) > LARGEST_ONNX_BYTES
    with torch.inference_mode(False), quiet("torch.onnx cannot export"):
        convert(call, path, {}, is_open=False, external=is_large)
