"""Weights in files, read without running anything, and a network with those of a trial.

The files hold plain tensors.
"""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from archcost.errors import InputError, Mistake, one_line, quoted
from archcost.files import checked, placed
from archcost.models.load import Model, Reference
from archcost.nets.net import Net, build

Mark: TypeAlias = Mapping[str, str | int]
"""What weights are those of: the study's identity, the trial's number, the digest of its graph."""

_ALONE: Final = "alone_"  # the second row of statistics that columns have which also train alone
_MARK, _WEIGHTS = "archcost", "weights"  # no layer has such a name: theirs have a dot
_BROKEN: Final = (
    OSError,
    RuntimeError,
    ValueError,
    LookupError,
    EOFError,
    TypeError,
    pickle.UnpicklingError,
    SafetensorError,
    zipfile.BadZipFile,
)


def save_weights(net: nn.Module, path: Path, mark: Mark | None = None) -> None:
    """Write a network's weights and statistics by name; raises InputError if that cannot be done.

    mark: what they are the weights of, which `load_weights` compares.
    """
    held = net.state_dict().items()
    _write({name: value.cpu().contiguous() for name, value in held if isinstance(value, Tensor)}, path, mark)


def _write(weights: Mapping[str, Any], path: Path, mark: Mark | None) -> None:
    with placed(path) as part, checked(part) as file:
        torch.save(dict(weights) if mark is None else {_MARK: dict(mark), _WEIGHTS: dict(weights)}, file)


def remark(source: Path, target: Path, mark: Mark | None, new: Mark) -> None:
    """Copy a file of weights as those of another study's trial; raises InputError if it cannot be read or written.

    mark: what the file shall say it holds, None if it says nothing; new: what the copy says.
    """
    _check_whole(source)
    held = read_tensors(source, torch.device("cpu"))
    if mark is not None and held.get(_MARK) != dict(mark):
        raise _others(source)
    _write(held[_WEIGHTS] if isinstance(held.get(_WEIGHTS), dict) else held, target, new)


def _others(path: Path) -> InputError:
    return InputError(f"{quoted(str(path))} holds the weights of another network or study")


def load_weights(net: nn.Module, path: Path, mark: Mark | None = None) -> None:
    """Give a network the weights that `save_weights` wrote; raises InputError if they cannot be read or do not fit.

    mark: what they shall be the weights of; None: whatever they are. Statistics of columns that run alone are left out
    where this network has none, as one has that is not to train.
    """
    _check_whole(path)
    held = read_tensors(path, next(net.parameters()).device)
    if mark is not None and not _says(held.get(_MARK), mark):
        raise _others(path)
    held = held[_WEIGHTS] if isinstance(held.get(_WEIGHTS), dict) else held
    wanted = net.state_dict()
    extra = {name for name in held.keys() - wanted.keys() if name.rpartition(".")[2].startswith(_ALONE)}
    try:
        net.load_state_dict({name: value for name, value in held.items() if name not in extra})
    except _BROKEN as error:
        raise _unfit(path, error) from error


def _check_whole(path: Path) -> None:
    """Raise InputError if a byte of what `save_weights` wrote is another one: torch does not look at checksums."""
    with readable(path):
        if not zipfile.is_zipfile(path):  # torch says what it is
            return
        with zipfile.ZipFile(path) as archive:
            packed = any(each.compress_type != zipfile.ZIP_STORED for each in archive.infolist())
            if packed or archive.testzip() is not None:
                raise ValueError(path)


def _says(kept: object, mark: Mark) -> bool:
    """Return whether a file says what a mark does; a digest that is not asked for may be any."""
    known = (
        {key: value for key, value in kept.items() if key in mark or key != "digest"} if isinstance(kept, dict) else {}
    )
    return known == dict(mark)


def alone(net: nn.Module) -> dict[str, Tensor]:
    """Return the weights of a network as those of one that its graph makes: a column's statistics are its own then.

    Those of another module are as they are; each is a tensor of its own.
    """
    state = ((name, value) for name, value in net.state_dict().items() if isinstance(value, Tensor))
    held = {name: value.detach().cpu().clone(memory_format=torch.contiguous_format) for name, value in state}
    if not isinstance(net, Net):
        return held
    own = {name: value for name, value in held.items() if not name.rpartition(".")[2].startswith(_ALONE)}
    if not net.alone:
        return own
    rows = ((name.rpartition("."), value) for name, value in held.items())
    moved = {f"{layer}.running_{leaf.removeprefix(_ALONE)}": value for (layer, _, leaf), value in rows
             if leaf.startswith(_ALONE)}  # fmt: skip
    return {**own, **moved}


def load_alone(net: nn.Module, path: Path) -> None:
    """Give a network the weights that `alone` gave, from a safetensors file; raises InputError if they do not fit."""
    with readable(path):
        held = load(path.read_bytes())
    plain = alone(net)
    if {name: value.shape for name, value in held.items()} != {name: value.shape for name, value in plain.items()}:
        raise InputError(f"cannot read {quoted(str(path))}: it does not fit this network")
    with torch.no_grad():
        net.load_state_dict(held, strict=False)  # a second row of statistics, which is for training, stays as it is


def marked(path: Path, mark: Mark) -> bool:
    """Return whether a file says all that is in a mark; False if it cannot be read."""
    try:
        held = read_tensors(path, torch.device("cpu")).get(_MARK)
    except InputError:
        return False
    return isinstance(held, dict) and mark.items() <= held.items()


def read_tensors(path: Path, device: torch.device) -> dict[str, Any]:
    """Return what a file of weights, or of a training, holds by name; raises InputError if it cannot be read."""
    with readable(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what a damaged file seems to be
        held = torch.load(path, map_location=device, weights_only=True)
    if not isinstance(held, dict):
        raise InputError(f"{quoted(str(path))} holds no training and no weights")
    return held


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """While it is entered, whatever a file raises that is damaged or holds something else is an InputError."""
    try:
        yield
    except _BROKEN as error:
        # torch's own words are of its insides, and advise to read without care
        words = error.strerror or str(error) if isinstance(error, OSError) else "it is damaged, or no file of weights"
        raise InputError(f"cannot read {quoted(str(path))}: {words}") from error


def _unfit(path: Path, error: Exception) -> InputError:
    return InputError(f"cannot read {quoted(str(path))}: it does not fit this network: {one_line(error, 200)}")


@dataclass(frozen=True, slots=True)
class Trained:
    """Weights of `whole`, of which `model` is all, or with `column` (1 = shallowest) that column; words: where from.

    mark: what the file says that it holds, None of one of archcost 0.1.0, which says nothing; absent: why the file may
    not be there, and what there is instead.
    """

    model: Model
    whole: Model
    column: int
    weights: Path
    words: str
    mark: Mark | None = None
    absent: str = ""

    def net(self) -> Net:
        """Return the network with its weights, in evaluation mode; raises InputError if the file does not fit."""
        _check_there(self.weights, self.words, self.absent)
        net = build(self.whole.graph, self.whole.recipe)
        load_weights(net, self.weights, self.mark)
        return (net.column(self.column) if self.column else net).eval()


@dataclass(frozen=True, slots=True)
class TrainedCode:
    """Weights of a module that code makes, which `make` calls: only with consent. The others are as of Trained."""

    reference: Reference
    make: Callable[[], nn.Module]
    weights: Path
    words: str
    mark: Mark
    absent: str

    def net(self) -> nn.Module:
        """Return the module with its weights, in evaluation mode; raises InputError if its code fails or none fit."""
        _check_there(self.weights, self.words, self.absent)
        module = self.make()
        load_weights(module, self.weights, self.mark)
        return module.eval()


def _check_there(file: Path, words: str, absent: str) -> None:
    if not file.is_file():
        raise InputError(Mistake(f"no weights {words}: {absent}"))
