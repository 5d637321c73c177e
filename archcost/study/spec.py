"""study.yaml: what is searched, on which data, for what, within which limits."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from archcost.config import document
from archcost.config.document import Document, Value
from archcost.config.types import Count, Each, Strict, all_wrong, wrong
from archcost.config.validation import conform, keys_wrong, located, reading_order, shown
from archcost.data.spec import AnyData
from archcost.errors import InputError, Mistake, one_of, quoted, unknown
from archcost.graph.dtypes import Floating, Precision
from archcost.models import sources
from archcost.models.code import FAMILY, Foreign
from archcost.models.families import families
from archcost.models.families.parts import Network, OnImages
from archcost.profiling.budget import Limits
from archcost.search import templates
from archcost.search.choices import untakable
from archcost.search.rules import kind_of
from archcost.search.space import Space
from archcost.study.objectives import QUANTITIES, RESERVED, Goal, of_metric, quantity_of
from archcost.training.spec import Fit
from archcost.units import parse_duration, parse_share

_WAY: Final = ("target", "runtime", "batch", "threads", "dtype", "precision", "time", "predict", "ways")
_MEASURED: Final = (*_WAY[:5], "ways")  # precision and time say how well, not what is measured
_ONE: Final = ("runtime", "dtype")  # what each of several ways has of its own
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


def _unlike(name: str) -> str:
    if name in RESERVED:
        hint = f"write '{name}: min'" if name in QUANTITIES else "another name"
        raise wrong(f"given {quoted(name)}, which has a meaning of its own; allowed: {hint}")
    return name


Seconds: TypeAlias = Annotated[
    float, _reader(parse_duration), Field(gt=0), _or_text("(us|ms|s|m|h)?", exclusiveMinimum=0)
]
Share: TypeAlias = Annotated[
    float, _reader(parse_share), Field(gt=0, lt=1), _or_text("%?", exclusiveMinimum=0, exclusiveMaximum=1)
]
Natural: TypeAlias = Annotated[int, Field(ge=0, lt=2**53)]
Minimised: TypeAlias = Literal["min"]
Metric: TypeAlias = Annotated[str, Field(pattern="^[A-Za-z][A-Za-z0-9_@.-]{0,63}$"), AfterValidator(_unlike)]
Source: TypeAlias = Annotated[str, Field(min_length=1, max_length=4096)]


class RunWay(Strict):
    """A way to run each network: what runs it, and in which type. Each trained network gets a point for each way."""

    runtime: str = "eager"
    """The runtime that runs the network on the objective's target."""
    dtype: Precision = "float32"
    """The data type; `int8`: quantised after training, and scored as the file of 8 bits that runs."""


class Objective(Strict):
    """One quantity to minimise, or a metric of your own. The keys from `target` on are for a latency only."""

    error: Minimised | None = None
    """The share of wrong answers on the validation split."""
    perplexity: Minimised | None = None
    """Perplexity of a text's validation split, all its tokens."""
    bpc: Minimised | None = None
    """Bits per character (or token) of a text's validation split."""
    metric: Metric | None = None
    """A number that `fit.evaluate`, an evaluation of your own, gives under this name."""
    goal: Goal | None = None
    """Of a `metric`: whether it is to be small (`min`) or large (`max`)."""
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
    predict: bool = False
    """Whether `archcost calibrate` stands in for measuring: only networks that may enter the front are measured."""
    ways: Each[RunWay] | None = None
    """In place of `runtime` and `dtype`: several ways to run each network, the one that the search hears first."""

    @model_validator(mode="after")
    def _one(self) -> Objective:
        chosen = self.model_fields_set & {*QUANTITIES, "metric"}
        if len(chosen) != 1:
            allowed = f"one of {one_of(QUANTITIES)} with 'min', or 'metric' with its 'goal'"
            raise wrong(f"names {len(chosen)} quantities; allowed: {allowed}")
        if ("metric" in chosen) != ("goal" in self.model_fields_set):
            raise wrong("a 'metric' and its 'goal', min or max, go together")
        if "latency" not in chosen and (beside := [key for key in _WAY if key in self.model_fields_set]):
            raise all_wrong([(f"goes with 'latency' only: {one_of(chosen)} is not measured", (key,)) for key in beside])
        if self.predict and all(each.dtype != "float32" for each in self.run_ways):
            given = self.run_ways[0].dtype
            raise all_wrong([(f"goes with dtype float32 alone, given {given}: all else is measured", ("predict",))])
        if mistakes := list(self._of_ways()):
            raise all_wrong(mistakes)
        return self

    def _of_ways(self) -> Iterator[tuple[str, tuple[str | int, ...]]]:
        """Yield what is wrong with the ways, with where."""
        if self.ways is None:
            return
        for key in (key for key in _ONE if key in self.model_fields_set):
            yield "'ways' says it of each way; allowed: one of them", (key,)
        for place, each in enumerate(self.ways):
            if each in self.ways[:place]:
                yield f"the way {each.runtime} {each.dtype} is given twice", ("ways", place)

    @property
    def run_ways(self) -> tuple[RunWay, ...]:
        """Every way in which it runs a network: its one way, or its `ways`."""
        return self.ways or (RunWay(runtime=self.runtime, dtype=self.dtype),)

    @property
    def quantity(self) -> str:
        """The name of what is minimised, as a study keeps it."""
        if self.metric and self.goal:
            return of_metric(self.metric, self.goal)
        return next(name for name in QUANTITIES if name in self.model_fields_set)

    @property
    def key(self) -> str:
        """The key that names it in the file."""
        return "metric" if self.metric else self.quantity

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
    start: Annotated[tuple[Source, ...], Field(strict=False)] = ()
    """Networks that are tried first: model.yaml files, from the study's folder, or shipped networks by name."""
    share: Share | None = None
    """Of the trials that come to a rung of `fit`, those that go on: `25%` or `0.25`. Default: a third."""
    patience: Seconds = 600.0
    """A trial that is silent for so long is taken to hang: `10m`. Training reports every 5 s, measuring at its end."""


class Confirm(Strict):
    """How the front is trained and measured again at the end."""

    seeds: Annotated[int, Field(ge=1, le=100)] = 3
    """How often each member is trained again, each time with another seed."""
    epochs: Count | None = None
    """Epochs of each of these trainings, at least those of `fit`. Default: as many as there."""
    members: Annotated[int, Field(ge=0, le=1000)] = 8
    """At most this many members are confirmed; 0: none."""
    keep: Literal["median", "all"] = "median"
    """Whose weights are kept: those of the seed with the median validation result, of two the worse; or of all."""


class Study(Strict):
    """A whole study.yaml."""

    name: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """What tables and reports call it. Default: the file's name without extension; if that is 'study', its folder's."""
    models: Each[dict[str, object]]
    """Templates: networks with rules in place of values. `input` and `classes` come from the data."""
    data: AnyData
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

    @model_validator(mode="after")
    def _no_shorter(self) -> Study:
        if self.confirm.epochs is not None and self.confirm.epochs < self.fit.epochs:
            allowed = f"{self.fit.epochs} or more, the epochs of 'fit'"
            raise all_wrong([(f"given {self.confirm.epochs}; allowed: {allowed}", ("confirm", "epochs"))])
        return self

    @property
    def longer(self) -> int:
        """The epochs with which members are confirmed, 0 if these are as many as in the search."""
        epochs = self.confirm.epochs or self.fit.epochs
        return epochs if epochs > self.fit.epochs else 0


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
            "fit": study.fit.fixed,
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
    sources.refuse_for_study(os.fspath(path))
    source = document.read_file(path)
    sources.refuse_text(source, "study")
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
            kind = study.data.kind if study else None
            if name == FAMILY:
                yield from _of_keys(source, place, tree, Foreign)
            elif not isinstance(name, str) or name not in known:
                yield Mistake(_no_family(tree, known), path)
            elif kind and not _takes(known[name], kind):
                allowed = one_of(each for each, family in known.items() if _takes(family, kind))
                yield Mistake(f"{name} does not take {kind} data; allowed: {allowed}", path)
            else:
                yield from _of_keys(source, place, tree, known[name])


def _of_keys(source: Document, place: int, tree: Mapping[str, Value], model: type[BaseModel]) -> Iterator[Mistake]:
    for mistake in keys_wrong(tree, model, _FILLED):
        where, key = ("models", place, *mistake.path), mistake.path[0] in tree
        yield located(source, replace(mistake, path=where), at_key=key)
    for mistake in untakable(tree, model):
        yield replace(mistake, path=("models", place, *mistake.path))


def _no_family(tree: Mapping[str, Value], known: Mapping[str, object]) -> str:
    name = tree.get("family")
    if "family" not in tree:
        return f"missing; allowed: {one_of([*known, FAMILY])}"
    if isinstance(name, str):
        return unknown("family", name, [*known, FAMILY])
    return f"given {shown(name)}; allowed: {one_of([*known, FAMILY])}, one for each template"


def _takes(family: type[Network], kind: str) -> bool:
    """Return whether a family takes a kind of data: recurrent ones take all, an image as its rows."""
    return kind == "image" or not issubclass(family, OnImages)


def _rules(study: Study) -> Iterator[Mistake]:
    """Yield what is wrong though every key on its own is right."""
    kind, own = study.data.kind, study.fit.evaluate is not None
    learnt = [name for name, each in QUANTITIES.items() if each.learnt and (own or not kind or kind in each.kinds)]
    names = [each.quantity for each in study.objectives]
    for place, each in enumerate(study.objectives):
        path, name = ("objectives", place, each.key), each.quantity
        before = study.objectives[:place]
        if each.metric and not own:
            yield Mistake("nothing gives a metric of your own; allowed: with 'evaluate' in 'fit'", path)
        elif not each.metric and quantity_of(name).learnt and name not in learnt:
            allowed = one_of(name for name, q in QUANTITIES.items() if not q.learnt or name in learnt)
            yield Mistake(f"{study.data.name} is {kind} data, which has no {name}; allowed: {allowed}", path)
        elif any(map(each.same, before)):
            yield Mistake("this objective is given twice", path)
        elif name in _SAME and _SAME & set(names[:place]):
            yield Mistake(f"{' and '.join(sorted(_SAME))} order networks alike; allowed: one of them", path)
        elif each.ways and (others := [one.ways for one in before if one.ways]) and others[0] != each.ways:
            message = "these are not the ways of the objective before; allowed: the same ones, in their order"
            yield Mistake(message, ("objectives", place, "ways"))
    if not any(quantity_of(name).learnt for name in names):
        yield Mistake(f"no objective is learnt; allowed: {one_of(learnt)} among them", ("objectives",))
    if study.limits and study.limits.latency is not None and "latency" not in names:
        message = "nothing measures it; allowed: with an objective 'latency'"
        yield Mistake(message, ("limits", "latency"))
