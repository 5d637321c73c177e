"""The optimiser, its schedule, and which parameters decay, are clipped or learn slowly.

A recurrent network's gradients differ by orders of magnitude between tables, recurrent matrices and readout. What
stands before, on and behind its cycle is clipped apart. On a language model's cycle the rate is a tenth, and its
warm-up three times as long: without it, order 3 with relu diverged within 100 steps. On short sequences that would
only learn late.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, assert_never

import torch
from torch import nn
from torch.nn import Parameter

from archcost.errors import InputError
from archcost.graph.graph import recurrent
from archcost.nets.net import Net
from archcost.training.spec import Optimiser, Schedule, Settings
from archcost.training.steps import Group, Matrix, Steps

_GENTLE: Final = (0.1, 3)  # times the learning rate, and the warm-up
_MUON_MOMENTUM: Final = 0.6


@dataclass(frozen=True, slots=True)
class Part:
    """Parameters whose gradient is clipped as one; `rate` and `warmup` multiply the training's own."""

    parameters: tuple[Parameter, ...]
    rate: float = 1.0
    warmup: int = 1


def parts(net: nn.Module, *, gentle: bool = False) -> tuple[Part, ...]:
    """Return the parts of a network: of a recurrent one what is before, on and behind its cycle, else one.

    Of a module of the user's own, what is trained.

    gentle: on the cycle with a lower rate and a longer warm-up.
    """
    if not isinstance(net, Net):
        return (Part(tuple(each for each in net.parameters() if each.requires_grad)),)
    cycle = recurrent(net.graph)
    if not cycle:
        return (Part(tuple(net.parameters())),)
    sorted_out: tuple[list[Parameter], ...] = ([], [], [])
    for position, node in enumerate(net.graph.nodes):
        call = net.calls.get(node.name)
        where = 1 if position in cycle else 0 if position < min(cycle) else 2
        sorted_out[where].extend(call.parameters() if isinstance(call, nn.Module) else ())
    before, on, behind = map(tuple, sorted_out)
    return tuple(
        part for part in (Part(before), Part(on, *_GENTLE) if gentle else Part(on), Part(behind)) if part.parameters
    )


def optimiser(parts: Sequence[Part], settings: Settings, momentum: float, kernels: Sequence[Matrix] = ()) -> Steps:
    """Return what steps the parameters; its groups name their part's factors as `rate` and `warmup`.

    Matrices and kernels decay; norms and biases do not. kernels: those that Muon steps (Jordan and others 2024; on
    convolutions with airbench94's momentum), none without it.
    """
    apart = {id(each.kernel) for each in kernels}
    groups = [group for part in parts for group in _groups(part, settings, apart)]
    made = [_usual(groups, settings.others or settings.optimiser, settings.lr, momentum)] if groups else []
    if kernels:
        if not hasattr(torch.optim, "Muon"):
            raise InputError(f"torch {torch.__version__} has no Muon; allowed: another optimiser, or torch 2.9")
        matrices = {"params": [each.rows for each in kernels], "rate": 1.0, "warmup": 1}
        decay = settings.weight_decay
        made.append(torch.optim.Muon([matrices], settings.lr, weight_decay=decay, momentum=_MUON_MOMENTUM))
    return Steps(made, kernels)


def _usual(groups: list[Group], kind: Optimiser, rate: float, momentum: float) -> torch.optim.Optimizer:
    if kind != "sgd":
        return torch.optim.AdamW(groups, rate, fused=True)
    made = torch.optim.SGD(groups, rate, momentum, nesterov=momentum > 0, fused=True)
    for each in (each for group in groups for each in group["params"] if momentum):
        # torch 2.13 cannot step where some have a gradient for the first time and others had one before
        made.state[each]["momentum_buffer"] = torch.zeros_like(each)
    return made


def _groups(part: Part, settings: Settings, apart: Collection[int]) -> Iterator[Group]:
    """Yield the groups of a part without the parameters, by their id, that are stepped apart."""
    for decays in (True, False):
        chosen = [each for each in part.parameters if (each.ndim > 1) == decays and id(each) not in apart]
        if chosen:
            factors = {"rate": part.rate * settings.others_rate, "warmup": part.warmup}
            yield {"params": chosen, "weight_decay": settings.weight_decay if decays else 0.0, **factors}


def clipped(parts: Sequence[Part], longest: float | None) -> float:
    """Shorten each part's gradient to `longest`, if one is given; return the longest gradient there was."""
    if longest is None:
        return 0.0
    return max(float(nn.utils.clip_grad_norm_(part.parameters, longest)) for part in parts)


_RISE = 0.25  # of a one-cycle
_FLAT = 0.3  # of flat-linear


def share(schedule: Schedule, step: int, total: int, warmup: int | None = None) -> float:
    """Return the factor of the learning rate in mini-batch `step` (0 is the first) of `total`; above 0, at most 1.

    `warmup`: over so many mini-batches it rises straight, on top of the schedule; None: a one-cycle rises for a quarter
    of all, the others begin at once.
    """
    if schedule == "one-cycle":
        rise = round(_RISE * total) if warmup is None else warmup
        return _risen(step, rise) if step < rise else (total - step) / max(total - rise, 1)
    return _falling(schedule, step, total) * _risen(step, warmup or 0)


def _risen(step: int, warmup: int) -> float:
    return min(1.0, (step + 1) / warmup) if warmup else 1.0


def _falling(schedule: Schedule, step: int, total: int) -> float:
    done = step / total
    match schedule:
        case "constant":
            return 1.0
        case "cosine":
            return (1 + math.cos(math.pi * done)) / 2
        case "step":
            return 0.01 if done >= 3 / 4 else 0.1 if done >= 1 / 2 else 1.0
        case "flat-linear":
            return min(1.0, (1 - done) / (1 - _FLAT))
        case "one-cycle":
            raise ValueError(schedule)  # our own bug: it has its own shape
        case _:
            assert_never(schedule)
