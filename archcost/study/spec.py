"""study.yaml: what is searched, on which data, for what, within which limits."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from archcost.config import document
from archcost.config.document import Document, Value
from archcost.config.types import Count, Each, Strict, all_wrong, wrong
from archcost.config.validation import conform, keys_wrong, located, reading_order, shown
from archcost.data.spec import DataSpec
from archcost.errors import InputError, Mistake, one_of, shorten, unknown
from archcost.graph.dtypes import Floating
from archcost.models.code import FAMILY
from archcost.models.families import FAMILIES, families
from archcost.models.families.parts import Network, OnImages
from archcost.models.load import Model, expand
from archcost.profiling.budget import Limits
from archcost.search import templates
from archcost.search.rules import kind_of
from archcost.search.space import Space
from archcost.study.objectives import QUANTITIES
from archcost.training.spec import Fit
from archcost.units import parse_duration, parse_share

_WAY: Final = ("target", "runtime", "batch", "threads", "dtype", "precision", "time")
_MEASURED: Final = _WAY[:5]  # precision and time say how well, not what is measured
_FILLED: Final = ("name", "input", "classes")  # by the study and its data, where a template leaves them out
_SAME: Final = frozenset({"perplexity", "bpc"})  # both rise with the loss alone


def _reader(parse: Callable[[str], float]) -> BeforeValidator:
    def read(value: object) -> object:
        try:
            return parse(value) if isinstance(value, str) else value
        except ValueError as error:
            raise wrong(str(error)) from None

    return BeforeValidator(read)


def _or_text(pattern: str, **bounds: float) -> WithJsonSchema:
    text = {"type": "string", "pattern": rf"^[0-9]{{1,9}}(\.[0-9]{{1,9}})? *{pattern}$"}
    return WithJsonSchema({"anyOf": [{"type": "number", **bounds}, text]})


Seconds: TypeAlias = Annotated[
    float, _reader(parse_duration), Field(gt=0), _or_text("(us|ms|s|m|h)?", exclusiveMinimum=0)
]
Share: TypeAlias = Annotated[
    float, _reader(parse_share), Field(gt=0, lt=1), _or_text("%?", exclusiveMinimum=0, exclusiveMaximum=1)
]
Natural: TypeAlias = Annotated[int, Field(ge=0, lt=2**53)]
Minimised: TypeAlias = Literal["min"]


class Objective(Strict):
    """One quantity to minimise. The keys from `target` on are for a latency only."""

    error: Minimised | None = None
    """The share of wrong answers on the validation split."""
    perplexity: Minimised | None = None
    """Perplexity of a text's validation split, all its tokens."""
    bpc: Minimised | None = None
    """Bits per character (or token) of a text's validation split."""
    latency: Minimised | None = None
    """The median time of a call, measured on `target`."""
    params: Minimised | None = None
    """Parameters."""
    macs: Minimised | None = None
    """Multiply-accumulates of one example."""
    memory: Minimised | None = None
    """Weights and the largest set of values alive at once, in bytes."""
    target: str = "cpu"
    """The device that measures a latency."""
    runtime: str = "eager"
    """The runtime that runs the network there."""
    batch: Count = 1
    """Examples in a call."""
    threads: Count | None = None
    """Threads of a call. Default: the physical cores."""
    dtype: Floating = "float32"
    """The data type of the network."""
    precision: Share = 0.02
    """A measurement stops when half its interval is this share of the latency: `2%` or `0.02`."""
    time: Seconds = 2.0
    """The longest time for one measurement: `2s`, or a number of seconds."""

    @model_validator(mode="after")
    def _one(self) -> Objective:
        chosen = self.model_fields_set & QUANTITIES.keys()
        if len(chosen) != 1:
            raise wrong(f"names {len(chosen)} quantities; allowed: one of {one_of(QUANTITIES)} with 'min'")
        if "latency" not in chosen and (beside := [key for key in _WAY if key in self.model_fields_set]):
            raise all_wrong([(f"goes with 'latency' only: {one_of(chosen)} is not measured", (key,)) for key in beside])
        return self

    @property
    def quantity(self) -> str:
        """The name of what is minimised."""
        return next(name for name in QUANTITIES if name in self.model_fields_set)

    def same(self, other: Objective) -> bool:
        """Return whether two objectives are one: the same quantity, measured in the same way."""
        ways = [[getattr(each, key) for key in _MEASURED] for each in (self, other)]
        return self.quantity == other.quantity and ways[0] == ways[1]


class Search(Strict):
    """How points are proposed, and how many."""

    sampler: Literal["tpe", "nsga2", "random", "grid"] = "tpe"
    """What proposes points."""
    trials: Annotated[int, Field(ge=1, le=10**6)] = 40
    """Trials in all, those of earlier runs included."""
    time: Seconds | None = None
    """The longest time of one run, confirming included: `10m`."""
    seed: Natural = 0
    """Seed of everything that is random in the search."""
    share: Share | None = None
    """Of the trials that come to a rung of `fit`, those that go on: `25%` or `0.25`. Default: a third."""
    patience: Seconds = 600.0
    """A trial that is silent for so long is taken to hang: `10m`. Training reports every 5 s, measuring at its end."""


class Confirm(Strict):
    """How the front is trained and measured again at the end."""

    seeds: Annotated[int, Field(ge=1, le=100)] = 3
    """How often each member is trained again, each time with another seed."""
    members: Annotated[int, Field(ge=0, le=1000)] = 8
    """At most this many members are confirmed; 0: none."""


class Study(Strict):
    """A whole study.yaml."""

    name: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """What tables and reports call it. Default: the file's name without extension; if that is 'study', its folder's."""
    models: Each[dict[str, object]]
    """Templates: networks with rules in place of values. `input` and `classes` come from the data."""
    data: DataSpec
    """What networks are trained on."""
    objectives: Annotated[Each[Objective], Field(max_length=4)]
    """One to four quantities to minimise."""
    limits: Limits | None = None
    """What a network may cost at most. Checked before anything is trained."""
    fit: Fit = Field(default_factory=Fit)
    """How networks are trained."""
    search: Search = Field(default_factory=Search)
    """How points are proposed."""
    confirm: Confirm = Field(default_factory=Confirm)
    """How the front is confirmed."""
    storage: Annotated[str, Field(min_length=1, max_length=4096)] = "study.db"
    """A file beside the study's, or the URL of a database."""

    @field_validator("name")
    @classmethod
    def _storable(cls, value: str | None) -> str | None:
        if value is not None and "\0" in value:
            raise wrong("given a name with the character NUL, which no database keeps; allowed: any other text")
        return value


@dataclass(frozen=True, slots=True)
class Gives:
    """What the data give: the `input` and `classes` of a network, and what they are: image, sequence or text.

    rows: of images, the input of a recurrent network, which reads them row by row.
    """

    input: Value
    classes: int
    kind: str
    rows: Value = None


@dataclass(frozen=True)
class StudySpec:
    """A study as its file says, with the places of its keys and its space."""

    name: str
    study: Study
    source: Document
    space: Space

    @property
    def templates(self) -> list[Value]:
        """The templates as they stand in the file."""
        return _templates(self.source)

    @property
    def fixed(self) -> dict[str, Any]:
        """What a file says that may not change while its study goes on, as JSON holds it."""
        study = self.study
        said = {
            "models": self.templates,
            "objectives": [each.model_dump(mode="json", exclude_unset=True) for each in study.objectives],
            "limits": study.limits.model_dump(mode="json") if study.limits else None,
            "fit": study.fit.model_dump(mode="json", by_alias=True),
            "search": {"sampler": study.search.sampler, "seed": study.search.seed},
        }
        return dict(json.loads(json.dumps(said)))

    @cached_property
    def _sources(self) -> list[Document]:
        """Every template as a document of its own, its places in the study's file."""
        sources = [Document(self.source.file, tree, {}, {}) for tree in self.templates]
        for path, where in self.source.values.items():
            if path[0:1] == ("models",) and len(path) > 1:
                sources[int(path[1])].values[path[2:]] = where
        for path, where in self.source.keys.items():
            if path[0:1] == ("models",) and len(path) > 1:
                sources[int(path[1])].keys[path[2:]] = where
        return sources

    def document(self, place: int, tree: Value) -> Document:
        """Return a tree drawn from a template, whose mistakes then point at the template."""
        return replace(self._sources[place], tree=tree)


def _templates(source: Document) -> list[Value]:
    models = source.tree.get("models") if isinstance(source.tree, dict) else None
    return models if isinstance(models, list) else []


def load_study(path: str | os.PathLike[str], overrides: Iterable[str] = ()) -> StudySpec:
    """Return the study in a file; raises InputError with every mistake found, each with file, line and column."""
    source = document.read_file(path)
    for assignment in overrides:
        source = document.override(source, assignment)
    return read_study(source)


def read_study(source: Document) -> StudySpec:
    """Return the study that a document describes; raises InputError with every mistake, in the order of the text."""
    mistakes: list[Mistake] = []
    study, space = None, None
    try:
        study = conform(source, Study)
    except InputError as error:
        mistakes.extend(error.mistakes)
    try:
        space = templates.space(source) if _templates(source) else None
    except InputError as error:
        mistakes.extend(error.mistakes)
    rules = [*_families(source, study), *(_rules(study) if study else ())]
    mistakes.extend(located(source, mistake) for mistake in rules)
    if mistakes or study is None or space is None:
        raise InputError(*sorted(mistakes, key=reading_order))
    return StudySpec(study.name or _called(source.file), study, source, space)


def _called(file: str) -> str:
    path = Path(file)
    return (path.resolve().parent.name if path.stem == "study" else path.stem) or "study"


def _families(source: Document, study: Study | None) -> Iterator[Mistake]:
    """Yield the templates whose family is unknown, does not take the data (`study`: if the rest of it is right), or has
    other keys than theirs.
    """
    known = families()
    for place, tree in enumerate(_templates(source)):
        if isinstance(tree, dict) and kind_of(tree) is None:
            path = ("models", place, "family")
            name = tree.get("family")
            if not isinstance(name, str) or name not in known:
                yield Mistake(_no_family(tree, known), path)
            elif study and not _takes(known[name], study.data.kind):
                allowed = one_of(each for each, family in known.items() if _takes(family, study.data.kind))
                yield Mistake(f"{name} does not take {study.data.kind} data; allowed: {allowed}", path)
            else:
                for mistake in keys_wrong(tree, known[name], _FILLED):
                    where, key = ("models", place, *mistake.path), mistake.path[0] in tree
                    yield located(source, replace(mistake, path=where), at_key=key)


def _no_family(tree: Mapping[str, Value], known: Mapping[str, object]) -> str:
    name = tree.get("family")
    if "family" not in tree:
        return f"missing; allowed: {one_of(known)}"
    if name == FAMILY:
        return f"code makes '{FAMILY}', which is not searched; allowed: {one_of(known)}"
    if isinstance(name, str):
        return unknown("family", name, known)
    return f"given {shown(name)}; allowed: {one_of(known)}, one for each template"


def _takes(family: type[Network], kind: str) -> bool:
    """Return whether a family takes a kind of data: recurrent ones take all, an image as its rows."""
    return kind == "image" or not issubclass(family, OnImages)


def _read_by(gives: Gives, tree: Mapping[str, Value]) -> Gives:
    """Return what the data give to the family of a template."""
    family = FAMILIES.get(str(tree.get("family")))
    if gives.rows is None or family is None or issubclass(family, OnImages):
        return gives
    return Gives(gives.rows, gives.classes, "sequence")


def _rules(study: Study) -> Iterator[Mistake]:
    """Yield what is wrong though every key on its own is right."""
    kind = study.data.kind
    learnt = [name for name, quantity in QUANTITIES.items() if kind in quantity.kinds]
    names = [each.quantity for each in study.objectives]
    for place, each in enumerate(study.objectives):
        path, name = ("objectives", place, each.quantity), each.quantity
        before = study.objectives[:place]
        if QUANTITIES[name].learnt and name not in learnt:
            allowed = one_of(name for name, q in QUANTITIES.items() if not q.learnt or name in learnt)
            yield Mistake(f"{study.data.name} is {kind} data, which has no {name}; allowed: {allowed}", path)
        elif any(map(each.same, before)):
            yield Mistake("this objective is given twice", path)
        elif name in _SAME and _SAME & set(names[:place]):
            yield Mistake(f"{' and '.join(sorted(_SAME))} order networks alike; allowed: one of them", path)
    if not any(QUANTITIES[name].learnt for name in names):
        yield Mistake(f"no objective is learnt; allowed: {one_of(learnt)} among them", ("objectives",))
    if study.limits and study.limits.latency is not None and "latency" not in names:
        message = "nothing measures it; allowed: with an objective 'latency'"
        yield Mistake(message, ("limits", "latency"))


def materialise(spec: StudySpec, drawn: tuple[int, Value], gives: Gives) -> Model:
    """Return the network that a drawn template is, with the data's input and classes where it leaves them out.

    Raises InputError for what is no network, or contradicts the data, with places in the study's file.
    """
    place, tree = drawn
    assert isinstance(tree, dict)  # a template is a mapping
    gives = _read_by(gives, tree)
    filled = {"name": spec.name, "input": gives.input, "classes": gives.classes, **tree}
    source = spec.document(place, filled)
    _refuse(source, place, _contradictions(tree, gives))
    try:
        model = expand(source)
    except InputError as error:
        _refuse(source, place, error.mistakes)
        raise
    _refuse(source, place, _readout(model, gives))
    return model


def _refuse(source: Document, place: int, mistakes: Iterable[Mistake]) -> None:
    """Raise what is wrong in a template, where anything is, with key paths of the whole study."""
    if found := [located(source, mistake) for mistake in mistakes]:
        raise InputError(*(replace(mistake, path=("models", place, *mistake.path)) for mistake in found)) from None


def _contradictions(tree: Mapping[str, Value], gives: Gives) -> Iterator[Mistake]:
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
