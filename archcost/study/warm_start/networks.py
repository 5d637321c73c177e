"""A known network as a point of a study's space, or why it is none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from archcost.config.document import Document, Value
from archcost.config.validation import located
from archcost.config.writer import flow
from archcost.errors import InputError, Mistake, one_of, shorten
from archcost.models.code import FAMILY
from archcost.models.families.parts import Network
from archcost.models.load import Model, expand, validate
from archcost.search.domains import Point
from archcost.search.placement.trees import Misfit, equal, fitting
from archcost.study.drawn import Drawn, contradictions, read_by
from archcost.study.plan import StudyPlan

_LEFT: Final = ("name", "input", "inputs", "classes")  # to the study and its data
_MOST: Final = 200
"""Points that fit a network as far as its keys say, and are compared with it."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A point of a study and its network; of one that code makes, the reference: nothing of it is run here."""

    point: Point
    model: Drawn


def placed(plan: StudyPlan, source: Document) -> Placed:
    """Return the point whose network a document describes, with what the data give where it leaves that out.

    Two networks are the same if graph and recipe are. Raises InputError, with the places of the document, for what is
    no network, contradicts the data, or is no point: then with every key that the nearest template cannot have.
    """
    tree = source.tree
    if isinstance(tree, dict) and tree.get("family") == FAMILY:
        return _code(plan, source, tree)
    if isinstance(tree, dict):
        source = _filled(plan, source, tree)
    model = expand(source)
    places = [place for place, each in enumerate(_families(plan)) if each == model.family]
    if not places:
        raise _no_family(plan, source, model.family)
    return _of_family(plan, source, model, places)


def _filled(plan: StudyPlan, source: Document, tree: dict[str, Value]) -> Document:
    """Return a document with what the data give; raises InputError if it says something else."""
    gives = read_by(plan.gives, tree)
    if wrong := [located(source, each) for each in contradictions(tree, gives)]:
        raise InputError(*wrong)
    return replace(source, tree={"input": gives.input, "classes": gives.classes, **tree})


def _families(plan: StudyPlan) -> Iterator[str]:
    for tree in plan.spec.templates:
        yield str(tree.get("family")) if isinstance(tree, dict) else ""


def _no_family(plan: StudyPlan, source: Document, family: str) -> InputError:
    allowed = one_of(dict.fromkeys(_families(plan)))
    return InputError(
        located(source, Mistake(f"given '{family}'; allowed: {allowed}, as the templates are", ("family",)))
    )


def _of_family(plan: StudyPlan, source: Document, model: Model, places: Sequence[int]) -> Placed:
    tried: list[tuple[int, tuple[Misfit, ...]]] = []
    for place in places:
        tree = _explicit(model.spec) | _named(plan.spec.templates[place])
        points, wrong = fitting(plan.spec.space, place, tree, spelled=True)
        drawn = [(point, network) for point in islice(points, _MOST) if (network := _drawn(plan, point)) is not None]
        for point, network in drawn:
            if plan.identity(network) == plan.identity(model):
                return Placed(point, network)
        tried.append((place, tuple(_differences(model, drawn[0][1])) if drawn else wrong))
    place, wrong = min(tried, key=lambda each: len(each[1]))
    raise _no_point(source, place, wrong, len(plan.spec.templates))


def _drawn(plan: StudyPlan, point: Point) -> Model | None:
    """Return the network of a point that fits by its form, None if it is none."""
    try:
        found = plan.model(plan.spec.space.tree(point))
    except InputError:
        return None
    return found if isinstance(found, Model) else None


def _explicit(spec: Network) -> dict[str, Value]:
    """Return a network's keys with all its defaults."""
    said = spec.explicit().model_dump(mode="json", by_alias=True)
    return {key: value for key, value in said.items() if key != "name"}


def _named(template: Value) -> dict[str, Value]:
    """Return the name that a template gives to all its networks: another one makes no other network."""
    name = template.get("name") if isinstance(template, dict) else None
    return {"name": name} if isinstance(name, str) else {}


def _differences(model: Model, nearest: Model) -> Iterator[Misfit]:
    """Yield the keys that differ though all that the template says fits: it leaves them out, so they are defaults."""
    mine, other = _explicit(model.spec), _explicit(nearest.spec)
    keys = [key for key, value in mine.items() if not equal(value, other[key])]
    said = [key for key in keys if key in model.spec.model_fields_set]  # others follow from these
    for key in said or keys:
        yield Misfit((key,), mine[key], f"{_shown(other[key])}, the default: the template does not have this key")


def _shown(value: Value) -> str:
    return shorten(flow(value), 80)


def _given(tree: Value, misfit: Misfit) -> str:
    """Return what a network says at a key: itself, or by a default."""
    for key in map(str, misfit.path):
        if not isinstance(tree, dict):
            break
        if key not in tree:
            return "missing" if misfit.given is None else f"not given, so {_shown(misfit.given)}"
        tree = tree[key]
    return f"given {_shown(misfit.given)}"


def _no_point(source: Document, place: int, wrong: Sequence[Misfit], templates: int) -> InputError:
    """Return that a network is no point: every key in which it differs from the nearest template."""
    which = f", as models.{place}" if templates > 1 else ""
    words = [Mistake(f"{_given(source.tree, each)}; allowed: {each.allowed}{which}", each.path) for each in wrong]
    return InputError(*(located(source, each) for each in words or [Mistake(f"no point of the space{which}")]))


def _code(plan: StudyPlan, source: Document, tree: dict[str, Value]) -> Placed:
    """Return the point of a network that code makes: by factory and arguments, as they are written; nothing is run."""
    validate(source if tree.keys() & {"input", "inputs"} else replace(source, tree={**tree, "input": [1]}))
    tried: list[tuple[int, tuple[Misfit, ...]]] = []
    for place in (place for place, family in enumerate(_families(plan)) if family == FAMILY):
        keys = plan.spec.templates[place]
        assert isinstance(keys, dict)  # a template is a mapping
        points, wrong = fitting(plan.spec.space, place, _of_code(tree, keys), spelled=False)
        if (point := next(points, None)) is not None:
            return Placed(point, plan.model(plan.spec.space.tree(point)))
        tried.append((place, wrong))
    if not tried:
        raise _no_family(plan, source, FAMILY)
    place, wrong = min(tried, key=lambda each: len(each[1]))
    raise _no_point(source, place, wrong, len(plan.spec.templates))


def _of_code(tree: dict[str, Value], keys: dict[str, Value]) -> dict[str, Value]:
    """Return what a template with these keys would say of a network: not what its data say."""
    said: dict[str, Value] = {"args": {}, **tree}
    return {key: value for key, value in said.items() if key in keys or not (key in _LEFT or value == {})}
