"""A data set that code of the user's own gives: its mapping checked, and made a Dataset."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import isfinite
from typing import Final, NoReturn, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import TensorDataset, default_collate

from archcost.config.document import Value
from archcost.data.spec import Kind
from archcost.data.splits import Dataset, Own, Split, fingerprint, held_out, moments
from archcost.errors import InputError, Mistake, one_of, quoted, shorten

KEYS: Final = ("train", "valid", "test", "classes", "preprocess", "version", "steps", "vocab")
"""What data code may return; all but `train` may be left out."""
_PREPROCESS: Final = ("scale", "mean", "std")
_STEPS: Final = 35  # of a text's window
_PAIR: Final = 2
_TOKENS, _SEQUENCES, _IMAGES = 2, 3, 4  # dimensions of (N, T), (N, T, F) and (N, C, H, W)
_EMPTY: Final = torch.zeros(0)


def dataset(said: object, code: str, args: Mapping[str, object]) -> Dataset:
    """Return the data set of a mapping that code returned; raises InputError for all else, with what is allowed."""
    if not isinstance(said, Mapping):
        _refuse(code, f"returned {type(said).__name__}; allowed: a mapping with 'train'")
    if strange := [str(key) for key in said if key not in KEYS]:
        _refuse(code, f"returned the key {quoted(strange[0])}; allowed: {one_of(KEYS)}")
    if said.get("train") is None:
        _refuse(code, "returned no 'train'; allowed: a pair of tensors, a Dataset, or a callable that gives batches")
    splits = {name: _split(code, name, said[name]) for name in ("train", "valid", "test") if said.get(name) is not None}
    loose = any(each.loose is not None for each in splits.values())
    names, classes = _classes(code, said.get("classes"), None if loose else splits["train"])
    own = Own(code, dict(args), names, _preprocess(code, said.get("preprocess")), loose, "test" in splits)
    return _loose(splits, own, classes, said) if loose else _tensors(splits, own, classes, said)


def again(before: Dataset, said: object) -> Dataset:
    """Return a data set whose splits are no tensors with what its code gave once more."""
    assert before.own is not None
    now = dataset(said, before.own.code, before.own.args)
    return replace(before, train=now.train, validation=now.validation, read_test=now.read_test)


def _refuse(code: str, words: str) -> NoReturn:
    raise InputError(Mistake(f"{quoted(code)} {words}", ("data", "code")))


def _split(code: str, name: str, given: object) -> Split:
    """Return a split: tensors, or what gives them."""
    if isinstance(given, tuple | list) and len(given) == _PAIR:
        inputs, targets = (torch.from_numpy(each) if isinstance(each, np.ndarray) else each for each in given)
        if not (isinstance(inputs, Tensor) and isinstance(targets, Tensor) and inputs.dim() and targets.dim()):
            _refuse(code, f"returned a pair as '{name}' that is not of tensors with examples")
        if len(inputs) != len(targets) or not len(inputs):
            _refuse(code, f"returned {len(inputs)} inputs and {len(targets)} targets as '{name}'; allowed: as many")
        whole = not targets.is_floating_point() and targets.dtype is not torch.bool
        return Split(inputs.detach().cpu().contiguous(), (targets.long() if whole else targets).detach().cpu())
    if callable(given) or (hasattr(given, "__getitem__") and hasattr(given, "__len__") and not isinstance(given, str)):
        return Split(_EMPTY, _EMPTY.long(), given)
    allowed = "a pair of tensors, a Dataset with __len__ and __getitem__, or a callable that gives batches"
    _refuse(code, f"returned {type(given).__name__} as '{name}'; allowed: {allowed}")


def _classes(code: str, given: object, train: Split | None) -> tuple[tuple[str, ...], int]:
    """Return the names of the classes, () if there are none, and how many there are."""
    if isinstance(given, int) and not isinstance(given, bool) and given > 0:
        return (), given
    if isinstance(given, Sequence) and not isinstance(given, str) and given:
        return tuple(map(str, given)), len(given)
    if given is not None:
        _refuse(code, f"returned {shorten(repr(given))} as 'classes'; allowed: their number, or a list of names")
    if train is None:
        _refuse(code, "returned no 'classes'; allowed without: if 'train' is a pair of tensors")
    return (), 1 if train.targets.is_floating_point() else int(train.targets.max()) + 1


def _preprocess(code: str, given: object) -> dict[str, object] | None:
    """Return how raw bytes become inputs: (x * scale - mean) / std, the last two a number for each channel."""
    if given is None:
        return None
    if not isinstance(given, Mapping) or any(key not in _PREPROCESS for key in given):
        _refuse(code, f"returned {shorten(repr(given))} as 'preprocess'; allowed: a mapping of {one_of(_PREPROCESS)}")
    found: dict[str, object] = {}
    for key, value in given.items():
        numbers = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        if not all(isinstance(each, int | float) and isfinite(each) for each in numbers):
            _refuse(code, f"returned {shorten(repr(value))} as 'preprocess.{key}'; allowed: numbers")
        found[str(key)] = [float(each) for each in numbers] if key != "scale" else float(numbers[0])
    return found


def _tensors(splits: Mapping[str, Split], own: Own, classes: int, said: Mapping[str, object]) -> Dataset:
    train, valid = (splits["train"], splits["valid"]) if "valid" in splits else _divided(own.code, splits["train"])
    kind, shape = _kind(own.code, train, classes, said)
    mean, std = moments(train.inputs) if train.inputs.dtype == torch.uint8 and kind == "image" else ((0.0,), (1.0,))
    test = splits.get("test")

    def read_test() -> Split:
        if test is None:
            raise RuntimeError("there is no test split")
        return test

    name, digest = own.code, fingerprint(train, valid)
    return Dataset(name, kind, shape, classes, train, valid, mean, std, digest, name, read_test, own)


def _divided(code: str, train: Split) -> tuple[Split, Split]:
    """Return what is left of a training split, and a tenth of each class for validation."""
    if train.targets.dim() != 1 or train.targets.is_floating_point() or train.inputs.dim() == 1:
        _refuse(code, "returned no 'valid'; allowed without: if the targets of 'train' are one class for each example")
    return held_out(train)


def _kind(code: str, train: Split, classes: int, said: Mapping[str, object]) -> tuple[Kind, Value]:
    """Return what tensors are, and an input as the key of a model says it.

    (N, C, H, W): images; (N, T, F): sequences; int64 (N, T): tokens; int64 (L,): a text; else whatever they are.
    """
    inputs, whole = train.inputs, not train.inputs.is_floating_point()
    sizes = [int(size) for size in inputs.shape[1:]]
    if inputs.dim() == 1 and whole and train.targets.dim() == 1:
        return "text", {
            "steps": _number(code, said, "steps", _STEPS),
            "vocab": max(classes, _below(code, said, inputs)),
        }
    if inputs.dim() == _TOKENS and whole and inputs.dtype != torch.uint8:
        return "sequence", {"steps": sizes[0], "vocab": _below(code, said, inputs)}
    if inputs.dim() == _SEQUENCES and not whole:
        return "sequence", {"steps": sizes[0], "features": sizes[1]}
    return ("image" if inputs.dim() == _IMAGES else "sequence"), cast("Value", sizes)


def _below(code: str, said: Mapping[str, object], inputs: Tensor) -> int:
    return _number(code, said, "vocab", int(inputs.max()) + 1)


def _number(code: str, said: Mapping[str, object], key: str, usual: int) -> int:
    value = said.get(key, usual)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        _refuse(code, f"returned {shorten(repr(value))} as '{key}'; allowed: an integer of at least 1")
    return value


def _loose(splits: Mapping[str, Split], own: Own, classes: int, said: Mapping[str, object]) -> Dataset:
    """Return a data set some of whose splits are no tensors: then all are handed over as they are."""
    if "valid" not in splits:
        _refuse(own.code, "returned no 'valid'; allowed without: if 'train' is a pair of tensors")
    every = {name: each if each.loose is not None else _as_loose(each) for name, each in splits.items()}
    kind, shape = _kind(own.code, Split(_first(own.code, every["train"]), torch.zeros(1, 1)), classes, said)
    known = json.dumps([own.code, own.args, str(said.get("version", ""))], sort_keys=True, default=repr)
    digest = hashlib.sha256(known.encode()).hexdigest()
    read: Callable[[], Split] = lambda: every["test"]  # noqa: E731  # as a reader of a file is one
    return Dataset(own.code, kind, shape, classes, every["train"], every["valid"], (0.0,), (1.0,), digest, own.code,
                   read, own)  # fmt: skip


def _as_loose(split: Split) -> Split:
    return Split(_EMPTY, _EMPTY.long(), TensorDataset(split.inputs, split.targets))


def _first(code: str, split: Split) -> Tensor:
    """Return the inputs of one mini-batch, to see what they are."""
    loose = split.loose
    try:
        batch = next(iter(loose())) if callable(loose) else default_collate([loose[0]])  # type: ignore[index]  # a Dataset
        inputs = batch[0]
    except Exception as error:
        _refuse(code, f"returned a 'train' whose first batch cannot be read: {type(error).__name__}: {error}")
    if not isinstance(inputs, Tensor):
        _refuse(code, f"returned a 'train' whose batches begin with {type(inputs).__name__}; allowed: pairs of tensors")
    return inputs
