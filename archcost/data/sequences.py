"""Sequences of vectors from a numpy file: x_train (N, T, F), y_train (N,), of valid and test the same."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import torch

from archcost.data.places import broken
from archcost.data.splits import Dataset, Split, fingerprint, held_out, moments
from archcost.dataspec import DataSpec
from archcost.errors import InputError, Mistake, quoted


def load(spec: DataSpec, folder: Path) -> Dataset:
    """Return the sequences at `path`; without x_valid a tenth of each class is held out. Nothing is unpickled."""
    if spec.path is None:
        raise InputError(Mistake("missing; allowed: the path of a .npz file", ("data", "path")))
    path = folder / spec.path
    arrays = _arrays(path)
    train = _split(path, arrays, "train")
    test = _split(path, arrays, "test")
    parts = (train, _split(path, arrays, "valid")) if "x_valid" in arrays else held_out(train)
    mean, std = moments(parts[0])
    _, steps, features = train.inputs.shape
    classes = int(train.targets.max()) + 1
    return Dataset(
        path.stem, "sequence", {"steps": steps, "features": features}, classes, *parts, mean, std,
        fingerprint(*parts), str(path), lambda: test,
    )  # fmt: skip


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as held:
            if not hasattr(held, "files"):
                raise broken(path, "it holds one array, not named ones")
            return {name: held[name] for name in held.files}
    except OSError as error:
        raise InputError(
            Mistake(f"cannot read {quoted(str(path))}: {error.strerror or error}", ("data", "path"))
        ) from None
    except (ValueError, zipfile.BadZipFile, EOFError) as error:
        raise broken(path, " ".join(str(error).split())[:200]) from None


def _split(path: Path, arrays: dict[str, np.ndarray], part: str) -> Split:
    if missing := [name for name in (f"x_{part}", f"y_{part}") if name not in arrays]:
        raise broken(path, f"there is no array {missing[0]}")
    x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
    if x.ndim != 3 or y.shape != x.shape[:1] or 0 in x.shape or x.dtype.kind not in "fiu" or y.dtype.kind not in "iu":
        raise broken(path, f"x_{part} {x.shape} and y_{part} {y.shape}; allowed: numbers (N, T, F) and integers (N,)")
    if y.min() < 0 or not np.isfinite(x).all():
        raise broken(path, f"{part}: a negative class, or a value that is not finite")
    return Split(torch.from_numpy(x.astype(np.float32)), torch.from_numpy(y.astype(np.int64)))
