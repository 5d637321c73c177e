"""cifar10 and cifar100: the binary archives, read without unpacking them, or Hugging Face's parquet files."""

from __future__ import annotations

import io
import tarfile
import zlib
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np
import torch

from archcost.data.places import broken, found
from archcost.data.splits import Dataset, Split, held_out, of_images
from archcost.dataspec import DataSpec
from archcost.errors import InputError, Mistake

_PIXELS: Final = 3 * 32 * 32
_MOST: Final = 2**29  # bytes of a member
_PARQUET: Final = ("train-00000-of-00001.parquet", "test-00000-of-00001.parquet")


def load(spec: DataSpec) -> Dataset:
    """Return the 50,000 training images, a tenth of each class held out for validation."""
    coarse = spec.name == "cifar100"
    archive = "cifar-100-binary.tar.gz" if coarse else "cifar-10-binary.tar.gz"
    paths, choice = found(spec.name, ([archive], _PARQUET))
    classes = 100 if coarse else 10
    if choice == 1:
        label = "fine_label" if coarse else "label"
        train, test = (partial(_parquet, path, label, classes) for path in paths)
    else:
        names = (
            (["train.bin"], ["test.bin"])
            if coarse
            else ([f"data_batch_{i}.bin" for i in range(1, 6)], ["test_batch.bin"])
        )
        train, test = (partial(_archive, paths[0], each, classes, labels=2 if coarse else 1) for each in names)
    return of_images(spec.name, str(paths[0]), classes, held_out(train()), test)


def _archive(path: Path, names: list[str], classes: int, *, labels: int) -> Split:
    """Read records of one or two label bytes, of which the last counts, and 3,072 pixels: red, green, blue."""
    found_data: dict[str, bytes] = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                name = member.name.rpartition("/")[2]
                if name in names and member.isfile() and member.size <= _MOST:
                    file = archive.extractfile(member)
                    assert file is not None  # a regular file has one
                    found_data[name] = file.read()
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise broken(path, str(error)) from None
    if missing := [name for name in names if name not in found_data]:
        raise broken(path, f"there is no {missing[0]} in it")
    data = np.frombuffer(b"".join(found_data[name] for name in names), np.uint8)
    if len(data) % (_PIXELS + labels) or not len(data):
        raise broken(path, f"{len(data)} bytes are no records of {_PIXELS + labels}")
    records = data.reshape(-1, _PIXELS + labels)
    return _split(path, records[:, labels:].reshape(-1, 3, 32, 32), records[:, labels - 1], classes)


def _parquet(path: Path, label: str, classes: int) -> Split:
    """Read Hugging Face's layout: a column `img` of encoded images and a column of labels."""
    if find_spec("pyarrow") is None:
        raise InputError(Mistake("parquet files need pyarrow: pip install 'archcost[data]'", ("data", "name")))
    import pyarrow  # noqa: PLC0415  # an extra
    from pyarrow import parquet  # noqa: PLC0415

    try:
        table = parquet.read_table(path, columns=["img", label])
        images = [_decoded(path, each["bytes"]) for each in table["img"].to_pylist()]
        answers = np.array(table[label].to_pylist(), np.int64)
    except (pyarrow.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise broken(path, " ".join(str(error).split())[:200]) from None
    return _split(path, np.stack(images), answers, classes)


def _decoded(path: Path, data: bytes) -> np.ndarray:
    from PIL import Image  # noqa: PLC0415  # only parquet files need it

    with Image.open(io.BytesIO(data)) as image:
        if image.size != (32, 32):
            raise broken(path, f"an image of {image.size[0]} x {image.size[1]}; allowed: 32 x 32")
        return np.asarray(image.convert("RGB")).transpose(2, 0, 1)


def _split(path: Path, images: np.ndarray, answers: np.ndarray, classes: int) -> Split:
    if not len(answers) or answers.min() < 0 or answers.max() >= classes:
        raise broken(path, f"labels that are not 0 to {classes - 1}")
    return Split(torch.from_numpy(images.copy()), torch.from_numpy(answers.astype(np.int64)))
