"""Whether two studies compare: their data, training, objectives and ways to measure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from archcost.config.writer import flow
from archcost.errors import Mistake, quoted, shorten
from archcost.latency import targets
from archcost.latency.samples import Device
from archcost.study.code import digests
from archcost.study.code.digests import file_digest
from archcost.study.keys.objective import Objective
from archcost.study.plan import StudyPlan
from archcost.study.records.confirmed import Confirmed
from archcost.study.records.part import Part, placed
from archcost.study.records.stored import Stored
from archcost.study.records.trials import remembered
from archcost.study.workers.tasks import Setup
from archcost.training.spec import Fit

_OWN: Final = frozenset({"models", "limits", "search", "objectives", "fit", "data"})
"""What may differ (the space, the limits, the search), or is compared below by what it means."""


def disagreements(old: Stored, plan: StudyPlan) -> tuple[Mistake, ...]:
    """Return in what an earlier study is not comparable with a plan's; none if its trials may be carried over."""
    about = remembered(old.study, "about")
    made = about.get("same", {}) if isinstance(about, dict) else {}
    where = quoted(str(old.address))
    found = [Mistake(f"given {given} in {where}; allowed: {allowed}, as in this study", path)
             for path, given, allowed in _differences(made, plan)]  # fmt: skip
    return (*found, *_changed(old, plan))


def _changed(old: Stored, plan: StudyPlan) -> Iterator[Mistake]:
    """Yield the files of the user's own code that are not as they were when the earlier study last ran."""
    if plan.code is None or plan.code_changed:
        return
    where, folder = quoted(str(old.address)), Path(plan.code.folder)
    for name, digest in digests.known(old.study).items():
        if file_digest(folder / name) != digest:
            message = f"{quoted(name)} changed since the study in {where} ran, and its trials may not be comparable"
            yield Mistake(f"{message}; allowed: --code-changed to import them all the same, or the file as it was")


def _differences(made: Mapping[str, Any], plan: StudyPlan) -> Iterator[tuple[tuple[str, ...], str, str]]:
    now = plan.fixed
    if made.get("data") != now["data"]:
        yield ("data",), f"fingerprint {str(made.get('data'))[:12]}", str(now["data"])[:12]
    before, after = _fit(made.get("fit")), _fit(now["fit"])
    for key in (key for key in {**after, **before} if before.get(key) != after.get(key)):
        yield ("fit", key), _words(before.get(key)), _words(after.get(key))
    old, new = _objectives(made.get("objectives")), list(plan.spec.study.objectives)
    if len(old) != len(new) or not all(map(_comparable, old, new)):
        yield ("objectives",), _listed(old), _listed(new)
    for key in (key for key in {**now, **made} if key not in _OWN and now.get(key) != made.get(key)):
        yield (key,), _words(made.get(key)), _words(now.get(key))


def _fit(held: object) -> Mapping[str, object]:
    """Return how a study trains, keys that an earlier version did not have with their defaults."""
    try:
        return Fit.model_validate_json(json.dumps(held)).fixed
    except ValidationError:
        return dict(held) if isinstance(held, Mapping) else {}


def _objectives(held: object) -> list[Objective]:
    try:
        return [Objective.model_validate_json(json.dumps(each)) for each in held] if isinstance(held, list) else []
    except ValidationError:
        return []


def _comparable(old: Objective, new: Objective) -> bool:
    """Return whether two objectives are one; threads that are not given are seen in what was measured."""
    both = {"threads": new.threads} if old.threads is None or new.threads is None else {}
    return old.model_copy(update=both).same(new)


def _listed(objectives: Sequence[Objective]) -> str:
    return ", ".join(_words(each.model_dump(mode="json", exclude_unset=True)) for each in objectives) or "others"


def _words(value: object) -> str:
    return shorten(flow(value), 160)


def devices(ways: Sequence[Setup]) -> tuple[Device, ...]:
    """Return the device on which each way measures now; raises TargetError if it cannot be asked."""
    return tuple(targets.find(way.target).describe().device for way in ways)


def measured_alike(held: Part | Confirmed, setups: Sequence[Setup], on: Sequence[Device]) -> str:
    """Return in what samples differ from how a study measures now, '' if they are comparable."""
    measured = placed(held.samples, held.skipped)
    if missing := [place for place in range(len(setups)) if place not in measured and place not in held.skipped]:
        return f"measured in {len(setups) - len(missing)} of {len(setups)} ways"
    for place, taken in measured.items():
        setup, device = setups[place], on[place]
        given = (taken.origin.target, taken.origin.runtime, taken.plan.batch, taken.plan.dtype, taken.plan.threads)
        wanted = (setup.target, setup.runtime, setup.plan.batch, setup.plan.dtype, setup.plan.threads)
        if given != wanted:
            return f"measured as {', '.join(map(str, given))}, not {', '.join(map(str, wanted))}"
        if taken.origin.device != device:
            return f"measured on another device: {taken.origin.device.name}, {taken.origin.device.system}"
    return ""
