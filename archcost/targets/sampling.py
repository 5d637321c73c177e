"""The sampling loop: warm up until steady, then take samples until the median is known well enough or time is up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from archcost.collector import collector_off
from archcost.errors import ArchcostError, TargetError, shorten, visible
from archcost.measured import Origin, Plan, Samples, enough, median, settled
from archcost.runtimes import Call

Clock: TypeAlias = Callable[[], float]  # seconds from any start
Meter: TypeAlias = Callable[[], float | None]  # seconds this process's threads have waited for a core, None: not known

SHORT_S: Final = 20e-6  # calls are timed in rows at least this long: reading the clock costs up to 0.1 us, 0.5% of it
_WARMUP_LEAST: Final = 0.05  # share of the plan's time: clock speeds and thread pools take time, not calls, to come up
_WARMUP_MOST: Final = 0.3
_SAMPLING_LEAST: Final = 0.05  # twenty quick samples lie within one time slice: they show a moment, not the machine
_FEWEST_WARMUP: Final = 2  # taken even where one call exceeds the plan's time: the first is not like the others
_FEWEST_SAMPLES: Final = 3
_MOST: Final = 10_000  # warm-up calls, samples, calls in a row: bounds memory, and ends where a clock stands still


def take(call: Call, plan: Plan, origin: Origin, clock: Clock, waited_s: Meter) -> Samples:
    """Return the samples of `call` under `plan`; plan.time_s includes the warm-up and may be exceeded by five calls.

    Raises TargetError with the message of an exception that `call` raised.
    """
    start = clock()
    warmup = _warm_up(call, plan, clock)
    loops = _loops(call, clock, median(warmup[-5:]))
    with collector_off():
        begin, before = clock(), waited_s()
        samples = _sample(call, plan, clock, loops, start + plan.time_s)
        after, end = waited_s(), clock()
    return Samples(
        origin=origin,
        plan=plan,
        warmup_s=tuple(warmup),
        samples_s=tuple(samples),
        loops=loops,
        settled=settled(warmup),
        sampling_s=end - begin,
        waited_s=None if before is None or after is None else max(0.0, after - before),
    )


def seconds(call: Call, clock: Clock, loops: int = 1) -> float:
    """Return the time of one call, the mean of `loops` calls in a row; raises TargetError where the call fails."""
    try:
        start = clock()
        for _ in range(loops):
            call()
        return (clock() - start) / loops
    except ArchcostError:
        raise
    except Exception as error:
        detail = visible(shorten(" ".join(str(error).split()), 400))
        raise TargetError(f"the network failed when it was run: {type(error).__name__}: {detail}") from error


def _warm_up(call: Call, plan: Plan, clock: Clock) -> list[float]:
    start = clock()
    return _repeat(
        lambda: seconds(call, clock),
        fewest=_FEWEST_WARMUP,
        done=lambda durations: clock() - start >= _WARMUP_LEAST * plan.time_s and settled(durations),
        late=lambda: clock() - start >= _WARMUP_MOST * plan.time_s,
    )


def _sample(call: Call, plan: Plan, clock: Clock, loops: int, deadline: float) -> list[float]:
    start = clock()
    return _repeat(
        lambda: seconds(call, clock, loops),
        fewest=_FEWEST_SAMPLES,
        done=lambda durations: clock() - start >= _SAMPLING_LEAST * plan.time_s and enough(durations, plan.precision),
        late=lambda: clock() >= deadline,
    )


def _repeat(
    once: Callable[[], float], fewest: int, done: Callable[[Sequence[float]], bool], late: Callable[[], bool]
) -> list[float]:
    """Return what `once` gave until `done` or `late`; done is asked at every tenth more: it sorts."""
    durations: list[float] = []
    check = fewest
    while len(durations) < _MOST:
        durations.append(once())
        if len(durations) < fewest:
            continue
        if late():
            break
        if len(durations) >= check:
            if done(durations):
                break
            check = len(durations) * 11 // 10 + 1
    return durations


def _loops(call: Call, clock: Clock, typical_s: float) -> int:
    """Return how many calls in a row a sample takes: 1, or the power of two from which a row lasts SHORT_S."""
    loops = 1
    while typical_s * loops < SHORT_S:
        if loops >= _MOST:
            raise TargetError(f"{loops} calls in a row took less than {SHORT_S} s: the clock stands or is too coarse")
        loops *= 2
        typical_s = seconds(call, clock, loops)
    return loops
