"""Checkpoints: a training in a file, as plain tensors and values; reading it runs nothing."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from archcost.errors import InputError, quoted
from archcost.files import checked, placed
from archcost.graph import codec
from archcost.nets.net import Net
from archcost.nets.weights import read_tensors, readable
from archcost.training.fit import Fitting
from archcost.training.header import Checkpoint, Header, encoded, header, intact
from archcost.training.steps import alike

_HEADER, _STATE = "archcost", "state"
_PLAIN: Final = (bool, int, float, str, type(None))


def write(place: Checkpoint, epochs: int, seconds: float, state: Mapping[str, object]) -> None:
    """Write the state of a training to its place, whole or not at all; what was there is replaced.

    state: tensors and plain values, in lists, tuples and mappings. Raises InputError if something else is in it, with
    where, or if it cannot be written.
    """
    held_state = plain(state)
    first = bytearray(encoded(Header(place.study, place.training, epochs, float(seconds))))
    held = {_HEADER: torch.frombuffer(first, dtype=torch.uint8), _STATE: held_state}
    with placed(Path(place.path)) as part, checked(part) as file:
        torch.save(held, file)


def read(place: Checkpoint, device: torch.device) -> tuple[Header, dict[str, Any]]:
    """Return what `write` wrote to a place, the tensors on a device.

    Raises InputError if the file cannot be read, is damaged, or is another study's or training's.
    """
    path = Path(place.path)
    said = header(path)
    if said is None or not intact(path):
        raise InputError(f"cannot read {quoted(str(path))}: it is damaged, or no checkpoint")
    if (said.study, said.training) != (place.study, place.training):
        raise InputError(
            f"{quoted(str(path))} holds the training of another network, fit or data set, or another study's"
        )
    state = read_tensors(path, device).get(_STATE)
    if not isinstance(state, dict):
        raise InputError(f"cannot read {quoted(str(path))}: it is no checkpoint")
    return said, state


def save(fitting: Fitting, path: Path) -> None:
    """Write a training as it is between two epochs; raises InputError if that cannot be done."""
    write(_place(fitting, path), fitting.done, 0.0, state_of(fitting))


def restore(fitting: Fitting, path: Path) -> None:
    """Let a training that was just begun go on where `save` left it, with the same results as without a break.

    Raises InputError if the file cannot be read, is damaged, or holds another network, fit or data set's training; the
    training is then as it was.
    """
    said, state = read(_place(fitting, path), fitting.device)
    with readable(path):
        give(fitting, said.epochs, state)


def state_of(fitting: Fitting) -> dict[str, Any]:
    """Return all that a training goes on from, but how many of its epochs are done."""
    return {"weights": dict(fitting.net.state_dict()), "optimiser": fitting.optimiser.state()}


def give(fitting: Fitting, epochs: int, state: Mapping[str, Any]) -> None:
    """Let a training that was just begun go on after so many epochs, from what `state_of` returned.

    Raises ValueError if that is not of such a training, which is then as it was.
    """
    steps: Any = state.get("optimiser")
    if epochs > fitting.fit.epochs or not isinstance(steps, dict) or not fitting.optimiser.fits(steps):
        raise ValueError("the state of another optimiser")
    give_weights(fitting.net, state.get("weights"))
    fitting.optimiser.give(steps)
    fitting.done = epochs


def give_weights(net: nn.Module, held: Any) -> None:  # noqa: ANN401  # what a file holds
    """Give a network the weights that a checkpoint holds; raises ValueError, and changes none, if they are others."""
    now = net.state_dict()
    fits = isinstance(held, dict) and held.keys() == now.keys()
    if not fits or not all(alike(held[name], now[name]) for name in now):
        raise ValueError("the weights of another network")
    net.load_state_dict(held)


def plain(state: Mapping[str, object]) -> dict[str, Any]:
    """Return a state as it is written; raises InputError as `write` does for what cannot be."""
    return dict(_plain(dict(state), "the state", _lean))


def copied(state: Mapping[str, object]) -> dict[str, Any]:
    """Return a state as it is at this moment; raises InputError as `write` does."""
    return dict(_plain(dict(state), "the state", lambda value: value.detach().clone()))


def _lean(value: torch.Tensor) -> torch.Tensor:
    """Return a tensor with no memory but its values': a part of a larger one would be written with all of that."""
    whole = value.detach()
    return whole if whole.untyped_storage().nbytes() == whole.nbytes else whole.clone()


def _plain(state: object, where: str, kept: Callable[[torch.Tensor], torch.Tensor]) -> Any:  # noqa: ANN401  # as given
    """Return a state with its tensors as they are kept; raises InputError if it holds what only code could read."""
    if type(state) in _PLAIN:
        return state
    if isinstance(state, torch.Tensor):
        return kept(state)
    if isinstance(state, dict) and type(state) in (dict, OrderedDict):
        if odd := [key for key in state if type(key) not in (int, str)]:
            raise InputError(f"{where} has a key {quoted(str(odd[0]))}; allowed: texts and integers")
        return {key: _plain(value, f"{where}[{key!r}]", kept) for key, value in state.items()}
    if isinstance(state, list | tuple) and type(state) in (list, tuple):
        return type(state)(_plain(value, f"{where}[{place}]", kept) for place, value in enumerate(state))
    kind = type(state).__name__
    raise InputError(f"{where} is of type {quoted(kind)}; allowed: tensors, numbers, texts, lists and mappings")


def _place(fitting: Fitting, path: Path) -> Checkpoint:
    """Return the place of a training in a file of its own: graph, recipe, fit and data, each to the last digit."""
    net = fitting.net
    what = f"{codec.digest(net.graph)} {net.recipe}" if isinstance(net, Net) else _shapes(net)
    text = f"{what} {json.dumps(fitting.fit.fixed)} {fitting.fingerprint}"
    return Checkpoint(str(path), "", hashlib.sha256(text.encode()).hexdigest())


def _shapes(net: nn.Module) -> str:
    """Return what tells modules of the user's own apart as far as their weights do: class, names and shapes."""
    return f"{type(net).__qualname__} {[(name, tuple(value.shape)) for name, value in net.state_dict().items()]}"
