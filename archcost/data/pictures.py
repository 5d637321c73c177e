"""Encoded images, their size and kind checked before they are unpacked."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

import numpy as np
from PIL import Image

from archcost.data.known import broken

ENDINGS: Final = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".ppm", ".pgm")
GREY: Final = frozenset({"1", "L", "LA"})
COLOUR: Final = frozenset({"RGB", "RGBA", "RGBX", "P", "PA", "CMYK", "YCbCr", "LAB", "HSV"})

_FORMATS: Final = ("PNG", "JPEG", "BMP", "WEBP", "GIF", "PPM")  # none that can name or hold other files
_MOST_PIXELS: Final = 2**24  # of one image
_REFUSED: Final = (
    *(OSError, EOFError, SyntaxError, ValueError, TypeError, IndexError, OverflowError, struct.error, zlib.error),
    *(Image.DecompressionBombError, Image.DecompressionBombWarning),
)
"""What Pillow raises of broken images: its readers say SyntaxError of a wrong head, and leave others unexplained."""


@contextmanager
def opened(source: Path | IO[bytes], path: Path) -> Iterator[Image.Image]:
    """Yield an image of which only the head is read; `path`: what messages call it.

    Raises InputError if it is too large or not of 8 bits a channel, and inside the context where its body is broken.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Pillow warns of, it reads
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(source, formats=_FORMATS) as image:
                if image.width * image.height > _MOST_PIXELS:
                    raise broken(path, f"{image.width} x {image.height} pixels; allowed: 2^24")
                if image.mode not in GREY | COLOUR:
                    raise broken(path, f"values of mode {image.mode}; allowed: 8 bits a channel")
                yield image
    except _REFUSED as error:
        raise broken(path, error) from None


def values(image: Image.Image, channels: int) -> np.ndarray:
    """Return the values of an image with 1 or 3 channels, uint8 (C, H, W); a grey one may have three equal channels."""
    mode = "L" if channels == 1 else "RGB"
    found = np.asarray(image if image.mode == mode else image.convert(mode))
    return found[None] if channels == 1 else found.transpose(2, 0, 1)
