"""The compile runtime: one graph of the whole module, and inductor's machine code of it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from archcost import scratch
from archcost.errors import TargetError, quoted
from archcost.latency.runtimes import Prepared, Runtime, Source, installed
from archcost.latency.samples import Plan

if TYPE_CHECKING:
    from archcost.nets.call import Call as Subject

# shares of the largest output: inductor rounds less often than eager does, which half precision shows
TOLERANCES: Final = {"float64": 1e-4, "float32": 1e-4, "float16": 1e-2, "bfloat16": 1e-1}
_TF32: Final = 1e-2  # of float32 on a GPU: cuDNN convolves in TensorFloat-32, which keeps as many bits as float16
_TOGETHER: Final = 64  # networks of one class that may take turns
_INSIDE: Final[ContextVar[bool]] = ContextVar("inside", default=False)  # whether a compiled network is being measured
_COMPILERS: Final = {"darwin": "clang++", "win32": "cl"}  # inductor's choice where CXX names none, g++ elsewhere


class Made(NamedTuple):
    """A call of a copy of a module, the compiled module, and what its first call took, the compilation with it."""

    call: Subject
    run: Callable[..., Any]
    first_s: float


@contextmanager
def prepare(source: Source, plan: Plan, *, clock: Callable[[], float] = time.perf_counter) -> Iterator[Prepared]:
    """Yield a call of the compiled module, whose first call, the compilation, is over and timed.

    Raises TargetError as `made` does.
    """
    from archcost.latency.runtimes.copied import prepared
    from archcost.nets.calls.denormals import share

    with made(source, plan, clock) as (call, run, first_s):
        yield prepared(run, call, source, plan)._replace(first_s=first_s, denormals=share(call))


@contextmanager
def made(
    source: Source, plan: Plan, clock: Callable[[], float], seen: Callable[[Any], None] | None = None
) -> Iterator[Made]:
    """Yield a source's module, compiled, which gives what it gives in eager mode.

    Nothing that was compiled before is used but torch's headers, and nothing else is kept. seen: is given the graph
    that dynamo made, when inductor's code of it is there. Raises TargetError if there is no compiler, where torch
    cannot make one graph of the module, and where that computes something else.
    """
    from archcost.latency.runtimes.copied import running
    from archcost.nets.export.agreement import agree, explained, reference

    if reason := why_not():
        raise TargetError(reason)
    with running(source, plan) as call, _forgotten():
        expected = reference(call)
        try:
            run, given, first_s = _first(call, clock, source.device, seen)
        except OSError as error:
            raise TargetError(f"torch.compile cannot write what it makes{scratch.where()}: {error.strerror}") from error
        with explained(call):
            agree("what torch.compile makes", expected, given, tolerance(plan.dtype, source.device))
        yield Made(call, run, first_s)


def tolerance(dtype: str, device: str) -> float:
    """Return the share of the largest output that compiled and eager may be apart; the device as torch names it."""
    return _TF32 if dtype == "float32" and device != "cpu" else TOLERANCES[dtype]


def versions() -> tuple[tuple[str, str], ...]:
    """Return what a compiled latency depends on besides the device: torch, which guards every call in Python."""
    return (*installed("torch"), ("python", platform.python_version()))


def why_not() -> str:
    """Return what to install if there is no C++ compiler, or what it needs to compile for this Python."""
    compiler = os.environ.get("CXX", _COMPILERS.get(sys.platform, "g++"))
    if shutil.which(compiler) is None:
        return f"torch.compile needs a C++ compiler and {quoted(compiler)} is not here: install it, or name one in CXX"
    header = Path(sysconfig.get_path("include"), "Python.h")
    if sys.platform == "linux" and not header.exists():
        return f"torch.compile needs {header}: install Python's headers (python3-dev)"
    return ""


RUNTIME: Final = Runtime("compile", prepare, versions, why_not)


@contextmanager
def _forgotten() -> Iterator[None]:
    """Let torch forget what it compiled, before and after; inside another such context, which keeps it, do nothing.

    Networks of one class share their forward's cache, whose guards are tried one by one in every call, and of which
    torch makes eight at most: those that take turns need more. What inductor writes into the environment is taken out
    again.
    """
    import torch

    if _INSIDE.get():
        yield
        return
    before, token = frozenset(os.environ), _INSIDE.set(True)
    torch.compiler.reset()
    try:
        with torch._dynamo.config.patch(recompile_limit=_TOGETHER):
            yield
    finally:
        _INSIDE.reset(token)
        torch.compiler.reset()
        for key in os.environ.keys() - before:
            if "TORCHINDUCTOR" in key:
                del os.environ[key]


def _first(
    call: Subject, clock: Callable[[], float], device: str, seen: Callable[[Any], None] | None
) -> tuple[Callable[..., Any], Any, float]:
    """Return the compiled module, the tensors of its first call and the seconds that took, from an empty cache.

    The backend is a function of its own: torch gives no network what it made for another backend. Two that are alike
    would share one program, which the second would not have compiled. dynamic=False: torch would make the second of two
    that differ in a size for all sizes, which is slower.
    """
    import torch
    from torch._dynamo.backends.registry import lookup_backend
    from torch._dynamo.utils import counters
    from torch._inductor.utils import fresh_inductor_cache

    from archcost.latency.runtimes.copied import finish
    from archcost.nets.calls.contents import tensors_in
    from archcost.nets.export.agreement import fresh
    from archcost.nets.export.torch_export import quiet

    inductor = lookup_backend("inductor")

    def own(graph: Any, inputs: Any) -> Any:
        program = inductor(graph, inputs)
        if seen is not None:
            seen(graph)
        return program

    args, kwargs = fresh(call)
    with (
        scratch.folder() as folder,
        quiet("torch.compile cannot compile"),
        fresh_inductor_cache(dir=str(folder)),
    ):
        compiled: Callable[..., Any] = torch.compile(call.module, fullgraph=True, dynamic=False, backend=own)
        finish(device)
        graphs, start = counters["stats"]["unique_graphs"], clock()
        given = tensors_in(compiled(*args, **kwargs))
        finish(device)  # a GPU may still be at it
        first_s = clock() - start
    if counters["stats"]["unique_graphs"] == graphs:
        raise TargetError("torch.compile is switched off or has nothing to compile: the eager module would run")
    return compiled, given, first_s
