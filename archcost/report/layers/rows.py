"""Times of layers, and the peaks that are over them, as JSON holds them, typed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, NamedTuple, TypeAlias

from pydantic import BeforeValidator, TypeAdapter

from archcost.latency.layers.times import LayerTimes
from archcost.latency.roofline import rows
from archcost.latency.roofline.roof import Peaks

_TIMES: Final = TypeAdapter(LayerTimes)
_WAY: Final = ("target", "runtime", "batch", "dtype", "threads")


class Roofs(NamedTuple):
    """One row of `rooflines`: the peaks of a target."""

    target: str
    peaks: Peaks


def _times(row: object) -> LayerTimes:
    """Return a row of `layer_times`; raises ValueError if it is none. What adds up is added up again."""
    try:
        return _TIMES.validate_python(_known(row))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"these are no times of layers: {type(error).__name__} {error}") from None


def _known(row: Any) -> dict[str, Any]:
    whole_s = float(row["end_to_end_s"])
    if not whole_s > 0:
        raise ValueError("a call takes time")
    of_layers = ({**each, "moved_bytes": each["bytes"]} for each in row["layers"])
    kept = {"attributing_s": 0.0, "reads": 0, "rounds": 0, "interval_s": None}
    return {
        **kept,
        **row,
        "way": {"cold_cache": row.get("cold_cache", False), **{key: row[key] for key in _WAY}},
        "instrumented_s": row["inflation"] * whole_s,
        "unmapped_s": row.get("unmapped_share", 0.0) * whole_s,
        "layers": tuple(of_layers),
    }


def _roofs(row: object) -> Roofs:
    if not isinstance(row, Mapping):
        raise ValueError("a roofline is a mapping")  # noqa: TRY004  # pydantic tells where
    return Roofs(str(row.get("target")), rows.peaks(row))


Layered: TypeAlias = list[Annotated[LayerTimes, BeforeValidator(_times)]]
Rooflines: TypeAlias = list[Annotated[Roofs, BeforeValidator(_roofs)]]
