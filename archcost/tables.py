"""Tables of a study for other tools: a row for each trial and for each column that a trial gave."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

from archcost.front import Front, Objectives, named
from archcost.objectives import QUANTITIES
from archcost.trials import Part, Trial, achieved

if TYPE_CHECKING:
    import pandas as pd


def rows(every: Sequence[Trial], front: Front, objectives: Objectives) -> list[dict[str, Any]]:
    """Return every trial and column as a flat row, in base units; what is not known is None."""
    members = {each.name: each for each in front.members}
    found = []
    for trial in every:
        parts = trial.ended.parts if trial.ended else ()
        for part in parts or (None,):
            row = _row(trial, part, objectives)
            member = members.get(row["trial"])
            row["on_front"] = member is not None
            row["probability"] = member.standing.probability if member and member.standing else None
            found.append(row)
    return found


def _row(trial: Trial, part: Part | None, objectives: Objectives) -> dict[str, Any]:
    ended, begun = trial.ended, trial.begun
    return {
        "trial": named(trial, part) if part else str(trial.number),
        "number": trial.number,
        "column": part.column if part else None,
        "state": trial.state,
        "reason": trial.reason,
        "origin": begun.origin if begun else None,
        "family": begun.family if begun else None,
        "digest": part.digest if part else None,
        "params": part.params if part else None,
        "macs": part.macs if part else None,
        "memory_bytes": part.memory_bytes if part else None,
        **_values(part, objectives),
        "seconds": ended.seconds if ended else None,
        "repeats": ended.repeats if ended else None,
        **{f"point.{name}": value for name, value in trial.point.items()},
    }


def _values(part: Part | None, objectives: Objectives) -> dict[str, float | None]:
    names = column_names(objectives)
    if part is None:
        return dict.fromkeys(names)
    stored = achieved(part, objectives)
    each = zip(names, objectives, stored, strict=True)
    return {column: _restored(name, number) for column, (name, _), number in each}


def _restored(name: str, stored: float) -> float | None:
    return QUANTITIES[name].restored(stored) if isfinite(stored) else None


def column_names(objectives: Objectives) -> tuple[str, ...]:
    """Return a name with its unit for each objective: error, latency_s, of several latencies latency_s.0, ...."""
    several = sum(name == "latency" for name, _ in objectives) > 1
    return tuple(
        f"latency_s.{way}"
        if name == "latency" and several
        else {"latency": "latency_s", "memory": "memory_bytes"}.get(name, name)
        for name, way in objectives
    )


def frame(every: Sequence[Trial], front: Front, objectives: Objectives) -> pd.DataFrame:
    """Return the rows as a pandas table."""
    import pandas as pd  # noqa: PLC0415  # half a second, which only who asks for a table pays

    return pd.DataFrame(rows(every, front, objectives))
