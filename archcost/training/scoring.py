"""How good a network is on a split: its error, or its perplexity on a text."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from archcost.data.splits import Dataset, Split
from archcost.latency.lock import device_key, turn
from archcost.nets.net import Net
from archcost.nets.restore import evaluating
from archcost.training.batches import examples, stream
from archcost.training.losses import Diverged, as_examples, divided
from archcost.training.modules import window
from archcost.training.score import Score, score

_BATCH: Final = 256
_WINDOWS: Final = 16  # of a module, each of which begins anew
_WINDOW: Final = 512  # tokens read at a time: enough for one product of the readout


def evaluate(net: nn.Module, split: Split, dataset: Dataset) -> Score:
    """Return how good a network is on a split of `dataset`, on the device of its weights, in float32.

    Of a text every token counts once, and the state is carried from the first to the last; a module of the user's own,
    which has none, begins every window anew. The network's modes are
    after it what they were before. Raises Diverged if the loss is not finite.
    """
    device, text = next(net.parameters()).device, dataset.kind == "text"
    with evaluating(net), torch.inference_mode():
        pairs = _text(net, split, device) if text and isinstance(net, Net) else _examples(net, split, dataset, device)
        loss, count, wrong = 0.0, 0, 0
        for scores, targets in pairs:
            scores, targets = as_examples(scores, targets)  # noqa: PLW2901  # of every token an example
            loss += float(functional.cross_entropy(scores.float(), targets, reduction="sum"))
            wrong += int((scores.argmax(1) != targets).sum())
            count += len(targets)
    if not math.isfinite(loss):
        raise Diverged(f"the network gives no finite loss on {dataset.name}: {loss}")
    return score(loss, count, wrong, text=text)


def _examples(net: nn.Module, split: Split, dataset: Dataset, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    for inputs, targets in given(split, dataset, device):
        with turn(device_key(device)):
            scores = net(inputs)
        yield scores, targets


def given(split: Split, dataset: Dataset, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield all of a split as a network is given it: inputs and targets of some examples, of a text of one window."""
    if split.loose is not None:
        yield from stream(split, _BATCH, device, shuffle=False)
    elif dataset.kind == "text":
        yield from _windows(split, window(dataset), device)
    else:
        held = examples(dataset, split, device)
        for chosen in torch.split(torch.arange(len(held), device=device), _BATCH):
            yield held.batch(chosen)


def _windows(split: Split, steps: int, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield a text in windows of so many tokens, several at once, and at last what is left over: (B, T) each."""
    whole = len(split) // steps * steps
    rows = [torch.split(each[:whole].view(-1, steps), _WINDOWS) for each in (split.inputs, split.targets)]
    for inputs, targets in zip(*rows, strict=True):
        yield inputs.to(device), targets.to(device)
    if whole < len(split):
        yield split.inputs[None, whole:].to(device), split.targets[None, whole:].to(device)


def _text(net: Net, split: Split, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    body, head = divided(net)
    state = body.state(1)
    windows = (torch.split(each.to(device), _WINDOW) for each in (split.inputs, split.targets))
    for inputs, targets in zip(*windows, strict=True):
        with turn(device_key(device)):
            states, state = body.run(inputs[None], state)
            scores = head(states[0])
        yield scores, targets
