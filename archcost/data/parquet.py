"""Images and labels in Hugging Face's parquet files: a column of encoded images and one of integers."""

from __future__ import annotations

import io
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from archcost.datasets import broken
from archcost.errors import InputError, Mistake

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

_ROWS: Final = 1024  # at once
_MOST_ROWS: Final = 2**20
_MOST_BYTES: Final = 2**30  # of all columns, unpacked


def read(path: Path, images: str, labels: str, shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the images, uint8 (N, C, H, W), and the labels, int64 (N,), of two columns.

    Raises InputError where the file is broken, or pyarrow is not there.
    """
    import pyarrow  # noqa: PLC0415  # an extra

    file = _opened(path)
    pixels = np.empty((file.metadata.num_rows, *shape), np.uint8)
    answers = np.empty(len(pixels), np.int64)
    start = 0
    try:
        for batch in file.iter_batches(_ROWS, columns=[images, labels]):
            end = start + batch.num_rows
            for place, content in enumerate(batch[images].field("bytes").to_pylist(), start):
                pixels[place] = _decoded(path, content, shape)
            answers[start:end] = batch[labels].to_pylist()
            start = end
    except (pyarrow.ArrowException, OSError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise broken(path, error) from None
    return pixels, answers


def encoding(path: Path) -> str:
    """Return how the first image of a file is encoded: PNG, JPEG."""
    import pyarrow  # noqa: PLC0415  # an extra
    from PIL import Image  # noqa: PLC0415  # only parquet files need it

    try:
        batch = next(_opened(path).iter_batches(1, columns=["img"]))
        with Image.open(io.BytesIO(batch["img"].field("bytes")[0].as_py())) as image:
            return str(image.format)
    except (pyarrow.ArrowException, OSError, KeyError, TypeError, ValueError, Image.DecompressionBombError) as error:
        raise broken(path, error) from None


def _opened(path: Path) -> ParquetFile:
    """Return an open parquet file with 1 to 2^20 rows."""
    if find_spec("pyarrow") is None:
        raise InputError(Mistake("parquet files need pyarrow: pip install 'archcost[data]'", ("data", "name")))
    import pyarrow  # noqa: PLC0415  # an extra
    from pyarrow.parquet import ParquetFile  # noqa: PLC0415

    try:
        file = ParquetFile(path)
        facts = file.metadata
        size = sum(facts.row_group(i).total_byte_size for i in range(facts.num_row_groups))
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise broken(path, error) from None
    if not 1 <= facts.num_rows <= _MOST_ROWS or size > _MOST_BYTES:
        raise broken(path, f"{facts.num_rows} rows of {size} bytes; allowed: 1 to 2^20 rows, 2^30 bytes")
    return file


def _decoded(path: Path, content: bytes, shape: tuple[int, int, int]) -> np.ndarray:
    from PIL import Image  # noqa: PLC0415  # only parquet files need it

    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.size != (shape[2], shape[1]):  # known before it is unpacked
                raise broken(path, f"an image of {image.width} x {image.height}; allowed: {shape[2]} x {shape[1]}")
            return np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise broken(path, error) from None
