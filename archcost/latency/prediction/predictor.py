"""A predictor of latencies: what was calibrated, its errors, and what it says of a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Final, Literal

from pydantic import AwareDatetime, ConfigDict, with_config

from archcost.latency.prediction import whole
from archcost.latency.prediction.operators import UNSTACK, Operator
from archcost.latency.prediction.times import Kind, KindTimes, Sums, sums
from archcost.latency.prediction.whole import HeldOut, Whole
from archcost.latency.samples import Way
from archcost.units import counted_words, percent

_STRICT: Final = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
_OUTSIDE: Final = 0.1  # of the time may be of operators beyond what was measured
_UNKNOWN: Final = 0.1  # of the calls may be of kinds that were never measured


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Key:
    """What a predictor is of: under another key it is of another device, or of other programs.

    fingerprint: of the device; affinity, quota_cores: what of it the process may use; versions: of what ran.
    """

    fingerprint: str
    target: str
    runtime: str
    batch: int
    dtype: str
    threads: int
    affinity: tuple[int, ...] | None
    quota_cores: float | None
    versions: tuple[tuple[str, str], ...]

    @property
    def way(self) -> Way:
        """Where and how what it is of was measured."""
        return Way(self.target, self.runtime, self.batch, self.dtype, self.threads)

    def differs(self, other: Key) -> str:
        """Return in words what of another key is not the same, '' if nothing is."""
        return "; ".join(self._differences(other))

    def _differences(self, other: Key) -> Iterator[str]:
        if self.fingerprint != other.fingerprint:
            yield f"the device is another one ({other.fingerprint}, was {self.fingerprint})"
        if (self.affinity, self.quota_cores) != (other.affinity, other.quota_cores):
            yield "the process may use other CPUs"
        now = dict(other.versions)
        for name, version in self.versions:
            if now.get(name) != version:
                yield f"{name} is {now.get(name, 'gone')}, was {version}"


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class Calibration:
    """What `calibrate` learnt, as it is kept.

    kinds: operators that were measured, by kind; inside: whether in networks, or alone and in eager; absorbed: places
    of operators (a kind, and what it comes after) that the runtime joins to others, which take nothing; whole: what
    makes networks of them; held_out: errors of networks that nothing was learnt from, None if too few were measured;
    operators, networks: how many were measured; kernel_s: what the calibration kernel usually took, at which speed of
    the machine predictions hold, None if the target has none; module_call_s: what a part of a torch module takes in
    Python beyond its operator; measured: when, UTC.
    """

    key: Key
    kinds: Mapping[str, Kind]
    inside: bool
    absorbed: tuple[str, ...]
    whole: Whole
    held_out: HeldOut | None
    operators: int
    networks: int
    kernel_s: float | None
    module_call_s: float
    measured: AwareDatetime
    schema: Literal[1] = 1

    def age_s(self, now: datetime) -> float:
        """Return the seconds since it was measured, 0 if the clock was set back since."""
        return max(0.0, (now - self.measured).total_seconds())


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a network will take in one way, without having run there.

    interval_s: in which nine in ten networks like those that were measured lie, None if too few were; in_domain:
    whether what it is made of was measured; why: what is against it if not, '' else: then it should be measured.
    """

    way: Way
    median_s: float
    interval_s: tuple[float, float] | None
    in_domain: bool
    why: str

    def to_dict(self) -> dict[str, object]:
        """Return it as JSON holds it, times in seconds."""
        return {
            "target": self.way.target,
            "runtime": self.way.runtime,
            "batch": self.way.batch,
            "dtype": self.way.dtype,
            "threads": self.way.threads,
            "median_s": self.median_s,
            "interval_s": None if self.interval_s is None else list(self.interval_s),
            "in_domain": self.in_domain,
            "why": self.why,
        }


@dataclass(frozen=True)
class Predictor:
    """A calibration, ready to be asked."""

    calibration: Calibration

    @cached_property
    def _kinds(self) -> Mapping[str, KindTimes]:
        return {name: KindTimes(kind) for name, kind in self.calibration.kinds.items()}

    @cached_property
    def _whole(self) -> whole.WholeTimes:
        return whole.WholeTimes(self.calibration.whole)

    def sums(self, operators: Sequence[Operator]) -> Sums:
        """Return what operators take, each alone, by kind."""
        if self.calibration.inside:
            return sums(self._kinds, operators, self.calibration.absorbed)
        return sums(self._kinds, [each for each in operators if each.kind != UNSTACK])

    def predict(self, operators: Sequence[Operator], parts: bool = False) -> Prediction:
        """Return what a network of these operators will take; parts: whether each is called by a torch module."""
        found = self.sums(operators)
        median_s = self._whole.time_s(found) + parts * self.calibration.module_call_s * found.calls
        errors = self.calibration.held_out
        interval_s = None if errors is None else (median_s / errors.apart, median_s * errors.apart)
        why = "; ".join(_against(found))
        return Prediction(self.calibration.key.way, median_s, interval_s, not why, why)


def _against(found: Sums) -> Iterator[str]:
    """Yield why what a network is made of was not measured."""
    unknown = sum(found.unknown.values())
    if unknown > _UNKNOWN * found.calls or not found.by_kind_s:
        kinds = ", ".join(sorted(found.unknown))
        yield f"{counted_words(unknown, 'call')} of {found.calls} are of kinds that were not measured: {kinds}"
    if found.outside_s > _OUTSIDE * found.total_s > 0:
        share = percent(found.outside_s / found.total_s)
        yield f"{share} of the time is of operators larger, smaller or of other shape than what was measured"
