"""study.yaml: what is searched, on which data, for what, within which limits."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, Field, field_validator, model_validator

from archcost.config import document
from archcost.config.document import Document, Value
from archcost.config.types import Each, Strict, all_wrong, wrong
from archcost.config.validation import conform, keys_wrong, located, reading_order, shown
from archcost.data.spec import AnyData, DataCode, DataSpec
from archcost.errors import InputError, Mistake, one_of, unknown
from archcost.models import sources
from archcost.models.code import FAMILY, Foreign
from archcost.models.families import families
from archcost.models.families.parts import Network, OnImages
from archcost.profiling.budget import Limits
from archcost.search import templates
from archcost.search.choices import untakable
from archcost.search.rules import kind_of
from archcost.search.space import Space
from archcost.study.code import neighbours
from archcost.study.keys.confirm import Confirm
from archcost.study.keys.objective import Objective
from archcost.study.keys.search import Search
from archcost.study.objectives import QUANTITIES, quantity_of
from archcost.training.spec import Fit
from archcost.units import grouped

_FILLED: Final = ("name", "input", "classes")  # by the study and its data, where a template leaves them out
_SAME: Final = frozenset({"perplexity", "bpc"})  # both rise with the loss alone


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
    weights: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    """A folder or URL that all machines reach, where weights and checkpoints are kept too. Default: nowhere else."""

    @field_validator("name")
    @classmethod
    def _storable(cls, value: str | None) -> str | None:
        if value is not None and "\0" in value:
            raise wrong("given a name with the character NUL, which no database keeps; allowed: any other text")
        return value

    @model_validator(mode="after")
    def _no_less(self) -> Study:
        if mistakes := list(self._of_confirm()):
            raise all_wrong(mistakes)
        return self

    def _of_confirm(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield what is wrong with how long, and on how much, members are trained again, with where."""
        epochs, examples, data = self.confirm.epochs, self.confirm.examples, self.data
        if epochs is not None and epochs < self.fit.epochs:
            allowed = f"{self.fit.epochs} or more, the epochs of 'fit'"
            yield f"given {epochs}; allowed: {allowed}", ("confirm", "epochs")
        if isinstance(data, DataCode):
            if examples is not None:
                words = f"goes with data that have a name, and {data.code} is code, which gives all that there are"
                yield f"{words}; allowed: to leave it out", ("confirm", "examples")
        elif isinstance(examples, int) and data.examples is not None and examples < data.examples:
            allowed = f"{grouped(data.examples)} or more, those of 'data', or all"
            yield f"given {grouped(examples)}; allowed: {allowed}", ("confirm", "examples")

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
    url: str = ""
    """The folder of its file at a URL, '' if it is in a folder here."""

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
    """Return the study in a file, here or at a URL; raises InputError with every mistake found, each with its place."""
    given = os.fspath(path)
    is_far = neighbours.is_far(given)
    if not is_far:
        sources.refuse_for_study(given)
    source = neighbours.read(given) if is_far else document.read_file(path)
    sources.refuse_text(source, "study")
    for assignment in overrides:
        source = document.override(source, assignment)
    return _from_url(source) if is_far else read_study(source)


def _from_url(source: Document) -> StudySpec:
    """Return a study whose file is at a URL: its data are found from there on."""
    url = source.file.rpartition("/")[0]
    spec = read_study(neighbours.local(source))
    data = spec.study.data
    if isinstance(data, DataSpec) and data.path is not None:
        data = data.model_copy(update={"path": neighbours.joined(url, data.path)})
    return replace(spec, url=url, study=spec.study.model_copy(update={"data": data}))


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
