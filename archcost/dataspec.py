"""The `data` part of study.yaml: which data set, and how it is read."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, ValidationInfo, field_validator

from archcost.errors import unknown
from archcost.parts import Count, Strict, wrong

IMAGES: Final = ("digits", "fashion-mnist", "mnist", "cifar10", "cifar100", "images")
TEXTS: Final = ("ptb", "text")
SEQUENCES: Final = ("sequences",)
NAMES: Final = (*IMAGES, *TEXTS, *SEQUENCES)
PLACED: Final = ("images", "text", "sequences")
"""Those that are the user's own and need a `path`."""


class DataSpec(Strict):
    """A data set by name."""

    name: str
    """digits, fashion-mnist, mnist, cifar10, cifar100, ptb, or your own: images, text, sequences."""
    path: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    """Of images (a folder with a folder of each class), text (a file) or sequences (.npz), from the study's folder."""
    read_as: Annotated[Literal["image", "rows"], Field(alias="as")] = "image"
    """rows reads an image as H steps of W*C features."""
    steps: Count = 35
    """Of a text: the length of a training window."""
    level: Literal["words", "characters"] = "words"
    """Of a text: what a token is."""
    examples: Count | None = None
    """Train on so many examples only, drawn with a fixed seed; all where left out."""

    @field_validator("name")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in NAMES:
            raise wrong(unknown("data set", value, NAMES))
        return value

    @field_validator("path")
    @classmethod
    def _where(cls, value: str | None, info: ValidationInfo) -> str | None:
        name = info.data.get("name")
        if name is not None and value is not None and name not in PLACED:
            raise wrong(f"goes with {', '.join(PLACED)} only: {name} is found by its name")
        return value

    @property
    def kind(self) -> str:
        """What the data are: image, sequence or text."""
        if self.name in TEXTS:
            return "text"
        return "sequence" if self.name in SEQUENCES or self.read_as == "rows" else "image"
