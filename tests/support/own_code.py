"""Code of a user's own, as files beside a study: networks that behave and networks that do not, training and data."""

from __future__ import annotations

from pathlib import Path
from typing import Final

NETWORKS: Final = '''
import os, sys, time, torch
from torch import nn


class Small(nn.Module):
    """A convolution and a linear layer; it is given classes and input."""

    def __init__(self, width=4, act="relu", spare=0, classes=10, input=(1, 8, 8)):
        super().__init__()
        self.act = {"relu": torch.relu, "tanh": torch.tanh}[act]
        self.conv = nn.Conv2d(input[0], width, 3, stride=2)
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        return self.head(self.act(self.conv(x)).mean((2, 3)))


def strange(what, classes=10):
    """Return a network, if `what` is 0; else do something that no network does."""
    if what == 1:
        sys.exit("enough")
    if what == 2:
        os._exit(7)
    if what == 3:
        raise ValueError("no such width")
    if what == 4:
        print("printed where results go")
    if what == 5 and os.fork() == 0:
        time.sleep(600)
    if what == 6:
        held = []
        while True:
            held.append(torch.empty(2**28))
    if what == 7:
        return Small(classes=classes).cuda(99)
    if what == 8:
        torch.set_default_dtype(torch.float64)
    if what == 9:
        return "no module"
    if what == 10:
        raise KeyboardInterrupt
    if what == 11:
        return Small(classes=3)
    return Small(classes=classes)
'''
TRAINING: Final = '''
import torch
from torch.nn import functional


def fit(network, data, context, lr=0.01, ends=None, gives=None):
    """Train for the epochs of the study, with AdamW."""
    inputs, targets = data.train
    optimiser = torch.optim.AdamW(network.parameters(), lr=lr)
    if (state := context.load()) is not None:
        network.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
    for epoch in range(context.start, context.epochs):
        if epoch == ends:
            return
        network.train()
        for places in torch.randperm(len(targets)).split(100):
            with context.turn():
                loss = functional.cross_entropy(network(inputs[places]), targets[places])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
        context.save({"network": network.state_dict(), "optimiser": optimiser.state_dict(), "epoch": epoch + 1})
        yield {"loss": loss} if gives is None else {"loss": gives}


def evaluate(predict, split, context):
    """Return the share of right answers, and how many there were."""
    inputs, targets = split
    right = (predict(inputs).argmax(1) == targets).float().mean()
    return {"right": right, "error": 1 - float(right), "seen": len(targets)}


def nothing(network, data, context):
    """Return no generator."""
    return 3
'''
DATA: Final = '''
import torch
from torch.utils.data import DataLoader, TensorDataset


def splits(form="tensors", count=90):
    """Return three classes that a mean tells apart."""
    targets = torch.arange(count) % 3
    inputs = torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(0)) + targets[:, None, None, None]
    if form == "tensors":
        return {"train": (inputs, targets), "test": (inputs[:30], targets[:30])}
    if form == "bytes":
        return {"train": ((inputs * 20 + 100).clamp(0, 255).byte().numpy(), targets.numpy())}
    held = TensorDataset(inputs, targets)
    return {"train": held, "valid": lambda: DataLoader(held, 30), "test": held, "classes": ["a", "b", "c"]}
'''
STUDY: Final = """
models: [{family: module, factory: 'mynet:Small', args: {width: {int: [2, 6]}}}]
data: {name: digits, examples: 200}
objectives: [{error: min}, {macs: min}]
fit: {epochs: 2, rungs: [1, 2]}
search: {trials: 3, sampler: random}
confirm: {seeds: 1, members: 1}
"""


def written(folder: Path, study: str = STUDY) -> Path:
    """Write the code and a study that names it; return the study's file."""
    for name, text in (("mynet", NETWORKS), ("mytrain", TRAINING), ("mydata", DATA)):
        (folder / f"{name}.py").write_text(text, "utf-8")
    (folder / "study.yaml").write_text(study, "utf-8")
    return folder / "study.yaml"
