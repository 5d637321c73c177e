"""Folders of images: train/CLASS/*.png, valid/ and test/ the same.

All have one size and one number of channels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import torch

from archcost.data.known import shown, unread
from archcost.data.pictures import COLOUR, ENDINGS, opened, values
from archcost.data.remote import copies
from archcost.data.remote.copies import Most
from archcost.data.remote.systems import below, is_url
from archcost.data.spec import DataSpec
from archcost.data.splits import Dataset, Reader, Split, held_out, of_images
from archcost.errors import InputError, Mistake, quoted
from archcost.units import data_size

_LAYOUT: Final = "a folder with train/CLASS/*.png and test/CLASS/*.png, its path from the study's folder"
_MOST_BYTES: Final = 2**32  # of all images of a split in memory
_PARTS: Final = below("train", "valid", "test")
_MOST: Final = Most(2**21, 3 * _MOST_BYTES)  # of files that are copied from a URL


def _files(spec: DataSpec, folder: Path) -> tuple[Path, ...]:
    root = _root(spec, folder)
    classes = _classes(root / "train")
    if len(classes) < 2:
        raise _wrong(f"{shown(root / 'train')} has {len(classes)} folders of a class; allowed: 2 or more")
    train = _images(root / "train", classes)
    if empty := sorted(set(classes) - {path.parent.name for path in train}):
        raise _wrong(f"no image in {shown(root / 'train' / empty[0])}; allowed: {', '.join(ENDINGS)}")
    valid = _images(root / "valid", classes) if (root / "valid").is_dir() else []
    _images(root / "test", classes)  # that it is missing is said now, not when a study ends
    return (*train, *valid)


def names(spec: DataSpec, folder: Path) -> tuple[str, ...]:
    """Return the names of the classes in the order of their labels."""
    return tuple(_classes(_root(spec, folder) / "train"))


def _root(spec: DataSpec, folder: Path) -> Path:
    """Return the folder of the images, of those at a URL one of copies."""
    given = spec.path or ""
    return copies.folder(given, _PARTS, _is_image, _MOST, ("data", "path")) if is_url(given) else folder / given


def _is_image(parts: tuple[str, ...]) -> bool:
    return len(parts) == 3 and parts[1][:1] != "." and parts[2].lower().endswith(ENDINGS)


def _read(spec: DataSpec, paths: tuple[Path, ...]) -> Dataset:
    """Return the images; without valid/ a tenth of each class of train/ is held out."""
    root = paths[0].parents[2]
    shape = _shape(paths)
    classes = {name: label for label, name in enumerate(_classes(root / "train"))}
    parts = [[path for path in paths if path.parents[1].name == part] for part in ("train", "valid")]
    train, *valid = (_split(part, classes, shape) for part in parts if part)
    splits = (train, valid[0]) if valid else held_out(train)

    def test() -> Split:
        return _split(_images(root / "test", list(classes)), classes, shape)

    return of_images(spec, str(root), len(classes), splits, test)


def _classes(folder: Path) -> list[str]:
    try:
        return sorted(each.name for each in folder.iterdir() if each.is_dir() and not each.name.startswith("."))
    except OSError as error:
        raise unread(folder, error, _LAYOUT) from None


def _images(folder: Path, classes: list[str]) -> list[Path]:
    """Return the images of a split in the order of classes and names; a pipe or device with an image's name is none."""
    there = _classes(folder)
    if strange := sorted(set(there) - set(classes)):
        raise _wrong(f"{shown(folder / strange[0])} is a class that train/ does not have; allowed: those it has")
    try:
        every = [path for name in there for path in sorted((folder / name).iterdir())]
        found = [path for path in every if path.suffix.lower() in ENDINGS and path.is_file()]
    except OSError as error:
        raise unread(Path(error.filename or folder), error) from None
    if not found:
        raise _wrong(f"no image below {shown(folder)}; allowed: CLASS/ with {', '.join(ENDINGS)}")
    return found


def _shape(paths: tuple[Path, ...]) -> tuple[int, int, int]:
    """Return (C, H, W) of all images, from their heads: three channels where one of them has colours."""
    sizes: dict[tuple[int, int], Path] = {}
    colour = False
    for path in paths:
        with opened(path, path) as image:
            sizes.setdefault(image.size, path)
            colour = colour or image.mode in COLOUR
    (width, height), *others = sizes
    if others:
        given = " and ".join(f"{w} x {h} ({quoted(path.name)})" for (w, h), path in list(sizes.items())[:2])
        raise _wrong(f"images of {len(sizes)} sizes: {given}; allowed: one size")
    return (3 if colour else 1, height, width)


def _split(paths: list[Path], classes: dict[str, int], shape: tuple[int, int, int]) -> Split:
    channels, height, width = shape
    size = len(paths) * channels * height * width
    if size > _MOST_BYTES:
        raise _wrong(f"{data_size(size)} of images in a split; allowed: {data_size(_MOST_BYTES)}")
    pixels = np.empty((len(paths), *shape), np.uint8)
    for place, path in enumerate(paths):
        with opened(path, path) as image:
            if image.size != (width, height) or (channels == 1 and image.mode in COLOUR):
                given = f"{image.width} x {image.height}, {image.mode}"
                allowed = f"{width} x {height}{', grey' if channels == 1 else ''}, as in train/"
                raise _wrong(f"{shown(path)} is {given}; allowed: {allowed}")
            pixels[place] = values(image, channels)
    return Split(torch.from_numpy(pixels), torch.tensor([classes[path.parent.name] for path in paths]))


def _wrong(message: str) -> InputError:
    return InputError(Mistake(message, ("data", "path")))


READER: Final = Reader(_files, _read)
