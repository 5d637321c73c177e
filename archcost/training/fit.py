"""Training a network: seeded, an epoch at a time, by turns with measurements."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import nn

from archcost.data.splits import Dataset
from archcost.errors import InputError
from archcost.graph.ops import Input
from archcost.latency.lock import device_key, turn
from archcost.latency.targets.cpu import threads as on_threads
from archcost.nets.net import Net
from archcost.training.batches import Images, examples, text
from archcost.training.layout import is_wide, safe
from archcost.training.losses import Loss, OfBatches, OfExamples, OfText, begin_readout, check, divided, limit
from archcost.training.modules import check_module, in_batches
from archcost.training.optimiser import Part, clipped, optimiser, parts, share
from archcost.training.scale import begin_in_scale
from archcost.training.spec import Fit, Settings
from archcost.training.speed import chosen
from archcost.training.steps import Steps, matrices
from archcost.training.vocabulary import Readout, Words

Told: TypeAlias = Callable[[int, int, float], None]
"""Hears after every mini-batch how many of the training are done, of how many, and the loss of this one."""

_SCALED = 256  # images that a network without norms is scaled by
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

    net: nn.Module
    fit: Fit
    settings: Settings
    losses: OfExamples | OfText | OfBatches
    parts: Sequence[Part]
    optimiser: Steps
    device: torch.device
    threads: int | None
    fingerprint: str
    """Of the data."""
    classes: int
    done: int = 0

    @property
    def total(self) -> int:
        """How many mini-batches the whole training has."""
        return self.fit.epochs * self.losses.count


def begin(net: nn.Module, dataset: Dataset, fit: Fit, *, device: str = "cpu", threads: int | None = None) -> Fitting:
    """Return the training of a network that was just built, with the data on the device.

    `net` is moved there and trained in place: one of a family, or any module that gives a score for each class, (B, K),
    of a text (B, T, K). threads: of the processor's, torch's own number if left out.
    Raises InputError if the network does not fit the data.
    """
    place = torch.device(device)
    settings = fit.settled(net.recipe.init if isinstance(net, Net) else None, text=dataset.kind == "text")
    net.to(place)
    if isinstance(net, Net):
        _check(net, dataset)
    else:
        check_module(net, dataset)
    if dataset.kind == "image" and is_wide(net):
        net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # mypy's stubs lack it
    net_parts = parts(net, gentle=dataset.kind == "text")
    stepping = optimiser(net_parts, settings, fit.momentum, matrices(net) if settings.optimiser == "muon" else ())
    losses = _losses(net, dataset, fit, settings, place)
    return Fitting(net, fit, settings, losses, net_parts, stepping, place, threads, dataset.fingerprint,
                   dataset.classes)  # fmt: skip


def epochs(
    fitting: Fitting, *, told: Told = lambda done, total, loss: None, clock: Callable[[], float] = time.perf_counter
) -> Iterator[Epoch]:
    """Yield each epoch when it is over, from the first that is not done; the caller may evaluate, save, and stop.

    The same seed and device give the same weights to the bit, also if a restored training goes on; torch's random
    state is left as it was. Raises Diverged if loss or gradient are not finite, or the loss explodes.
    """
    while fitting.done < fitting.fit.epochs:
        begun = clock()
        count = on_threads(fitting.threads) if fitting.threads is not None else nullcontext()
        with count, _seeded(fitting), safe(fitting.net):
            loss, rate = _epoch(fitting, told)
        fitting.done += 1
        yield Epoch(fitting.done, loss, clock() - begun, rate)


def _epoch(fitting: Fitting, told: Told) -> tuple[float, float]:
    fitting.net.train()
    most, key, sum_of_losses = limit(fitting.classes), device_key(fitting.device), 0.0
    rate = 0.0
    for nth, loss in enumerate(fitting.losses.epoch()):
        step = fitting.done * fitting.losses.count + nth
        with turn(key):
            rate = _rate(fitting, step)
            value = _step(fitting, loss)
        check(value, most, f"the loss of mini-batch {nth + 1} of epoch {fitting.done + 1}")
        sum_of_losses += value
        told(step + 1, fitting.total, value)
    fitting.net.eval()
    return sum_of_losses / fitting.losses.count, rate


def _step(fitting: Fitting, loss: Loss) -> float:
    fitting.optimiser.drop_gradients()  # what a mini-batch drops stays as it is
    scalar = loss()
    value = float(scalar.detach())
    if math.isfinite(value):  # else the weights stay as they were, and the caller refuses it
        scalar.backward()  # type: ignore[no-untyped-call]  # torch's
        length = clipped(fitting.parts, fitting.settings.clip)
        check(length, float("inf"), f"the gradient of epoch {fitting.done + 1}")
        fitting.optimiser.step()
    return value


def _rate(fitting: Fitting, step: int) -> float:
    """Set the learning rate of every group for mini-batch `step`; return the training's own."""
    settings, total = fitting.settings, fitting.total
    warmup = None if settings.warmup is None else min(settings.warmup, int(_LONGEST_WARMUP * total))
    for group in fitting.optimiser.groups:
        longer = None if warmup is None else warmup * group["warmup"]
        group["lr"] = settings.lr * group["rate"] * share(settings.schedule, step, total, longer)
    return settings.lr * share(settings.schedule, step, total, warmup)


@contextmanager
def _seeded(fitting: Fitting) -> Iterator[None]:
    """Let random numbers inside follow from seed and epoch alone, so that none need be kept to go on."""
    digest = hashlib.sha256(f"{fitting.fit.seed} {fitting.done}".encode()).digest()
    devices = [fitting.device] if fitting.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(int.from_bytes(digest[:7], "big"))
        yield


def _check(net: Net, dataset: Dataset) -> None:
    """Raise InputError if a network does not take what the data give."""
    first, given = net.graph.nodes[0].op, dataset.input
    assert isinstance(first, Input)  # a Graph begins with its input
    if isinstance(given, dict):
        words = {"vocab": first.below} if first.below is not None else {"features": first.shape[0]}
        fits = net.graph.steps is not None and all(given.get(key) == value for key, value in words.items())
    else:
        fits = net.graph.steps is None and list(first.shape) == given
    if not fits:
        raise InputError(f"the network does not take what {dataset.name} gives: {given}")
    classes = net.graph.nodes[-1].shape[0]
    if classes != dataset.classes:
        raise InputError(f"the network tells {classes} classes apart, {dataset.name} has {dataset.classes}")


def _losses(
    net: nn.Module, dataset: Dataset, fit: Fit, settings: Settings, device: torch.device
) -> OfExamples | OfText | OfBatches:
    dtype = chosen(fit.precision, device)
    as_they_come = dataset.train.loose is not None or not isinstance(net, Net)
    if as_they_come and (batches := in_batches(dataset, settings.batch, device)):
        return OfBatches(net, batches.once, batches.count, fit.label_smoothing, dtype)
    return _of_tensors(net, dataset, fit, settings, dtype)


def _of_tensors(
    net: nn.Module, dataset: Dataset, fit: Fit, settings: Settings, dtype: torch.dtype
) -> OfExamples | OfText:
    device = next(net.parameters()).device
    if isinstance(net, Net) and isinstance(dataset.input, dict) and dataset.kind == "text":
        body, head = divided(net)
        begin_readout(head, dataset.train.targets)
        steps = dataset.input["steps"]
        assert isinstance(steps, int)  # a data set's own number
        stream = text(dataset.train, settings.batch, steps, device)
        words = None if fit.sampled is None else Words.of(dataset.train.targets, dataset.classes, fit.sampled, device)
        return OfText(body, head, stream, fit.carry, Readout(dtype, fit.label_smoothing), words)
    if fit.augment is not None and dataset.kind != "image":
        raise InputError(f"augment changes images, and {dataset.name} is not read as images")
    changes = fit.changes() if fit.augment is not None else None
    held = examples(dataset, dataset.train, device)
    if isinstance(held, Images) and isinstance(net, Net):
        begin_in_scale(net, held.batch(torch.arange(min(len(held), _SCALED), device=device))[0])
    # the products of a recurrence are small: there bfloat16 gains nothing, and its steps add up
    kind = dtype if dataset.kind == "image" else torch.float32
    return OfExamples(net, held, settings.batch, changes, fit.label_smoothing, kind)
