"""archcost profile: counts, witnesses and latencies of one network."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from archcost.cli.options import debugged, formatted, measured
from archcost.cli.progress import progress
from archcost.errors import TargetError

if TYPE_CHECKING:
    from archcost.profiling import Profile


@click.command()
@click.argument("model")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key (repeatable).")
@measured
@click.option(
    "--no-witness", "witness", is_flag=True, flag_value=False, default=True, help="Leave fvcore and torch out."
)
@click.option("--strict", is_flag=True, help="Exit 1 also where an operator cannot be counted.")
@formatted
@click.option("--html", type=click.Path(dir_okay=False), help="Also write a page with the same numbers.")
@debugged
def profile(
    model: str,
    overrides: tuple[str, ...],
    form: str,
    as_json: bool,
    html: str | None,
    strict: bool,
    **request: object,
) -> int:
    """Count a network exactly, check the counts, and measure its latency here.

    MODEL is a YAML file, - for standard input, or a network that ships ('archcost example' lists them).
    """
    # imported when the command runs: they load pydantic, and torch where something is measured
    from archcost.cli.models import read_model
    from archcost.profiling import Request, profiled

    asked = Request(**request)  # type: ignore[arg-type]  # click gives each option the type it is declared with
    found = profiled(read_model(model, overrides), asked, progress)
    _show(found, "json" if as_json else form)
    if html:
        from archcost.files import write_whole
        from archcost.report.page import page

        write_whole(html, page(found))
    return _code(found, strict)


def _show(found: Profile, form: str) -> None:
    from archcost.cli.forms import printed

    text = printed(found, form, colour=sys.stdout.isatty())
    click.echo(text, nl=False)
    if form != "table":
        for line in [*found.warnings, *found.differences]:
            click.echo(f"warning: {line}", err=True)


def _code(found: Profile, strict: bool) -> int:
    """Return 1 where counts differ, or with `strict` where an operator has none; raise where a target failed."""
    if found.failures:
        raise TargetError("\n".join(found.failures))
    return int(found.agree is False or (strict and bool(found.uncounted)))
