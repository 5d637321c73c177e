"""How good a network is on a split: its error, or its perplexity on a text."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from archcost.data.splits import Dataset, Split
from archcost.latency.lock import device_key, turn
from archcost.nets.net import Net
from archcost.nets.restore import evaluating
from archcost.training.batches import examples
from archcost.training.losses import Diverged, divided
from archcost.training.score import Score, score

_BATCH: Final = 256
_WINDOW: Final = 512  # tokens read at a time: enough for one product of the readout


def evaluate(net: Net, split: Split, dataset: Dataset) -> Score:
    """Return how good a network is on a split of `dataset`, on the device of its weights, in float32.

    Of a text every token counts once and the state is carried from the first to the last. The network's modes are
    after it what they were before. Raises Diverged if the loss is not finite.
    """
    device, text = next(net.parameters()).device, dataset.kind == "text"
    with evaluating(net), torch.inference_mode():
        pairs = _text(net, split, device) if text else _examples(net, split, dataset, device)
        loss, count, wrong = 0.0, 0, 0
        for scores, targets in pairs:
            loss += float(functional.cross_entropy(scores.float(), targets, reduction="sum"))
            wrong += int((scores.argmax(1) != targets).sum())
            count += len(targets)
    if not math.isfinite(loss):
        raise Diverged(f"the network gives no finite loss on {dataset.name}: {loss}")
    return score(loss, count, wrong, text=text)


def _examples(net: Net, split: Split, dataset: Dataset, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    held = examples(dataset, split, device)
    for chosen in torch.split(torch.arange(len(held), device=device), _BATCH):
        inputs, targets = held.batch(chosen)
        with turn(device_key(device)):
            scores = net(inputs)
        yield scores, targets


def _text(net: Net, split: Split, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    body, head = divided(net)
    state = body.state(1)
    windows = (torch.split(each.to(device), _WINDOW) for each in (split.inputs, split.targets))
    for inputs, targets in zip(*windows, strict=True):
        with turn(device_key(device)):
            states, state = body.run(inputs[None], state)
            scores = head(states[0])
        yield scores, targets
