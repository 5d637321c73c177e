"""From what a user names (a file, standard input, a shipped network) to a Model: validated, expanded, counted."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from archcost import codec, document, examples
from archcost.cost import Cost, count
from archcost.document import Document
from archcost.errors import InputError, Mistake, did_you_mean, quoted
from archcost.graph import Graph
from archcost.parts import Network
from archcost.recipe import Recipe
from archcost.spec import located, validate


@dataclass(frozen=True)
class Model:
    """A network with its name, the spec it was written as, its graph and how it is trained."""

    name: str
    spec: Network
    graph: Graph
    recipe: Recipe

    @cached_property
    def cost(self) -> Cost:
        """The exact counts of the network."""
        return count(self.graph)

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of what the network computes."""
        return codec.digest(self.graph)

    @property
    def family(self) -> str:
        """The family's name in the YAML."""
        return str(self.spec.model_dump().get("family", ""))


def load(source: str | os.PathLike[str], overrides: Iterable[str] = ()) -> Model:
    """Return the network a YAML file or a shipped name stands for, with `key=value` overrides applied in order.

    Raises InputError with every mistake found, each with file, line and column.
    """
    return expand(open_document(source), overrides)


def open_document(source: str | os.PathLike[str]) -> Document:
    """Return the YAML of a file or, where there is no such file, of a shipped network."""
    name = os.fspath(source)
    if os.path.lexists(name) or name.endswith((".yaml", ".yml")) or os.sep in name:
        return document.read_file(source)
    shipped = examples.names()
    if name in shipped:
        return document.read_bytes(examples.text(name), f"{name}.yaml")
    message = f"{quoted(name)} is neither a file nor a shipped network{did_you_mean(name, shipped)}"
    raise InputError(Mistake(f"{message}; 'archcost example' lists those"))


def expand(source: Document, overrides: Iterable[str] = ()) -> Model:
    """Return the network a document describes."""
    for assignment in overrides:
        source = document.override(source, assignment)
    spec = validate(source)
    try:
        graph, recipe = spec.expand()
    except InputError as error:
        raise InputError(*(located(source, mistake) for mistake in error.mistakes)) from None
    return Model(spec.name or Path(source.file).stem or "model", spec, graph, recipe)
