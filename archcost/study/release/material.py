"""A study's data, loaded again, as its networks read them; and what a bundle takes for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

import torch
from torch import Tensor

from archcost.data.splits import Dataset, Split, as_rows, fingerprint
from archcost.errors import InputError, Mistake
from archcost.nets.dtypes import name_of
from archcost.nets.export.preprocess import Inputs, Layout, Prepared, Preprocess
from archcost.study.records.stored import Stored
from archcost.study.records.trials import remembered
from archcost.study.release.weights import Source
from archcost.training.batches import examples
from archcost.training.modules import few, window
from archcost.training.score import Score
from archcost.training.scoring import given

Part: TypeAlias = Literal["validation", "test"]
Predictor: TypeAlias = Callable[[object], object]
Judge: TypeAlias = Callable[[Predictor, Dataset, Split], Score]
"""An evaluation of the user's own: gives the score of what predicts, on a split of data."""

_BYTE = 1 / 255
_APART = 1e-3  # of an input, at most, from what the preprocessing makes of bytes


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """A study's data; inputs, preprocess: of a file with its preprocessing inside; judge: None for archcost's own."""

    dataset: Dataset
    inputs: Inputs
    preprocess: Preprocess | None
    judge: Judge | None = None

    @property
    def layout(self) -> Layout:
        """What one example is."""
        return self.inputs.layout

    def split(self, part: Part) -> Split:
        """Return a split; the test split is read when it is asked for."""
        return self.dataset.validation if part == "validation" else self.dataset.read_test()

    def raw(self, x: Tensor) -> Tensor:
        """x: what a network is given -> what the file of a bundle takes for it."""
        return x if self.preprocess is None else self.preprocess.undone(x, self.inputs)


def check_search(stored: Stored, dataset: Dataset) -> None:
    """Raise InputError if data are not those that a study was made with."""
    if stored.changed({"data": dataset.fingerprint}):
        made = str(remembered(stored.study, "about").get("same", {}).get("data", "unknown"))
        words = f"the data of {dataset.source} are not those that the study was made with"
        now = f"fingerprint {dataset.fingerprint[:12]}; allowed: {made[:12]}, or another study"
        raise InputError(Mistake(f"{words}: {now}", ("data",)))


def check_more(source: Source, dataset: Dataset) -> None:
    """Raise InputError if data are not those with which the weights of a network were trained, and its input scaled."""
    if dataset.fingerprint != source.extent.data:
        words = f"the data of {dataset.source} are not those that {source.network.name} was confirmed with"
        now = f"fingerprint {dataset.fingerprint[:12]}; allowed: {source.extent.data[:12]}"
        raise InputError(Mistake(f"{words}: {now}", ("data",)))


def material(dataset: Dataset, pixels: Callable[[], Dataset], *, recurrent: bool) -> Material:
    """Return the data of a network, of which its weights are: they give mean and standard deviation.

    pixels: gives the same data as images where a study reads them as rows; recurrent: whether the network reads an
    image row by row.
    """
    if dataset.kind == "text":
        return Material(dataset, Inputs("tokens", (window(dataset),), "int64", dataset.classes), None)
    if dataset.own is not None and dataset.train.inputs.dtype != torch.uint8:
        return _own(dataset)
    scaled = Preprocess(_BYTE, dataset.mean, dataset.std)
    if dataset.kind == "image":
        shape = tuple(dataset.train.inputs.shape[1:])
        if not recurrent:
            return Material(dataset, Inputs("image", shape, "uint8"), scaled)
        rows = as_rows(dataset)
        return Material(rows, Inputs("rows", shape, "uint8"), Preprocess(_BYTE, rows.mean, rows.std))
    if dataset.own is None and (images := pixels()).kind == "image":
        return Material(dataset, Inputs("rows", tuple(images.train.inputs.shape[1:]), "uint8"), scaled)
    shape = tuple(dataset.train.inputs.shape[1:])
    return Material(dataset, Inputs("sequence", shape, "float32"), Preprocess(1.0, dataset.mean, dataset.std))


def _own(dataset: Dataset) -> Material:
    """Return data of the user's own: with their `preprocess`, if they say it, or as the network takes them."""
    assert dataset.own is not None
    inputs, _ = few(dataset, dataset.train, torch.device("cpu"))
    shape, said = tuple(inputs.shape[1:]), dataset.own.preprocess
    if said is None or not inputs.is_floating_point():
        below = None if inputs.is_floating_point() else int(dataset.train.inputs.max()) + 1
        return Material(dataset, Inputs("tensor", shape, name_of(inputs.dtype), below), None)
    scale, mean, std = (_numbers(said, key, usual) for key, usual in (("scale", 1.0), ("mean", 0.0), ("std", 1.0)))
    preprocess = Preprocess(scale[0], mean, std)
    takes = Inputs("image", shape, "uint8") if len(shape) == 3 else Inputs("sequence", shape, "float32")
    return Material(dataset, _checked(takes, preprocess, inputs), preprocess)


def _checked(takes: Inputs, preprocess: Preprocess, inputs: Tensor) -> Inputs:
    """Return what a file takes; raises InputError if preprocessing does not make these inputs of it."""
    again = Prepared(torch.nn.Identity(), takes.layout, preprocess)(preprocess.undone(inputs, takes))
    if again.shape != inputs.shape or float((again - inputs).abs().max()) > _APART:
        raise InputError(Mistake("'preprocess' does not make the inputs of 'train' of bytes", ("data", "code")))
    return takes


def _numbers(said: dict[str, object], key: str, usual: float) -> tuple[float, ...]:
    value = said.get(key, usual)
    return tuple(cast("list[float]", value)) if isinstance(value, list) else (float(cast("float", value)),)


def check_test(stored: Stored, dataset: Dataset) -> None:
    """Raise InputError if the test split is not the one that the study was confirmed on; dataset: as the study's."""
    kept = remembered(stored.study, "test")
    if kept is None or not dataset.tested or dataset.loose:
        return
    if kept != (now := fingerprint(dataset.read_test())):
        words = f"the test split of {dataset.source} has changed since the study began: fingerprint {now[:12]}"
        raise InputError(Mistake(f"{words}; allowed: {kept[:12]}", ("data",)))


def normalised(held: Material, part: Part) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """Return what gives the inputs of a network at positions of a split, and all targets, (N,) or (N, T)."""
    split = held.split(part)
    if split.loose is not None:
        every = list(given(split, held.dataset, torch.device("cpu")))
        inputs, targets = (torch.cat(each) for each in zip(*every, strict=True))
        return lambda chosen: inputs[chosen], targets
    normal = examples(held.dataset, split, torch.device("cpu"))
    return lambda chosen: normal.batch(chosen)[0].contiguous(), split.targets
