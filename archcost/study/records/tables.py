"""Tables of a study for other tools: a row for each trial, of its columns and ways too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from math import isfinite
from typing import Any

from archcost.config.writer import to_yaml
from archcost.profiling.budget import Budget
from archcost.study.objectives import first_learnt, quantity_of
from archcost.study.records import open_trainings
from archcost.study.records.best.fidelity import fidelity
from archcost.study.records.front import Candidate, Front, Objectives, absent, bounds, only, restored
from archcost.study.records.interruption import as_left
from archcost.study.records.names import Name, Way
from archcost.study.records.part import Part, achieved, counted
from archcost.study.records.stored import Stored, network
from archcost.study.records.trials import Trial
from archcost.version import __version__


def rows(
    every: Sequence[Trial], front: Front, objectives: Objectives, ways: Sequence[Way] = (), limits: Budget | None = None
) -> list[dict[str, Any]]:
    """Return every trial, column and way as a flat row, in base units; what is not known is None.

    The state is the trial's fate, as `status_of` says it; the column of a whole network is None, and so is the first
    way, as in a choice. The reason is why the trial ended early, or why it has no point in this way. The columns of the
    objectives are what the front says of a network, `first.` and their name what its trial gave. A latency that was
    predicted is `predicted.` and its name, in studies that have any. ways, limits: as of `front.candidates`.
    """
    members = {each.name for each in front.members}
    known = {each.name: each for each in (*front.members, *front.others)}
    found = []
    predicts = any(trial.predicts for trial in every)
    for trial in every:
        parts = trial.ended.parts if trial.ended else ()
        for part, way in ((part, way) for part in parts or (None,) for way in ways or (only(objectives),)):
            name = str(Name(trial.number, part.column if part else 0, way.name if part else None))
            here = part.in_way(way) if part else None
            why = absent(part, way, limits) if part and ways and trial.state == "complete" else None
            row = _row(trial, here, known.get(name), objectives)
            row |= {"way": way.name if part else None, "reason": trial.why or (why.text if why else "")}
            row |= {"float_layers": _float_layers(part, way)} if ways else {}
            row |= _predicted(part, way, objectives) if predicts else {}
            found.append({"trial": name, **row, "on_front": name in members, **_last(trial, here, objectives)})
            if part is None:
                break
    return found


def _predicted(part: Part | None, way: Way, objectives: Objectives) -> dict[str, float | None]:
    """Return the latencies of a network in a way that were predicted, in seconds, None where there is none."""
    known = {each.place: each.median_s for each in part.predicted} if part else {}
    each = zip(column_names(objectives), objectives, strict=True)
    return {f"predicted.{column}": known.get(way.places[at]) for column, (_, at) in each if at is not None}


def _float_layers(part: Part | None, way: Way) -> list[str] | None:
    """Return the layers in float32 in a network's file of 8 bits, None of one that has no such file."""
    return list(part.ways[way.number].float_layers) if part and part.ways and way.quantised else None


def _row(trial: Trial, part: Part | None, network: Candidate | None, objectives: Objectives) -> dict[str, Any]:
    ended, begun = trial.ended, trial.begun
    return {
        "number": trial.number,
        "column": part.column or None if part else None,
        "way": None,
        "state": trial.fate,
        "reason": trial.why,
        "origin": begun.origin if begun else None,
        "family": begun.family if begun else None,
        "digest": part.digest if part else None,
        "params": part.params if part else None,
        "macs": part.macs if part else None,
        "memory_bytes": part.memory_bytes if part else None,
        **(known(network, objectives) if network else _values(part, objectives)),
        **sure(network, objectives),
        "seconds": ended.seconds if ended else None,
        "repeats": ended.repeats if ended else None,
    }


def _last(trial: Trial, part: Part | None, objectives: Objectives) -> dict[str, Any]:
    learnt = {f"first.{name}": value for name, value in _values(part, objectives, counts=False).items()}
    return learnt | {f"point.{name}": value for name, value in trial.point.items()}


def known(network: Candidate, objectives: Objectives) -> dict[str, float]:
    """Return what the front says of a network: its values of the objectives, confirmed where they are."""
    return dict(zip(column_names(objectives), restored(network, objectives), strict=True))


def intervals(network: Candidate, objectives: Objectives) -> dict[str, list[float]]:
    """Return the intervals of a confirmed network's objectives in base units, none of another."""
    return dict(zip(column_names(objectives), bounds(network, objectives), strict=False))


def sure(network: Candidate | None, objectives: Objectives) -> dict[str, Any]:
    """Return how sure what is known of a network is.

    confirmed: trained again alone, with so many `seeds`; test: their mean on the test split; stable, why: whether its
    latencies are to be trusted, and what is against it.
    """
    if network is None:
        return {"confirmed": False, **dict.fromkeys(("seeds", "test", "probability", "stable", "why"))}
    held, latencies = network.confirmed, network.latencies()
    return {
        "confirmed": network.standing is not None,
        "seeds": len(held.tests) if held else 0,
        "test": tested(network, objectives),
        "probability": network.standing.probability if network.standing else None,
        "stable": all(latency.stable for latency in latencies) if latencies else None,
        "why": list(network.why),
    }


def tested(network: Candidate, objectives: Objectives) -> float | None:
    """Return the mean over seeds of what a network reaches on the test split, None if it was not tested."""
    name = first_learnt(objectives)
    if name is None or network.confirmed is None:
        return None
    seen = [value for score in network.confirmed.tests if (value := score.value(quantity_of(name).name)) is not None]
    return sum(seen) / len(seen) if seen else None


def _values(part: Part | None, objectives: Objectives, *, counts: bool = True) -> dict[str, float | None]:
    """Return what a trial gave of each objective; counts: also of those that are counted."""
    stored = achieved(part, objectives) if part else [float("nan")] * len(objectives)
    return {
        column: _restored(name, number) if (count := counted(part, name) if part else None) is None else count
        for column, (name, way), number in zip(column_names(objectives), objectives, stored, strict=True)
        if counts or way is not None or quantity_of(name).learnt
    }


def _restored(name: str, stored: float) -> float | None:
    return quantity_of(name).restored(stored) if isfinite(stored) else None


def column_names(objectives: Objectives) -> tuple[str, ...]:
    """Return a name with its unit for each objective: error, latency_s, of several latencies latency_s.0, ...."""
    several = sum(name == "latency" for name, _ in objectives) > 1
    return tuple(
        f"latency_s.{way}"
        if name == "latency" and several
        else {"latency": "latency_s", "memory": "memory_bytes"}.get(name, quantity_of(name).name)
        for name, way in objectives
    )


def status_of(stored: Stored, now: Front, runs: bool | None = None) -> dict[str, Any]:
    """Return how far a study is.

    runs: whether a process runs it, None if that is not known. If none does, trials that were under way when the last
    run ended are `lost`, and count as interrupted, which the next run makes of them.
    """
    found = stored.trials()
    lost = [each.number for each in found if each.state == "running" and runs is False]
    shown = as_left(found, runs)
    return {
        "archcost": __version__,
        "study": stored.name,
        "storage": str(stored.address),
        "objectives": list(stored.labels),
        "runs": runs,
        "lost": lost,
        "states": dict(Counter(each.fate for each in shown)),
        "counted": sum(each.counts for each in found),
        "reasons": dict(Counter(each.why for each in found if each.why).most_common()),
        "kinds": dict(Counter(each.reason.kind for each in found if each.reason).most_common()),
        "repeats": sum(each.ended is not None and each.ended.repeats is not None for each in found),
        "seconds": sum(each.ended.seconds for each in found if each.ended),
        "unfinished": open_trainings.summary(stored),
        "predicted": [each.name for each in stored.awaited()],
        "front": [each.name for each in now.members],
        "hypervolume": now.hypervolume,
        "reference": now.reference,
        **({"ways": ways_of(stored), "absent": absent_of(stored)} if stored.ways else {}),
        **({"waiting": stored.waiting} if stored.waiting else {}),
        **({"workers": [asdict(each) for each in stored.workers]} if stored.workers else {}),
    }


def ways_of(stored: Stored) -> list[dict[str, Any]]:
    """Return each way in which a study runs its networks, and what the front of that way alone is."""
    return [
        {
            "way": way.name,
            "runtime": way.runtime,
            "dtype": way.dtype,
            "front": [each.name for each in front.members],
            "hypervolume": front.hypervolume,
        }
        for way, front in stored.by_way()
    ]


def absent_of(stored: Stored) -> dict[str, str]:
    """Return the points that networks of complete trials do not have, by name, and why."""
    return {str(name): why.text for name, why in stored.absent()}


def front_of(stored: Stored, now: Front) -> dict[str, Any]:
    """Return a front: members best first in the first objective, in base units."""
    return {
        "archcost": __version__,
        "study": stored.name,
        "objectives": list(stored.labels),
        "knee": now.knee,
        "hypervolume": now.hypervolume,
        "reference": now.reference,
        **({"fidelity": found.json} if (found := fidelity(stored, now)) else {}),
        **({"ways": ways_of(stored)} if stored.ways else {}),
        "members": [member_of(stored, each) for each in now.members],
        "left": [member_of(stored, each) for each in now.left],
    }


def member_of(stored: Stored, each: Candidate) -> dict[str, Any]:
    """Return a member of a front in base units; what is not known is None."""
    return {
        "trial": each.name,
        "way": each.way.name,
        **({"float_layers": reasons_of(each)} if stored.ways else {}),
        "family": each.trial.begun.family if each.trial.begun else None,
        **known(each, stored.objectives),
        **sure(each, stored.objectives),
        **({"searched": searched(each, stored.objectives)} if each.longer else {}),
        **({"examples": each.extent.examples} if each.extent.examples else {}),
        "doubts": [{"way": way, **asdict(doubt)} for way, doubt in each.doubts],
        "shared_weights": each.shared,
        "params": each.part.params,
        "macs": each.part.macs,
        "memory_bytes": each.part.memory_bytes,
        "digest": each.part.digest,
        "intervals": intervals(each, stored.objectives),
        "point": dict(each.trial.point),
        "yaml": yaml_of(each),
    }


def searched(each: Candidate, objectives: Objectives) -> dict[str, float]:
    """Return what the search gave a network that was confirmed with more epochs or examples, of what is learnt."""
    before = known(replace(each, values=achieved(each.part, objectives)), objectives)
    names = zip(column_names(objectives), objectives, strict=True)
    return {column: before[column] for column, (name, _) in names if quantity_of(name).learnt}


def reasons_of(each: Candidate) -> list[dict[str, Any]]:
    """Return the layers in float32 in a network's file of 8 bits, each with why, null where that is not known."""
    known = {layer.name: asdict(layer) for layer in each.why_float32}
    nothing = dict.fromkeys(("kind", "before", "after"))
    return [known.get(name, {"name": name, **nothing}) for name in sorted(each.float_layers)]


def drawn(trial: Trial) -> dict[str, Any]:
    """Return what was drawn for a trial's network, by the keys of its template; of code, by the names of arguments."""
    keys = ((key.partition("."), value) for key, value in trial.point.items())
    return {key.removeprefix("args."): value for (place, _, key), value in keys if place.isdigit() and key}


def yaml_of(each: Candidate) -> str:
    """Return a member as the YAML of a network of its own; of a column with `use_columns`."""
    return to_yaml(network(each).spec)
