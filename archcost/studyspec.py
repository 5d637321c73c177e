"""study.yaml: what is searched, on which data, for what, within which limits; mistakes have places."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, JsonValue, model_validator

from archcost import document, templates
from archcost.dataspec import DataSpec
from archcost.document import Document, Value
from archcost.errors import InputError, Mistake, one_of, quoted
from archcost.fitspec import Fit
from archcost.limits import Limits
from archcost.objectives import QUANTITIES
from archcost.parts import Count, Each, Strict, wrong
from archcost.read import Model, expand
from archcost.spec import conform, located
from archcost.templates import Space
from archcost.units import parse_duration, parse_share

_WAY: Final = ("target", "runtime", "batch", "threads", "dtype", "precision", "time")


def _seconds(value: object) -> object:
    if isinstance(value, str):
        try:
            return parse_duration(value)
        except ValueError as error:
            raise wrong(str(error)) from None
    return value


def _share(value: object) -> object:
    if isinstance(value, str):
        try:
            return parse_share(value)
        except ValueError as error:
            raise wrong(str(error)) from None
    return value


Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0)]
Natural = Annotated[int, Field(ge=0, lt=2**53)]
Minimised = Literal["min"]


class Objective(Strict):
    """One quantity to minimise; the keys of a way to measure go with latency only."""

    error: Minimised | None = None
    """Share of wrong answers on the validation split."""
    perplexity: Minimised | None = None
    """Of every token of a text's validation split."""
    bpc: Minimised | None = None
    """Bits per character (or token) of a text's validation split."""
    latency: Minimised | None = None
    """The median time of a call, measured on `target`."""
    params: Minimised | None = None
    """Trainable scalars."""
    macs: Minimised | None = None
    """Multiply-accumulates of one example."""
    memory: Minimised | None = None
    """Weights and the largest set of values alive at once, in bytes."""
    target: str = "cpu"
    """Where a latency is measured."""
    runtime: str = "eager"
    """What runs it there."""
    batch: Count = 1
    """Examples in a call."""
    threads: Count | None = None
    """Threads of a call; the physical cores where left out."""
    dtype: Literal["float32", "bfloat16", "float16", "float64"] = "float32"
    """What it is computed in."""
    precision: Annotated[float, BeforeValidator(_share), Field(gt=0, lt=1)] = 0.02
    """Half-width of the latency's interval at which to stop."""
    time: Seconds = 2.0
    """Longest time for one measurement."""

    @model_validator(mode="after")
    def _one(self) -> Objective:
        chosen = self.model_fields_set & QUANTITIES.keys()
        if len(chosen) != 1:
            raise wrong(f"names {len(chosen)} quantities; allowed: one of {one_of(QUANTITIES)} with 'min'")
        if "latency" not in chosen and (beside := sorted(self.model_fields_set & set(_WAY))):
            raise wrong(f"{quoted(beside[0])} goes with latency only")
        return self

    @property
    def quantity(self) -> str:
        """The name of what is minimised."""
        return next(name for name in QUANTITIES if name in self.model_fields_set)


class Search(Strict):
    """How points are proposed, and how many."""

    sampler: Literal["tpe", "nsga2", "random", "grid"] = "tpe"
    """What proposes points."""
    trials: Annotated[int, Field(ge=1, le=10**6)] = 40
    """Trials in all: a study that goes on counts those it has."""
    time: Seconds | None = None
    """Longest time of one run, confirming included: `10m`."""
    seed: Natural = 0
    """Of everything random in the search."""


class Confirm(Strict):
    """How the front is trained and measured again at the end."""

    seeds: Annotated[int, Field(ge=1, le=100)] = 3
    """How often each member is trained anew."""
    members: Annotated[int, Field(ge=0, le=1000)] = 8
    """How many members, 0: none."""


class Study(Strict):
    """A whole study.yaml."""

    name: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """What tables and reports call it; the file's name without its ending, or its folder's where that is 'study'."""
    models: Each[dict[str, JsonValue]]
    """Templates: networks in which domains stand."""
    data: DataSpec
    """What networks are trained on."""
    objectives: Each[Objective]
    """One to four quantities to minimise."""
    limits: Limits | None = None
    """What a network may cost at most; checked before any training."""
    fit: Fit = Field(default_factory=Fit)
    """How networks are trained."""
    search: Search = Field(default_factory=Search)
    """How points are proposed."""
    confirm: Confirm = Field(default_factory=Confirm)
    """How the front is confirmed."""
    storage: Annotated[str, Field(min_length=1, max_length=4096)] = "study.db"
    """A file beside the study's, or the URL of a database."""


@dataclass(frozen=True, slots=True)
class Gives:
    """What the data give: the `input` and `classes` of a network, and what they are: image, sequence or text."""

    input: Value
    classes: int
    kind: str


@dataclass(frozen=True)
class StudySpec:
    """A study as its file says, with the places of its keys and its space."""

    name: str
    study: Study
    source: Document
    space: Space

    @cached_property
    def templates(self) -> list[Any]:
        """The templates as they stand in the file."""
        tree = self.source.tree
        assert isinstance(tree, dict)
        models = tree["models"]
        assert isinstance(models, list)
        return models


def load_study(path: str | os.PathLike[str], overrides: Iterable[str] = ()) -> StudySpec:
    """Return the study in a file; raises InputError with every mistake found, each with file, line and column."""
    source = document.read_file(path)
    for assignment in overrides:
        source = document.override(source, assignment)
    return read_study(source)


def read_study(source: Document) -> StudySpec:
    """Return the study that a document describes; raises InputError."""
    mistakes: list[Mistake] = []
    study, space = None, None
    try:
        study = conform(source, Study)
    except InputError as error:
        mistakes.extend(error.mistakes)
    try:
        if isinstance(source.tree, dict) and isinstance(source.tree.get("models"), list):
            space = templates.space(source)
    except InputError as error:
        mistakes.extend(error.mistakes)
    if study is not None:
        mistakes.extend(located(source, mistake) for mistake in _rules(study))
    if mistakes or study is None or space is None:
        raise InputError(*mistakes)
    return StudySpec(study.name or _called(source.file), study, source, space)


def _called(file: str) -> str:
    path = Path(file)
    return (path.absolute().parent.name if path.stem == "study" else path.stem) or "study"


def _rules(study: Study) -> Iterator[Mistake]:
    """Yield what is wrong though every key on its own is right."""
    names = [each.quantity for each in study.objectives]
    if len(names) > 4:
        yield Mistake(f"given {len(names)} objectives; allowed: 1 to 4", ("objectives",))
    for place, each in enumerate(study.objectives):
        path = ("objectives", place)
        if each in study.objectives[:place]:
            yield Mistake("this objective stands here twice", path)
        quantity = QUANTITIES[each.quantity]
        if quantity.learnt and study.data.kind not in quantity.kinds:
            allowed = one_of(name for name, q in QUANTITIES.items() if not q.learnt or study.data.kind in q.kinds)
            message = f"{study.data.name} is {study.data.kind} data, which has no {quantity.name}; allowed: {allowed}"
            yield Mistake(message, (*path, quantity.name))
    if not any(QUANTITIES[name].learnt for name in names):
        yield Mistake("no objective is learnt; allowed: one of error, perplexity, bpc among them", ("objectives",))
    if names.count("error") > 1 or names.count("perplexity") > 1 or names.count("bpc") > 1:
        yield Mistake("a learnt quantity stands here twice", ("objectives",))


def materialise(spec: StudySpec, drawn: tuple[int, Value], gives: Gives) -> Model:
    """Return the network that a drawn template is, with the data's input and classes where it leaves them out.

    Raises InputError for what is no network, or contradicts the data, with places in the study's file.
    """
    place, tree = drawn
    assert isinstance(tree, dict)
    at = ("models", place)
    values = {path[2:]: where for path, where in spec.source.values.items() if path[:2] == at}
    keys = {path[2:]: where for path, where in spec.source.keys.items() if path[:2] == at}
    filled = {"name": spec.name, **tree}
    filled.setdefault("input", gives.input)
    if gives.kind != "text":
        filled.setdefault("classes", gives.classes)
    model = expand(Document(spec.source.file, filled, values, keys))
    if mistakes := list(_contradictions(model, tree, gives)):
        within = Document(spec.source.file, filled, values, keys)
        raise InputError(*(located(within, mistake) for mistake in mistakes))
    return model


def _contradictions(model: Model, tree: dict[str, Value], gives: Gives) -> Iterator[Mistake]:
    if "input" in tree and tree["input"] != gives.input:
        yield Mistake(f"the data give {gives.input}", ("input",))
    if "classes" in tree and tree["classes"] != gives.classes:
        yield Mistake(f"given {tree['classes']}; the data have {gives.classes} classes", ("classes",))
    sequence = gives.kind != "image"
    if (model.steps is not None) is not sequence:
        yield Mistake(f"this family does not take {gives.kind} data", ("family",))
