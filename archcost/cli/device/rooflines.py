"""What archcost targets says of a target's peaks: measured now, kept, or not known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from archcost.cli.terminal import progress, say
from archcost.errors import TargetError, quoted, visible
from archcost.units import counted_words, data_size, duration, scaled

if TYPE_CHECKING:
    from archcost.latency.kept import Unusable
    from archcost.latency.roofline.kept import Kept
    from archcost.latency.roofline.roof import Peak, Peaks
    from archcost.latency.targets import Facts, Target

_DAY_S = 86_400
_HOUR_S = 3_600


@dataclass(frozen=True, slots=True)
class Roofline:
    """A target with its peaks; threads: those that they are of; kept: None if peaks are not known or not measured."""

    facts: Facts
    threads: int
    kept: Kept | Unusable | None
    now: datetime

    def as_json(self) -> dict[str, object] | None:
        """Return the peaks as JSON holds them, None if they are not known."""
        from archcost.latency.roofline.kept import Kept
        from archcost.latency.roofline.rows import row

        if not isinstance(self.kept, Kept):
            return None
        return {**row(self.kept), "age_s": self.kept.age_s(self.now)}

    def lines(self) -> Iterator[str]:
        """Yield the peaks in words."""
        from archcost.latency.roofline.kept import Kept

        on = f"peaks on {counted_words(self.threads, 'thread')}"
        if self.kept is None:
            yield f"{on}: not measured yet (archcost targets --measure)"
        elif not isinstance(self.kept, Kept):
            yield f"{on}: {self.kept} (archcost targets --measure measures them again)"
        else:
            yield f"{on}, measured {_ago(self.kept.age_s(self.now))}:"
            yield from _words(self.kept.peaks)


def roofline(target: Target, threads: int | None, measure: bool) -> Roofline:
    """Return a target with the peaks that are kept, or are measured now; what there is to remark is told."""
    from archcost.latency.roofline import kept, stock
    from archcost.latency.targets.device import this_conditions

    if measure and target.peaks is None:
        raise TargetError(f"peaks are measured on processors of this machine, not on {quoted(target.name)}")
    facts, now = target.describe(), datetime.now(UTC)
    if target.peaks is None:
        return Roofline(facts, 0, None, now)
    of = stock.key_of(facts, threads, this_conditions())
    if not measure:
        return Roofline(facts, of.threads, kept.known(of), now)
    found = stock.measured(of, target, progress)
    for remark in found.remarks:
        say(visible(f"warning: {remark}"))
    return Roofline(facts, of.threads, found.kept, datetime.now(UTC))


def _words(peaks: Peaks) -> Iterator[str]:
    """Yield what is reached by data type, by level and by an empty call."""
    yield ", ".join(f"{each.dtype} {_rate(each.peak, 'FLOP/s') or 'not known'}" for each in peaks.flops)
    levels = [(each.name, _rate(each.peak, "B/s") or "not told apart", each.holds_bytes) for each in peaks.levels]
    yield ", ".join(f"{name} {rate}{f' up to {data_size(held)}' if held else ''}" for name, rate, held in levels)
    call = peaks.call_s
    apart = "" if call.repeats else f" ({duration(call.low)} to {duration(call.high)})"
    yield f"an operator on one number {duration(call.value)}{apart}"
    if not all(each.repeats for each in _all(peaks)):
        yield "in brackets: what did not repeat within 3%, the worst and the best of four parts"


def _all(peaks: Peaks) -> Iterator[Peak]:
    yield from (each.peak for each in peaks.flops if each.peak)
    yield from (each.peak for each in peaks.levels if each.peak)
    yield peaks.call_s


def _rate(peak: Peak | None, unit: str) -> str:
    """Return a rate in words, with its interval if it does not repeat; '' if it is not known."""
    if peak is None:
        return ""
    apart = "" if peak.repeats else f" ({scaled(round(peak.low), unit)} to {scaled(round(peak.high), unit)})"
    return f"{scaled(round(peak.value), unit)}{apart}"


def _ago(age_s: float) -> str:
    if age_s < 2 * _HOUR_S:
        return f"{counted_words(int(age_s // 60), 'minute')} ago"
    if age_s < 2 * _DAY_S:
        return f"{counted_words(int(age_s // _HOUR_S), 'hour')} ago"
    return f"{counted_words(int(age_s // _DAY_S), 'day')} ago"
