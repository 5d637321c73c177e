"""The peaks of a target: those that are kept, or else measured now and kept."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from archcost.errors import InputError, Mistake, TargetError, quoted
from archcost.latency.kept import Unusable
from archcost.latency.lock import held
from archcost.latency.measure import Progress, waiting
from archcost.latency.roofline.kept import Kept, Key, keep, key, known
from archcost.latency.samples import Conditions
from archcost.latency.targets import Facts, Target
from archcost.units import counted_words


@dataclass(frozen=True, slots=True)
class Found:
    """Peaks, and what there is to say of how they were found: a kept file that is of no use, or cannot be written."""

    kept: Kept
    remarks: tuple[str, ...] = ()


def key_of(facts: Facts, threads: int | None, conditions: Conditions) -> Key:
    """Return what peaks of a target are kept under, on so many threads, None: its physical cores.

    Raises InputError for more threads than it has CPUs.
    """
    if threads is not None and not 1 <= threads <= facts.cpus:
        allowed = f"1 to {facts.cpus}, the CPUs of target '{facts.target}'"
        raise InputError(Mistake(f"given {threads}; allowed: {allowed}", ("threads",)))
    return key(facts, facts.threads if threads is None else threads, conditions)


def at_hand(of: Key, target: Target, progress: Progress = nullcontext, folder: Path | None = None) -> Found:
    """Return the peaks that are kept; if there are none that can be used, measure them, as on first use."""
    now = known(of, folder)
    return Found(now) if isinstance(now, Kept) else measured(of, target, progress, folder, first=True)


def measured(
    of: Key, target: Target, progress: Progress = nullcontext, folder: Path | None = None, *, first: bool = False
) -> Found:
    """Measure the peaks of a target and keep them; if they cannot be kept, a remark says so.

    first: not if another process has kept some by the time this one has the device. Raises TargetError if peaks of the
    target cannot be measured.
    """
    if target.peaks is None:
        raise TargetError(f"peaks are measured on processors of this machine, not on {quoted(target.name)}")
    others = (partial(waiting, target.name, progress, doing) for doing in ("measures", "trains"))
    with held(target.lock, *others) if target.lock else nullcontext():
        before = known(of, folder)
        if first and isinstance(before, Kept):
            return Found(before)
        with progress(f"measuring the peaks of {target.name} on {counted_words(of.threads, 'thread')}"):
            kept = Kept(of, target.peaks(of.threads), datetime.now(UTC).replace(microsecond=0))
    remarks = [f"{before}; measured again"] if isinstance(before, Unusable) else []
    try:
        keep(kept, folder)
    except InputError as error:
        remarks.append(f"the peaks are not kept: {error}")
    return Found(kept, tuple(remarks))
