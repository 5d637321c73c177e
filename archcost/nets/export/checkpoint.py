"""Weights of a checkpoint, a safetensors or torch file, of which nothing is run."""

from __future__ import annotations

import hashlib
import pickle
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from archcost.errors import InputError, Mistake, quoted, visible
from archcost.nets import copies
from archcost.nets.weights import readable

_INSIDE: Final = ("state_dict", "model_state_dict", "model", "weights")  # where trainers put the weights of a network
_WRAPPERS: Final = ("module.", "_orig_mod.")  # what DataParallel and torch.compile put before every name
_TORCH: Final = (b"PK", b"\x80")  # a zip file, and a bare pickle of torch before 1.6
_COUNTED: Final = "num_batches_tracked"  # of a batch norm, which inference does not read; old checkpoints lack it
_SHOWN: Final = 5  # names in a message


def load_into(module: nn.Module, file: Path) -> str:
    """Give a module the weights of a file, and say in words which they are.

    Raises InputError if the file cannot be read, and with every name that is missing, unexpected or of another shape.
    """
    held = _unwrapped(_read(file), module)
    wanted = {name: t for name, t in module.state_dict(keep_vars=True).items() if isinstance(t, Tensor)}
    misfits = {name for name, t in held.items() if name in wanted and not _fits(t, wanted[name])}
    with readable(file):
        found = module.load_state_dict({name: t for name, t in held.items() if name not in misfits}, strict=False)
    given = {id(wanted[name]) for name in held if name in wanted}  # one name of tied weights is enough
    missing = [name for name in found.missing_keys if id(wanted.get(name)) not in given and _COUNTED not in name]
    shapes = [f"{name} {_shape(held[name])}, here {_shape(wanted[name])}" for name in held if name in misfits]
    lines = (("missing", missing), ("unexpected", found.unexpected_keys), ("of another shape", shapes))
    if wrong := [f"{what}: {_listed(names)}" for what, names in lines if names]:
        raise InputError(*(Mistake(f"{quoted(str(file))} does not fit this network, {each}") for each in wrong))
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()[:12]
    return f"of {visible(file.name)}, sha256 {digest}{_cast(held, wanted)}"


def _fits(held: Tensor, wanted: Tensor) -> bool:
    return copies.is_lazy(wanted) or held.shape == wanted.shape


def _shape(tensor: Tensor) -> str:
    return f"({', '.join(map(str, tensor.shape))})"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(visible, names[:_SHOWN])) + more


def _cast(held: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str:
    """Return what became of numbers of another type than the network's, '' if there are none."""
    pairs = sorted({(str(t.dtype)[6:], str(wanted[n].dtype)[6:]) for n, t in held.items() if n in wanted})
    return "".join(f", {one} as {other}" for one, other in pairs if one != other)


def _read(file: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by name; raises InputError if it is none of weights, or would run code."""
    with readable(file):
        with file.open("rb") as content:
            start = content.read(2)
        if not start.startswith(_TORCH):
            return load_file(file)
        held = _loaded(file)
    while isinstance(held, Mapping) and not any(isinstance(t, Tensor) for t in held.values()):
        inner = [held[name] for name in _INSIDE if isinstance(held.get(name), Mapping)]
        if not inner:
            break
        held = inner[0]
    found = {name: t for name, t in held.items() if isinstance(t, Tensor)} if isinstance(held, Mapping) else {}
    if not found:
        raise InputError(f"{quoted(str(file))} holds no tensors by name; allowed: a state_dict")
    return found


def _loaded(file: Path) -> Any:
    """Return what a torch file holds; raises InputError, before anything of it runs, if it names code."""
    allowed = "torch.save(module.state_dict(), FILE), or a safetensors file"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what a damaged file seems to be
        try:
            code = torch.serialization.get_unsafe_globals_in_checkpoint(file)
        except ValueError:  # a bare pickle, which is not looked through: torch refuses what it should not load
            code = []
        if code:
            words = f"its pickle names {_listed(list(map(str, code)))}, which could run code"
            raise InputError(f"{quoted(str(file))} is refused: {words}; allowed: {allowed}")
        try:
            return torch.load(file, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError:
            words = "it is damaged, or its pickle could run code"
            raise InputError(f"{quoted(str(file))} is refused: {words}; allowed: {allowed}") from None


def _unwrapped(held: dict[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    """Return weights under the names that they have in the module itself, not in a wrapper of it."""
    own = module.state_dict().keys()
    for wrapper in _WRAPPERS:
        if held and all(name.startswith(wrapper) for name in held) and not held.keys() & own:
            held = {name.removeprefix(wrapper): t for name, t in held.items()}
    return held
