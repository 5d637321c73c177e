"""What is against trusting a latency, as values; the one place that puts them into words."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, assert_never

from archcost.units import data_size, grouped, percent, typed_duration

Kind: TypeAlias = Literal[
    "state_changed",
    "state_drifted",
    "warmup",
    "few_blocks",
    "wide_interval",
    "machine_slowed",
    "level_changed",
    "slow_block",
    "contention",
    "macs_skipped",
    "denormals",
    "denormal_values",
    "unexplained",
    "unsteady_layers",
    "unknown",
]
_APART: Final = "; "  # between the doubts of one latency


@dataclass(frozen=True, slots=True)
class Doubt:
    """One thing against trusting a latency: what was found, and the limit it was held against, None if there is none.

    state_changed: bytes of the tensors that the network held after its samples, and before them, if some had other
    shapes; state_drifted: how much longer its last quarter took than the first, and from which on it is a doubt, while
    its own numbers or tensors' values changed between calls; warmup: calls after which it had not settled; few_blocks:
    blocks, and how many an interval needs; wide_interval:
    half the interval over the median, and what was asked for; machine_slowed: times the calibration kernel's best, and
    from which on it is named; level_changed: bursts before the change, and bursts in all; slow_block: how much more
    than the fastest block the slowest took; contention: share of the time spent waiting for a core, and from which on
    it is a doubt; macs_skipped: multiply-accumulates of the program that ran, and of the network as counted, which is
    against comparing the two and not against the latency: a note has it; denormals: share of its
    weights and inputs below the smallest normal number, and what may be; denormal_values: the same of what its
    operators give; unexplained: share of a call that neither its layers nor dispatch explain, and from which on it is a
    doubt; unsteady_layers: half the widest interval of the slowest layers over its time, and how wide one may be;
    unknown: what an earlier version doubted in words that are not read.
    """

    kind: Kind
    value: float | None = None
    limit: float | None = None


def why(doubts: Sequence[Doubt], enough_s: float | None = None) -> str:
    """Return all doubts of one latency in words, '' if there are none; enough_s: as `words` takes it."""
    return _APART.join(words([doubt], enough_s) for doubt in doubts)


def words(alike: Sequence[Doubt], enough_s: float | None = None) -> str:
    """Return doubts of one kind in words, numbers that differ as their range.

    enough_s: time in which enough blocks may fit, of several latencies the longest; None if it is not known.
    """
    values = [doubt.value for doubt in alike if doubt.value is not None]
    limits = [doubt.limit for doubt in alike if doubt.limit is not None]
    match alike[0].kind:
        case "state_changed" | "state_drifted" | "macs_skipped" | "denormals" | "denormal_values" as kind:
            return _of_the_network(kind, values, limits)
        case "warmup":
            return f"warm-up did not settle in {_range(values, _count)} calls"
        case "few_blocks":
            known = enough_s is not None and 0 < enough_s < math.inf  # another program's JSON may say anything
            advice = f", for which --time {typed_duration(enough_s)} may do" if enough_s and known else ""
            return f"too few blocks: {_range(values, _count)}, at least {_range(limits, _count)} needed{advice}"
        case "wide_interval":
            return f"the blocks' medians lie within +-{_range(values, _upwards)}, {_range(limits, percent)} asked"
        case "machine_slowed":
            times = _range(values, "{:.2f}".format)
            return f"the machine itself slowed: its calibration kernel took up to {times} times its best"
        case "level_changed":
            return f"its level changed after {_range(values, _count)} of {_range(limits, _count)} bursts"
        case "slow_block":
            return f"the slowest block took {_range(values, percent)} more than the fastest"
        case "contention":
            return f"contention: {_range(values, percent)} of the sampling time went by waiting for a core"
        case "unexplained":
            return f"layers and dispatch leave {_range(values, percent)} of the whole unexplained"
        case "unsteady_layers":
            return f"of the slowest layers one is known to +-{_range(values, _upwards)} alone"
        case "unknown":
            return "an earlier version of archcost doubted it"
        case kind:
            assert_never(kind)


def brief(doubt: Doubt) -> str:
    """Return a doubt in a few words, for a line that has more to say."""
    value = doubt.value if doubt.value is not None and math.isfinite(doubt.value) else 0.0
    match doubt.kind:
        case "state_changed":
            return "its state changes"
        case "state_drifted":
            return "its state and time drift"
        case "warmup":
            return "warm-up did not settle"
        case "few_blocks":
            return f"{_count(value)} {'block is' if value == 1 else 'blocks are'} too few"
        case "wide_interval":
            return f"blocks +-{_upwards(value)}"
        case "machine_slowed":
            return "the machine slowed"
        case "level_changed":
            return "its level changed"
        case "slow_block":
            return "a slow block"
        case "contention":
            return f"contention {percent(value)}"
        case "macs_skipped":
            return "MACs left out"
        case "denormals" | "denormal_values":
            return "denormal numbers"
        case "unexplained":
            return f"{percent(value)} unexplained"
        case "unsteady_layers":
            return f"a layer +-{_upwards(value)}"
        case "unknown":
            return "doubted before"
        case kind:
            assert_never(kind)


def _of_the_network(
    kind: Literal["state_changed", "state_drifted", "macs_skipped", "denormals", "denormal_values"],
    values: Sequence[float],
    limits: Sequence[float],
) -> str:
    """Return the words for what is the network's own, and no disturbance of the machine."""
    match kind:
        case "state_changed":
            before, after = _range(limits, _size), _range(values, _size)
            return (
                f"its own state changes between calls: its tensors took {before} before the samples and {after} after "
                "them, so that no two samples are of the same network"
            )
        case "state_drifted":
            share = _range(values, percent)
            return f"its own state changes between calls, and its time with it: {share} more at the end than at first"
        case "macs_skipped":
            return (
                f"what runs multiplies {_range(values, _macs)} times, of {_range(limits, _macs)} MACs counted: the "
                "runtime leaves out what no output needs, and computes beforehand what depends on no input"
            )
        case "denormals" | "denormal_values":
            what = "weights and inputs" if kind == "denormals" else "values between operators"
            return (
                f"{_range(values, _upwards)} of its {what} are denormal, below the smallest normal number: "
                "processors take many times as long for those; torch.set_flush_denormal(True) makes them 0"
            )
        case _:
            assert_never(kind)


def _range(values: Sequence[float], shown: Callable[[float], str]) -> str:
    if not values:
        return "?"  # as above
    low, high = shown(min(values)), shown(max(values))
    return low if low == high else f"{low} to {high}"


def _count(value: float) -> str:
    return f"{value:.0f}"


def _macs(value: float) -> str:
    return grouped(int(value)) if math.isfinite(value) else _count(value)  # another program's JSON may say anything


def _size(size_bytes: float) -> str:
    return data_size(int(size_bytes)) if math.isfinite(size_bytes) else _count(size_bytes)  # as above


def _upwards(share: float) -> str:
    # '2.0%, 2.0% asked' would puzzle
    return percent(math.ceil(share * 1000 - 1e-9) / 1000 if math.isfinite(share) else share)
