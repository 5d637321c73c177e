"""A model file counted, and how it is measured: ONNX as it is, pt2 as a module."""

from __future__ import annotations

from functools import partial
from typing import Final

from archcost.counting.files.model_file import ModelFile
from archcost.errors import InputError, Mistake, one_of
from archcost.latency.measure import Progress, Request, Subject
from archcost.latency.runtimes import OnnxFile, Source, lacking
from archcost.latency.samples import Plan
from archcost.models.files import File
from archcost.profiling.result import Profile
from archcost.profiling.subjects import macs_of

NEEDS_CONSENT: Final = (
    "running a pt2 file needs --allow-code (Python: allow_code=True): torch.export.load unpickles parts of it"
)
_NO_WITNESS: Final = "no witness counts a file: fvcore and torch count modules"


def counted(file: File, request: Request, progress: Progress) -> tuple[Profile, Subject | None]:
    """Return the profile of a model file without latencies, and what is to be measured, None if nothing shall be.

    Raises InputError for what cannot be read, sizes that are open, and another dtype than the file's own.
    """
    with progress(f"counting {file.name}"):
        model, subject = _of_onnx(file, request) if file.kind == "onnx" else _of_program(file, request)
    refused = request.latency and subject is None
    if refused and request.runtimes:
        raise InputError(Mistake(NEEDS_CONSENT))
    told = (_NO_WITNESS if request.witness else "", f"not measured: {NEEDS_CONSENT}" if refused else "")
    profile = Profile(model, model.accounts, notes=(*model.notes, *filter(None, told)))
    return profile, subject if request.latency else None


def _refuse_casts(model: ModelFile, request: Request) -> None:
    if other := [dtype for dtype in request.dtypes if dtype != model.dtype]:
        words = f"given {other[0]}; allowed: {one_of([model.dtype])}, a file is run in its own types"
        raise InputError(Mistake(words, ("dtype",)))


def _of_onnx(file: File, request: Request) -> tuple[ModelFile, Subject]:
    if reason := lacking(("onnx",)):
        raise InputError(Mistake(f"an ONNX file is read by the package onnx: {reason}"))
    from archcost.counting.files.onnx import arrays, count  # loads onnx

    opened = count.opened(file.path, file.inputs)
    own = count.dtype(opened)
    model = count.counted(file.name, opened, request.settings(own))
    _refuse_casts(model, request)
    peaks = {(account.batch, account.dtype): account.peak_bytes for account in model.accounts}

    def source(plan: Plan) -> Source:
        run = OnnxFile(file.path, arrays.drawn(opened, plan.batch, plan.seed))
        return Source(run, cast=False, macs=model.cost.macs, macs_of=partial(macs_of, sizes=file.inputs))

    return model, Subject(source, lambda plan: peaks[plan.batch, plan.dtype], own, own_runtime="onnxruntime")


def _of_program(file: File, request: Request) -> tuple[ModelFile, Subject | None]:
    from archcost.counting.files.pt2 import count  # loads torch

    opened = count.opened(file.path, file.inputs)
    own = count.dtype(opened)
    model = count.counted(file.name, opened, request.settings(own))
    _refuse_casts(model, request)
    if not file.allow_code:
        return model, None
    peaks = {(account.batch, account.dtype): account.peak_bytes for account in model.accounts}

    def source(plan: Plan) -> Source:
        from archcost.nets.export import sessions

        network = sessions.program(file.path)
        return Source(network, count.drawn(opened, plan.batch, plan.seed), cast=False)

    return model, Subject(source, lambda plan: peaks[plan.batch, plan.dtype], own)
