"""Images and labels in Hugging Face's parquet files: a column of encoded images and one of integers."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from archcost.data.pictures import opened, values
from archcost.datasets import broken
from archcost.errors import InputError, Mistake

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

_ROWS: Final = 1024  # at once
_MOST_ROWS: Final = 2**20
_MOST_BYTES: Final = 2**30  # of all columns, unpacked


def read(path: Path, images: str, labels: str, shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray, str]:
    """Return the images, uint8 (N, C, H, W), the labels, int64 (N,), and how the first image is encoded.

    Raises InputError where the file is broken, or pyarrow is not there.
    """
    with _opened(path) as file:
        from pyarrow.types import is_struct  # noqa: PLC0415  # an extra, known to be there

        if not is_struct(file.schema_arrow.field(images).type):
            raise broken(path, f"{images} is no column of encoded images")
        pixels = np.empty((file.metadata.num_rows, *shape), np.uint8)
        answers = np.empty(len(pixels), np.int64)
        encoded, start = "", 0
        for batch in file.iter_batches(_ROWS, columns=[images, labels]):
            for place, content in enumerate(batch[images].field("bytes").to_pylist(), start):
                pixels[place], kind = _decoded(path, content, shape)
                encoded = encoded or kind
            answers[start : start + batch.num_rows] = batch[labels].to_pylist()
            start += batch.num_rows
        return pixels, answers, encoded


@contextmanager
def _opened(path: Path) -> Iterator[ParquetFile]:
    """Yield an open parquet file with 1 to 2^20 rows; what it raises inside the context becomes an InputError."""
    if find_spec("pyarrow") is None:
        raise InputError(Mistake("parquet files need pyarrow: pip install 'archcost[data]'", ("data", "name")))
    import pyarrow  # noqa: PLC0415  # an extra
    from pyarrow.parquet import ParquetFile  # noqa: PLC0415

    try:
        with ParquetFile(path) as file:
            facts = file.metadata
            size = sum(facts.row_group(i).total_byte_size for i in range(facts.num_row_groups))
            if not 1 <= facts.num_rows <= _MOST_ROWS or size > _MOST_BYTES:
                raise broken(path, f"{facts.num_rows} rows of {size} bytes; allowed: 1 to 2^20 rows, 2^30 bytes")
            yield file
    except (pyarrow.ArrowException, OSError, LookupError, TypeError, ValueError, OverflowError) as error:
        raise broken(path, error) from None


def _decoded(path: Path, content: bytes, shape: tuple[int, int, int]) -> tuple[np.ndarray, str]:
    channels, height, width = shape
    with opened(io.BytesIO(content), path) as image:
        if image.size != (width, height):
            raise broken(path, f"an image of {image.width} x {image.height}; allowed: {width} x {height}")
        return values(image, channels), str(image.format)
