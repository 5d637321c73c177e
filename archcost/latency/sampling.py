"""The sampling loop: warm up until steady, then bursts of samples, by turns."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from archcost.errors import ArchcostError, TargetError, named, one_line
from archcost.latency import summary
from archcost.latency.runtimes import Call, Prepared
from archcost.latency.samples import Burst, Change, Origin, Plan, Samples
from archcost.latency.statistics import BLOCKS, median, settled
from archcost.latency.summary import half_width
from archcost.machine import collector_off

if TYPE_CHECKING:
    from archcost.nets.calls.contents import Held

Clock: TypeAlias = Callable[[], float]  # seconds from any start
Timer: TypeAlias = Callable[[Call, int], float]  # seconds that so many calls in a row took together
Meter: TypeAlias = Callable[[], float | None]  # seconds since any start, None: not known

SHORT_S: Final = 20e-6  # calls are timed in rows at least this long: reading the clock costs up to 0.1 us, 0.5% of it
PAUSE_S: Final = 0.01  # between bursts: thread pools go to sleep, other work gets its turn
_BURST: Final = 0.01  # share of the plan's time for a burst: eight of them and the warm-up leave most of it unspent
_TURN: Final = 0.001  # the same for a network that takes turns: a ratio needs many rounds, side by side
_FEWEST: Final = 3  # samples in a burst, where time allows
_WARMUP_LEAST: Final = 0.05  # share of the plan's time: clock speeds and thread pools take time, not calls, to come up
_WARMUP_MOST: Final = 0.3
_LEFT_LEAST: Final = 0.2  # of the plan's time that samples get however long an export took
_FEWEST_WARMUP: Final = 2  # taken even if one call exceeds the plan's time: the first is not like the others
_MOST_IN_BURST: Final = 500
_MOST: Final = 20_000  # samples, and calls in a row: bounds memory, and ends where a clock stands still


@dataclass(frozen=True, slots=True)
class Instruments:
    """What a device is measured with.

    timer: of the calls; clock: of everything else; pause: sleeps for so many seconds; calibrate: the seconds a fixed
    kernel takes now; cpu_s: CPU time of the process; waited_s: time its threads waited for a core.
    """

    timer: Timer
    clock: Clock
    pause: Callable[[float], None]
    calibrate: Meter
    cpu_s: Meter
    waited_s: Meter


class Side(NamedTuple):
    """One network that takes turns: what is timed, how many calls a sample has, how many samples a burst."""

    timed: Prepared
    loops: int
    size: int
    first_s: float
    warmup_s: tuple[float, ...]


def take(prepared: Sequence[Prepared], plan: Plan, origin: Origin, instruments: Instruments) -> tuple[Samples, ...]:
    """Return the samples of every network; plan.time_s, for each of them, includes the warm-up.

    In a round each takes one burst, in an order drawn with plan.seed. It ends behind a multiple of eight rounds where
    all is known to plan.precision: one network's latency, or of several every ratio to the first; or where the time is
    spent. Raises TargetError with the message of an exception that a call raised.
    """
    time_s = _time_s(plan, prepared)
    deadline = instruments.clock() + time_s * len(prepared)
    sides = [_warmed(each, time_s, instruments) for each in prepared]
    left_s = deadline - instruments.clock()
    share = _BURST if len(sides) == 1 else _TURN
    sides = [_sized(side, share * time_s, left_s / len(sides)) for side in sides]
    rounds: list[list[Burst]] = [[] for _ in sides]
    held = [_held(side) for side in sides]
    draw = random.Random(plan.seed)
    with collector_off():
        while True:
            instruments.pause(PAUSE_S)
            calibration_s = instruments.calibrate()  # one for all of a round: more rounds tell more than more kernels
            for place in draw.sample(range(len(sides)), len(sides)):
                rounds[place].append(_burst(sides[place], calibration_s, instruments))
            done = len(rounds[0]) % BLOCKS == 0 and _known(_samples(sides, rounds, plan, origin), plan.precision)
            if done or instruments.clock() >= deadline or _full(sides, len(rounds[0])):
                found = _samples(sides, rounds, plan, origin)
                return tuple(
                    replace(each, change=_change(before, _held(side)))
                    for each, before, side in zip(found, held, sides, strict=True)
                )


def _time_s(plan: Plan, prepared: Sequence[Prepared]) -> float:
    """Return the time for each network: what exports left of the plan's, where that is for them too."""
    exports_s = [each.export_s or 0.0 for each in prepared] if plan.export_in_time else [0.0]
    return max(plan.time_s - math.fsum(exports_s) / len(exports_s), plan.time_s * _LEFT_LEAST)


def _held(side: Side) -> Held | None:
    return side.timed.state() if side.timed.state else None


def _change(before: Held | None, after: Held | None) -> Change | None:
    if before is None or after is None or (before.shapes, before.values) == (after.shapes, after.values):
        return None
    return Change(before.size_bytes, after.size_bytes, before.shapes != after.shapes)


def _samples(
    sides: Sequence[Side], rounds: Sequence[Sequence[Burst]], plan: Plan, origin: Origin
) -> tuple[Samples, ...]:
    return tuple(
        Samples(
            *(origin, plan, side.first_s, side.warmup_s, tuple(bursts), side.loops),
            work=side.timed.work,
            denormals=side.timed.denormals,
            export_s=side.timed.export_s,
            settings=side.timed.settings,
            findings=side.timed.findings,
        )
        for side, bursts in zip(sides, rounds, strict=True)
    )


def _known(found: Sequence[Samples], precision: float) -> bool:
    first, *others = found
    if not others:
        return half_width(first) <= precision
    return all(summary.ratio(first, other).half_width <= precision for other in others)


def _full(sides: Sequence[Side], rounds: int) -> bool:
    return max(side.size for side in sides) * rounds >= _MOST


def _warmed(prepared: Prepared, time_s: float, instruments: Instruments) -> Side:
    start = instruments.clock()

    def elapsed() -> float:
        return (instruments.clock() - start) / time_s

    warmup: list[float] = []
    check = _FEWEST_WARMUP
    first_s = prepared.first_s
    while len(warmup) < _MOST:
        warmup.append(once(prepared, instruments.timer))
        prepared = prepared.then() if prepared.then else prepared
        if len(warmup) >= _FEWEST_WARMUP and elapsed() >= _WARMUP_MOST:
            break
        if len(warmup) >= check:  # asked at every tenth more: it sorts
            if elapsed() >= _WARMUP_LEAST and settled(warmup):
                break
            check = len(warmup) * 11 // 10 + 1
    loops = 1 if prepared.before else _loops(prepared.call, instruments.timer, median(warmup[-5:]))
    return Side(prepared, loops, 0, warmup[0] if first_s is None else first_s, tuple(warmup))


def _sized(side: Side, burst_s: float, left_s: float) -> Side:
    """Return a side with the samples of its bursts: for so long, at least three, but so that eight bursts fit."""
    sample_s = median(side.warmup_s[-5:]) * side.loops
    wanted = max(_FEWEST, math.ceil(burst_s / sample_s))
    fitting = max(1, int(left_s / BLOCKS / sample_s))
    return side._replace(size=min(wanted, fitting, _MOST_IN_BURST))


def _burst(side: Side, calibration_s: float | None, instruments: Instruments) -> Burst:
    if side.size > 1:
        once(side.timed, instruments.timer)  # no sample: it alone pays for the pause and the kernel
    waited, used, begin = instruments.waited_s(), instruments.cpu_s(), instruments.clock()
    samples = tuple(once(side.timed, instruments.timer, side.loops) for _ in range(side.size))
    wall_s = instruments.clock() - begin
    used, waited = _since(used, instruments.cpu_s()), _since(waited, instruments.waited_s())
    return Burst(samples, wall_s, calibration_s, used, waited)


def _since(before: float | None, now: float | None) -> float | None:
    return None if before is None or now is None else max(0.0, now - before)


def once(prepared: Prepared, timer: Timer, loops: int = 1) -> float:
    """Return the time of one call, as `seconds` does; what comes before it is not in it."""
    if prepared.before:
        prepared.before()
    return seconds(prepared.call, timer, loops)


def seconds(call: Call, timer: Timer, loops: int = 1) -> float:
    """Return the time of one call, the mean of `loops` calls in a row; raises TargetError if the call fails."""
    try:
        return timer(call, loops) / loops
    except ArchcostError:
        raise
    except Exception as error:
        raise TargetError(f"the network failed when it was run: {one_line(named(error))}") from error


def timed_by(clock: Clock) -> Timer:
    """Return a timer that reads `clock` before and after the calls: for work that is done when a call returns."""

    def timer(call: Call, loops: int) -> float:
        start = clock()
        for _ in range(loops):
            call()
        return clock() - start

    return timer


def _loops(call: Call, timer: Timer, typical_s: float) -> int:
    """Return how many calls in a row a sample takes: 1, or the power of two from which a row lasts SHORT_S."""
    loops = 1
    while typical_s * loops < SHORT_S:
        if loops >= _MOST:
            raise TargetError(
                f"{loops} calls in a row took less than {SHORT_S} s: the clock stands still or is too coarse"
            )
        loops *= 2
        typical_s = seconds(call, timer, loops)
    return loops
