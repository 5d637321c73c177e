"""archcost datasets: which data sets there are, where they are, and how to get them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from textwrap import wrap
from typing import TYPE_CHECKING, Final

import click

from archcost import urls
from archcost.cli.options import debugged
from archcost.errors import visible

if TYPE_CHECKING:
    from archcost.data.known import Listing

_WIDTH: Final = 80
_HERE: Final = {True: "yes", False: "no", None: "yours"}


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@debugged
@click.pass_context
def datasets(context: click.Context, as_json: bool) -> None:
    """List the data sets that studies can name, where they are and how to get them."""
    if context.invoked_subcommand is not None:
        return
    # imported when the command runs, to keep start-up fast
    from archcost.data.known import VARIABLE, folders, listed

    found, places = listed(), [urls.shown(str(folder)) for folder in folders()]
    if as_json:
        click.echo(json.dumps({"folders": places, "datasets": [asdict(each) for each in found]}, indent=1))
        return
    click.echo("\n".join([*_table(found), "", *_where([visible(each) for each in places], VARIABLE)]))


@datasets.command(short_help="Download a data set into the cache.")
@click.argument("name")
@debugged
def fetch(name: str) -> None:
    """Download a data set into the cache, its files checked by their hashes."""
    from archcost.cli.terminal import progress
    from archcost.data.download import fetch as fetched

    click.echo(visible(str(fetched(name, progress=progress))))


def _table(found: tuple[Listing, ...]) -> Iterator[str]:
    width = max(len(each.name) for each in found)
    yield f"{'data set':<{width}}  here   what it is"
    for each in found:
        yield f"{each.name:<{width}}  {_HERE[each.here]:<5}  {each.words}"
        for line in (each.source, each.get):
            yield from _below(visible(line), width + 9) if line and each.source != "in the package" else ()


def _where(places: list[str], variable: str) -> Iterator[str]:
    yield f"Looked for in the folder of its name below (${variable}, then the cache):"
    for place in places:
        yield from _below(place, 2)


def _below(text: str, indent: int) -> Iterator[str]:
    """Yield text in lines of at most 80 columns: at spaces where there are any, paths wherever they must be cut."""
    space = " " * indent
    yield from wrap(text, _WIDTH, initial_indent=space, subsequent_indent=space, break_on_hyphens=False)
