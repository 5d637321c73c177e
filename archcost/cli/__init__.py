"""The command line: what is typed becomes a call, and every error a message and a code.

Exit codes: 0 done; 1 a check did not hold; 2 the input was wrong or refused; 3 the target or runtime failed; 70 our own
bug; 130 interrupted, 143 terminated. Only click is imported here: a command loads what it needs when it runs.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

import click

from archcost import urls
from archcost.cli.check import check
from archcost.cli.choose import choose
from archcost.cli.compare.command import compare
from archcost.cli.datasets import datasets
from archcost.cli.device.calibrate import calibrate
from archcost.cli.device.measure import measure
from archcost.cli.draw import draw
from archcost.cli.export import export
from archcost.cli.lists import completion, example, schema, targets
from archcost.cli.predict import predict
from archcost.cli.profile import profile
from archcost.cli.report import report
from archcost.cli.sections import Sectioned
from archcost.cli.study.group import study
from archcost.cli.suggest.command import suggest
from archcost.cli.terminal import say
from archcost.errors import ArchcostError, InputError, named, one_line, visible
from archcost.version import __version__

INTERNAL, INTERRUPTED, TERMINATED = 70, 130, 143


@click.group(cls=Sectioned, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80})
@click.version_option(__version__, prog_name="archcost")
def cli() -> None:
    """What a network costs, where the cost sits, and what it takes on this device."""


cli.section("A network", profile, predict, compare, check, suggest, draw, export)
cli.section("A study", study, choose, report)
cli.section("Files and this machine", example, schema, targets, calibrate, datasets, completion)
cli.add_command(measure)  # hidden: only archcost itself calls it, over ssh


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with its code."""
    _open_streams()
    # an exit like any other: what is half-written, always a file beside its target, is removed on the way out
    signal.signal(signal.SIGTERM, _terminated)
    before = sys.stdout
    debug = "--debug" in (sys.argv[1:] if arguments is None else arguments)
    try:
        code = cli.main(arguments, prog_name="archcost", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()  # the reader has gone: nothing is wrong
        code = 0
    except SystemExit:
        if sys.stdout is before:  # else click met a closed pipe, put a stream in its place that bears it, and exits 1
            raise
        _discard_output()
        code = 0
    except (Exception, KeyboardInterrupt) as error:  # the one place where every error ends
        code = _told(error, debug)
    sys.exit(code if isinstance(code, int) else 0)


def _open_streams() -> None:
    """Put the null device where a standard stream is closed: the next file would get its number, and what is printed.

    As on a closed pipe, nobody reads that then. `sys.stdin` stays None: who reads it says so.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # gets the lowest number that is free
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - open to the end
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - open to the end


def _terminated(*_: object) -> NoReturn:
    """Exit, and hear no more of it: a second one would interrupt what is tidied up."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(TERMINATED)


def _discard_output() -> None:
    """Let nothing more be written to standard output: the interpreter would try again at its end, and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno() if sys.__stdout__ else 1)


def _told(error: BaseException, debug: bool) -> int:
    """Say on standard error what went wrong, once and in words; return the exit code."""
    if debug and not isinstance(error, click.ClickException):
        click.echo(urls.shown("".join(traceback.format_exception(error))), err=True)
    match error:
        case click.exceptions.Exit():
            return error.exit_code
        case click.ClickException():
            said = io.StringIO()
            error.show(file=said)
            say(urls.shown(said.getvalue()).rstrip("\n"))
            return error.exit_code
        case click.Abort() | KeyboardInterrupt():
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # what is left is the end
            say("archcost: interrupted")
            return INTERRUPTED
        case ArchcostError():
            # a mistake with a place begins with it, so that editors find file, line and column
            placed = isinstance(error, InputError) and any(m.place for m in error.mistakes)
            lines = [str(error)] if placed else [f"archcost: {line}" for line in str(error).split("\n")]
            say("\n".join(lines))
            return error.exit_code
        case OSError():
            _discard_output()
            say(f"archcost: cannot read or write: {visible(urls.shown(str(error)))}")
            return InputError.exit_code
        case _:
            words = one_line(urls.shown(named(error)), 10_000)
            say(f"archcost: internal error: {words} (--debug shows where; please report it)")
            return INTERNAL
