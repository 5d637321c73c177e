"""The options that several commands share, and how their values are read."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any, TypeVar

import click

from archcost.errors import InputError, Mistake, Place
from archcost.units import parse_batches, parse_duration, parse_share

if TYPE_CHECKING:
    from archcost.models.code import Argument

F = TypeVar("F", bound=Callable[..., Any])

FORMATS = ("table", "json", "csv", "markdown")


class Read(click.ParamType[Any]):
    """An option whose text one function reads; what it refuses is a usage error."""

    def __init__(self, name: str, read: Callable[[str], object]) -> None:
        self.name, self.read = name, read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the value that was read."""
        try:
            return self.read(value) if isinstance(value, str) else value
        except ValueError as error:
            self.fail(str(error), param, ctx)


def standard_input() -> IO[bytes]:
    """Return what `-` reads; raises InputError where it is closed."""
    if sys.stdin is None:
        raise InputError(Mistake("cannot be read: standard input is closed", place=Place("<stdin>")))
    return sys.stdin.buffer


def formatted(command: F) -> F:
    """Add --format and --json."""
    command = click.option("--json", "as_json", is_flag=True, help="The same as --format json.")(command)
    return click.option("--format", "form", type=click.Choice(FORMATS), default="table", help="How to print.")(command)


def debugged(command: F) -> F:
    """Add --debug; `main` looks for it itself, so that it also works where the command line is wrong."""
    return click.option("--debug", is_flag=True, expose_value=False, help="Show tracebacks.")(command)


def coded(command: F) -> F:
    """Add what a network that code makes is called with, and the consent to run code that a file names."""
    consent = click.option("--allow-code", is_flag=True, help="Run the code that a file of 'family: module' names.")
    typed = click.option(
        "--input",
        "inputs",
        multiple=True,
        type=Read("input", _input),
        metavar="SIZES[:DTYPE[:BELOW]]",
        help="What package.module:callable is called with, without the batch: 3,224,224 or ids=128:int64:30000 "
        "(repeatable).",
    )
    return typed(consent(command))


def _input(text: str) -> Argument:
    from archcost.models.code import parse_input  # loads pydantic

    return parse_input(text)


def _flat(_: click.Context, __: click.Parameter, value: tuple[tuple[int, ...], ...]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(batch for each in value for batch in each))


def measured(command: F) -> F:
    """Add what, where and how long to measure."""
    for option in reversed(
        (
            click.option("--target", "targets", multiple=True, default=["cpu"], help="Where to measure (repeatable)."),
            click.option("--runtime", "runtimes", multiple=True, default=["eager"], help="What runs it (repeatable)."),
            click.option(
                "--batch",
                "batches",
                multiple=True,
                type=Read("batch", parse_batches),
                default=["1"],
                callback=_flat,
                help="Batch size, or a range that doubles: 1..6 is 1, 2 and 4 (repeatable).",
            ),
            click.option("--dtype", "dtypes", multiple=True, help="Data type; the network's own (repeatable)."),
            click.option("--threads", multiple=True, type=int, help="Threads; the physical cores (repeatable)."),
            click.option(
                "--precision",
                type=Read("share", parse_share),
                default="2%",
                show_default=True,
                help="Half-width of the interval at which to stop.",
            ),
            click.option(
                "--time",
                "time_s",
                type=Read("duration", parse_duration),
                default="10s",
                show_default=True,
                help="Longest time for one measurement.",
            ),
            click.option("--cold-cache", is_flag=True, help="Empty the caches before every sample."),
            click.option("--no-latency", "latency", is_flag=True, flag_value=False, default=True, help="Count only."),
        )
    ):
        command = option(command)
    return command
