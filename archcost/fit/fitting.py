"""Training a network: seeded, an epoch at a time, each mini-batch in its turn with measurements of the device."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TypeAlias

import torch

from archcost.data import Dataset
from archcost.errors import InputError
from archcost.fit import diverged
from archcost.fit.groups import Part, clipped, optimiser, parts
from archcost.fit.losses import Loss, OfExamples, OfText, begin_readout, divided
from archcost.fit.material import examples, text
from archcost.fit.precision import chosen
from archcost.fit.readout import Readout
from archcost.fit.schedules import share
from archcost.fitspec import Fit, Settings
from archcost.graph import Graph
from archcost.nets import Net
from archcost.ops import Input
from archcost.targets.cpu import threads as on_threads
from archcost.targets.exclusive import turn

Told: TypeAlias = Callable[[int, int, float], None]
"""Hears after every mini-batch how many of the training are done, of how many, and the loss of this one."""

_LONGEST_WARMUP = 0.1  # of a training: a short one would else end before its rate is there


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass over the training split: its number (1 is the first), mean loss in nats, seconds and last rate."""

    number: int
    loss: float
    seconds: float
    lr: float


@dataclass(slots=True)
class Fitting:
    """A training under way: `done` epochs of `fit.epochs`. Made by `begin`."""

    net: Net
    fit: Fit
    settings: Settings
    losses: OfExamples | OfText
    parts: Sequence[Part]
    optimiser: torch.optim.Optimizer
    device: torch.device
    threads: int | None
    fingerprint: str
    """Of the data."""
    done: int = 0

    @property
    def total(self) -> int:
        """How many mini-batches the whole training has."""
        return self.fit.epochs * self.losses.count


def begin(net: Net, dataset: Dataset, fit: Fit, *, device: str = "cpu", threads: int | None = None) -> Fitting:
    """Return the training of a network that was just built, with the data on the device.

    `net` is moved there and trained in place. threads: of the processor's, torch's own number where left out.
    Raises InputError where the network does not fit the data.
    """
    place = torch.device(device)
    _check(net, dataset)
    settings = fit.settled(net.recipe.init, text=dataset.kind == "text")
    net.to(place)
    if dataset.kind == "image":
        net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # mypy's stubs lack it
    net_parts = parts(net)
    stepping = optimiser(net_parts, settings, fit.momentum)
    losses = _losses(net, dataset, fit, settings, place)
    return Fitting(net, fit, settings, losses, net_parts, stepping, place, threads, dataset.fingerprint)


def epochs(
    fitting: Fitting, *, told: Told = lambda done, total, loss: None, clock: Callable[[], float] = time.perf_counter
) -> Iterator[Epoch]:
    """Yield each epoch when it is over, from the first that is not done; the caller may evaluate, save, and stop.

    The same seed and device give the same weights to the bit, also where a restored training goes on; torch's random
    state is left as it was. Raises Diverged where loss or gradient are not finite, or the loss explodes.
    """
    while fitting.done < fitting.fit.epochs:
        begun = clock()
        count = on_threads(fitting.threads) if fitting.threads is not None else nullcontext()
        with count, _seeded(fitting):
            loss, rate = _epoch(fitting, told)
        fitting.done += 1
        yield Epoch(fitting.done, loss, clock() - begun, rate)


def device_key(device: torch.device) -> str:
    """Return what a device is called where measurements and trainings take turns."""
    return "cpu" if device.type == "cpu" else f"{device.type}-{device.index or 0}" if device.type == "cuda" else "mps"


def _epoch(fitting: Fitting, told: Told) -> tuple[float, float]:
    fitting.net.train()
    most, key, sum_of_losses = diverged.limit(fitting.net.graph.nodes[-1].shape[0]), device_key(fitting.device), 0.0
    rate = 0.0
    for nth, loss in enumerate(fitting.losses.epoch()):
        step = fitting.done * fitting.losses.count + nth
        with turn(key):
            rate = _rate(fitting, step)
            value = _step(fitting, loss)
        diverged.check(value, most, f"the loss of mini-batch {nth + 1} of epoch {fitting.done + 1}")
        sum_of_losses += value
        told(step + 1, fitting.total, value)
    fitting.net.eval()
    return sum_of_losses / fitting.losses.count, rate


def _step(fitting: Fitting, loss: Loss) -> float:
    fitting.optimiser.zero_grad(set_to_none=True)  # what a mini-batch drops has no gradient, and stays as it is
    scalar = loss()
    value = float(scalar.detach())
    if value == value:  # with a loss that is no number, weights stay as they were
        scalar.backward()  # type: ignore[no-untyped-call]  # torch's
        length = clipped(fitting.parts, fitting.settings.clip)
        diverged.check(length, float("inf"), f"the gradient of epoch {fitting.done + 1}")
        fitting.optimiser.step()
    return value


def _rate(fitting: Fitting, step: int) -> float:
    """Set the learning rate of every group for mini-batch `step`; return the training's own."""
    settings, total = fitting.settings, fitting.total
    warmup = None if settings.warmup is None else min(settings.warmup, int(_LONGEST_WARMUP * total))
    for group in fitting.optimiser.param_groups:
        longer = None if warmup is None else warmup * group["warmup"]
        group["lr"] = settings.lr * group["rate"] * share(settings.schedule, step, total, longer)
    return settings.lr * share(settings.schedule, step, total, warmup)


def _seeded(fitting: Fitting) -> AbstractContextManager[object]:
    """Return a context whose random numbers follow from seed and epoch alone, so that none need be kept."""
    digest = hashlib.sha256(f"{fitting.fit.seed} {fitting.done}".encode()).digest()
    context = _Seeded(int.from_bytes(digest[:7], "big"), [fitting.device] if fitting.device.type == "cuda" else [])
    return context
