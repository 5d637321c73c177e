"""The sampling loop: warm up until steady, then bursts of samples, by turns."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from archcost.latency import summary
from archcost.latency.bursts import Burst
from archcost.latency.player import MOST, Here, Instruments, Player, Turn, Warm
from archcost.latency.runtimes import Prepared
from archcost.latency.samples import Change, Origin, Plan, Samples
from archcost.latency.statistics import BLOCKS, median
from archcost.latency.summary import half_width
from archcost.machine import collector_off

if TYPE_CHECKING:
    from archcost.nets.calls.contents import Held

PAUSE_S: Final = 0.01  # between bursts: thread pools go to sleep, other work gets its turn
_BURST: Final = 0.005  # share of the plan's time for a burst: fresh copies tell more than many samples of one
_BURST_LEAST_S: Final = 0.02  # less than that, and pauses and copies would take most of the time
_TURN: Final = 0.001  # the same for a network that takes turns: a ratio needs many rounds, side by side
_FEWEST: Final = 3  # samples in a burst, where time allows
_RENEWING: Final = 0.5  # share of a block's time that a fresh copy may take
_LEFT_LEAST: Final = 0.2  # of the plan's time that samples get however long an export took
_MOST_IN_BURST: Final = 500


class Side(NamedTuple):
    """One network that takes turns, what its warm-up found, and what its bursts are."""

    player: Player
    warm: Warm
    turn: Turn


def take(prepared: Sequence[Prepared], plan: Plan, origin: Origin, instruments: Instruments) -> tuple[Samples, ...]:
    """Return the samples of networks in this process, as `rounds` does."""
    return rounds([Here(each, instruments) for each in prepared], plan, origin, instruments)


def rounds(players: Sequence[Player], plan: Plan, origin: Origin, instruments: Instruments) -> tuple[Samples, ...]:
    """Return the samples of every network; plan.time_s, for each of them, includes the warm-up.

    In a round each takes one burst, in an order drawn with plan.seed. It ends behind a multiple of eight rounds where
    all is known to plan.precision: one network's latency, or of several every ratio to the first; or where the time is
    spent. Raises TargetError with the message of an exception that a call raised.
    """
    time_s = _time_s(plan, [player.network() for player in players])
    deadline = instruments.clock() + time_s * len(players)
    warm = [(player, player.warm(time_s)) for player in players]
    left_s = (deadline - instruments.clock()) / len(players)
    burst_s = max(_BURST * time_s, _BURST_LEAST_S) if len(players) == 1 else _TURN * time_s
    sides = [Side(player, each, _turn(each, burst_s, left_s)) for player, each in warm]
    bursts: list[list[Burst]] = [[] for _ in sides]
    held = [side.player.held() for side in sides]
    draw = random.Random(plan.seed)
    with collector_off():
        while True:
            calibration_s = _between(sides, instruments)
            for place in draw.sample(range(len(sides)), len(sides)):
                bursts[place].append(sides[place].player.burst(sides[place].turn, calibration_s))
            count = len(bursts[0])
            done = count % BLOCKS == 0 and _known(_samples(sides, bursts, plan, origin), plan.precision)
            if done or instruments.clock() >= deadline or _full(sides, count):
                found = _samples(sides, bursts, plan, origin)
                return tuple(
                    replace(each, change=_change(before, side.player.held()))
                    for each, before, side in zip(found, held, sides, strict=True)
                )


def _time_s(plan: Plan, prepared: Sequence[Prepared]) -> float:
    """Return the time for each network: what exports left of the plan's, where that is for them too."""
    exports_s = [each.export_s or 0.0 for each in prepared] if plan.export_in_time else [0.0]
    return max(plan.time_s - math.fsum(exports_s) / len(exports_s), plan.time_s * _LEFT_LEAST)


def _between(sides: Sequence[Side], instruments: Instruments) -> float | None:
    """Pause, and return what the calibration kernel takes: once a round, as more rounds tell more than more kernels.

    This process's threads then go to sleep before a network in another one is timed.
    """
    instruments.pause(PAUSE_S)
    calibration_s = instruments.calibrate()
    if any(side.player.apart for side in sides):
        instruments.pause(PAUSE_S)
    return calibration_s


def _change(before: Held | None, after: Held | None) -> Change | None:
    if before is None or after is None or (before.shapes, before.values) == (after.shapes, after.values):
        return None
    return Change(before.size_bytes, after.size_bytes, before.shapes != after.shapes)


def _samples(
    sides: Sequence[Side], bursts: Sequence[Sequence[Burst]], plan: Plan, origin: Origin
) -> tuple[Samples, ...]:
    return tuple(
        Samples(
            *(origin, plan, side.warm.first_s, side.warm.warmup_s, tuple(taken), side.warm.loops),
            work=side.player.network().work,
            denormals=side.player.network().denormals,
            denormal_values=side.player.network().denormal_values,
            export_s=side.player.network().export_s,
            settings=side.player.network().settings,
            findings=side.player.network().findings,
        )
        for side, taken in zip(sides, bursts, strict=True)
    )


def _known(found: Sequence[Samples], precision: float) -> bool:
    first, *others = found
    if not others:
        return half_width(first) <= precision
    return all(summary.ratio(first, other).half_width <= precision for other in others)


def _full(sides: Sequence[Side], rounds: int) -> bool:
    return max(side.turn.size for side in sides) * rounds >= MOST


def _turn(warm: Warm, burst_s: float, left_s: float) -> Turn:
    """Return what a network's bursts are: for so long, at least three samples, but so that eight bursts fit.

    Each is of a fresh copy, if that takes no more than half of the time that an eighth of what is left is; else a copy
    has so many bursts that it does, and is the only one if that would leave fewer than two in eight.
    """
    sample_s, block_s = median(warm.warmup_s[-5:]) * warm.loops, left_s / BLOCKS
    every = 0
    if warm.renewal_s is not None and block_s > 0:
        every = max(1, math.ceil(warm.renewal_s / (_RENEWING * block_s)))
        every = every if 2 * every <= BLOCKS else 0
    renewal_s = (warm.renewal_s or 0.0) / every if every else 0.0
    wanted = max(_FEWEST, math.ceil(burst_s / sample_s))
    fitting = max(1, int((block_s - renewal_s) / sample_s))
    return Turn(min(wanted, fitting, _MOST_IN_BURST), warm.loops, every)
