"""Runtimes: the ways to run a network, each prepared into one call without arguments."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from glob import escape
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from archcost import errors
from archcost.errors import InputError, Mistake, TargetError, quoted
from archcost.graph.dtypes import INT8
from archcost.latency.samples import Plan, Work

if TYPE_CHECKING:
    from torch import nn

    from archcost.graph.graph import Graph
    from archcost.nets.calls.autograd import Autograd
    from archcost.nets.calls.contents import Held
    from archcost.nets.export.quantisation.spec import Findings

Call: TypeAlias = Callable[[], None]


@dataclass(frozen=True, slots=True, eq=False)
class OnnxFile:
    """An ONNX file that runs as it is, and the arrays of numpy's that it is given, by the names of its inputs."""

    path: Path
    arrays: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """What shall run: a network and the arguments of one call of it, the batch in them; or an ONNX file with its own.

    cast: whether weights and inputs are brought to the plan's dtype; a module in its own dtype may hold several; graph:
    what the network was built from, None for other modules; device: where torch runs it, as torch names it; autograd:
    what the call needs of it; float_layers: those that stay in float32 at int8, None if measuring is to find them.
    """

    network: nn.Module | OnnxFile
    args: tuple[object, ...] = ()
    kwargs: Mapping[str, object] = field(default_factory=dict)
    cast: bool = True
    graph: Graph | None = None
    device: str = "cpu"
    autograd: Autograd = "off"
    macs: int | None = None
    macs_of: Callable[[Path], int | None] | None = None
    float_layers: frozenset[str] | None = None


class Prepared(NamedTuple):
    """What is ready to be timed.

    first_s: what the first call, which is over, took with all it had to compile or load; None if it is yet to come;
    before: what comes before every call and is not timed, such as a copy of arguments that the call changes; then:
    asked when the first call is over, it gives what is timed from there on; state: what the network holds now;
    work: of the program that is run, None if it is not known; denormals: the share of its numbers below the smallest
    normal one; denormal_values: the same of what its operators give; findings: of a file of 8 bits, which of its layers
    are in float32; again: makes a copy in memory of its own, in the
    state that this one is in, None if it cannot; kept: how many earlier copies may stay, so that the next has other
    memory; file: what another process runs the same by; export_s: what the export to the runtime took, None if there is
    none; settings: what it was told.
    """

    call: Call
    first_s: float | None = None
    before: Call | None = None
    then: Callable[[], Prepared] | None = None
    state: Callable[[], Held] | None = None
    work: Work | None = None
    denormals: float = 0.0
    denormal_values: float = 0.0
    again: Callable[[], Prepared | None] | None = None
    kept: int = 0
    file: OnnxFile | None = None
    findings: Findings | None = None
    export_s: float | None = None
    settings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Runtime:
    """A way to run a source: `prepare` gives a call that is good inside its context and leaves the source as it was.

    prepare: raises TargetError if this machine, the dtype or the network will not do, or where what runs does not
    give the eager module's output; versions: of what is installed; why_not: why it cannot run here, '' if it can;
    these two load nothing of what they speak of. processors_only: whether it runs on no GPU. loaded, opened: loads what
    it runs with, and makes a file ready, both without torch: its threads go on for a while after each call, so that
    networks that take turns have light processes of their own; None: all run in one.
    """

    name: str
    prepare: Callable[[Source, Plan], AbstractContextManager[Prepared]]
    versions: Callable[[], tuple[tuple[str, str], ...]]
    why_not: Callable[[], str]
    processors_only: bool = False
    loaded: Callable[[], object] | None = None
    opened: Callable[[OnnxFile, Plan], Prepared] | None = None


NOT_TORCH: Final = "an ONNX file is no torch module; allowed: the runtimes onnxruntime and openvino"
QUANTISING: Final = ("onnxruntime", "openvino")
"""Runtimes that run int8, the first if none is asked for."""

PROCESSORS_ONLY: Final = "this runtime runs on processors only"
_EASE: Final = 8  # times a file: two sessions of it, each with weights as read and as packed, and room
_SET: Final = re.compile(r"^__version__ = '([^']+)'", re.MULTILINE)  # as torch's setup.py writes it

# Places of modules with a RUNTIME, loaded where one is asked for.
RUNTIMES: Final[dict[str, str]] = {
    "eager": "archcost.latency.runtimes.eager",
    "compile": "archcost.latency.runtimes.compile",
    "onnxruntime": "archcost.latency.runtimes.onnxruntime",
    "openvino": "archcost.latency.runtimes.openvino",
}


def check(name: str, dtypes: Collection[str] = ()) -> None:
    """Raise InputError with the known runtimes if `name` is none, or runs no int8 and has to; nothing is loaded."""
    if name not in RUNTIMES:
        raise InputError(errors.unknown("runtime", name, RUNTIMES))
    if reason := runs_not(name, dtypes):
        raise InputError(Mistake(reason, ("dtype",)))


def runs_not(name: str, dtypes: Collection[str]) -> str:
    """Return why a runtime does not run one of these dtypes, '' if it may: int8 is for few of them."""
    if INT8 not in dtypes or name in QUANTISING:
        return ""
    return f"given {INT8} for the runtime {quoted(name)}; allowed: {INT8} with the runtime {errors.one_of(QUANTISING)}"


def find(name: str) -> Runtime:
    """Return the runtime of that name; raises InputError with the known ones."""
    check(name)
    runtime: Runtime = import_module(RUNTIMES[name]).RUNTIME
    return runtime


def module_of(source: Source) -> nn.Module:
    """Return the torch module that a source is; raises TargetError if it is a file."""
    if isinstance(source.network, OnnxFile):
        raise TargetError("an ONNX file is no torch module; allowed: the runtimes onnxruntime and openvino")
    return source.network


def cpu_only(source: Source) -> str:
    """Return why a runtime that runs on the processor alone cannot run a source, '' if it can."""
    return "" if source.device == "cpu" else PROCESSORS_ONLY


def lacking(packages: tuple[str, ...], extra: str = "") -> str:
    """Return what to install where a package is not there, '' if all are; none is loaded.

    extra: of archcost's that brings them, '' if they are among its requirements.
    """
    missing = [name for name in packages if find_spec(name) is None]
    what = f"'archcost[{extra}]'" if extra else " ".join(missing)
    return f"{', '.join(missing)} not installed: pip install {what}" if missing else ""


def later(file: OnnxFile, plan: Plan, opened: Callable[[OnnxFile, Plan], Prepared]) -> Prepared:
    """Return a run of a file that is opened in this process if it is called here, where no other process runs it."""
    here: list[Prepared] = []

    def run() -> None:
        if not here:
            here.append(opened(file, plan))
        here[0].call()

    return Prepared(run, file=file)


def spare(path: Path, free_bytes: int | None) -> bool:
    """Return whether a file's weights fit twice more into memory with ease, its external data (path.*) counted."""
    held = sum(each.stat().st_size for each in path.parent.glob(f"{escape(path.name)}*"))
    return free_bytes is None or _EASE * held <= free_bytes


def installed(*packages: str) -> tuple[tuple[str, str], ...]:
    """Return the version of each package that is installed, without loading it."""
    return tuple((name, version(name)) for name in packages if find_spec(name) is not None)


def version(package: str) -> str:
    """Return a package's version, torch's with its build as torch itself says it (2.13.0+cu130), without loading it.

    The index does not take local parts: what it calls 2.13.0 is built for CUDA on Linux, for processors on macOS.
    """
    try:
        known = metadata.version(package)
    except metadata.PackageNotFoundError:  # onnxruntime may come from another distribution, onnxruntime-gpu
        given = metadata.packages_distributions().get(package, [])
        return ", ".join(f"{metadata.version(name)} of {name}" for name in given) or "unknown"
    return (_build() or known) if package == "torch" else known


def _build() -> str:
    """Return the version that torch's file version.py sets, '' if there is no such file or line."""
    try:
        text = Path(str(metadata.distribution("torch").locate_file("torch/version.py"))).read_text(encoding="utf-8")
    except OSError:
        return ""
    line = _SET.search(text)
    return line[1] if line else ""


def float32_only(runtime: str, plan: Plan) -> str:
    """Return why a runtime that is tested at float32, and int8, alone will not run a plan's dtype, '' if it will."""
    if plan.dtype == "float32":
        return ""
    if plan.dtype == INT8:
        return runs_not(runtime, (INT8,))
    return f"{runtime} is measured at float32 only, given {plan.dtype}; allowed: the runtimes eager and compile"
