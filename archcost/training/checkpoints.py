"""A training in a file: plain tensors, read without running anything."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch
from torch import nn

from archcost.errors import InputError, quoted
from archcost.files import checked, placed
from archcost.graph import codec
from archcost.nets.net import Net
from archcost.nets.weights import read_tensors, readable
from archcost.training.fit import Fitting


def save(fitting: Fitting, path: Path) -> None:
    """Write a training as it is between two epochs; raises InputError if that cannot be done."""
    held = {
        "training": _identity(fitting),
        "done": fitting.done,
        "weights": fitting.net.state_dict(),
        "optimiser": fitting.optimiser.state_dict(),
    }
    with placed(path) as part, checked(part) as file:
        torch.save(held, file)


def restore(fitting: Fitting, path: Path) -> None:
    """Let a training that was just begun go on where `save` left it, with the same results as without a break.

    Raises InputError if the file cannot be read, is broken, or holds another network, fit or data set's training.
    """
    held = read_tensors(path, fitting.device)
    if held.get("training") != _identity(fitting):
        raise InputError(f"{quoted(str(path))} holds the training of another network, fit or data set")
    with readable(path):
        fitting.net.load_state_dict(held["weights"])
        fitting.optimiser.load_state_dict(held["optimiser"])
        fitting.done = int(held["done"])


def _identity(fitting: Fitting) -> str:
    """Return what tells trainings apart: graph, recipe, fit and data, each to the last digit."""
    net = fitting.net
    what = f"{codec.digest(net.graph)} {net.recipe}" if isinstance(net, Net) else _shapes(net)
    text = f"{what} {json.dumps(fitting.fit.fixed)} {fitting.fingerprint}"
    return hashlib.sha256(text.encode()).hexdigest()


def _shapes(net: nn.Module) -> str:
    """Return what tells modules of the user's own apart as far as their weights do: class, names and shapes."""
    return f"{type(net).__qualname__} {[(name, tuple(value.shape)) for name, value in net.state_dict().items()]}"
