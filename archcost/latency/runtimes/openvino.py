"""The openvino runtime: OpenVINO's CPU plugin runs the network, exported to ONNX.

Not by OpenVINO's own converter from torch: it traces, and would freeze one branch of a network that depends on data.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from archcost.errors import TargetError
from archcost.graph.dtypes import INT8
from archcost.latency.runtimes import OnnxFile, Prepared, Runtime, Source, cpu_only, installed, lacking, later, spare
from archcost.latency.samples import Plan
from archcost.machine import available_memory_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from archcost.nets.export.quantisation.trials import Times

TOLERANCE: Final = 1e-3  # share of the largest output: its kernels sum in another order, Winograd's among them
_EXPORTING: Final = ("onnx", "onnxscript")
_TELEMETRY: Final = "openvino_telemetry"
_DATA: Final = ("Input", "Const", "Output")  # kinds of nodes that run nothing
_UNKNOWN: Final = "unknown"  # of OpenVINO's kinds of implementations


@contextmanager
def prepare(source: Source, plan: Plan, *, clock: Callable[[], float] = time.perf_counter) -> Iterator[Prepared]:
    """Yield an inference on plan.threads threads at the latency hint, inputs set before and outputs left unread.

    At int8 it runs the file that `onnxruntime` would, with the layers in float32 that are better so here. Raises
    TargetError if the extra openvino is not installed, for types but float32 and int8, and where the network cannot be
    exported or computes something else.
    """
    from archcost.latency.runtimes import float32_only
    from archcost.latency.runtimes.copied import exported, running
    from archcost.latency.runtimes.eight_bit import Program, fitting
    from archcost.nets.calls.denormals import share, share_of_values
    from archcost.nets.export.agreement import agree, explained, reference
    from archcost.nets.export.torch_export import onnx_file

    if isinstance(source.network, OnnxFile):
        if reason := lacking(("openvino",), "openvino"):
            raise TargetError(reason)
        first_s, _ = _tried(source.network, plan, clock)
        yield later(source.network, plan, opened)._replace(first_s=first_s, settings=_told(plan.threads))
        return
    quantiser = lacking(("onnxruntime",)) if plan.dtype == INT8 else ""
    if reason := cpu_only(source) or why_not() or float32_only("openvino", plan) or quantiser:
        raise TargetError(reason)
    with running(source, replace(plan, dtype="float32")) as call:
        own = reference(call)
        begun = clock()
        with onnx_file(call) as path:
            whole, measuring = Program(path, own, TOLERANCE), partial(file_times, plan=plan, clock=clock)
            program = fitting(whole, call, plan, measuring, source.float_layers)
            export_s = clock() - begun
            file = exported(program.path, call)
            first_s, given = _tried(file, plan, clock)
            with explained(call):
                agree("what OpenVINO runs", program.expected, given, program.tolerance)
            yield later(file, plan, opened)._replace(
                first_s=first_s,
                denormals=share(call),
                denormal_values=share_of_values(call, on_copies=True),
                export_s=export_s,
                settings=_told(plan.threads),
                findings=program.findings,
            )


def file_times(arrays: Mapping[str, Any], plan: Plan, clock: Callable[[], float] = time.perf_counter) -> Times:
    """Return what measures files of a network, on these inputs and on the plan's threads, in a part of its time."""
    from archcost.latency.runtimes.file_times import Opened, times
    from archcost.nets.export.torch_export import quiet

    def opened(path: Path, profiled: bool) -> Opened:
        with quiet("OpenVINO cannot run"):
            request = inference(OnnxFile(path, arrays), plan, PERF_COUNT=profiled)
        if not profiled:
            return Opened(lambda: request.infer(share_outputs=True))
        found: dict[str, list[float]] = {}

        def run() -> None:
            request.infer(share_outputs=True)
            for name, took_s in averages(request).items():
                found.setdefault(name, []).append(took_s)

        return Opened(run, lambda: found)

    return times(opened, plan, clock)


def _tried(file: OnnxFile, plan: Plan, clock: Callable[[], float]) -> tuple[float, list[Tensor]]:
    """Return what the first call of a file takes with all it loads, and what it gives; nothing of it stays in memory.

    Raises TargetError if OpenVINO cannot run it.
    """
    from archcost.nets.export.torch_export import quiet

    with quiet("OpenVINO cannot run"):
        loaded()  # not timed: only the first network of a process would pay for it
        start = clock()
        request = inference(file, plan)
        given = _outputs(request)
        return clock() - start, given


def opened(file: OnnxFile, plan: Plan) -> Prepared:
    """Return an inference of a file as it is, in its own types; each copy is compiled again."""
    start = time.perf_counter()
    request = inference(file, plan)
    request.infer(share_outputs=True)
    first_s = time.perf_counter() - start

    def run() -> None:
        request.infer(share_outputs=True)

    def again() -> Prepared | None:
        return opened(file, plan) if spare(file.path, available_memory_bytes()) else None

    return Prepared(run, first_s=first_s, again=again, file=file)


def _told(threads: int) -> tuple[tuple[str, str], ...]:
    return tuple((key, str(value)) for key, value in settings(threads).items())


def versions() -> tuple[tuple[str, str], ...]:
    """Return the versions of what runs and of what makes the ONNX program that runs."""
    return installed("openvino", "onnxscript", "onnx", "torch")


def why_not() -> str:
    """Return what to install where OpenVINO, or what exports to it, is not there."""
    return lacking(_EXPORTING) or lacking(("openvino",), "openvino")


def settings(threads: int) -> dict[str, object]:
    """Return how OpenVINO is to run: float32 throughout, one request at a time, threads where the system puts them.

    Pinned to cores, as it does by itself, its threads would wait there for others while other cores are free.
    """
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
        "ENABLE_CPU_PINNING": False,
    }


def inference(file: OnnxFile, plan: Plan, **more: object) -> Any:
    """Return a request of a file for inputs of these shapes, which it has copied; more: settings."""
    openvino = loaded()
    core = openvino.Core()
    model = core.read_model(file.path)
    if model.is_dynamic():
        model.reshape({name: list(array.shape) for name, array in file.arrays.items()})
    request = core.compile_model(model, "CPU", settings(plan.threads) | more).create_infer_request()
    for name, array in file.arrays.items():
        request.set_tensor(name, openvino.Tensor(array.copy()))
    return request


class Kernel(NamedTuple):
    """A kernel by its name, with the names of nodes or values of the file it is made of.

    implemented: whether OpenVINO names what runs it; else it may do nothing, such as reshape in place.
    """

    name: str
    made_of: tuple[str, ...]
    implemented: bool


def kernels(request: Any) -> list[Kernel]:
    """Return the kernels of an inference in order."""
    found = []
    for each in request.get_compiled_model().get_runtime_model().get_ordered_ops():
        told = {key: str(value.value) for key, value in each.get_rt_info().items()}
        if told["layerType"] not in _DATA:
            made_of = tuple(filter(None, told["originalLayersNames"].split(",")))
            found.append(Kernel(each.friendly_name, made_of, not told["primitiveType"].startswith(_UNKNOWN)))
    return found


def averages(request: Any) -> dict[str, float]:
    """Return the seconds of each kernel of an inference with PERF_COUNT: the mean of all runs so far.

    Each run has whole microseconds, cut, and so has their mean. Kernels that took less are of 0 seconds.
    """
    return {node.node_name: node.real_time.total_seconds() for node in request.get_profiling_info()}


def _outputs(request: Any) -> Any:
    import torch

    return [torch.from_numpy(value.copy()) for value in request.infer().values()]


def loaded() -> Any:
    """Return the package openvino, imported so that it tells nobody: by itself its import sends usage data to Intel."""
    before = sys.modules.get(_TELEMETRY)
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # so does Python mark what cannot be imported
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return import_module("openvino")
    finally:
        del sys.modules[_TELEMETRY]
        if before is not None:
            sys.modules[_TELEMETRY] = before


RUNTIME: Final = Runtime("openvino", prepare, versions, why_not, processors_only=True, loaded=loaded, opened=opened)
