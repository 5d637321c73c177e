"""A folder of images: train/CLASS/*.png, and valid/ and test/ the same; one size, one number of channels."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Final

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from archcost.data.places import broken
from archcost.data.splits import Dataset, Split, held_out, of_images
from archcost.dataspec import DataSpec
from archcost.errors import InputError, Mistake, quoted
from archcost.units import data_size

_KINDS: Final = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"})
_PIXELS: Final = 2**24  # of one image: what unpacks to more is refused before it is unpacked
_BYTES: Final = 2**33  # of all images of a split, as bytes in memory


def load(spec: DataSpec, folder: Path) -> Dataset:
    """Return the images below `path`; without valid/ a tenth of each class is held out."""
    if spec.path is None:
        raise InputError(Mistake("missing; allowed: the path of a folder with train/CLASS/*.png", ("data", "path")))
    root = folder / spec.path
    classes = _classes(root)
    train = _split(root / "train", classes, None)
    like = tuple(train.inputs.shape[1:])
    parts = (train, _split(root / "valid", classes, like)) if (root / "valid").is_dir() else held_out(train)
    return of_images(
        root.name or "images", str(root), len(classes), parts, lambda: _split(root / "test", classes, like)
    )


def _classes(root: Path) -> list[str]:
    try:
        found = sorted(each.name for each in (root / "train").iterdir() if each.is_dir())
    except OSError as error:
        where = quoted(str(root / "train"))
        raise InputError(
            Mistake(f"cannot read {where}: {error.strerror}; allowed: train/CLASS/*.png", ("data", "path"))
        ) from None
    if len(found) < 2:
        raise InputError(
            Mistake(f"{quoted(str(root / 'train'))} has {len(found)} classes; allowed: 2 or more", ("data", "path"))
        )
    return found


def _split(folder: Path, classes: list[str], like: tuple[int, ...] | None) -> Split:
    images, labels = [], []
    for label, name in enumerate(classes):
        for path in sorted(each for each in (folder / name).glob("*") if each.suffix.lower() in _KINDS):
            image = _image(path)
            like = like or image.shape
            if image.shape != like:
                raise broken(path, f"{image.shape} values; allowed: {like}, as the first image has")
            images.append(image)
            labels.append(label)
            if len(images) * image.size > _BYTES:
                raise InputError(Mistake(f"more than {data_size(_BYTES)} of images", ("data", "path")))
    if not images:
        raise InputError(Mistake(f"no image below {quoted(str(folder))}", ("data", "path")))
    return Split(torch.from_numpy(np.stack(images)), torch.tensor(labels))


def _image(path: Path) -> np.ndarray:
    """Return the values (C, H, W) of an image: one channel for grey ones, else three."""
    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter("error")  # Pillow only warns of images that unpack to very much
            if image.width * image.height > _PIXELS:
                raise broken(path, f"{image.width} x {image.height} pixels; allowed: 2^24")
            grey = image.mode in ("1", "L", "LA", "I;16")
            pixels = np.asarray(image.convert("L" if grey else "RGB"))
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, Warning, ValueError, SyntaxError) as error:
        raise broken(path, " ".join(str(error).split())[:200]) from None
    return pixels[None] if grey else pixels.transpose(2, 0, 1)
