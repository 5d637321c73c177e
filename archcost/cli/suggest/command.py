"""archcost suggest: single changes of a network that save, counted and measured."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from textwrap import wrap
from typing import TYPE_CHECKING

import click

from archcost.cli.options import Reading, coded, debugged, formatted, gathered, measured
from archcost.cli.suggest import predictions
from archcost.cli.terminal import progress, say
from archcost.errors import InputError, Mistake, TargetError, shorten, visible
from archcost.units import counted_words, data_size, duration, grouped, percent

if TYPE_CHECKING:
    from archcost.latency.measure import Place, Request
    from archcost.latency.samples import Plan
    from archcost.models.load import Model
    from archcost.profiling.compare import Timed
    from archcost.profiling.suggest.changes import Counts, Suggestion
    from archcost.profiling.suggest.forecast import Forecast
    from archcost.profiling.suggest.one_way import OneWay

_WIDTH = 80


@dataclass(frozen=True, slots=True)
class Wanted:
    """How many changes are shown, and which one is written, and where to, if one is."""

    top: int
    chosen: int | None
    output: str | None


@dataclass(frozen=True, slots=True)
class Report:
    """What is printed: the numbered suggestions that are `shown` of all that were `found`, and what was measured.

    forecast: what was predicted of them, None if nothing is measured.
    """

    model: Model
    place: str
    plan: Plan
    before: Counts
    shown: Mapping[int, Suggestion]
    found: int
    pairs: Mapping[int, Timed]
    failures: tuple[str, ...]
    written: str | None = None
    forecast: Forecast | None = None


@click.command()
@click.argument("model")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key (repeatable).")
@click.option("--top", type=click.IntRange(min=1), default=10, show_default=True, help="Most changes to show.")
@click.option("--apply", "chosen", type=int, metavar="N", help="Write the network that change N makes.")
@click.option("-o", "--output", type=click.Path(dir_okay=False), metavar="FILE", help="Where --apply writes.")
@coded
@measured
@formatted
@debugged
@gathered("wanted", lambda: Wanted)
def suggest(model: str, reading: Reading, asked: Request, wanted: Wanted, form: str) -> None:
    """List what could save time: changes of a network, or operators far below their roof.

    MODEL is what profile takes. Of a network of a family, single changes with exact counts are listed, those that save
    most time first: each is measured by turns with the original, in one way (one target, runtime, batch, ...), and all
    share --time. After 'archcost calibrate', those that are predicted to save most time are measured, else those that
    save most MACs. --no-latency counts alone, most MACs saved first; --apply N -o FILE writes one changed network as
    YAML and measures nothing. Of code and model files, operators are listed that take much time and are far below what
    this processor allows.
    """
    # imported when the command runs: they load pydantic, and torch where something is measured
    from archcost.cli.models import read_any, read_model
    from archcost.cli.suggest.findings import show_findings
    from archcost.models.load import Model
    from archcost.profiling.suggest.changes import counts, suggestions
    from archcost.profiling.suggest.one_way import one_way

    chosen, output = wanted.chosen, wanted.output
    if (chosen is None) != (output is None):
        raise click.UsageError("--apply N and -o FILE go together: the change to write, and its file.")
    one = one_way(asked)
    plan = one.plan
    read = read_any(model, reading) if asked.latency and chosen is None else None
    if read is not None and not isinstance(read, Model):
        show_findings(read, asked, wanted.top, form)
        return
    original = read or read_model(model, reading, "archcost suggest")
    with progress(f"counting changes of {original.name}"):
        found = suggestions(original, batch=plan.batch, dtype=plan.dtype)
    shown = dict(list(enumerate(found, 1))[: wanted.top]) if chosen is None else {chosen: _chosen(found, chosen)}
    before = counts(original, batch=plan.batch, dtype=plan.dtype)
    report = Report(original, one.name, plan, before, shown, len(found), {}, (), output)
    if output is not None:
        _write(report, output)
    elif asked.latency and shown and one.place:
        report = _beside(_picked(report, found, one, wanted.top), one.runtime, one.place)
    _show(report, form)
    if report.failures:
        raise TargetError("\n".join(report.failures))


def _chosen(found: Sequence[Suggestion], number: int) -> Suggestion:
    if not 1 <= number <= len(found):
        allowed = f"1 to {len(found)}, the changes there are" if found else "nothing, no change of this network saves"
        raise InputError(Mistake(f"given {number}; allowed: {allowed}", ("--apply",)))
    return found[number - 1]


def _write(report: Report, output: str) -> None:
    """Write the one change that is shown, with a comment that says where it comes from."""
    from archcost.config.writer import flow
    from archcost.files import write_whole

    (suggestion,) = report.shown.values()
    write_whole(output, f"# {flow(report.model.name)}: {suggestion.change.title}\n{suggestion.yaml}")


def _picked(report: Report, found: Sequence[Suggestion], one: OneWay, top: int) -> Report:
    """Return the report with those changes that are predicted to save most time, if the way is calibrated."""
    from archcost.profiling.suggest.forecast import forecast, numbered

    assert one.place is not None  # something is measured
    changes = numbered(found)
    told = forecast(report.model, changes, one.place, one.runtime, one.plan)
    return replace(report, forecast=told, shown=told.best(changes, top))


def _beside(report: Report, runtime: str, place: Place) -> Report:
    """Return the report with each change measured by turns with the original, those first that save most time."""
    from archcost.profiling.subjects import built, of_net
    from archcost.profiling.suggest.suggestions import by_time, by_turns

    original = of_net(report.model.graph, built(report.model, progress))
    pairs, failures = by_turns(original, report.shown, place, runtime, report.plan, progress)
    return replace(report, pairs=pairs, failures=failures, shown=by_time(report.shown, pairs))


def _show(report: Report, form: str) -> None:
    from archcost.rows import as_csv, as_markdown

    rows = [_row(report, number) for number in report.shown]
    match form:
        case "json":
            click.echo(json.dumps(_as_dict(report), indent=1, allow_nan=False))
        case "csv":
            click.echo(as_csv(_COLUMNS, [tuple(row[key] for key in _COLUMNS) for row in rows]), nl=False)
        case "markdown":
            texts = [["" if row[key] is None else str(row[key]) for key in _COLUMNS] for row in rows]
            click.echo(as_markdown(_COLUMNS, texts), nl=False)
        case _:
            click.echo("\n".join(line.rstrip() for line in _table(report, colour=sys.stdout.isatty())))
    if form != "table":
        for line in _warnings(report):
            say(f"warning: {line}")


_COLUMNS = (
    *("number", "title", "why", "overrides", "params", "macs", "peak_memory_bytes"),
    *("params_saved", "macs_saved", "peak_memory_bytes_saved", "original_s", "changed_s", "ratio", "measured"),
    "predicted_ratio",
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
        "original_s": pair and pair.medians_s[0],
        "changed_s": pair and pair.medians_s[1],
        "ratio": pair and pair.ratio,
        "measured": _words(pair),
        "predicted_ratio": report.forecast and report.forecast.ratio(number),
    }


def _named(counts: Counts) -> dict[str, int]:
    return {"params": counts.params, "macs": counts.macs, "peak_memory_bytes": counts.peak_bytes}


def _words(pair: Timed | None) -> str | None:
    if pair is None:
        return None
    if pair.differ is None:
        return "too few rounds" if pair.paired.interval is None else "cannot tell: one alone is not stable"
    if not pair.differ:
        return "no detectable difference"
    return "faster" if pair.ratio < 1 else "slower"


def _as_dict(report: Report) -> dict[str, object]:
    from archcost.profiling.result import SCHEMA
    from archcost.profiling.suggest.changes import UNKNOWN
    from archcost.version import __version__

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
        **predictions.as_dict(report.forecast),
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
        "latency": pair and pair.to_dict(),
        "predicted_ratio": row["predicted_ratio"],
        "prediction": predictions.row(report.forecast, number),
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
        many = f"change{'s' * (len(grown) > 1)} {', '.join(map(str, grown))}"
        yield f"{many}: more memory at the peak, {'up to ' * (len(grown) > 1)}{max(grown.values()):.2f} times as much"


def _shaky(report: Report) -> Iterator[str]:
    shaky = [n for n, pair in report.pairs.items() if not (pair.first.stable and pair.other.stable)]
    if shaky:
        many = "no measurement is" if len(shaky) == len(report.pairs) else f"{', '.join(map(str, shaky))} are not"
        yield f"{many} stable (--json says why): a longer --time or a smaller --top helps"


def _left_out(report: Report) -> Iterator[str]:
    from archcost.profiling.suggest.changes import untried

    if left := untried(report.model):
        yield f"{left} stages or layers, those with the fewest MACs, were not changed one by one: there are too many"


def _table(report: Report, *, colour: bool) -> Iterator[str]:
    from archcost.profiling.suggest.changes import UNKNOWN

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
        less = predictions.less(report.forecast)
        yield f"  ... and {report.found - len(report.shown)} more, which {less}; --top {report.found} shows all"
    yield ""
    yield from _whys(report)
    yield from _latencies(report)
    yield ""
    for line in predictions.words(report.forecast):
        yield from _wrapped(line)
    for line in _warnings(report):
        yield from _wrapped(f"note: {line}")
    yield from _wrapped(UNKNOWN)
    if report.written is not None:
        yield from _wrapped(f"Wrote {visible(report.written)}: {next(iter(report.shown.values())).change.title}.")
    else:
        yield "  --apply N -o FILE writes the network that change N makes."


def _changes(report: Report) -> Iterator[str]:
    from archcost.rows import aligned

    exact = {number: _saving(suggestion) for number, suggestion in report.shown.items()}
    heads = ("params", "saved", "MACs", "saved")
    taken = sum(2 + max(len(row[i]) for row in [heads, *exact.values()]) for i in range(4))
    digits = len(str(max(exact)))
    room = max(20, _WIDTH - taken - digits - 4)
    titles = {number: shorten(s.change.title, room) for number, s in report.shown.items()}
    rows = [(f"{number:>{digits}}  {titles[number]}", *cells) for number, cells in exact.items()]
    yield from aligned((f"{'#':>{digits}}  change", *heads), rows).splitlines()


def _saving(suggestion: Suggestion) -> tuple[str, ...]:
    params, macs, _ = (percent(1 - ratio) for ratio in suggestion.ratios)
    return grouped(suggestion.after.params), params, grouped(suggestion.after.macs), macs


def _whys(report: Report) -> Iterator[str]:
    reasons: dict[str, list[str]] = {}
    for number, suggestion in report.shown.items():
        reasons.setdefault(suggestion.change.why, []).append(str(number))
    for why, numbers in reasons.items():
        yield from _wrapped(f"{', '.join(numbers)}: {why}")


def _latencies(report: Report) -> Iterator[str]:
    if not report.pairs:
        return
    from archcost.rows import aligned

    plan = report.plan
    yield ""
    threads = counted_words(plan.threads, "thread")
    yield f"  Measured by turns, {report.place}, batch {plan.batch}, {plan.dtype}, {threads}:"
    times = [tuple(map(duration, p.medians_s)) for p in report.pairs.values()]
    rows = [(str(n), *t, f"{p.ratio:.2f}") for (n, p), t in zip(report.pairs.items(), times, strict=True)]
    foretold, cells = predictions.column(report.forecast, list(report.pairs))
    rows = [(*row, *cell) for row, cell in zip(rows, cells, strict=True)]
    heads, *lines = aligned(("#", "original", "changed", "ratio", *foretold), rows).splitlines()
    yield heads
    yield from (f"{line}  {_words(pair)}" for line, pair in zip(lines, report.pairs.values(), strict=True))


def _wrapped(text: str) -> Iterator[str]:
    yield from wrap(text, _WIDTH, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)
