"""A module of the user's own in training: what it is given, and that it scores classes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from archcost.data.splits import Dataset, Split
from archcost.errors import InputError
from archcost.nets.restore import evaluating
from archcost.training.batches import Stream, examples, stream, text
from archcost.training.losses import as_examples

_FEW = 2  # examples that a network is tried with


def in_batches(dataset: Dataset, batch: int, device: torch.device) -> Stream | None:
    """Return the mini-batches of training if they come as they are: of a text, or of data that are no tensors.

    Of a text every window begins anew: a module has no state that is carried. None for examples that are drawn.
    """
    if dataset.train.loose is not None:
        return stream(dataset.train, batch, device, shuffle=True)
    if dataset.kind == "text":
        held = text(dataset.train, batch, window(dataset), device)
        return Stream(held.windows, -(-held.inputs.shape[1] // held.steps), device)
    return None


def window(dataset: Dataset) -> int:
    """Return the length of a window of a text."""
    steps = dataset.input["steps"] if isinstance(dataset.input, dict) else None
    assert isinstance(steps, int)  # a text's own number
    return steps


def few(dataset: Dataset, split: Split, device: torch.device, count: int = _FEW) -> tuple[Tensor, Tensor]:
    """Return some inputs of a split with their targets, as a network is given them."""
    if split.loose is not None:
        inputs, targets = next(iter(stream(split, count, device, shuffle=False)))
        return inputs[:count], targets[:count]
    if dataset.kind == "text":
        return next(iter(text(split, 1, window(dataset), device).windows()))
    return examples(dataset, split, device).batch(torch.arange(min(count, len(split)), device=device))


def check_module(net: nn.Module, dataset: Dataset) -> None:
    """Raise InputError if a module has nothing to train, or gives no score for each class of the data.

    Whatever its code raises is its own.
    """
    if not any(each.requires_grad for each in net.parameters()):
        raise InputError("the network has no parameter that is trained")
    inputs, targets = few(dataset, dataset.train, next(net.parameters()).device)
    with evaluating(net), torch.no_grad():
        scores, _ = as_examples(net(inputs), targets)
    if scores.shape[-1] != dataset.classes:
        given = f"the network gives {scores.shape[-1]} scores, and the data have {dataset.classes} classes"
        raise InputError(f"{given}; allowed: one for each class, as 'classes' hands it over")
