"""The onnxruntime runtime: ONNX Runtime's CPU provider runs the exported network."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from archcost import scratch
from archcost.errors import TargetError
from archcost.graph.dtypes import INT8
from archcost.latency.runtimes import OnnxFile, Prepared, Runtime, Source, cpu_only, installed, lacking
from archcost.latency.samples import Plan, Work

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from archcost.nets.call import Call as Subject

TOLERANCE: Final = 1e-5  # share of the largest output
_PACKAGES: Final = ("onnx", "onnxscript", "onnxruntime")
_FATAL: Final = 4  # of ONNX Runtime's levels of logging, the one above errors
_SET: Final = ("graph_optimization_level", "execution_mode", "intra_op_num_threads", "inter_op_num_threads")
# Threads within operators spin between them, as is ONNX Runtime's default; between operators there is one thread.
_ENTRIES: Final = {
    "session.intra_op.allow_spinning": "1",
    "session.inter_op.allow_spinning": "0",
    "session.set_denormal_as_zero": "0",
}


@contextmanager
def prepare(source: Source, plan: Plan, *, clock: Callable[[], float] = time.perf_counter) -> Iterator[Prepared]:
    """Yield a run of a session on plan.threads threads, inputs bound before and outputs left where they are made.

    At int8 the file is quantised, on drawn inputs, and compared with itself as it is written, not with the network.
    Raises TargetError if a package is not installed, for types but float32 and int8, and where the network cannot
    be exported or computes something else as ONNX.
    """
    from archcost.latency.runtimes import float32_only
    from archcost.latency.runtimes.copied import running
    from archcost.nets.calls.denormals import share, share_of_values
    from archcost.nets.export.agreement import agree, explained, reference
    from archcost.nets.export.torch_export import onnx_file, quiet

    if isinstance(source.network, OnnxFile):
        yield _of_file(source, source.network, plan, clock)
        return
    if reason := cpu_only(source) or why_not() or float32_only("onnxruntime", plan):
        raise TargetError(reason)
    with running(source, replace(plan, dtype="float32")) as call:
        own = reference(call)
        begun = clock()
        with onnx_file(call) as path:
            as_it_is = path, own, TOLERANCE
            program, expected, tolerance = _quantised(path, call, own) if plan.dtype == INT8 else as_it_is
            export_s = clock() - begun
            with quiet("ONNX Runtime cannot run"):
                _loaded()  # not timed: only the first network of a process would pay for it
                start = clock()
                session = _session(program, plan.threads)
                binding = _binding(session, call)
                session.run_with_iobinding(binding)
                first_s = clock() - start
                given = _outputs(binding)
            with explained(call):
                agree("what ONNX Runtime runs", expected, given, tolerance)

            def run() -> None:
                session.run_with_iobinding(binding)

            ready = Prepared(run, first_s, denormals=share(call), denormal_values=share_of_values(call, on_copies=True))
            yield ready._replace(work=_work(path, source), export_s=export_s, settings=told_to(session))


def _quantised(path: Path, call: Subject, own: list[Tensor]) -> tuple[Path, list[Tensor], float]:
    """Return a network's file of 8 bits beside its float32 file, what it is to give, and how far from that it may be.

    Its ranges are those of inputs drawn like the call's; own: what the network gives. Raises TargetError if that is not
    finite, or if ONNX Runtime cannot quantise the network.
    """
    from archcost.nets.export.agreement import agree
    from archcost.nets.export.quantisation import file
    from archcost.nets.export.quantisation.calibration import drawn
    from archcost.nets.export.quantisation.spec import Quantisation

    agree("the network", own, own, TOLERANCE)  # numbers that are not finite have no range
    small, how = path.with_name("int8.onnx"), Quantisation(weights=file.fitting_weights())
    inputs = list(drawn(call, file.input_names(path), how.examples))
    file.write(path, small, how, inputs, {})
    return small, file.emulated(small, inputs[0]), file.TOLERANCE


def _of_file(source: Source, file: OnnxFile, plan: Plan, clock: Callable[[], float]) -> Prepared:
    """Return a run of a file as it is, in its own types; raises TargetError if ONNX Runtime cannot run it."""
    from archcost.nets.export.torch_export import quiet

    if reason := lacking(("onnxruntime",)):
        raise TargetError(reason)
    with quiet("ONNX Runtime cannot run"):
        value = _loaded().OrtValue
        start = clock()
        session = _session(file.path, plan.threads)
        binding = session.io_binding()
        for name, array in file.arrays.items():
            binding.bind_ortvalue_input(name, value.ortvalue_from_numpy(array))
        for made in session.get_outputs():
            binding.bind_output(made.name)
        session.run_with_iobinding(binding)
        first_s = clock() - start

    def run() -> None:
        session.run_with_iobinding(binding)

    return Prepared(run, first_s, work=_work(file.path, source), settings=told_to(session))


def told_to(session: Any) -> tuple[tuple[str, str], ...]:
    """Return what decides how a session runs, as it says it itself and under ONNX Runtime's own names."""
    options = session.get_session_options()
    return (
        ("providers", " ".join(session.get_providers())),
        *((name, str(getattr(options, name)).rpartition(".")[2]) for name in _SET),
        *((key, options.get_session_config_entry(key)) for key in _ENTRIES),
    )


def versions() -> tuple[tuple[str, str], ...]:
    """Return the versions of what runs and of what makes the ONNX program that runs."""
    return installed("onnxruntime", "onnxscript", "onnx", "torch")


def why_not() -> str:
    """Return what to install where ONNX Runtime, or what exports to it, is not there."""
    return lacking(_PACKAGES)


RUNTIME: Final = Runtime("onnxruntime", prepare, versions, why_not, processors_only=True)


def _loaded() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return import_module("onnxruntime")


def _work(path: Path, source: Source) -> Work | None:
    """Return the multiply-accumulates that a file has left when ONNX Runtime has folded its constants.

    Folding is done at the level that keeps ONNX's own operators, which can be counted; levels above it fuse, and leave
    no product out. None if it is not known: a folded file may be too large to be written, or hold what has no count.
    """
    if source.macs is None or source.macs_of is None:
        return None
    runtime = _loaded()
    options = runtime.SessionOptions()
    options.log_severity_level = _FATAL
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    with scratch.folder() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options.optimized_model_filepath = str(folder / "folded.onnx")
        try:
            runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception:  # the file itself has run: what cannot be written is a folded one beyond protobuf's 2 GB
            return None
        run_macs = source.macs_of(folder / "folded.onnx")
    return None if run_macs is None else Work(source.macs, run_macs)


def _session(path: Path, threads: int) -> Any:
    return _loaded().InferenceSession(path, _options(threads), providers=["CPUExecutionProvider"])


def _options(threads: int) -> Any:
    """Return the options of a session that is measured: nothing that decides its time is left to a default."""
    runtime = _loaded()
    options = runtime.SessionOptions()
    options.log_severity_level = _FATAL  # what it calls an error is raised too, and told once
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    for key, value in _ENTRIES.items():
        options.add_session_config_entry(key, value)
    return options


def _binding(session: Any, call: Subject) -> Any:
    from archcost.nets.export.torch_export import inputs

    value = _loaded().OrtValue
    binding = session.io_binding()
    for given, tensor in zip(session.get_inputs(), inputs(call), strict=True):
        binding.bind_ortvalue_input(given.name, value.ortvalue_from_numpy(tensor.numpy()))
    for made in session.get_outputs():
        binding.bind_output(made.name)
    return binding


def _outputs(binding: Any) -> Any:
    import torch

    return [torch.from_numpy(value) for value in binding.copy_outputs_to_cpu()]
