"""Small data sets on disk, in every form that is read: what the tests of data share."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from archcost.data.load import load
from archcost.data.spec import DataSpec
from archcost.data.splits import Dataset

IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
PARQUET = ("train-00000-of-00001.parquet", "test-00000-of-00001.parquet")


def read(folder: Path, name: str, **keys: object) -> Dataset:
    """Load a data set as a study in `folder` would; `as_`: the key `as`."""
    given = {key.removesuffix("_"): value for key, value in keys.items()}
    return load(DataSpec.model_validate({"name": name, **given}), folder=folder)


def pixels(count: int, *shape: int, seed: int = 0) -> np.ndarray:
    """Return random images, uint8 (count, *shape)."""
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


def labels(count: int, classes: int) -> np.ndarray:
    """Return as many labels of each class, uint8 (count,)."""
    return (np.arange(count) % classes).astype(np.uint8)


def idx(array: np.ndarray) -> bytes:
    """Return an array of bytes as an IDX file."""
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_idx(folder: Path, *, zipped: bool = True, train: int = 40, test: int = 20) -> tuple[np.ndarray, ...]:
    """Write the four files of MNIST's layout and return their arrays."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = (pixels(train, 28, 28), labels(train, 10), pixels(test, 28, 28, seed=1), labels(test, 10))
    for name, array in zip(IDX, arrays, strict=True):
        content = gzip.compress(idx(array)) if zipped else idx(array)
        (folder / f"{name}{'.gz' if zipped else ''}").write_bytes(content)
    return arrays


def archive(members: Mapping[str, bytes]) -> bytes:
    """Return a .tar.gz with members."""
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz") as tar:
        for name, content in members.items():
            facts = tarfile.TarInfo(name)
            facts.size = len(content)
            tar.addfile(facts, io.BytesIO(content))
    return held.getvalue()


def cifar10(count: int = 20) -> dict[str, bytes]:
    """Return the members of a small cifar-10-binary.tar.gz, `count` images in each file."""
    names = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
    return {f"cifar-10-batches-bin/{name}": records(count, seed) for seed, name in enumerate(names)}


def records(count: int, seed: int) -> bytes:
    """Return records of one label and 3,072 pixels."""
    return np.concatenate([labels(count, 10)[:, None], pixels(count, 3072, seed=seed)], 1).tobytes()


def write_parquet(path: Path, images: list[bytes | None], answers: list[int | None], column: str = "label") -> None:
    """Write a file of Hugging Face's layout."""
    import pyarrow
    from pyarrow import parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"bytes": image, "path": None} for image in images]
    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    columns = {"img": pyarrow.array(rows, kind), column: pyarrow.array(answers, pyarrow.int64())}
    parquet.write_table(pyarrow.table(columns), path)


def encoded(array: np.ndarray, form: str = "PNG", **options: Any) -> bytes:
    """Return an image, (H, W) or (H, W, 3), as a file's content."""
    held = io.BytesIO()
    Image.fromarray(array).save(held, form, **options)
    return held.getvalue()


def write_images(root: Path, *, classes: int = 2, each: int = 10, parts: tuple[str, ...] = ("train", "test")) -> None:
    """Write grey 6 x 4 images (height, width) of some classes: class c has the level 10 * c in its corner."""
    for part in parts:
        for c in range(classes):
            folder = root / part / f"class {c}"
            folder.mkdir(parents=True)
            for i, image in enumerate(pixels(each, 6, 4, seed=c)):
                image[0, 0] = 10 * c
                (folder / f"{i}.png").write_bytes(encoded(image))


def arrays(count: int = 20, *, parts: tuple[str, ...] = ("train", "test")) -> dict[str, np.ndarray]:
    """Return sequences of 5 steps of 3 features with 4 classes."""
    found = {}
    for seed, part in enumerate(parts):
        found[f"x_{part}"] = np.random.default_rng(seed).normal(2, 3, (count, 5, 3))
        found[f"y_{part}"] = labels(count, 4).astype(np.int64)
    return found
