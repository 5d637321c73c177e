"""A folder of images: train/CLASS/*.png, valid/ and test/ the same; one size, one number of channels."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
import torch
from PIL import Image

from archcost.data.splits import Dataset, Reader, Split, held_out, of_images
from archcost.datasets import broken, unread
from archcost.dataspec import DataSpec
from archcost.errors import InputError, Mistake, quoted
from archcost.units import data_size

_KINDS: Final = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"})
_MOST_PIXELS: Final = 2**24  # of one image: what unpacks to more is refused before it is unpacked
_MOST_BYTES: Final = 2**32  # of all images of a split in memory
_GREY: Final = frozenset({"1", "L", "LA"})
_COLOUR: Final = frozenset({"RGB", "RGBA", "RGBX", "P", "PA", "CMYK", "YCbCr", "LAB", "HSV"})


def _files(spec: DataSpec, folder: Path) -> tuple[Path, ...]:
    root = folder / (spec.path or "")
    classes = _classes(root / "train")
    if len(classes) < 2:
        raise _wrong(f"{quoted(str(root / 'train'))} has {len(classes)} folders of a class; allowed: 2 or more")
    valid = _images(root / "valid", classes) if (root / "valid").is_dir() else []
    _images(root / "test", classes)  # that it is missing is said now, not when a study ends
    train = _images(root / "train", classes)
    if empty := sorted(set(classes) - {path.parent.name for path in train}):
        raise _wrong(f"no image in {quoted(str(root / 'train' / empty[0]))}; allowed endings: {_endings()}")
    return (*train, *valid)


def _read(spec: DataSpec, paths: tuple[Path, ...]) -> Dataset:
    """Return the images; without valid/ a tenth of each class of train/ is held out."""
    root = paths[0].parents[2]
    shape = _shape(paths)
    classes = {name: label for label, name in enumerate(_classes(root / "train"))}
    train, valid = (_split([p for p in paths if p.parents[1].name == part], classes, shape) if part else None
                    for part in ("train", "valid" if (root / "valid").is_dir() else ""))  # fmt: skip
    assert train is not None  # _files found images of every class
    splits = (train, valid) if valid is not None else held_out(train)

    def test() -> Split:
        return _split(_images(root / "test", list(classes)), classes, shape)

    return of_images(spec, str(root), len(classes), splits, test)


def _classes(folder: Path) -> list[str]:
    try:
        return sorted(each.name for each in folder.iterdir() if each.is_dir() and not each.name.startswith("."))
    except OSError as error:
        raise unread(folder, error) from None


def _images(folder: Path, classes: list[str]) -> list[Path]:
    """Return the images of a split in the order of classes and names; pipes and devices are none."""
    there = _classes(folder)
    if strange := sorted(set(there) - set(classes)):
        raise _wrong(f"{quoted(str(folder / strange[0]))} is a class that is not in train/")
    every = [path for name in there for path in sorted((folder / name).iterdir())]
    found = [path for path in every if path.suffix.lower() in _KINDS and path.is_file()]
    if not found:
        raise _wrong(f"no image below {quoted(str(folder))}; allowed endings: {_endings()}")
    return found


def _endings() -> str:
    return ", ".join(sorted(_KINDS))


def _shape(paths: tuple[Path, ...]) -> tuple[int, int, int]:
    """Return (C, H, W) of all images, from their heads: three channels where one of them has colours."""
    sizes: dict[tuple[int, int], Path] = {}
    colour = False
    for path in paths:
        with _opened(path) as image:
            sizes.setdefault(image.size, path)
            colour = colour or image.mode in _COLOUR
    (width, height), *others = sizes
    if others:
        one, other = (f"{quoted(path.name)} {w} x {h}" for (w, h), path in list(sizes.items())[:2])
        raise _wrong(f"images of {len(sizes)} sizes ({one}, {other}); allowed: one size")
    return (3 if colour else 1, height, width)


def _split(paths: list[Path], classes: dict[str, int], shape: tuple[int, int, int]) -> Split:
    size = len(paths) * shape[0] * shape[1] * shape[2]
    if size > _MOST_BYTES:
        raise _wrong(f"{data_size(size)} of images in a split; allowed: {data_size(_MOST_BYTES)}")
    pixels = np.empty((len(paths), *shape), np.uint8)
    for place, path in enumerate(paths):
        pixels[place] = _pixels(path, shape)
    return Split(torch.from_numpy(pixels), torch.tensor([classes[path.parent.name] for path in paths]))


def _pixels(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """Return the values (C, H, W) of an image; grey ones among coloured ones have three equal channels."""
    with _opened(path) as image:
        channels, height, width = shape
        if image.size != (width, height) or (channels == 1 and image.mode in _COLOUR):
            kind = "grey" if image.mode in _GREY else "colour"
            allowed = f"{width} x {height}, {'grey' if channels == 1 else 'colour or grey'}, as those of training"
            raise _wrong(f"{quoted(str(path))} is {image.width} x {image.height}, {kind}; allowed: {allowed}")
        values = np.asarray(image.convert("L" if channels == 1 else "RGB"))
        return values[None] if channels == 1 else values.transpose(2, 0, 1)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Yield an image whose head is read and whose size is allowed; raises InputError also where its body is broken."""
    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter("error", Image.DecompressionBombWarning)  # which Pillow only warns of
            if image.width * image.height > _MOST_PIXELS:
                raise broken(path, f"{image.width} x {image.height} pixels; allowed: 2^24")
            if image.mode not in _GREY | _COLOUR:
                raise broken(path, f"values of mode {image.mode}; allowed: 8 bits a channel")
            yield image
    except (OSError, Image.DecompressionBombError, Image.DecompressionBombWarning, ValueError, SyntaxError) as error:
        raise broken(path, error) from None


def _wrong(message: str) -> InputError:
    return InputError(Mistake(message, ("data", "path")))


READER: Final = Reader(_files, _read)
