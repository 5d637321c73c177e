"""archcost check: whether a network keeps to a budget; made for CI."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Final

import click

from archcost.cli.options import FORMATS, Reading, coded, debugged, formatted, measured
from archcost.cli.terminal import progress, say
from archcost.errors import InputError, Mistake, TargetError, shorten, visible
from archcost.profiling.bounds import said
from archcost.rows import aligned, as_csv, as_markdown, escaped
from archcost.units import duration, grouped, percent, scaled

if TYPE_CHECKING:
    from archcost.latency.measure import Request
    from archcost.models.files import Network
    from archcost.profiling.budget import Budget, Verdict
    from archcost.profiling.check import Check
    from archcost.profiling.result import Profile

_WIDTH: Final = 80
_EXACT: Final = 23  # digits and commas up to which a number is shown in full: two columns of them fit
_STATES: Final = {True: "PASS", False: "FAIL", None: "cannot tell"}
_COLOURS: Final = {True: "green", False: "red", None: "yellow"}
_HEADS: Final = ("limit", "actual", "used")


@click.command()
@click.argument("model")
@click.option("--budget", "budget_file", required=True, metavar="FILE", help="The limits, as YAML.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key (repeatable).")
@coded
@measured
@click.option("--strict", is_flag=True, help="Exit 1 also if a limit cannot be judged.")
@formatted
@debugged
def check(model: str, budget_file: str, reading: Reading, asked: Request, strict: bool, form: str) -> int:
    """Check that a network keeps to a budget; exit 1 if it does not.

    MODEL is a YAML file, - for standard input, a network that ships, an ONNX or pt2 file, or package.module:callable
    with --input. Latency is measured only if the budget limits it.
    """
    # imported when the command runs: they load pydantic, and torch where something is measured
    from archcost.cli.models import aside, read_any
    from archcost.profiling.check import checked

    network, budget = _read(lambda: read_any(model, reading), budget_file)
    with aside(network):
        found = checked(network, budget, asked, progress)
    click.echo(_printed(found, form), nl=False)
    for line in found.profile.warnings:
        say(f"warning: {visible(line)}")
    return _code(found, strict)


def _read(network_of: Callable[[], Network], budget_file: str) -> tuple[Network, Budget]:
    """Return network and budget; raises InputError with the mistakes of both."""
    from archcost.profiling.budget import load_budget  # loads pydantic

    mistakes: list[Mistake] = []
    try:
        budget = load_budget(budget_file)
    except InputError as error:
        mistakes += error.mistakes
    try:
        network = network_of()
    except InputError as error:
        mistakes += error.mistakes
    if mistakes:
        raise InputError(*mistakes)
    return network, budget


def _code(found: Check, strict: bool) -> int:
    """Return 1 where a limit is exceeded, whatever else happened; raise where a target failed."""
    if (failures := found.profile.failures) and found.ok:
        raise TargetError("\n".join(visible(str(failure)) for failure in failures))
    return int(not found.ok or (strict and found.holds is None))


def _printed(found: Check, form: str) -> str:
    verdicts = found.verdicts
    match form:
        case "table":
            return _table(found.profile, verdicts)
        case "json":
            return json.dumps(found.to_dict(), indent=1, allow_nan=False) + "\n"
        case "csv":
            heads = ("limit_on", "where", "unit", "limit", "actual", "share", "verdict", "words")
            return as_csv(heads, [_csv_row(verdict) for verdict in verdicts])
        case "markdown":
            rows = [(_STATES[v.holds], v.name, v.where, *_numbers(v), v.words) for v in verdicts]
            table = as_markdown(("", "", "where", *_HEADS, ""), rows)
            return f"# {escaped(found.profile.model.name)}\n\n{table}"
        case _:
            raise ValueError(f"{form} is none of {FORMATS}")


def _csv_row(verdict: Verdict) -> tuple[object, ...]:
    told = verdict.to_dict()
    numbers = (told[key] for key in ("name", "where", "unit", "limit", "actual", "share"))
    return *numbers, _STATES[verdict.holds], verdict.words


def _numbers(verdict: Verdict) -> tuple[str, str, str]:
    """Return the limit, what was found and how much of the limit that is, as people read them."""
    actual, used = _amount(verdict, verdict.actual), _used(verdict.share)
    return _amount(verdict, verdict.limit), said(actual, verdict.at_least), said(used, verdict.at_least)


def _amount(verdict: Verdict, value: float | None) -> str:
    if value is None:
        return "-"
    if verdict.name == "latency":
        return duration(value)
    unit = " B" if verdict.name in ("memory", "weights") else ""
    exact = grouped(int(value)) + unit
    if len(exact) <= _EXACT:
        return exact
    return scaled(int(value), unit.strip()) if value < 10**21 else f"{value:.1e}{unit}"


def _used(share: float | None) -> str:
    if share is None:
        return "-"
    return percent(share) if share < 10 else f"{share:.3g}x"


def _table(found: Profile, verdicts: Sequence[Verdict]) -> str:
    rows = [(f"{_STATES[verdict.holds]:<11}  {verdict.name}", *_numbers(verdict)) for verdict in verdicts]
    heads, *lines = aligned(("", *_HEADS), rows, indent=0).splitlines()
    told = [f"{visible(shorten(found.model.name, 60))}: {_summary(verdicts)}", heads]
    for verdict, line in zip(verdicts, lines, strict=True):
        text = visible("; ".join(filter(None, [verdict.words, verdict.where])))
        beside = f"{line}  {text}"
        told.append(_coloured(verdict, beside if len(beside) <= _WIDTH else line))
        if len(beside) > _WIDTH:
            told += wrap(text, _WIDTH, initial_indent=" " * 13, subsequent_indent=" " * 13)
    return "\n".join(told) + "\n"


def _coloured(verdict: Verdict, line: str) -> str:
    state = _STATES[verdict.holds]
    if not sys.stdout.isatty() or "NO_COLOR" in os.environ:
        return line
    return click.style(state, fg=_COLOURS[verdict.holds]) + line.removeprefix(state)


def _summary(verdicts: Sequence[Verdict]) -> str:
    over = list(dict.fromkeys(verdict.name for verdict in verdicts if verdict.holds is False))
    unknown = list(dict.fromkeys(verdict.name for verdict in verdicts if verdict.holds is None))
    parts = [f"over the budget in {', '.join(over)}"] if over else []
    parts += [f"cannot tell for {', '.join(unknown)}"] if unknown else []
    return "; ".join(parts) or "within the budget"
