"""torch's LSTM as a language model, its training and its evaluation: what the Higher Order RNNs stand beside."""

# ruff: noqa: ANN401  # as a user writes it: archcost's types are not imported

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

CONTEXT = 165  # tokens before a window that is scored, from which the state comes


class LSTM(nn.Module):
    """A table of words, an LSTM of one layer, a readout of all words."""

    def __init__(self, hidden: int = 200, classes: int = 10000) -> None:
        super().__init__()
        self.table = nn.Embedding(classes, hidden)
        self.cells = nn.LSTM(hidden, hidden, batch_first=True)
        self.readout = nn.Linear(hidden, classes)
        nn.init.uniform_(self.table.weight, -0.1, 0.1)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, T) tokens -> (B, T, V), from a state of zeros."""
        return self.readout(self.cells(self.table(x))[0])


def fit(network: Any, data: Any, context: Any, lr: float = 4e-3, streams: int = 20, steps: int = 35
        ) -> Iterator[dict[str, float]]:  # fmt: skip
    """Train by truncated BPTT: a window begins in the state in which the one before ended; AdamW, the rate falls."""
    tokens, targets = data.train
    length = len(tokens) // streams
    tokens, targets = (each[: streams * length].view(streams, length) for each in (tokens, targets))
    optimiser = torch.optim.AdamW(network.parameters(), lr, weight_decay=0.1, fused=True)
    if (state := context.load()) is not None:
        network.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
    windows = math.ceil(length / steps)
    for epoch in range(context.start, context.epochs):
        network.train()
        held, total = None, 0.0
        for step, (x, y) in enumerate(zip(tokens.split(steps, 1), targets.split(steps, 1), strict=True)):
            done = (epoch * windows + step) / (context.epochs * windows)
            for group in optimiser.param_groups:
                group["lr"] = lr * min(1.0, (1 - done) / 0.7, (epoch * windows + step + 1) / 100)
            with context.turn():
                made, held = network.cells(network.table(x), held)
                held = tuple(each.detach() for each in held)
                loss = functional.cross_entropy(network.readout(made).flatten(0, 1), y.flatten())
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(network.parameters(), 0.25)
                optimiser.step()
            total += float(loss.detach())
        context.save({"network": network.state_dict(), "optimiser": optimiser.state_dict()})
        yield {"loss": total / windows}


def evaluate(predict: Any, split: Any, context: Any) -> dict[str, float]:  # noqa: ARG001  # the form of an evaluation
    """Return the perplexity of every token, each seen after the 165 tokens before its window, if there are as many."""
    tokens, targets = split
    loss, steps = 0.0, 35
    for start in range(0, len(tokens), steps):
        before = max(0, start - CONTEXT)
        scores = predict(tokens[None, before : start + steps])[0, start - before :]
        loss += float(functional.cross_entropy(scores, targets[start : start + steps], reduction="sum"))
    return {"perplexity": math.exp(loss / len(targets))}
