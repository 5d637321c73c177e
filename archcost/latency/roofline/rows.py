"""Peaks as a row of JSON, and back: what `targets --json` and `profile --layers --json` say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from pydantic import TypeAdapter

from archcost.latency.roofline.kept import Kept
from archcost.latency.roofline.roof import LEVELS, FlopsPeak, Level, Peak, Peaks

_PEAK: Final = TypeAdapter(Peak)


def row(kept: Kept) -> dict[str, object]:
    """Return peaks as JSON holds them: FLOP/s by data type, bytes/s by level, null if one is not known."""
    peaks = kept.peaks
    return {
        "threads": peaks.threads,
        "flops_per_s": {each.dtype: _value(each.peak) for each in peaks.flops},
        "bytes_per_s": {each.name: _value(each.peak) for each in peaks.levels},
        "holds_bytes": {each.name: each.holds_bytes for each in peaks.levels if each.name != "memory"},
        "call_s": _value(peaks.call_s),
        "measured": kept.measured.isoformat(),
        "versions": dict(kept.key.versions),
    }


def _value(peak: Peak | None) -> dict[str, Any] | None:
    return None if peak is None else {**asdict(peak), "repeats": peak.repeats}


def peaks(found: Mapping[str, Any]) -> Peaks:
    """Return the peaks that a row of JSON holds; raises ValueError if it holds none."""
    try:
        flops = tuple(FlopsPeak(dtype, _peak(value)) for dtype, value in found["flops_per_s"].items())
        rates, held = found["bytes_per_s"], found["holds_bytes"]
        levels = tuple(Level(name, _peak(rates[name]), held.get(name)) for name in LEVELS)
        return Peaks(int(found["threads"]), flops, levels, _PEAK.validate_python(found["call_s"]))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"these are no peaks: {type(error).__name__} {error}") from None


def _peak(value: object) -> Peak | None:
    return None if value is None else _PEAK.validate_python(value)
