"""digits: 1,797 handwritten digits of 8 x 8 pixels, in the package.

UCI optdigits, its test part; CC BY 4.0.
"""

from __future__ import annotations

import io
from importlib.resources import files
from pathlib import Path
from typing import Final

import numpy as np
import torch

from archcost.data.spec import DataSpec
from archcost.data.splits import Dataset, Reader, Split, held_out, of_images

_LEVELS: Final = 16  # the highest value of a pixel, which becomes 255
_TEST: Final = 0.2


def _files(_: DataSpec, __: Path) -> tuple[Path, ...]:
    return ()


def _read(spec: DataSpec, _: tuple[Path, ...]) -> Dataset:
    """Return the digits: a fifth of each class for testing, a tenth of the rest for validation."""
    content = (files("archcost.data") / "files" / "digits.npz").read_bytes()
    with np.load(io.BytesIO(content), allow_pickle=False) as held:
        images = np.round(held["images"] * (255 / _LEVELS)).astype(np.uint8)
        labels = held["labels"].astype(np.int64)
    rest, test = held_out(Split(torch.from_numpy(images), torch.from_numpy(labels)), _TEST)
    return of_images(spec, "in the package", 10, held_out(rest), lambda: test)


READER: Final = Reader(_files, _read)
