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
from typing import TYPE_CHECKING, Any, Final

from archcost.errors import TargetError
from archcost.graph.dtypes import INT8
from archcost.latency.runtimes import OnnxFile, Prepared, Runtime, Source, cpu_only, installed, lacking
from archcost.latency.samples import Plan

if TYPE_CHECKING:
    from pathlib import Path

    from archcost.nets.call import Call as Subject
    from archcost.nets.export.quantisation.trials import Times

TOLERANCE: Final = 1e-3  # share of the largest output: its kernels sum in another order, Winograd's among them
_EXPORTING: Final = ("onnx", "onnxscript")
_TELEMETRY: Final = "openvino_telemetry"


@contextmanager
def prepare(source: Source, plan: Plan, *, clock: Callable[[], float] = time.perf_counter) -> Iterator[Prepared]:
    """Yield an inference on plan.threads threads at the latency hint, inputs set before and outputs left unread.

    At int8 it runs the file that `onnxruntime` would, with the layers in float32 that are better so here. Raises
    TargetError if the extra openvino is not installed, for types but float32 and int8, and where the network cannot be
    exported or computes something else.
    """
    from archcost.latency.runtimes import float32_only
    from archcost.latency.runtimes.copied import running
    from archcost.latency.runtimes.eight_bit import eight_bit
    from archcost.nets.calls.denormals import share
    from archcost.nets.export.agreement import agree, explained, reference
    from archcost.nets.export.torch_export import onnx_file, quiet

    if isinstance(source.network, OnnxFile):
        yield _of_file(source.network, plan, clock)
        return
    quantiser = lacking(("onnxruntime",)) if plan.dtype == INT8 else ""
    if reason := cpu_only(source) or why_not() or float32_only("openvino", plan) or quantiser:
        raise TargetError(reason)
    with running(source, replace(plan, dtype="float32")) as call:
        own = reference(call)
        begun = clock()
        with onnx_file(call) as path:
            measuring = partial(file_times, plan=plan, clock=clock)
            small = eight_bit(path, call, own, measuring) if plan.dtype == INT8 else (path, own, TOLERANCE, None)
            program, expected, tolerance, findings = small
            export_s = clock() - begun
            with quiet("OpenVINO cannot run"):
                openvino = loaded()  # not timed: only the first network of a process would pay for it
                start = clock()
                request = _request(openvino, program, call, plan.threads)
                given = _outputs(request)
                first_s = clock() - start
            with explained(call):
                agree("what OpenVINO runs", expected, given, tolerance)

            def run() -> None:
                request.infer(share_outputs=True)

            yield Prepared(run, first_s, denormals=share(call), export_s=export_s, findings=findings)


def file_times(arrays: Mapping[str, Any], plan: Plan, clock: Callable[[], float] = time.perf_counter) -> Times:
    """Return what measures files of a network, on these inputs and on the plan's threads, in a part of its time."""
    from archcost.latency.runtimes.file_times import Opened, times
    from archcost.nets.export.torch_export import quiet

    def opened(path: Path, profiled: bool) -> Opened:
        with quiet("OpenVINO cannot run"):
            request = _given(loaded(), path, arrays, settings(plan.threads) | {"PERF_COUNT": profiled})
        if not profiled:
            return Opened(lambda: request.infer(share_outputs=True))
        found: dict[str, list[float]] = {}

        def run() -> None:
            request.infer(share_outputs=True)
            for node in request.get_profiling_info():
                found.setdefault(node.node_name, []).append(node.real_time.total_seconds())

        return Opened(run, lambda: found)

    return times(opened, plan, clock)


def _given(openvino: Any, path: Path, arrays: Mapping[str, Any], how: Mapping[str, object]) -> Any:
    """Return a request of a file for inputs of these shapes, which it has copied."""
    core = openvino.Core()
    model = core.read_model(path)
    model.reshape({name: list(array.shape) for name, array in arrays.items()})
    request = core.compile_model(model, "CPU", dict(how)).create_infer_request()
    for name, array in arrays.items():
        request.set_tensor(name, openvino.Tensor(array.copy()))
    return request


def _of_file(file: OnnxFile, plan: Plan, clock: Callable[[], float]) -> Prepared:
    """Return an inference of a file as it is, in its own types; raises TargetError if OpenVINO cannot run it."""
    from archcost.nets.export.torch_export import quiet

    if reason := lacking(("openvino",), "openvino"):
        raise TargetError(reason)
    with quiet("OpenVINO cannot run"):
        openvino = loaded()
        start = clock()
        request = _given(openvino, file.path, file.arrays, settings(plan.threads))
        request.infer(share_outputs=True)
        first_s = clock() - start

    def run() -> None:
        request.infer(share_outputs=True)

    return Prepared(run, first_s, settings=_told(plan.threads))


def _told(threads: int) -> tuple[tuple[str, str], ...]:
    return tuple((key, str(value)) for key, value in settings(threads).items())


def versions() -> tuple[tuple[str, str], ...]:
    """Return the versions of what runs and of what makes the ONNX program that runs."""
    return installed("openvino", "onnxscript", "onnx", "torch")


def why_not() -> str:
    """Return what to install where OpenVINO, or what exports to it, is not there."""
    return lacking(("openvino",), "openvino") or lacking(_EXPORTING)


RUNTIME: Final = Runtime("openvino", prepare, versions, why_not, processors_only=True)


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


def _request(openvino: Any, path: Path, call: Subject, threads: int) -> Any:
    from archcost.nets.export.torch_export import inputs

    core = openvino.Core()
    request = core.compile_model(core.read_model(path), "CPU", settings(threads)).create_infer_request()
    for place, tensor in enumerate(inputs(call)):
        request.set_input_tensor(place, openvino.Tensor(tensor.numpy()))  # a copy of its own
    return request


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
