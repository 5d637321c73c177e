"""Batch-norm statistics of a network, or a column of it, as it now is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final, TypeAlias

import torch

from archcost.data.splits import Dataset
from archcost.graph.columns import columns
from archcost.latency.lock import device_key, turn
from archcost.nets.layers import BatchNorm
from archcost.nets.net import Net
from archcost.nets.restore import evaluating
from archcost.training.batches import examples, stream

Inputs: TypeAlias = Callable[[], Iterator[torch.Tensor]]

_MOMENTUM: Final = 0.1  # of layers.BatchNorm


def recalibrate(net: Net, dataset: Dataset, *, batch: int = 256, batches: int = 16, seed: int = 0) -> None:
    """Set the statistics of a network's norms to their means over mini-batches of the training split, as it evaluates.

    Every path runs and nothing is dropped. Where columns that run alone have a second row of statistics, a whole
    network sets both: the second one column by column; a column (`Net.column`) sets its own. A network whose columns
    share one row has the statistics of what was recalibrated last.
    """
    if not any(isinstance(part, BatchNorm) for part in net.modules()):
        return
    device = next(net.parameters()).device
    inputs = _of_training(dataset, device, batch, batches, seed)
    _averaged(net, inputs)
    if not net.alone and any("alone" in norm.rows for norm in net.modules() if isinstance(norm, BatchNorm)):
        for column in columns(net.graph):
            _averaged(net.column(column), inputs)


def _of_training(dataset: Dataset, device: torch.device, batch: int, batches: int, seed: int) -> Inputs:
    """Return what gives the inputs of some mini-batches of training, anew at each call, always the same."""
    if dataset.train.loose is not None:
        some = list(islice(stream(dataset.train, batch, device, shuffle=False), batches))
        return lambda: (inputs for inputs, _ in some)
    held = examples(dataset, dataset.train, device)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(held), generator=generator)[: batch * batches].to(device)
    chosen = order.tensor_split(-(-len(order) // batch))
    return lambda: (held.batch(each)[0] for each in chosen)


def _averaged(net: Net, batches: Inputs) -> None:
    row = "alone" if net.alone else "running"
    norms = [part for part in net.modules() if isinstance(part, BatchNorm)]
    buffers = [getattr(norm, f"{row}_{which}") for norm in norms for which in ("mean", "var")]
    sums = [torch.zeros_like(each) for each in buffers]
    with evaluating(net), torch.no_grad():
        for norm in norms:
            norm.training = True
        count = 0
        for inputs in batches():
            count += 1
            for each in buffers:
                each.zero_()  # then what a pass leaves is a tenth of its own statistics
            with turn(device_key(inputs.device)):
                net(inputs)
            for total, each in zip(sums, buffers, strict=True):
                total.add_(each)
        for total, each in zip(sums, buffers, strict=True):
            each.copy_(total.div_(_MOMENTUM * count))
