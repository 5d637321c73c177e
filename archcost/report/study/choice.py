"""Which network of a study to take, for every budget that the slider of its report has."""

from __future__ import annotations

import math
from typing import Final

from archcost.report.blocks import Slider, Step
from archcost.report.study.facts import Found
from archcost.study.objectives import quantity_of
from archcost.study.records.best.advice import advise
from archcost.study.records.best.choice import Choice, Field, limited

_PLACES: Final = 24
_ROOM: Final = 1.3  # by how much the slider goes beyond the cheapest and the dearest of the front
_SLIDES: Final = ("latency", "params", "macs", "memory")
"""What the budget of a slider limits: the first of these that is an objective, or else parameters."""


def slider(found: Found) -> Slider:
    """Return the answer for each budget, as it is within the study's own limits at the beginning."""
    field, name = Field(found.stored, found.now), _slides(found)
    own = found.limits.get(name)
    budgets = [*_budgets(_costs(found, name), own), None]
    steps = tuple(_step(_chosen(field, name, limit), _label(name, limit)) for limit in budgets)
    return Slider("choice", f"Budget: {name}", steps, budgets.index(own))


def _slides(found: Found) -> str:
    names = [name for name, _ in found.stored.objectives]
    return next((name for name in _SLIDES if name in names), "params")


def _costs(found: Found, name: str) -> list[float]:
    """Return what the members of the front have of what is limited; of several latencies, all."""
    places = [place for place, (each, _) in enumerate(found.stored.objectives) if each == name]
    if not places:
        return [float(each.part.params) for each in found.now.members]
    return [found.restored(place, each.values[place]) for each in found.now.members for place in places]


def _budgets(costs: list[float], own: float | None) -> list[float]:
    """Return rounded budgets from below the cheapest to above the dearest, evenly spaced by their ratios."""
    low, high = math.log(min(costs) / _ROOM), math.log(max(costs) * _ROOM)
    even = (math.exp(low + (high - low) * place / (_PLACES - 1)) for place in range(_PLACES))
    rounded = {float(f"{value:.1e}") for value in even}
    return sorted(rounded if own is None else {*rounded, own})


def _chosen(field: Field, name: str, limit: float | None) -> Choice:
    """Return the choice within the study's own limits, but for the one that slides."""
    own = field.stored.limits
    others = {key: value for key, value in (own.limits() if own else {}).items() if key != name}
    if limit is not None:
        others[name] = limit if name == "latency" else round(limit)
    return advise(field, limited(others))


def _label(name: str, limit: float | None) -> str:
    return "no limit" if limit is None else f"at most {quantity_of(name).words(limit)}"


def _step(found: Choice, label: str) -> Step:
    doubts = (f"Doubt: {each}" for each in found.doubts)
    return Step(label, found.why[0], (*found.why[1:], *doubts), found.take or "", found.export or "")
