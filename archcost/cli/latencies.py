"""The latencies of a profile as lines: one in full, several as a table with its doubts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from archcost.cli.terminal import field, paint
from archcost.errors import shorten, visible
from archcost.latency.remarks import names, remarks
from archcost.latency.summary import Latency, summarise
from archcost.profiling.result import Profile
from archcost.rows import aligned
from archcost.units import counted_words, duration, percent


def latency_lines(found: Profile, *, colour: bool) -> Iterator[str]:
    """Yield what was measured of a network, whole and step by step."""
    yield from _measured("latency", found.latencies, colour)
    yield from _measured("one step", tuple(map(summarise, found.streaming)), colour)


def _measured(label: str, latencies: Sequence[Latency], colour: bool) -> Iterator[str]:
    if len(latencies) > 1:
        yield from _several(label, latencies, colour)
    else:
        for latency in latencies:
            yield from _one(label, latency, colour)


def _one(label: str, latency: Latency, colour: bool) -> Iterator[str]:
    yield from field(label, f"{paint(duration(latency.median_s), colour, bold=True)}  {visible(str(latency.way))}")
    details = [f"fastest {duration(latency.min_s)}"]
    if latency.interval_s:
        low, high = (duration(value) for value in latency.interval_s)
        details.insert(0, f"blocks {low} to {high}")
    details += [f"{name} {duration(value)}" for name, value in _percentiles(latency) if value is not None]
    yield from field("", ", ".join(details))
    how = f"{counted_words(latency.samples, 'sample')} in {counted_words(latency.blocks, 'block')}"
    yield from field("", f"{how}, {latency.examples_per_s:.4g} examples/s; first call {duration(latency.first_s)}")
    if latency.relative is not None and latency.machine_speed is not None:
        speed = percent(latency.machine_speed)
        yield from field("", f"{latency.relative:.4g} calibration kernels; the machine at {speed} of its best speed")
    yield from field("", f"{_state(latency, colour)}; on {visible(latency.device)}")


def _percentiles(latency: Latency) -> tuple[tuple[str, float | None], ...]:
    return ("p90", latency.p90_s), ("p99", latency.p99_s)


def _state(latency: Latency, colour: bool) -> str:
    if latency.stable:
        return paint("stable", colour, fg="green")
    return f"{paint('not stable', colour, fg='yellow')}: {latency.why}"


def _several(label: str, latencies: Sequence[Latency], colour: bool) -> Iterator[str]:
    """Yield a row for each; what several have in common, doubts among it, stands below, once."""
    yield ""
    heads = (label, "batch", "dtype", "thr", "median", "blocks", "ex/s", "first")
    rows = [_row(latency) for latency in latencies]
    yield from aligned(heads, rows).splitlines()
    for remark in remarks((("", latencies),)):
        words = visible(str(remark)).replace("not stable", paint("not stable", colour, fg="yellow"), 1)
        yield from field("", f"* {words}")
    for device in dict.fromkeys(latency.device for latency in latencies):
        yield from field("", f"on {visible(device)}; a star: not stable; first: the first call, with what it compiles")
    if len({latency.batch for latency in latencies}) > 1:
        told = zip(names([latency.way for latency in latencies]), latencies, strict=True)
        name, best = max(told, key=lambda row: row[1].examples_per_s)
        sure = "" if all(latency.stable for latency in latencies) else "; not sure, some rows are not stable"
        yield from field("", f"most examples per second: {best.examples_per_s:.4g}, at {visible(name)}{sure}")


def _row(latency: Latency) -> tuple[str, ...]:
    name = f"{shorten(latency.target, 20)}/{latency.runtime}{'' if latency.stable else '*'}"
    blocks = "-" if latency.interval_s is None else _between(*latency.interval_s)
    count = (str(latency.batch), latency.dtype, str(latency.threads))
    return name, *count, duration(latency.median_s), blocks, f"{latency.examples_per_s:.3g}", duration(latency.first_s)


def _between(low_s: float, high_s: float) -> str:
    low, high = duration(low_s), duration(high_s)
    number, _, unit = low.partition(" ")
    return f"{number}-{high}" if high.endswith(f" {unit}") else f"{low}-{high}"
