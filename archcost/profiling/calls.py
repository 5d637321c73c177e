"""Public calls beside `profile`: to compare, to hold to a budget, and for one latency."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Unpack

from archcost.errors import InputError, Mistake, TargetError
from archcost.latency import measure as measuring
from archcost.latency.measure import Request
from archcost.latency.summary import Latency, summarise
from archcost.models.files import Network
from archcost.profiling.budget import Budget, budget_of
from archcost.profiling.check import Check, checked
from archcost.profiling.compare import Comparison, compared
from archcost.profiling.files import NEEDS_CONSENT
from archcost.profiling.options import Options, one_latency, request
from archcost.profiling.profile import counted
from archcost.profiling.sources import Source, named, takes_inputs
from archcost.profiling.suggest.suggestions import Suggestions, suggested

if TYPE_CHECKING:
    from archcost.profiling.modules import Given


def compare(
    *sources: Source | tuple[Source, object],
    inputs: object = None,
    latency: bool = True,
    layers: bool = False,
    allow_code: bool = False,
    **options: Unpack[Options],
) -> Comparison:
    """Return networks side by side, each against the first, measured by turns so that ratios can be trusted.

    A source is what `profile` takes, or a pair (module, inputs). `inputs` are for every torch module, and for all code
    that makes one, that comes without its own. `layers`: whether layers are timed too, by turns and in as much time
    again: `against[i].layer_times` has what accounts for each difference, in seconds with 99% intervals. Options are
    the command line's. Raises InputError with the mistakes of all sources, TargetError if nothing could be measured.
    """
    asked = replace(request(options, latency=latency), layer_times=layers)
    found = compared(_all_named(sources, inputs, asked, allow_code), asked)
    if found.failures and not found.profiles[0].samples:
        raise TargetError("\n".join(map(str, found.failures)))
    return found


def _all_named(sources: Iterable[object], inputs: object, asked: Request, allow_code: bool) -> list[Network | Given]:
    pairs = [_pair(source, inputs) for source in sources]
    if inputs is not None and not any(own is inputs for _, own in pairs):
        raise InputError(Mistake("inputs are given, and no torch module or code without its own to take them"))
    read: list[Network | Given] = []
    mistakes: list[Mistake] = []
    for source, own in pairs:
        try:
            read.append(named(source, own, asked, allow_code=allow_code))
        except InputError as error:
            mistakes += error.mistakes
    if mistakes:
        raise InputError(*mistakes)
    return read


def _pair(source: object, inputs: object) -> tuple[object, object]:
    """Return a source with its own inputs, else with those that are for all, if it takes any."""
    match source:
        case (module, own):
            return module, own
        case _:
            return source, inputs if takes_inputs(source) else None


def check(
    model: Source,
    budget: str | os.PathLike[str] | Mapping[str, object] | Budget,
    inputs: object = None,
    *,
    latency: bool = True,
    allow_code: bool = False,
    **options: Unpack[Options],
) -> Check:
    """Return whether a network keeps to a budget: `ok`, and a verdict on each limit.

    The budget is a YAML file, a mapping of its keys, {"params": "1M", "latency": "5 ms"}, or a Budget. Latency is
    measured only if the budget limits it. Options are the command line's. Raises InputError for what cannot be,
    TargetError if a target failed and no other limit is exceeded.
    """
    asked = request(options, latency=latency)
    found = checked(named(model, inputs, asked, allow_code=allow_code), budget_of(budget), asked)
    if found.profile.failures and found.ok:
        raise TargetError("\n".join(map(str, found.profile.failures)))
    return found


def suggest(
    source: Source,
    inputs: object = None,
    *,
    top: int = 10,
    latency: bool = True,
    allow_code: bool = False,
    **options: Unpack[Options],
) -> Suggestions:
    """Return what could save time, at most `top` suggestions, measured in one way.

    Of a network of a family: single changes, each measured by turns with it, all within `time`, those that save most
    seconds first; with latency=False by MACs. Of any other source that `profile` takes: kinds of operators that take
    much time far below their roof, with their evidence. Options are the command line's, each with one value. Raises
    InputError for what cannot be, TargetError if nothing could be measured.
    """
    asked = request(options, latency=latency)
    found = suggested(named(source, inputs, asked, allow_code=allow_code), asked, top)
    if found.failures and not any(found.latencies):
        raise TargetError("\n".join(found.failures))
    return found


def measure(module: Source, inputs: object = None, *, allow_code: bool = False, **options: Unpack[Options]) -> Latency:
    """Return the latency of one network in one way: target, runtime, batch, dtype, threads; with time and precision.

    Options are the command line's, each with one value. Of a torch module, `inputs` hold the batch: `batch` is 1, or
    the first size of all of them, and `examples_per_s` then counts examples. Raises InputError for what cannot be,
    TargetError if it could not be measured.
    """
    asked = one_latency(request(options))
    batch = _batch_of(inputs, asked)
    asked = replace(asked, batches=(1,)) if batch else asked
    where = measuring.places(asked)
    subject = counted(named(module, inputs, asked, allow_code=allow_code), asked, nullcontext).subject
    if subject is None:
        raise InputError(Mistake(NEEDS_CONSENT))
    (run,) = measuring.all_measured((subject,), asked, where, nullcontext)
    if run.failure:
        raise TargetError(str(run.failure))
    found = summarise(run.samples[0])
    return replace(found, batch=batch, examples_per_s=batch / found.median_s) if batch else found


def _batch_of(inputs: object, asked: Request) -> int | None:
    """Return the batch that was asked for if it is that of all tensors given, None if there is nothing to tell."""
    (batch,) = asked.batches
    if inputs is None or isinstance(inputs, str) or batch == 1:
        return None
    from archcost.nets.calls.contents import tensors_in  # loads torch

    sizes = {tuple(tensor.shape[:1]) for tensor in tensors_in(inputs)}
    return batch if sizes == {(batch,)} else None
