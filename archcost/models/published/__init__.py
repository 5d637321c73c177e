"""The published networks that ship: their files, one folder a family, and their names."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable

_SUFFIX = ".yaml"


def _files() -> dict[str, Traversable]:
    """Return the file of each network, by name."""
    folders = (folder for folder in files(__name__).iterdir() if folder.is_dir())
    found = (file for folder in folders for file in folder.iterdir() if file.name.endswith(_SUFFIX))
    return {file.name.removesuffix(_SUFFIX): file for file in found}


def names() -> list[str]:
    """Return the names of the shipped networks."""
    return sorted(_files())


def text(name: str) -> bytes:
    """Return the YAML of a shipped network."""
    return _files()[name].read_bytes()


def title(name: str) -> str:
    """Return what the file's first line says the network is."""
    return text(name).decode("utf-8").split("\n", 1)[0].removeprefix("#").strip()
