"""From a file, a shipped name or code to a Model, or to a Reference to code not yet run.

A Model is validated, expanded and counted.

A user names a file, standard input, a shipped network or code (package.module:callable).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Final

from archcost.config import document
from archcost.config.document import Document, Value
from archcost.config.types import names_code
from archcost.config.validation import conform, located, shown
from archcost.config.writer import to_yaml
from archcost.errors import InputError, Mistake, Place, did_you_mean, one_of, quoted
from archcost.graph import codec
from archcost.graph.codec import LARGEST
from archcost.graph.cost import Cost, count
from archcost.graph.graph import Graph
from archcost.graph.recipe import Recipe
from archcost.models import callables, code, published, sources
from archcost.models.code import FAMILY, Argument, Foreign
from archcost.models.families import families
from archcost.models.families.parts import Network
from archcost.units import grouped

_CODE: Final = f"or '{FAMILY}', for code that makes one"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A network that gets the weights of a file: safetensors, or a state_dict that torch saved."""

    network: Model | Reference
    file: Path


def validate(document: Document) -> Network | Foreign:
    """Return the spec a document holds; raises InputError with every mistake, in the order of the text.

    Foreign where the family is `module`: code, of which nothing is imported here.
    """
    tree = document.tree
    if not isinstance(tree, dict):
        raise InputError(located(document, Mistake(f"given {shown(tree)}; allowed: a mapping of keys to values")))
    name = tree.get("family")
    if name == FAMILY:
        return code.read(document)
    known = families()
    sources.refuse_text(document, "network")
    if "family" not in tree or not isinstance(name, str) or name not in known:
        raise InputError(located(document, _no_family(tree, known)))
    spec = conform(document, known[name])
    _refuse_giants(document, spec)
    return spec


def _no_family(tree: Mapping[str, Value], known: Mapping[str, object]) -> Mistake:
    if "family" not in tree:
        return Mistake(f"missing; allowed: {one_of(known)}; {_CODE}", ("family",))
    name = tree["family"]
    given = name if isinstance(name, str) else shown(name)
    guess = did_you_mean(given, [*known, FAMILY])
    return Mistake(f"unknown family {quoted(given)}{guess}; allowed: {one_of(known)}; {_CODE}", ("family",))


def _refuse_giants(document: Document, spec: Network) -> None:
    size = spec.size()
    if size > LARGEST:
        many = f"{grouped(size)}" if size < 10**15 else "more than 10^15"
        message = f"the network would have {many} nodes; allowed: {grouped(LARGEST)}"
        raise InputError(located(document, Mistake(message, (spec.grows_with,))))


_NO_CONSENT: Final = "is code; code named in a file runs only with --allow-code (Python: allow_code=True)"
_NO_GRAPH: Final = "is code, which has no graph to load; archcost.profile(..., allow_code=True) runs and counts it"


@dataclass(frozen=True)
class Model:
    """A network with its name, the spec it was written as, its graph and how it is trained."""

    name: str
    spec: Network
    graph: Graph
    recipe: Recipe

    weights: ClassVar[None] = None  # all trainable, each read by one node: nothing is to be told apart
    uncounted: ClassVar[tuple[()]] = ()  # every operator of a graph has a count
    coverage: ClassVar[float] = 1.0

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

    @property
    def input(self) -> object:
        """What the network takes, as the YAML says it."""
        return self.spec.model_dump().get("input")

    @property
    def steps(self) -> int | None:
        """The length a sequence is counted at, None for an image."""
        return self.graph.steps

    @property
    def yaml(self) -> str:
        """The spec as YAML, without the keys that are the defaults."""
        return to_yaml(self.spec)


@dataclass(frozen=True)
class Reference:
    """A network that code makes, with its name and the spec that names the code; nothing of it has run."""

    name: str
    spec: Foreign

    family: ClassVar[str] = FAMILY
    graph: ClassVar[None] = None  # code has none

    @property
    def yaml(self) -> str:
        """The spec as YAML, without the keys that are the defaults."""
        return to_yaml(self.spec)


def load(source: str | os.PathLike[str], overrides: Iterable[str] = ()) -> Model:
    """Return the network a YAML file or a shipped name stands for, with `key=value` overrides applied in order.

    Raises InputError with every mistake found, each with file, line and column; also for code, which has no graph.
    """
    if is_code(source):
        raise InputError(Mistake(f"{quoted(os.fspath(source))} {_NO_GRAPH}"))
    return expand(open_document(source), overrides)


def read(
    source: str | os.PathLike[str],
    overrides: Iterable[str] = (),
    inputs: Sequence[Argument] = (),
    allow_code: bool = False,
) -> Model | Reference:
    """Return the network, or the reference to code, that a YAML file, a shipped name or package.module:callable is.

    A callable may have its arguments: package.module:callable(width=0.5). Code that a file names is refused without
    `allow_code`; naming it as the source is consent. `inputs` are what such code is called with. Raises InputError as
    `load` does.
    """
    if not is_code(source):
        return interpret(open_document(source), overrides, inputs, allow_code)
    text = os.fspath(source)
    sources.refuse(text)
    start = code.typed(text, inputs)
    named = code.renamed(_overridden(start, overrides), start)
    if isinstance(named.tree, dict) and not {"input", "inputs"} & named.tree.keys():
        message = f"{quoted(text)} is code and needs its inputs"
        raise InputError(Mistake(f"{message}; allowed: one {code.OPTION} or more, as in --input 3,224,224"))
    return interpret(named, allow_code=True)


def alone(model: Model, column: int) -> Model:
    """Return a column of a fractal network as a network of its own."""
    spec = model.spec.model_copy(update={"use_columns": (column,), "drop_path": None})
    graph, recipe = spec.expand()
    return Model(f"{model.name}-column-{column}", spec, graph, recipe)


def is_code(source: str | os.PathLike[str]) -> bool:
    """Return whether a source is package.module:callable, or a call of it, and no file of that name is there."""
    return isinstance(source, str) and names_code(callables.name_of(source)) and not os.path.lexists(source)


def open_document(source: str | os.PathLike[str]) -> Document:
    """Return the YAML of a file or, if there is no such file, of a shipped network."""
    name = os.fspath(source)
    sources.refuse(name)
    if os.path.lexists(name) or name.endswith((".yaml", ".yml")) or os.sep in name:
        return document.read_file(source)
    shipped = published.names()
    if name in shipped:
        return document.read_bytes(published.text(name), f"{name}.yaml")
    message = f"{quoted(name)} is neither a file nor a shipped network{did_you_mean(name, shipped)}"
    raise InputError(Mistake(f"{message}; 'archcost example' lists those"))


def expand(source: Document, overrides: Iterable[str] = ()) -> Model:
    """Return the network a document describes; raises InputError if code makes it."""
    found = interpret(source, overrides, allow_code=True)  # nothing of it runs here
    if isinstance(found, Reference):
        raise _refused(source, found.spec, _NO_GRAPH)
    return found


def interpret(
    source: Document, overrides: Iterable[str] = (), inputs: Sequence[Argument] = (), allow_code: bool = False
) -> Model | Reference:
    """Return the network, or the reference to code, that a document describes; `inputs` replace those of a module."""
    takes = isinstance(source.tree, dict) and source.tree.get("family") == code.FAMILY
    source = _overridden(code.with_inputs(source, inputs) if inputs and takes else source, overrides)
    spec = validate(source)
    if inputs and not takes:
        message = "goes with code; allowed here: --set input=..., which changes the network's own"
        raise InputError(Mistake(message, place=Place(code.OPTION)))
    name = spec.name or Path(source.file).stem or "model"
    if isinstance(spec, Foreign):
        if not allow_code:
            raise _refused(source, spec, _NO_CONSENT)
        return Reference(name, spec)
    try:
        graph, recipe = spec.expand()
    except InputError as error:
        raise InputError(*(located(source, mistake) for mistake in error.mistakes)) from None
    return Model(name, spec, graph, recipe)


def _overridden(source: Document, overrides: Iterable[str]) -> Document:
    for assignment in overrides:
        source = document.override(source, assignment)
    return source


def _refused(source: Document, spec: Foreign, why: str) -> InputError:
    mistake = Mistake(f"{quoted(spec.factory)} {why}", ("factory",))
    return InputError(located(source, mistake, at_key=True))
