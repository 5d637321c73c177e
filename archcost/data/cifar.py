"""cifar10 and cifar100: the binary archives, or Hugging Face's parquet files.

Archives are read without being unpacked.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from archcost.data.pictures import opened, values
from archcost.errors import InputError, Mistake

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

import tarfile
import zlib
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import torch

from archcost.data.known import broken, found
from archcost.data.spec import DataSpec
from archcost.data.splits import Dataset, Reader, Split, held_out, of_images

_ROWS: Final = 1024  # at once
_MOST_ROWS: Final = 2**20
_MOST_BYTES: Final = 2**30  # of all columns, unpacked


def read(path: Path, images: str, labels: str, shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray, str]:
    """Return the images, uint8 (N, C, H, W), the labels, int64 (N,), and how the first image is encoded.

    Raises InputError if the file is broken, or pyarrow is not there.
    """
    with _opened(path) as file:
        from pyarrow.types import is_struct  # noqa: PLC0415  # an extra, known to be there

        if not is_struct(file.schema_arrow.field(images).type):
            raise broken(path, f"{images} is not a column of encoded images")
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


_SIDE: Final = 32
_PIXELS: Final = 3 * _SIDE * _SIDE
_MOST_MEMBERS: Final = 64  # the archives have 8 and 5


class _Layout(NamedTuple):
    """What the files of one of the two hold; label_bytes: before the pixels of a record, the last one counts."""

    classes: int
    column: str
    label_bytes: int
    folder: str
    train: tuple[str, ...]
    test: str
    images: int  # of one file


_LAYOUTS: Final = {
    "cifar10": _Layout(10, "label", 1, "cifar-10-batches-bin",
                       tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin", 10_000),
    "cifar100": _Layout(100, "fine_label", 2, "cifar-100-binary", ("train.bin",), "test.bin", 50_000),
}  # fmt: skip


def _files(spec: DataSpec, _: Path) -> tuple[Path, ...]:
    return found(spec.name)


def _read(spec: DataSpec, paths: tuple[Path, ...]) -> Dataset:
    """Return the 50,000 training images, a tenth of each class held out for validation."""
    layout = _LAYOUTS[spec.name]
    if paths[0].suffix == ".parquet":
        train, encoding = _parquet(paths[0], layout)
        source = f"{paths[0]} ({encoding})"  # JPEG loses detail, PNG does not: results differ
        return of_images(spec, source, layout.classes, held_out(train), lambda: _parquet(paths[1], layout)[0])
    train = _archive(paths[0], layout, layout.train)
    test = partial(_archive, paths[0], layout, (layout.test,))
    return of_images(spec, str(paths[0]), layout.classes, held_out(train), test)


def _parquet(path: Path, layout: _Layout) -> tuple[Split, str]:
    images, answers, encoding = read(path, "img", layout.column, (3, _SIDE, _SIDE))
    return _split(path, images, answers, layout.classes), encoding


def _archive(path: Path, layout: _Layout, names: tuple[str, ...]) -> Split:
    """Read records of the label bytes and 3,072 pixels: red, green, blue."""
    content = _members(path, {f"{layout.folder}/{name}" for name in names}, layout)
    data = np.frombuffer(b"".join(content[f"{layout.folder}/{name}"] for name in names), np.uint8)
    records = data.reshape(-1, _PIXELS + layout.label_bytes)
    images = records[:, layout.label_bytes :].reshape(-1, 3, _SIDE, _SIDE)
    return _split(path, images, records[:, layout.label_bytes - 1], layout.classes)


def _members(path: Path, names: set[str], layout: _Layout) -> dict[str, bytes]:
    """Return the content of members of an archive; their size is checked before they are unpacked."""
    content: dict[str, bytes] = {}
    record = _PIXELS + layout.label_bytes
    try:
        with tarfile.open(path, "r:gz") as archive:
            for position, member in enumerate(archive):
                if position >= _MOST_MEMBERS or member.size > layout.images * record:
                    raise broken(path, f"{member.name} does not belong there")
                if member.name in names:
                    if member.size == 0 or member.size % record:
                        raise broken(path, f"{member.name} has {member.size} bytes, no records of {record}")
                    file = archive.extractfile(member)
                    content[member.name] = file.read() if file else b""
                if names <= content.keys():
                    break
    except (OSError, EOFError, KeyError, tarfile.TarError, zlib.error) as error:
        raise broken(path, error) from None
    if missing := sorted(names - {name for name in content if content[name]}):
        raise broken(path, f"there is no {missing[0]} in it")
    return content


def _split(path: Path, images: np.ndarray, answers: np.ndarray, classes: int) -> Split:
    if answers.min() < 0 or answers.max() >= classes:
        raise broken(path, f"labels that are not 0 to {classes - 1}")
    return Split(torch.from_numpy(images.copy()), torch.from_numpy(answers.astype(np.int64)))


READER: Final = Reader(_files, _read)
