"""mnist and fashion-mnist: images and labels in IDX files (LeCun's format), gzipped or not."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path
from typing import Final

import numpy as np
import torch

from archcost.data.places import broken, found
from archcost.data.splits import Dataset, Split, held_out, of_images
from archcost.dataspec import DataSpec

_MOST: Final = 2**30  # bytes of one file, unpacked
_UBYTE: Final = 8  # the only type of values these files have


def load(spec: DataSpec) -> Dataset:
    """Return the 60,000 training images, a tenth of each class held out for validation."""
    parts = [
        f"{part}-ubyte" for part in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    ]
    paths, _ = found(spec.name, ([f"{part}.gz" for part in parts], parts))
    train = held_out(_split(paths[0], paths[1]))
    return of_images(spec.name, str(paths[0].parent), 10, train, lambda: _split(paths[2], paths[3]))


def _split(images: Path, labels: Path) -> Split:
    pixels, answers = _array(images, 3), _array(labels, 1)
    if len(pixels) != len(answers):
        raise broken(labels, f"{len(answers)} labels of {len(pixels)} images")
    if answers.size and answers.max() > 9:
        raise broken(labels, f"label {answers.max()} of 10 classes")
    return Split(torch.from_numpy(pixels[:, None].copy()), torch.from_numpy(answers.astype(np.int64)))


def _array(path: Path, dimensions: int) -> np.ndarray:
    """Return the values of an IDX file: two zeros, the type, the number of dimensions, their sizes, the values."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            data = file.read(_MOST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise broken(path, str(error)) from None
    head = 4 + 4 * dimensions
    if len(data) > _MOST or len(data) < head or data[:4] != bytes([0, 0, _UBYTE, dimensions]):
        raise broken(path, f"no IDX file of {dimensions} dimensions of bytes")
    sizes = struct.unpack(f">{dimensions}I", data[4:head])
    if len(data) - head != int(np.prod(sizes, dtype=object)) or 0 in sizes:
        raise broken(path, f"{len(data) - head} bytes of {' x '.join(map(str, sizes))} values")
    return np.frombuffer(data, np.uint8, offset=head).reshape(sizes)
