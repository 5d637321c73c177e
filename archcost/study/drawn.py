"""From a drawn template to a network: what the data give is filled in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from archcost.config.document import Document, Value
from archcost.config.validation import located
from archcost.errors import InputError, Mistake, shorten
from archcost.models.code import FAMILY
from archcost.models.families import FAMILIES
from archcost.models.families.parts import OnImages
from archcost.models.load import Model, Reference, expand, interpret
from archcost.study.spec import StudySpec


@dataclass(frozen=True, slots=True)
class Gives:
    """What the data give: the `input` and `classes` of a network, and what they are: image, sequence or text.

    rows: of images, the input of a recurrent network, which reads them row by row.
    """

    input: Value
    classes: int
    kind: str
    rows: Value = None


Drawn: TypeAlias = Model | Reference
"""What a point stands for: a network of a family, or code that makes one, of which nothing runs in this process."""


def materialise(spec: StudySpec, drawn: tuple[int, Value], gives: Gives) -> Drawn:
    """Return the network that a drawn template is, with the data's input and classes where it leaves them out.

    Raises InputError for what is no network, or contradicts the data, with places in the study's file.
    """
    place, tree = drawn
    assert isinstance(tree, dict)  # a template is a mapping
    if tree.get("family") == FAMILY:
        return _code(spec, place, tree, gives)
    gives = read_by(gives, tree)
    filled = {"name": spec.name, "input": gives.input, "classes": gives.classes, **tree}
    source = spec.document(place, filled)
    _refuse(source, place, contradictions(tree, gives))
    try:
        model = expand(source)
    except InputError as error:
        _refuse(source, place, error.mistakes)
        raise
    _refuse(source, place, _readout(model, gives))
    return model


def _code(spec: StudySpec, place: int, tree: Mapping[str, Value], gives: Gives) -> Reference:
    """Return the reference to code that a template is, called with what the data give if it does not say with what."""
    inputs = {} if {"input", "inputs"} & tree.keys() else _called_with(gives.input)
    source = spec.document(place, {"name": spec.name, **inputs, **tree})
    try:
        found = interpret(source, allow_code=True)  # consent was asked for before; nothing of it runs here
    except InputError as error:
        _refuse(source, place, error.mistakes)
        raise
    assert isinstance(found, Reference)
    return found


def _called_with(given: Value) -> dict[str, Value]:
    """Return the inputs of a module for an input as a family's key says it: sizes, steps with features or a vocabulary.

    Sequences are tensors (T, F), texts int64 tokens (T,).
    """
    if not isinstance(given, dict):
        return {"input": given}
    if "vocab" in given:
        return {"inputs": [{"shape": [given["steps"]], "dtype": "int64", "below": given["vocab"]}]}
    return {"input": [given["steps"], given["features"]]}


def _refuse(source: Document, place: int, mistakes: Iterable[Mistake]) -> None:
    """Raise what is wrong in a template, where anything is, with key paths of the whole study."""
    if found := [located(source, mistake) for mistake in mistakes]:
        raise InputError(*(replace(mistake, path=("models", place, *mistake.path)) for mistake in found)) from None


def contradictions(tree: Mapping[str, Value], gives: Gives) -> Iterator[Mistake]:
    """Yield what a network says of its input and classes that the data do not."""
    for key, given in (("input", gives.input), ("classes", gives.classes)):
        if key in tree and tree[key] != given:
            words = shorten(json.dumps(tree[key]))
            yield Mistake(f"given {words}; allowed: {json.dumps(given)}, as the data are, or nothing", (key,))


def _readout(model: Model, gives: Gives) -> Iterator[Mistake]:
    steps, runs = model.steps or 1, model.graph.nodes[-1].runs
    if gives.kind == "text" and runs == 1 < steps:
        yield Mistake("a text needs an output for every token; allowed: 'every'", ("readout",))
    if gives.kind == "sequence" and runs > 1:
        yield Mistake("a sequence has one class, not one at every step; allowed: 'last'", ("readout",))


def read_by(gives: Gives, tree: Mapping[str, Value]) -> Gives:
    """Return what the data give to the family of a template."""
    family = FAMILIES.get(str(tree.get("family")))
    if gives.rows is None or family is None or issubclass(family, OnImages):
        return gives
    return Gives(gives.rows, gives.classes, "sequence")
