"""A network that takes turns with others: warm-up, fresh copies, bursts of samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeAlias

from archcost.errors import ArchcostError, TargetError, named, one_line
from archcost.latency.bursts import Burst
from archcost.latency.runtimes import Call, Prepared
from archcost.latency.statistics import BLOCKS, median, settled

if TYPE_CHECKING:
    from archcost.nets.calls.contents import Held

Clock: TypeAlias = Callable[[], float]  # seconds from any start
Timer: TypeAlias = Callable[[Call, int], float]  # seconds that so many calls in a row took together
Meter: TypeAlias = Callable[[], float | None]  # seconds since any start, None: not known

SHORT_S: Final = 20e-6  # calls are timed in rows at least this long: reading the clock costs up to 0.1 us, 0.5% of it
MOST: Final = 20_000  # samples, and calls in a row: bounds memory, and ends where a clock stands still
_WARMUP_LEAST: Final = 0.05  # share of the time: clock speeds and thread pools take time, not calls, to come up
_WARMUP_MOST: Final = 0.3
_FEWEST_WARMUP: Final = 2  # taken even if one call exceeds the plan's time: the first is not like the others
_AGAIN: Final = 2  # calls of a fresh copy before its burst: its memory is then there, and it is in the caches
_SETTLES_S: Final = 0.005  # for so long after a pause a network is slower: clock speed and caches have to come back
_SETTLING: Final = 0.25  # share of a burst that this may take at most
_TRIED: Final = 1 / 16  # share of the time left that those calls may take: half of one of eight blocks


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


class Warm(NamedTuple):
    """What is known of a network after its warm-up.

    first_s: its first call; warmup_s: calls until it was steady; loops: calls in a row that a sample has; renewal_s:
    what a fresh copy and its first calls take, None if there is none.
    """

    first_s: float
    warmup_s: tuple[float, ...]
    loops: int
    renewal_s: float | None = None


class Turn(NamedTuple):
    """What a burst is: how many samples of how many calls each, and after how many bursts a copy is new, 0: never."""

    size: int
    loops: int
    every: int = 0


class Player(Protocol):
    """One network that takes turns; raises TargetError if a call fails, or the process that it runs in."""

    apart: bool
    """Whether it runs in processes of its own."""

    def warm(self, time_s: float) -> Warm:
        """Run the network until it is steady; time_s: for the warm-up and all samples."""
        ...

    def burst(self, turn: Turn, calibration_s: float | None) -> Burst:
        """Take samples in a row."""
        ...

    def held(self) -> Held | None:
        """Return what the network holds now, None if that is not known."""
        ...

    def network(self) -> Prepared:
        """Return what is known of the network as it was prepared."""
        ...


@dataclass(eq=False)
class Here:
    """A network in this process; process: its number among those that its samples come from."""

    prepared: Prepared
    instruments: Instruments
    process: int = 0
    apart: bool = False
    _copy: int = 0
    _bursts: int = 0
    _warm: bool = False
    _kept: list[Prepared] = field(default_factory=list)  # their memory is not given to the next one

    def __post_init__(self) -> None:
        self._now = self.prepared  # another copy later, or what `then` gives
        self._denormal_values = self.prepared.denormal_values

    def network(self) -> Prepared:
        """Return what is known of the network as it was prepared, and of its values once it has run."""
        return self.prepared._replace(denormal_values=self._denormal_values)

    def held(self) -> Held | None:
        """Return what the network holds now, None if that is not known."""
        return self._now.state() if self._now.state else None

    def warm(self, time_s: float) -> Warm:
        """Run until the level of the calls' time lasts, for 5% to 30% of the time; then make a fresh copy."""
        instruments, first_s = self.instruments, self._now.first_s
        start = instruments.clock()

        def elapsed() -> float:
            return (instruments.clock() - start) / time_s

        warmup: list[float] = []
        check = _FEWEST_WARMUP
        while len(warmup) < MOST:
            warmup.append(self._first())
            if len(warmup) >= _FEWEST_WARMUP and elapsed() >= _WARMUP_MOST:
                break
            if len(warmup) >= check:  # asked at every tenth more: it sorts
                if elapsed() >= _WARMUP_LEAST and settled(warmup):
                    break
                check = len(warmup) * 11 // 10 + 1
        self._warm = True
        typical_s = median(warmup[-5:])
        loops = 1 if self._now.before else _loops(self._now.call, instruments.timer, typical_s)
        left_s = (1 - elapsed()) * time_s
        cheap = _AGAIN * typical_s <= _TRIED * left_s and (first_s or 0.0) <= left_s / BLOCKS
        renewal_s = self._renewal_s() if cheap else None
        return Warm(warmup[0] if first_s is None else first_s, tuple(warmup), loops, renewal_s)

    def burst(self, turn: Turn, calibration_s: float | None) -> Burst:
        """Take samples in a row, of a fresh copy if it is time for one."""
        instruments = self.instruments
        if turn.every and self._bursts % turn.every == 0 and (self._bursts or not self._warm):
            self._renew()
        elif not self._warm:
            self._run_again()
        self._bursts, self._warm = self._bursts + 1, True
        if turn.size > 1:
            self._settle(turn)
        waited, used, begin = instruments.waited_s(), instruments.cpu_s(), instruments.clock()
        samples = tuple(self._once(turn.loops) for _ in range(turn.size))
        wall_s = instruments.clock() - begin
        used, waited = _since(used, instruments.cpu_s()), _since(waited, instruments.waited_s())
        return Burst(samples, wall_s, calibration_s, used, waited, self.process, self._copy)

    def _settle(self, turn: Turn) -> None:
        """Run without taking samples: a loop that never stops does not pay for the pause and the kernel."""
        first_s = self._once()
        wanted_s = min(_SETTLES_S, _SETTLING * turn.size * turn.loops * first_s)
        for _ in range(min(int(wanted_s / first_s), MOST) if first_s > 0 else 0):
            self._once()

    def _renewal_s(self) -> float | None:
        before_s = self.instruments.clock()
        return self.instruments.clock() - before_s if self._renew() else None

    def _renew(self) -> bool:
        """Go on with a fresh copy, whose memory is new; return whether there is one."""
        fresh = self._now.again() if self._now.again else None
        if fresh is None:
            return False
        self._kept = [*self._kept, self._now][-fresh.kept :] if fresh.kept else []
        self._now, self._copy = fresh, self._copy + 1
        self._run_again()
        return True

    def _run_again(self) -> None:
        for _ in range(_AGAIN):
            self._first()

    def _first(self) -> float:
        """Return the time of a call that may be the first, after which something else may be timed."""
        taken_s = self._once()
        if self._now.then:
            self._now = self._now.then()
            self._denormal_values = max(self._denormal_values, self._now.denormal_values)
        return taken_s

    def _once(self, loops: int = 1) -> float:
        return once(self._now, self.instruments.timer, loops)


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
        if loops >= MOST:
            raise TargetError(
                f"{loops} calls in a row took less than {SHORT_S} s: the clock stands still or is too coarse"
            )
        loops *= 2
        typical_s = seconds(call, timer, loops)
    return loops
