"""Data sets by name: found where they are kept, checked, and read into memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from archcost.data import cifar, digits, folders, idx, sequences, texts
from archcost.data.splits import Dataset, Split, as_rows, fingerprint, first, moments
from archcost.dataspec import DataSpec

__all__ = ["Dataset", "Split", "load"]


def load(spec: DataSpec, *, folder: Path) -> Dataset:
    """Return the data set of a study in `folder`; raises InputError with what to do where it is missing or broken."""
    found = _read(spec, folder)
    if found.kind == "text":
        return found  # its reader shortens it: the vocabulary is the training part's
    if spec.examples is not None:
        train = first(found.train, spec.examples)
        mean, std = moments(train)
        found = replace(found, train=train, mean=mean, std=std, fingerprint=fingerprint(train, found.validation))
    return as_rows(found) if spec.read_as == "rows" and found.kind == "image" else found


def _read(spec: DataSpec, folder: Path) -> Dataset:
    match spec.name:
        case "digits":
            return digits.load(spec)
        case "mnist" | "fashion-mnist":
            return idx.load(spec)
        case "cifar10" | "cifar100":
            return cifar.load(spec)
        case "images":
            return folders.load(spec, folder)
        case "sequences":
            return sequences.load(spec, folder)
        case _:
            return texts.load(spec, folder)
