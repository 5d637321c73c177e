"""The published networks that ship with the package: where their files are, and what they are called."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

_SUFFIX = ".yaml"


def _folder() -> Traversable:
    packaged = files("archcost") / "published"
    # in a checkout the files stay where they are edited; the wheel takes them into the package
    return packaged if packaged.is_dir() else Path(__file__).parents[1] / "studies" / "published"


def names() -> list[str]:
    """Return the names of the shipped networks."""
    return sorted(f.name.removesuffix(_SUFFIX) for f in _folder().iterdir() if f.name.endswith(_SUFFIX))


def text(name: str) -> bytes:
    """Return the YAML of a shipped network."""
    return (_folder() / f"{name}{_SUFFIX}").read_bytes()


def title(name: str) -> str:
    """Return what the file's first line says the network is."""
    return text(name).decode("utf-8").split("\n", 1)[0].removeprefix("#").strip()
