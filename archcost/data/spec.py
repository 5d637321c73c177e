"""The `data` part of study.yaml: which data set, and how it is read."""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias, TypeVar

from pydantic import Discriminator, Field, Tag, ValidationInfo, field_validator

from archcost.config.types import Arguments, Code, Count, Strict, wrong
from archcost.data.known import NAMES, PLACED
from archcost.data.remote.systems import has_secret, is_url
from archcost.errors import unknown

V = TypeVar("V")

Kind: TypeAlias = Literal["image", "sequence", "text"]

TEXTS: Final = ("ptb", "text")
SEQUENCES: Final = ("sequences",)
IMAGES: Final = tuple(name for name in NAMES if name not in (*TEXTS, *SEQUENCES))


class DataSpec(Strict):
    """A data set by name."""

    name: str
    """digits, fashion-mnist, mnist, cifar10, cifar100, ptb, or your own: images, text, sequences."""
    path: Annotated[Annotated[str, Field(min_length=1, max_length=4096)] | None, Field(validate_default=True)] = None
    """From the study's folder, or a URL: images (a folder with train/CLASS/*.png), a text or sequences (.npz)."""
    read_as: Annotated[Literal["image", "rows"], Field(alias="as")] = "image"
    """For images: rows reads an image as H steps of W*C features."""
    steps: Count = 35
    """For a text: the length of a training window."""
    level: Literal["words", "characters"] = "words"
    """For a text: what a token is."""
    examples: Count | None = None
    """Train on this many examples (tokens of a text) only, drawn with a fixed seed. Default: all."""

    @field_validator("name")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in NAMES:
            raise wrong(unknown("data set", value, NAMES))
        return value

    @field_validator("path")
    @classmethod
    def _where(cls, value: str | None, info: ValidationInfo) -> str | None:
        name = info.data.get("name")  # missing where it is wrong itself
        if name is None:
            return value
        if name in PLACED and value is None:
            raise wrong(f"missing; allowed: the path of {PLACED[name]}")
        if name not in PLACED and value is not None:
            raise wrong(f"goes with {', '.join(PLACED)} only: {name} is found by its name")
        if value is not None and ("\0" in value or not _encodable(value)):
            raise wrong("given a path with characters that no file's name has; allowed: a path")
        if value is not None and is_url(value) and has_secret(value):
            words = "given a URL with a user or password, which are kept nowhere"
            raise wrong(f"{words}; allowed: one without, and the environment or a profile of that service")
        return value

    @field_validator("read_as")
    @classmethod
    def _an_image(cls, value: str, info: ValidationInfo) -> str:
        return _goes_with(value, info, IMAGES)

    @field_validator("steps", "level")
    @classmethod
    def _a_text(cls, value: V, info: ValidationInfo) -> V:
        return _goes_with(value, info, TEXTS)

    @property
    def kind(self) -> Kind:
        """What the data are."""
        if self.name in TEXTS:
            return "text"
        return "sequence" if self.name in SEQUENCES or self.read_as == "rows" else "image"


class DataCode(Strict):
    """Data that code of your own gives: it runs with `--allow-code` only."""

    code: Code
    """package.module:callable. It returns a mapping with `train`, and `valid`, `test`, `classes`, `preprocess`, ..."""
    args: Arguments = Field({})
    """Keyword arguments of the call."""

    @property
    def name(self) -> str:
        """What tables call them: the code."""
        return self.code

    @property
    def kind(self) -> None:
        """What the data are is known when the code has run."""


def _source(value: object) -> str:
    return "<code>" if isinstance(value, DataCode) or (isinstance(value, dict) and "code" in value) else "<name>"


AnyData: TypeAlias = Annotated[
    Annotated[DataSpec, Tag("<name>")] | Annotated[DataCode, Tag("<code>")], Discriminator(_source)
]
"""The `data` of a study: by name, or from code."""


def _goes_with(value: V, info: ValidationInfo, names: tuple[str, ...]) -> V:
    """Return the value of a key that was given, where the data set is one it goes with."""
    name = info.data.get("name")
    if name is not None and name not in names:
        raise wrong(f"does not go with {name}; allowed with: {', '.join(names)}")
    return value


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
