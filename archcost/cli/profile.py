"""archcost profile: counts, witnesses and latencies of one network."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import click
from click.core import ParameterSource

from archcost.cli.options import Reading, Shown, coded, debugged, deep, formatted, gathered, measured
from archcost.cli.pages import Said, a_file, write_page
from archcost.cli.terminal import progress, say
from archcost.errors import TargetError, visible

if TYPE_CHECKING:
    from archcost.latency.measure import Request
    from archcost.profiling.result import Profile

# what only a measurement needs; batch and dtype change the layers' bytes
_MEASURING: Final = ("targets", "runtimes", "threads", "precision", "time_s", "cold_cache")


@click.command(cls=Said)
@click.argument("model")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key (repeatable).")
@coded
@measured
@click.option(
    "--no-witness", "witness", is_flag=True, flag_value=False, default=True, help="Leave fvcore and torch out."
)
@click.option(
    "--layers", "layer_times", is_flag=True, help="Time every layer too: a tree that adds up to the whole (--depth)."
)
@click.option("--strict", is_flag=True, help="Exit 1 also if an operator cannot be counted.")
@deep
@click.option("-v", "--verbose", is_flag=True, help="Show all that is known of each latency (table).")
@formatted
@click.option(
    "--html", type=click.Path(dir_okay=False), callback=a_file, help="Also write a page with the same numbers."
)
@debugged
@gathered("shown", lambda: Shown)
def profile(model: str, reading: Reading, asked: Request, shown: Shown, html: str | None, strict: bool) -> int:
    """Count a network exactly, check the counts, and measure its latency here.

    MODEL is a YAML file, - for standard input, a network that ships ('archcost example' lists them), an ONNX or pt2
    file, or package.module:callable with --input: any torch module; its arguments may follow: "mynet:Net(width=0.5)".
    --format csv is the table of layers, for which nothing is measured, or with --layers that of their times.
    """
    # imported when the command runs: they load pydantic, and torch where something is measured
    from archcost.cli.models import aside, read_any
    from archcost.profiling.profile import profiled

    measures = asked.latency and (asked.layer_times or _measures(shown.form, html))
    asked = replace(asked, latency=measures, beside=True)
    network = read_any(model, reading)
    with aside(network):
        found = profiled(network, asked, progress)
        for account in found.accounts:  # training is counted when it is asked for: a module may print then, too
            _ = account.trained
    _show(found, shown)
    if html:
        write_page(html, found.to_dict())
    return _code(found, strict)


def _measures(form: str, html: str | None) -> bool:
    """Return whether anything that is written holds a latency; say so where one was asked for that none does."""
    if form != "csv" or html is not None:
        return True
    context = click.get_current_context()
    asked = [name for name in _MEASURING if context.get_parameter_source(name) is not ParameterSource.DEFAULT]
    if asked:
        words = " and ".join(_option(context.command.params, name) for name in asked)
        say(f"note: --format csv is the table of layers: nothing is measured, {words} not used")
    return False


def _option(known: Sequence[click.Parameter], name: str) -> str:
    return next(parameter.opts[0] for parameter in known if parameter.name == name)


def _show(found: Profile, shown: Shown) -> None:
    from archcost.cli.formats import printed

    text = printed(found, shown, colour=sys.stdout.isatty())
    click.echo(text, nl=False)
    if shown.form != "table":
        for line in [*found.warnings, *found.differences]:
            say(f"warning: {visible(line)}")


def _code(found: Profile, strict: bool) -> int:
    """Return 1 where counts differ, or with `strict` where an operator has none; raise where a target failed.

    Of a module the counts may differ without `strict`: its witnesses are known to be wrong about some.
    """
    if found.failures:
        raise TargetError("\n".join(visible(str(failure)) for failure in found.failures))
    differ = found.agree is False and (strict or found.model.family != "module")
    return int(differ or (strict and bool(found.uncounted)))
