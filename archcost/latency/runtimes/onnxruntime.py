"""The onnxruntime runtime: ONNX Runtime's CPU provider runs the exported network."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from archcost import scratch
from archcost.errors import TargetError
from archcost.latency.runtimes import OnnxFile, Prepared, Runtime, Source, cpu_only, installed, lacking, later, spare
from archcost.latency.runtimes.onnxruntime_profile import profiled
from archcost.latency.samples import Plan, Work
from archcost.machine import available_memory_bytes, keep_to_itself

if TYPE_CHECKING:
    from torch import Tensor

    from archcost.nets.export.quantisation.trials import Times

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

    Its file is what other processes run the same by.

    At int8 the file is quantised, on drawn inputs, and compared with itself as it is written, not with the network.
    Raises TargetError if a package is not installed, for types but float32 and int8, and where the network cannot
    be exported or computes something else as ONNX.
    """
    from archcost.latency.runtimes import float32_only
    from archcost.latency.runtimes.copied import exported, running
    from archcost.latency.runtimes.eight_bit import Program, fitting
    from archcost.nets.calls.denormals import share, share_of_values
    from archcost.nets.export.agreement import agree, explained, reference
    from archcost.nets.export.torch_export import onnx_file

    if isinstance(source.network, OnnxFile):
        if reason := lacking(("onnxruntime",)):
            raise TargetError(reason)
        tried = _tried(source.network, plan, clock)
        yield later(source.network, plan, opened)._replace(
            first_s=tried.first_s, work=_work(source.network.path, source), settings=tried.settings
        )
        return
    if reason := cpu_only(source) or why_not() or float32_only("onnxruntime", plan):
        raise TargetError(reason)
    with running(source, replace(plan, dtype="float32")) as call:
        own = reference(call)
        begun = clock()
        with onnx_file(call) as path:
            whole, measuring = Program(path, own, TOLERANCE), partial(file_times, plan=plan, clock=clock)
            program = fitting(whole, call, plan, measuring, source.float_layers)
            export_s = clock() - begun
            file = exported(program.path, call)
            tried = _tried(file, plan, clock)
            with explained(call):
                agree("what ONNX Runtime runs", program.expected, tried.outputs, program.tolerance)
            yield later(file, plan, opened)._replace(
                first_s=tried.first_s,
                work=_work(path, source),
                denormals=share(call),
                denormal_values=share_of_values(call, on_copies=True),
                export_s=export_s,
                settings=tried.settings,
                findings=program.findings,
            )


def file_times(arrays: Mapping[str, Any], plan: Plan, clock: Callable[[], float] = time.perf_counter) -> Times:
    """Return what measures files of a network, on these inputs and on the plan's threads, in a part of its time."""
    from archcost.latency.runtimes.file_times import Opened, times

    def opened(path: Path, profiled: bool) -> Opened:
        profile = path.with_suffix("") if profiled else None
        made = session(path, plan.threads, profile=profile, by_turns=plan.threads > 1)
        binding = bound(made, arrays)
        return Opened(lambda: made.run_with_iobinding(binding), lambda: _node_times(made))

    return times(opened, plan, clock)


def _node_times(session: Any) -> dict[str, list[float]]:
    """Return the seconds of each node in each run, from the profile that a session has written; it is removed."""
    found: dict[str, list[float]] = {}
    for kernel in chain.from_iterable(profiled(session)):
        found.setdefault(kernel.name, []).append(kernel.time_s)
    return found


class _Tried(NamedTuple):
    """A first call with all it loads, what it gave, and what the session was told."""

    first_s: float
    outputs: list[Tensor]
    settings: tuple[tuple[str, str], ...]


def _tried(file: OnnxFile, plan: Plan, clock: Callable[[], float]) -> _Tried:
    """Return how a file's first call went; nothing of it stays in memory.

    Raises TargetError if ONNX Runtime cannot run it.
    """
    from archcost.nets.export.torch_export import quiet

    with quiet("ONNX Runtime cannot run"):
        loaded()  # not timed: only the first network of a process would pay for it
        start = clock()
        session, binding = _bound(file, plan)
        session.run_with_iobinding(binding)
        first_s = clock() - start
        return _Tried(first_s, _outputs(binding), told_to(session))


def opened(file: OnnxFile, plan: Plan) -> Prepared:
    """Return a run of a session of a file as it is, in its own types; each copy is another session."""
    start = time.perf_counter()
    session, binding = _bound(file, plan)
    session.run_with_iobinding(binding)
    first_s = time.perf_counter() - start

    def run() -> None:
        session.run_with_iobinding(binding)

    def again() -> Prepared | None:
        return opened(file, plan) if spare(file.path, available_memory_bytes()) else None

    return Prepared(run, first_s=first_s, again=again, file=file)


def _bound(file: OnnxFile, plan: Plan) -> tuple[Any, Any]:
    """Return a session on plan.threads threads, and its inputs and outputs bound to memory."""
    made = session(file.path, plan.threads)
    return made, bound(made, file.arrays)


def bound(session: Any, arrays: Mapping[str, Any]) -> Any:
    """Return a session's inputs, copied now, and its outputs, which stay where they are made."""
    value = loaded().OrtValue
    binding = session.io_binding()
    for name, array in arrays.items():
        binding.bind_ortvalue_input(name, value.ortvalue_from_numpy(array))
    for made in session.get_outputs():
        binding.bind_output(made.name)
    return binding


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


def loaded() -> Any:
    """Return the package onnxruntime, imported without a word, and so that it tells nobody."""
    keep_to_itself()
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
    runtime = loaded()
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


def session(
    path: Path, threads: int, *, profile: Path | None = None, by_turns: bool = False, optimised: bool = True
) -> Any:
    """Return a session of a file; profile: where it writes one; by_turns: its threads wait for no work between runs.

    optimised: as what is measured; else every node of the file runs as it stands there.
    """
    options = _options(threads)
    if profile is not None:
        options.enable_profiling, options.profile_file_prefix = True, str(profile)
    if not optimised:
        options.graph_optimization_level = loaded().GraphOptimizationLevel.ORT_DISABLE_ALL
    if by_turns:
        options.add_session_config_entry("session.force_spinning_stop", "1")
    return loaded().InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _options(threads: int) -> Any:
    """Return the options of a session that is measured: nothing that decides its time is left to a default."""
    runtime = loaded()
    options = runtime.SessionOptions()
    options.log_severity_level = _FATAL  # what it calls an error is raised too, and told once
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    for key, value in _ENTRIES.items():
        options.add_session_config_entry(key, value)
    return options


def _outputs(binding: Any) -> Any:
    import torch

    return [torch.from_numpy(value) for value in binding.copy_outputs_to_cpu()]


RUNTIME: Final = Runtime("onnxruntime", prepare, versions, why_not, processors_only=True, loaded=loaded, opened=opened)
