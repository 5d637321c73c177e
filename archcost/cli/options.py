"""The options that several commands share, and how their values are read."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from typing import IO, TYPE_CHECKING, Any, TypeVar, cast

import click

from archcost.errors import InputError, Mistake, Place
from archcost.units import parse_batches, parse_duration, parse_share

if TYPE_CHECKING:
    from archcost.latency.measure import Request
    from archcost.models.code import Argument

F = TypeVar("F", bound=Callable[..., Any])

_RUNTIME = "What runs it; eager, of an ONNX file onnxruntime, both in a profile (repeatable)."
FORMATS = ("table", "json", "csv", "markdown")


@dataclass(frozen=True, slots=True)
class Reading:
    """How a network that is named is read: `key=value` overrides, what code is called with, consent to run a file's."""

    overrides: tuple[str, ...] = ()
    inputs: tuple[Argument, ...] = ()
    allow_code: bool = False


@dataclass(frozen=True, slots=True)
class Shown:
    """How results are printed: the format, groups cut to so many parts of their names, and whether layers are.

    verbose: whether all that is known of each latency is, in the table.
    """

    form: str = "table"
    depth: int | None = None
    layers: bool = False
    verbose: bool = False


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
    """Return what `-` reads; raises InputError if it is closed."""
    if sys.stdin is None:
        raise InputError(Mistake("cannot be read: standard input is closed", place=Place("<stdin>")))
    return sys.stdin.buffer


def gathered(name: str, kind: Callable[[], type[Any]]) -> Callable[[F], F]:
    """Return a decorator by which a command gets the options that are fields of a dataclass as one value, `name`.

    `kind` gives the dataclass, which may load much, when the command runs; options that the command lacks keep their
    defaults.
    """

    def decorated(command: F) -> F:
        @wraps(command)
        def called(**given: Any) -> Any:
            value = kind()
            own = {field.name: given.pop(field.name) for field in fields(value) if field.name in given}
            return command(**given, **{name: value(**own)})

        return cast("F", called)

    return decorated


def formatted(command: F) -> F:
    """Add --format and --json; the command gets the one that is meant as `form`."""

    @wraps(command)
    def called(*, form: str, as_json: bool, **given: Any) -> Any:
        return command(form="json" if as_json else form, **given)

    json = click.option("--json", "as_json", is_flag=True, help="The same as --format json.")(cast("F", called))
    return click.option("--format", "form", type=click.Choice(FORMATS), default="table", help="How to print.")(json)


def deep(command: F) -> F:
    """Add --depth; the command gets it as `depth`."""
    words = "Cut the names of groups to so many parts: 2 is stage1.block1, or layers.0 (table, markdown)."
    return click.option("--depth", type=click.IntRange(1, 100), metavar="N", help=words)(command)


def debugged(command: F) -> F:
    """Add --debug; `main` looks for it itself, so that it also works where the command line is wrong."""
    return click.option("--debug", is_flag=True, expose_value=False, help="Show tracebacks.")(command)


def coded(command: F) -> F:
    """Add what a network that code makes is called with, and the consent to run code that a file names.

    The command gets both, with what --set overrides, as `reading`.
    """
    consent = click.option("--allow-code", is_flag=True, help="Run the code that a file names, or a pt2 file holds.")
    typed = click.option(
        "--input",
        "inputs",
        multiple=True,
        type=Read("input", _input),
        metavar="SIZES[:DTYPE[:BELOW]]",
        help="What code is called with, without the batch: 3,224,224 or ids=128:int64:30000; sizes of a model file "
        "(repeatable).",
    )
    return typed(consent(gathered("reading", lambda: Reading)(command)))


def _input(text: str) -> Argument:
    from archcost.models.code import parse_input  # loads pydantic

    return parse_input(text)


def _flat(_: click.Context, __: click.Parameter, value: tuple[tuple[int, ...], ...]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(batch for each in value for batch in each))


def requested() -> type[Request]:
    """Return what `measured` and others gather their options in."""
    from archcost.latency.measure import Request  # no more than a command that counts needs

    return Request


def placed(command: F) -> F:
    """Add in which ways a network runs; with `requested` the command gets them in a Request."""
    for option in reversed(
        (
            click.option("--target", "targets", multiple=True, default=["cpu"], help="Where to measure (repeatable)."),
            click.option("--runtime", "runtimes", multiple=True, help=_RUNTIME),
            click.option(
                "--batch",
                "batches",
                multiple=True,
                type=Read("batch", parse_batches),
                default=["1"],
                callback=_flat,
                help="Batch size, several as 1,8, or a range that doubles: 1..6 is 1, 2 and 4.",
            ),
            click.option("--dtype", "dtypes", multiple=True, help="Data type; the network's own (repeatable)."),
            click.option("--threads", multiple=True, type=int, help="Threads; the physical cores (repeatable)."),
        )
    ):
        command = option(command)
    return command


def measured(command: F) -> F:
    """Add what, where and how long to measure; the command gets all of it as `asked`, a Request."""
    command = gathered("asked", requested)(command)
    for option in reversed(
        (
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
                help="Longest time for one measurement; 10s.",
            ),
            click.option("--cold-cache", is_flag=True, help="Empty the caches before every sample."),
            click.option("--no-latency", "latency", is_flag=True, flag_value=False, default=True, help="Count only."),
        )
    ):
        command = option(command)
    return placed(command)
