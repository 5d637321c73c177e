"""mnist and fashion-mnist: images and labels in IDX files (LeCun's format), gzipped or not."""

from __future__ import annotations

import gzip
import struct
import zlib
from math import prod
from pathlib import Path
from typing import Final

import numpy as np
import torch

from archcost.data.known import broken, found
from archcost.data.spec import DataSpec
from archcost.data.splits import Dataset, Reader, Split, held_out, of_images

_MOST: Final = 2**28  # bytes of the values of one file
_UBYTE: Final = 8  # the only type of values these files have
_CLASSES: Final = 10


def _files(spec: DataSpec, _: Path) -> tuple[Path, ...]:
    return found(spec.name)


def _read(spec: DataSpec, paths: tuple[Path, ...]) -> Dataset:
    """Return the 60,000 training images, a tenth of each class held out for validation."""
    images, labels, *test = paths
    source = str(images.parent)
    return of_images(spec, source, _CLASSES, held_out(_split(images, labels)), lambda: _split(*test))


def _split(images: Path, labels: Path) -> Split:
    pixels, answers = _array(images, 3), _array(labels, 1)
    if pixels.shape[1:] != (28, 28):
        raise broken(images, f"images of {pixels.shape[1]} x {pixels.shape[2]} instead of 28 x 28")
    if len(pixels) != len(answers):
        raise broken(labels, f"{len(answers)} labels of {len(pixels)} images")
    if answers.max() >= _CLASSES:
        raise broken(labels, f"label {answers.max()} of {_CLASSES} classes")
    return Split(torch.from_numpy(pixels[:, None].copy()), torch.from_numpy(answers.astype(np.int64)))


def _array(path: Path, dimensions: int) -> np.ndarray:
    """Return the values of an IDX file: two zeros, the type, the number of dimensions, their sizes, the values.

    The sizes are read first: a file that unpacks to more than it says is refused before it is unpacked.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            head = file.read(4 + 4 * dimensions)
            if len(head) < 4 + 4 * dimensions or head[:4] != bytes([0, 0, _UBYTE, dimensions]):
                raise broken(path, f"no IDX file of {dimensions} dimensions of bytes")
            sizes = struct.unpack(f">{dimensions}I", head[4:])
            if not 0 < prod(sizes) <= _MOST:
                raise broken(path, f"{' x '.join(map(str, sizes))} values; allowed: 1 to 2^28")
            data = file.read(prod(sizes) + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise broken(path, error) from None
    if len(data) != prod(sizes):
        raise broken(path, f"{'more' if len(data) > prod(sizes) else 'fewer'} values than {prod(sizes)}, as it says")
    return np.frombuffer(data, np.uint8).reshape(sizes)


READER: Final = Reader(_files, _read)
