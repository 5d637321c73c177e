"""archcost suggest: single changes of a network that save, counted exactly and measured beside the original."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from textwrap import wrap
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from archcost.cli.options import debugged, formatted, measured
from archcost.cli.progress import progress
from archcost.errors import InputError, Mistake, TargetError, shorten, visible
from archcost.units import data_size, duration, grouped, percent

if TYPE_CHECKING:
    from archcost.graph import Graph
    from archcost.measured import Latency, Plan, Samples
    from archcost.nets import Net
    from archcost.profiling import Request
    from archcost.read import Model
    from archcost.suggesting import Counts, Suggestion

_WIDTH = 80
_TURNS = 4  # how often each network of a pair is measured: what else the machine does then falls on both


class Pair(NamedTuple):
    """The original and a changed network, measured by turns."""

    original: Latency
    changed: Latency

    @property
    def ratio(self) -> float:
        """Changed over original, medians."""
        return self.changed.median_s / self.original.median_s

    @property
    def differ(self) -> bool | None:
        """Whether the medians' 99% intervals lie apart; None where there are too few samples for one."""
        a, b = self.original.interval_s, self.changed.interval_s
        return None if a is None or b is None else a[1] < b[0] or b[1] < a[0]

    @property
    def words(self) -> str:
        """What the measurement says."""
        if self.differ is None:
            return "too few samples"
        if not self.differ:
            return "no detectable difference"
        return "faster" if self.ratio < 1 else "slower"


@dataclass(frozen=True, slots=True)
class Report:
    """What is printed: the numbered suggestions that are `shown` of all that were `found`, and what was measured."""

    model: Model
    place: str
    plan: Plan
    before: Counts
    shown: Mapping[int, Suggestion]
    found: int
    pairs: Mapping[int, Pair]
    failures: tuple[str, ...]
    written: str | None = None


@click.command()
@click.argument("model")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key (repeatable).")
@click.option("--top", type=click.IntRange(min=1), default=10, show_default=True, help="Most changes to show.")
@click.option("--apply", "chosen", type=int, metavar="N", help="Write the network that change N makes.")
@click.option("-o", "--output", type=click.Path(dir_okay=False), metavar="FILE", help="Where --apply writes.")
@measured
@formatted
@debugged
def suggest(
    model: str, overrides: tuple[str, ...], top: int, form: str, as_json: bool, **given: Any
) -> None:  # given: --apply, -o and the measuring options
    """List single changes of a network that save parameters or MACs, as exact counts.

    MODEL is a YAML file, - for standard input, or a network that ships ('archcost example' lists them). Each change is
    measured by turns with the original; --time is then shared by all of them. --apply N -o FILE writes one as YAML.
    """
    # imported when the command runs: they load pydantic, and torch where something is measured
    from archcost.cli.models import read_model
    from archcost.profiling import Request
    from archcost.suggesting import counts, suggestions

    chosen, output = given.pop("chosen"), given.pop("output")
    if (chosen is None) != (output is None):
        raise click.UsageError("--apply N and -o FILE go together: the change to write, and where to.")
    asked = Request(**given, witness=False)
    place, plan = _place(asked)
    original = read_model(model, overrides)
    with progress(f"counting changes of {original.name}"):
        found = suggestions(original, batch=plan.batch, dtype=plan.dtype)
    shown = dict(list(enumerate(found, 1))[:top]) if chosen is None else {chosen: _chosen(found, chosen)}
    before = counts(original, batch=plan.batch, dtype=plan.dtype)
    report = Report(original, place, plan, before, shown, len(found), {}, (), output)
    if output is not None:
        _write(report, output)
    elif asked.latency and shown:
        report = _beside(report, asked)
    _show(report, "json" if as_json else form)
    if report.failures:
        raise TargetError("\n".join(report.failures))


def _place(asked: Request) -> tuple[str, Plan]:
    """Return where and how to measure: one target, runtime and plan; raises InputError for several."""
    from archcost import profiling

    plans = asked.plans()
    profiling._check(asked, plans)
    (target, *others), (runtime, *more) = asked.targets, asked.runtimes
    if others or more or len(plans) > 1:
        raise InputError(
            Mistake("changes are measured in one way; allowed: one target, runtime, batch, dtype, threads")
        )
    return f"{target}/{runtime}", plans[0]


def _chosen(found: Sequence[Suggestion], number: int) -> Suggestion:
    if not 1 <= number <= len(found):
        allowed = f"1 to {len(found)}, the changes there are" if found else "nothing, no change of this network saves"
        raise InputError(Mistake(f"given {number}; allowed: {allowed}", ("--apply",)))
    return found[number - 1]


def _write(report: Report, output: str) -> None:
    """Write the one change that is shown, with a comment that says where it comes from."""
    from archcost.files import write_whole
    from archcost.writing import flow

    (suggestion,) = report.shown.values()
    write_whole(output, f"# {flow(report.model.name)}: {suggestion.change.title}\n{suggestion.yaml}")


def _beside(report: Report, asked: Request) -> Report:
    """Return the report with each change measured by turns with the original; all turns share the plan's time."""
    from archcost import document, profiling, read

    plan = replace(report.plan, time_s=report.plan.time_s / (len(report.shown) * 2 * _TURNS))
    original = profiling._built(report.model, progress)
    pairs: dict[int, Pair] = {}
    failures = []
    for number, suggestion in report.shown.items():
        with progress(f"measuring {suggestion.change.title}, {len(pairs) + 1} of {len(report.shown)}"):
            changed = read.expand(document.load(suggestion.yaml, "changed.yaml"))
            sides = ((report.model.graph, original), (changed.graph, profiling._built(changed, profiling.silent)))
            try:
                pairs[number] = _by_turns(sides, asked, plan)
            except TargetError as error:
                failures.append(f"change {number}: {error}")
    return replace(report, pairs=pairs, failures=tuple(failures))


def _by_turns(sides: Sequence[tuple[Graph, Net]], asked: Request, plan: Plan) -> Pair:
    """Return both sides' latencies, each of several short measurements: first one begins a turn, then the other."""
    from archcost import profiling
    from archcost.measured import summarise

    taken: tuple[list[Samples], list[Samples]] = ([], [])
    for turn in range(_TURNS):
        for side in (0, 1) if turn % 2 == 0 else (1, 0):
            graph, net = sides[side]
            way = asked.targets[0], asked.runtimes[0]
            taken[side].append(profiling._measured(graph, net, *way, plan, profiling.silent))
    return Pair(*(summarise(_pooled(parts)) for parts in taken))


def _pooled(parts: Sequence[Samples]) -> Samples:
    """Return several measurements of one network as one."""
    from archcost.measured import settled

    warmup = tuple(value for part in parts for value in part.warmup_s)
    waits = [part.waited_s for part in parts if part.waited_s is not None]
    return replace(
        parts[0],
        warmup_s=warmup,
        samples_s=tuple(value for part in parts for value in part.samples_s),
        loops=max(part.loops for part in parts),
        settled=settled(warmup),
        sampling_s=sum(part.sampling_s for part in parts),
        waited_s=sum(waits) if len(waits) == len(parts) else None,
    )


def _show(report: Report, form: str) -> None:
    from archcost.cli.rows import as_csv, as_markdown

    match form:
        case "json":
            click.echo(json.dumps(_as_dict(report), indent=1, allow_nan=False))
        case "csv":
            rows = [_row(report, number) for number in report.shown]
            click.echo(as_csv(_COLUMNS, [tuple(row[key] for key in _COLUMNS) for row in rows]), nl=False)
        case "markdown":
            click.echo(as_markdown(*_cells(report)), nl=False)
        case _:
            click.echo("\n".join(line.rstrip() for line in _table(report, colour=sys.stdout.isatty())))
    if form != "table":
        for line in _warnings(report):
            click.echo(f"warning: {line}", err=True)


_COLUMNS = (
    *("number", "title", "why", "overrides", "params", "macs", "peak_memory_bytes"),
    *("params_saved", "macs_saved", "peak_memory_bytes_saved", "original_s", "changed_s", "ratio", "measured"),
)


def _row(report: Report, number: int) -> dict[str, object]:
    """Return a suggestion as a row of plain values."""
    suggestion, pair = report.shown[number], report.pairs.get(number)
    return {
        "number": number,
        "title": suggestion.change.title,
        "why": suggestion.change.why,
        "overrides": " ".join(suggestion.change.overrides),
        **_named(suggestion.after),
        **{f"{key}_saved": value for key, value in _named(suggestion.saved).items()},
        "original_s": pair and pair.original.median_s,
        "changed_s": pair and pair.changed.median_s,
        "ratio": pair and pair.ratio,
        "measured": pair and pair.words,
    }


def _named(counts: Counts) -> dict[str, int]:
    return {"params": counts.params, "macs": counts.macs, "peak_memory_bytes": counts.peak_bytes}


def _as_dict(report: Report) -> dict[str, object]:
    from archcost import __version__
    from archcost.profiling import SCHEMA
    from archcost.suggesting import UNKNOWN

    model = report.model
    return {
        "archcost": __version__,
        "schema": SCHEMA,
        "warnings": _warnings(report),
        "note": UNKNOWN,
        "model": {"name": model.name, "family": model.family, "digest": model.digest},
        "batch": report.plan.batch,
        "dtype": report.plan.dtype,
        **_named(report.before),
        "found": report.found,
        "written": report.written,
        "suggestions": [_suggested(report, number) for number in report.shown],
    }


def _suggested(report: Report, number: int) -> dict[str, object]:
    suggestion, pair = report.shown[number], report.pairs.get(number)
    row = _row(report, number)
    params, macs, peak = suggestion.ratios
    return {
        **{key: row[key] for key in _COLUMNS[:10]},
        **{"params_ratio": params, "macs_ratio": macs, "peak_memory_bytes_ratio": peak},
        "overrides": list(suggestion.change.overrides),
        "digest": suggestion.digest,
        "yaml": suggestion.yaml,
        "latency": pair
        and {
            "original": pair.original.to_dict(),
            "changed": pair.changed.to_dict(),
            "ratio": pair.ratio,
            "differ": pair.differ,
        },
    }


def _warnings(report: Report) -> list[str]:
    """Return what is against taking the counts for time or for room, and what was left out."""
    return [*_slower(report), *_larger(report), *_shaky(report), *_left_out(report), *report.failures]


def _slower(report: Report) -> Iterator[str]:
    for number, pair in report.pairs.items():
        less = 1 - report.shown[number].ratios[1]
        if pair.differ and pair.ratio > 1 and less > 0:
            times = f"{percent(less)} of the MACs saved, yet {pair.ratio:.2f} times the latency"
            yield f"change {number}: {times}: fewer MACs are not always faster"


def _larger(report: Report) -> Iterator[str]:
    grown = {number: s.ratios[2] for number, s in report.shown.items() if s.saved.peak_bytes < 0}
    if grown:
        most = max(grown, key=lambda number: grown[number])
        many = f"change{'s' * (len(grown) > 1)} {', '.join(map(str, grown))}"
        yield f"{many}: more memory at the peak, up to {grown[most]:.2f} times (change {most})"


def _shaky(report: Report) -> Iterator[str]:
    shaky = [n for n, pair in report.pairs.items() if not (pair.original.stable and pair.changed.stable)]
    if shaky:
        many = "no measurement is" if len(shaky) == len(report.pairs) else f"{', '.join(map(str, shaky))} are not"
        yield f"{many} stable (--json says why): a longer --time or a smaller --top helps"


def _left_out(report: Report) -> Iterator[str]:
    from archcost.suggesting import untried

    if left := untried(report.model):
        yield f"{left} stages or layers, those with the fewest MACs, were not changed one by one: there are too many"


def _cells(report: Report) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """Return heads and rows of everything, for Markdown."""
    heads = (
        "",
        "change",
        "--set",
        "params",
        "saved",
        "MACs",
        "saved",
        "peak memory, bytes",
        "saved",
        "latency",
        "ratio",
    )
    rows = [("0", "none", "", *_exact(report.before), "", "")]
    for number, suggestion in report.shown.items():
        pair = report.pairs.get(number)
        took = (duration(pair.changed.median_s), f"{pair.ratio:.2f}, {pair.words}") if pair else ("", "")
        change = suggestion.change
        rows.append((str(number), change.title, " ".join(change.overrides), *_exact(*_both(suggestion)), *took))
    return heads, rows


def _exact(counts: Counts, shares: Sequence[float] | None = None) -> tuple[str, ...]:
    saved = [percent(share) for share in shares] if shares else [""] * len(counts)
    return tuple(cell for pair in zip(map(grouped, counts), saved, strict=True) for cell in pair)


def _both(suggestion: Suggestion) -> tuple[Counts, Sequence[float]]:
    return suggestion.after, [1 - ratio for ratio in suggestion.ratios]


def _table(report: Report, *, colour: bool) -> Iterator[str]:
    from archcost.suggesting import UNKNOWN

    before = report.before
    name = visible(shorten(report.model.name, _WIDTH))
    yield click.style(name, bold=True) if colour else name
    yield f"  {grouped(before.params)} parameters, {grouped(before.macs)} MACs"
    memory = f"{data_size(before.peak_bytes)} of memory at the peak, batch {report.plan.batch}, {report.plan.dtype}"
    yield f"  {memory}"
    yield ""
    if not report.shown:
        yield "No single change of its keys that is known here saves parameters or MACs."
        return
    yield from _changes(report)
    if report.found > len(report.shown) and report.written is None:
        yield f"  ... and {report.found - len(report.shown)} more, which save less; --top {report.found} shows all"
    yield ""
    yield from _whys(report)
    yield from _latencies(report)
    yield ""
    for line in _warnings(report):
        yield from _wrapped(f"note: {line}")
    yield from _wrapped(UNKNOWN)
    if report.written is not None:
        yield from _wrapped(f"Wrote {visible(report.written)}: {next(iter(report.shown.values())).change.title}.")
    else:
        yield "  --apply N -o FILE writes the network that change N makes."


def _changes(report: Report) -> Iterator[str]:
    from archcost.cli.rows import aligned

    exact = {number: _exact(*_both(suggestion))[:4] for number, suggestion in report.shown.items()}
    heads = ("params", "saved", "MACs", "saved")
    taken = sum(2 + max(len(row[i]) for row in [heads, *exact.values()]) for i in range(4))
    digits = len(str(max(exact)))
    room = max(20, _WIDTH - taken - digits - 4)
    titles = {number: shorten(s.change.title, room) for number, s in report.shown.items()}
    rows = [(f"{number:>{digits}}  {titles[number]}", *cells) for number, cells in exact.items()]
    yield from aligned((f"{'#':>{digits}}  change", *heads), rows).splitlines()


def _whys(report: Report) -> Iterator[str]:
    reasons: dict[str, list[str]] = {}
    for number, suggestion in report.shown.items():
        reasons.setdefault(suggestion.change.why, []).append(str(number))
    for why, numbers in reasons.items():
        yield from _wrapped(f"{', '.join(numbers)}: {why}")


def _latencies(report: Report) -> Iterator[str]:
    if not report.pairs:
        return
    from archcost.cli.rows import aligned

    plan = report.plan
    yield ""
    yield f"  Measured by turns, {report.place}, batch {plan.batch}, {plan.dtype}, {plan.threads} threads:"
    rows = [
        (str(n), duration(p.original.median_s), duration(p.changed.median_s), f"{p.ratio:.2f}", p.words)
        for n, p in report.pairs.items()
    ]
    yield from aligned(("#", "original", "changed", "ratio", ""), rows).splitlines()


def _wrapped(text: str) -> Iterator[str]:
    yield from wrap(text, _WIDTH, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)
