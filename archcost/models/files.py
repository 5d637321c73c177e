"""A model file as it is named: an exported network, its kind, and what it is given."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, Literal, TypeAlias, get_args

from archcost.errors import InputError, Mistake, quoted
from archcost.models import load
from archcost.models.code import Argument
from archcost.models.load import Model, Reference

Kind: TypeAlias = Literal["onnx", "pt2"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class File:
    """A model file that was named, not yet opened.

    inputs: sizes for axes that the file leaves open; allow_code: whether running it may run code that it holds.
    """

    path: Path
    kind: Kind
    inputs: tuple[Argument, ...] = ()
    allow_code: bool = False

    graph: ClassVar[None] = None

    @property
    def name(self) -> str:
        """What tables and reports call it: the file's name without its ending."""
        return self.path.stem

    @property
    def family(self) -> str:
        """Its kind."""
        return self.kind


Network: TypeAlias = Model | Reference | File
"""What a user may name as a network, none of it run or opened but a YAML file."""


def kind(source: object) -> Kind | None:
    """Return which model file a source names by its ending, None if it names none that is there."""
    if not isinstance(source, str | os.PathLike):
        return None
    text = os.fspath(source)
    ending = text.rpartition(".")[2].lower() if isinstance(text, str) else ""
    return next((each for each in KINDS if each == ending), None) if os.path.lexists(text) else None


def read(
    source: str | os.PathLike[str],
    overrides: Iterable[str] = (),
    inputs: Sequence[Argument] = (),
    allow_code: bool = False,
) -> Network:
    """Return what a source names: a model file that is there, or what `load.read` reads.

    Raises InputError as that does, and for overrides of a model file, which has no keys.
    """
    if (found := kind(source)) is None:
        return load.read(source, overrides, inputs, allow_code)
    if given := list(overrides):
        words = f"--set {quoted(given[0])}: a model file has no keys to override; --input gives sizes to its open axes"
        raise InputError(Mistake(f"{quoted(os.fspath(source))}: {words}"))
    return File(Path(source), found, tuple(inputs), allow_code)
