"""Training and evaluation by code of the user's own, in the process of its trial."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from archcost.data.splits import Dataset, Split
from archcost.errors import InputError, one_of, quoted, shorten
from archcost.nets.factory import guarded, importing_from, named_object
from archcost.nets.restore import evaluating
from archcost.study.workers.tasks import Code
from archcost.training import scoring
from archcost.training.context import Context, given, handed
from archcost.training.losses import Diverged
from archcost.training.score import NAMED, Score, of_metrics
from archcost.training.spec import Fit

Predict = Callable[[object], object]
"""Gives what the network makes of inputs: a tensor, a tuple of arguments or a mapping of them."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """An epoch of the user's own training: its number, 1 is the first; loss: None if it gave none."""

    number: int
    loss: float | None
    seconds: float


def called(name: str, code: Code) -> Callable[..., object]:
    """Return the function that code names; raises InputError, with the code's own error, if there is none."""
    with importing_from(Path(code.folder)):
        found = named_object(name)
    if not callable(found):
        raise InputError(f"{quoted(name)} is an object of type {quoted(type(found).__name__)}; allowed: a function")
    return found


def epochs(net: nn.Module, dataset: Dataset, spec: Fit, code: Code, context: Context) -> Iterator[Epoch]:
    """Yield each epoch as soon as the code has yielded, when the network has the weights that its numbers are of.

    It may end before its epochs are over. Raises InputError with what the code raised, or for what is no generator of
    mappings of numbers; Diverged for a number that is not finite.
    """
    assert spec.code is not None
    what = f"{quoted(spec.code)} failed"
    function = called(spec.code, code)
    with guarded(what):
        steps = function(net, given(dataset), context, **spec.args)
    if not isinstance(steps, Iterator):
        allowed = "a generator, which yields a mapping of numbers after each epoch"
        raise InputError(f"{quoted(spec.code)} returned {type(steps).__name__}; allowed: {allowed}")
    begun = time.monotonic()
    for number in range(context.start + 1, context.epochs + 1):
        with guarded(what):
            said = next(steps, None)
        if said is None:
            return
        now = time.monotonic()
        numbers = _numbers(said, f"{quoted(spec.code)} after epoch {number}")
        yield Epoch(number, numbers.get("loss"), now - begun)
        begun = time.monotonic()


def _numbers(said: object, what: str) -> dict[str, float]:
    """Return a mapping of numbers; raises InputError if it is none, Diverged if one of them is not finite."""
    if not isinstance(said, Mapping):
        raise InputError(f"{what} gave {type(said).__name__}; allowed: a mapping of names to numbers")
    found = {}
    for name, value in said.items():
        number = value.item() if isinstance(value, Tensor) and value.numel() == 1 else value
        if not isinstance(name, str) or not isinstance(number, int | float):
            raise InputError(f"{what} gave {shorten(repr(name))}: {type(value).__name__}; allowed: a name and a number")
        if not math.isfinite(number):
            raise Diverged(f"{what} gave {shorten(name)} = {number}")
        found[name] = float(number)
    return found


def predictor(net: nn.Module, device: str) -> Predict:
    """Return a call of a network in evaluation mode without gradients, on its device."""

    def predict(inputs: object) -> object:
        with evaluating(net), torch.inference_mode():
            match inputs:
                case Tensor():
                    return net(inputs.to(device))
                case Mapping():
                    return net(**{key: value.to(device) for key, value in inputs.items()})
                case tuple() | list():
                    return net(*(value.to(device) for value in inputs))
                case _:
                    raise TypeError(
                        f"predict is given {type(inputs).__name__}; allowed: a tensor, a tuple or a mapping"
                    )

    return predict


def scored(net: nn.Module, split: Split, dataset: Dataset, spec: Fit, code: Code | None, context: Context) -> Score:
    """Return how good a network is on a split, by the study's own evaluation if it has one.

    Raises InputError with what the code raised, Diverged for what is not finite.
    """
    if spec.evaluate is None:
        return scoring.evaluate(net, split, dataset)
    assert code is not None  # code runs with consent alone
    return evaluated(predictor(net, context.device), handed(dataset, split), spec.evaluate, code, context)


def refuse_missing(score: Score, metrics: Sequence[str], evaluate: str | None) -> None:
    """Raise InputError if a score lacks what is an objective."""
    if missing := [name for name in metrics if score.value(name) is None]:
        given = one_of([name for name in NAMED if score.value(name) is not None] + [*score.metrics])
        who = quoted(evaluate) if evaluate else "archcost's own evaluation"
        raise InputError(f"{who} gave no {one_of(missing)}, which is an objective; it gave {given}")


def evaluated(predict: Predict, split: object, name: str, code: Code, context: Context) -> Score:
    """Return the score that an evaluation of the user's own gives."""
    function = called(name, code)
    with guarded(f"{quoted(name)} failed"):
        said = function(predict, split, context)
    return of_metrics(_numbers(said, quoted(name)))
