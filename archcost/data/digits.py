"""digits: 1,797 handwritten digits of 8 x 8 pixels, in the package (UCI optdigits, its test part; CC BY 4.0)."""

from __future__ import annotations

import io
from importlib.resources import files

import numpy as np
import torch

from archcost.data.splits import Dataset, Split, held_out, of_images
from archcost.dataspec import DataSpec

_LEVELS = 16  # the highest value of a pixel, which becomes 255


def load(_: DataSpec) -> Dataset:
    """Return the digits: a fifth of each class for testing, a tenth of the rest for validation."""
    with np.load(
        io.BytesIO((files("archcost.data") / "files" / "digits.npz").read_bytes()), allow_pickle=False
    ) as held:
        images = np.round(held["images"].astype(np.float64) * (255 / _LEVELS)).astype(np.uint8)
        labels = held["labels"].astype(np.int64)
    every = Split(torch.from_numpy(images), torch.from_numpy(labels))
    rest, test = held_out(every, 0.2)
    return of_images("digits", "in the package", 10, held_out(rest), lambda: test)
