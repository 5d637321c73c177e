"""The latency of a network as it is predicted, without running it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Unpack

from archcost.errors import InputError, Mistake, TargetError
from archcost.latency.measure import Place, Request, places
from archcost.latency.prediction import kept
from archcost.latency.prediction.operators import Operator, of_graph
from archcost.latency.prediction.predictor import Prediction, Predictor
from archcost.latency.samples import Plan
from archcost.models.files import File, Network
from archcost.models.load import Model, Reference
from archcost.profiling.options import Options, one_latency, request
from archcost.profiling.prediction.calibrate import DTYPE, key_of
from archcost.profiling.sources import Source, named

if TYPE_CHECKING:
    from archcost.profiling.modules import Given

_NO_FILES: Final = "a model file is measured, not predicted; allowed: a network of a family, or torch code"


def predict(
    model: Source, inputs: object = None, *, allow_code: bool = False, **options: Unpack[Options]
) -> Prediction:
    """Return what a network will take on a target that was calibrated, without running it there.

    A source is what `profile` takes, model files excepted; options are those of `measure`: target, runtime, batch and
    threads, each with one value. If `in_domain` is false, what the network is made of was not measured: then measure
    it. Raises InputError for what cannot be, and if nothing is calibrated for the way, or on another device or version;
    TargetError if the target cannot be asked.
    """
    asked = one_latency(request(options, latency=False))
    (found,) = predicted(named(model, inputs, asked, allow_code=allow_code), asked)
    return found


def predicted(network: Network | Given, asked: Request) -> tuple[Prediction, ...]:
    """Return a prediction for every combination of target, runtime, batch and threads; raises as `predict` does."""
    if isinstance(network, File):
        raise InputError(Mistake(_NO_FILES))
    ready = list(_ready(asked))
    operators = {batch: _operators(network, batch) for batch in asked.batches}
    return tuple(each.predict(*operators[each.calibration.key.batch]) for each in ready)


def _ready(asked: Request) -> Iterator[Predictor]:
    """Yield the calibrated predictors; looks at each target once."""
    if wrong := [dtype for dtype in asked.dtypes if dtype != DTYPE]:
        raise InputError(Mistake(f"given {wrong[0]}; allowed: {DTYPE}, all else is measured", ("dtype",)))
    runtimes = asked.runtimes or ("eager",)
    for place in places(_looking(asked, runtimes)):
        if place.facts is None:
            raise TargetError(place.why_not)
        for runtime in runtimes:
            for plan in place.plans(asked, DTYPE):
                yield predictor(place, runtime, plan)


def _looking(asked: Request, runtimes: tuple[str, ...]) -> Request:
    """Return a request by which targets are looked at, though nothing is measured on them."""
    return Request(asked.targets, runtimes, asked.batches, (DTYPE,), asked.threads)


def predictor(place: Place, runtime: str, plan: Plan) -> Predictor:
    """Return what was calibrated for a way to run; raises InputError if nothing was, or it cannot be used."""
    return Predictor(kept.at_hand(key_of(place, runtime, plan)))


def _operators(network: Model | Reference | Given, batch: int) -> tuple[tuple[Operator, ...], bool]:
    """Return a network's operators, and whether a torch module calls them."""
    if isinstance(network, Model):
        return of_graph(network.graph, batch), False
    from archcost.profiling import modules  # loads torch
    from archcost.profiling.prediction.modules import of_module

    given = modules.made(network) if isinstance(network, Reference) else network
    module, own = modules.counted(given, Request(batches=(batch,), dtypes=(DTYPE,), latency=False))
    if own != DTYPE:
        raise InputError(Mistake(f"the module is of {own}; allowed: {DTYPE}, all else is measured"))
    return of_module(module, batch, DTYPE), True
