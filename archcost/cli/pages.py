"""What the commands that write a page share: the page's document, and what made it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from archcost import urls
from archcost.errors import InputError, quoted
from archcost.files import write_whole

if TYPE_CHECKING:
    from archcost.profiling.budget import Budget
    from archcost.report.blocks import Document

_TYPED: Final = "archcost.typed"


class Said(click.Command):
    """A command that remembers what was typed behind its name."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the arguments, then read them."""
        ctx.meta[_TYPED] = list(args)
        return super().parse_args(ctx, args)


def command_line() -> str:
    """Return what was typed, for the page; of URLs no passwords."""
    context = click.get_current_context()
    words = [context.info_name or "", *context.meta.get(_TYPED, [])]
    return f"archcost {shlex.join(urls.shown(word) for word in words)}"


def a_file(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """Return the name of the file a page is written to: standard output is none, and its folder is there.

    Nothing is measured for a page that could not be written.
    """
    if value in ("", "-"):
        raise click.BadParameter(f"given {quoted(value)}; allowed: the name of a file, for the page is one")
    if value is not None and not Path(value).parent.is_dir():
        raise InputError(f"cannot write {quoted(value)}: there is no such folder")
    return value


def write_page(path: str, told: dict[str, Any], limits: Budget | None = None) -> None:
    """Write the page of what `profile --json` or `compare --json` prints."""
    write_document(path, document(told, limits))


def document(told: dict[str, Any], limits: Budget | None = None) -> Document:
    """Return the report of what `profile --json` or `compare --json` prints."""
    from archcost.report import comparison, profile
    from archcost.report.json_input import Profiled, typed

    told = json.loads(json.dumps(told, allow_nan=False))  # as it is read from a file: the page is the same
    found, command = typed(told), command_line()
    if isinstance(found, Profiled):
        return profile.report(found, told, command, limits)
    return comparison.report(found, told, command, limits)


def write_document(path: str, made: Document) -> None:
    """Write a report as HTML."""
    from archcost.report.page import page  # loads plotly

    write_whole(path, page(made))
