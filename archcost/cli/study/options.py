"""The options that several commands of archcost study share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from archcost.cli.options import Read, gathered
from archcost.units import parse_duration

if TYPE_CHECKING:
    from archcost.study.code.consent import Consent
    from archcost.study.options import Wanted

F = TypeVar("F", bound=Callable[..., Any])
STORED = "A file or the URL of a database; beside STUDY if left out."


def _wanted() -> type[Wanted]:
    from archcost.study.options import Wanted  # loads pydantic

    return Wanted


def _consent() -> type[Consent]:
    from archcost.study.code.consent import Consent  # loads pydantic

    return Consent


def _added(options: list[Callable[[F], F]], command: F) -> F:
    """Add options in the order in which help shows them."""
    for each in reversed(options):
        command = each(command)
    return command


def overridden(command: F) -> F:
    """Add --set; the command gets what it says as `overrides`."""
    words = "Override a key of STUDY (repeatable)."
    return click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help=words)(command)


def stored(command: F) -> F:
    """Add --storage; the command gets it as `storage`."""
    return click.option("--storage", help=STORED)(command)


def limited(command: F) -> F:
    """Add --trials, --time and --workers; the command gets these, and others of `Wanted`, as `wanted`."""
    return _added(
        [
            click.option("--trials", type=click.IntRange(1, 10**6), help="Trials in all, whoever runs them, and when."),
            click.option("--time", "time_s", type=Read("duration", parse_duration),
                         help="Longest time, confirming included."),
            click.option("--workers", type=click.IntRange(1, 256),
                         help="Trials at once; the physical cores, at most 4."),
        ],
        gathered("wanted", _wanted)(command),
    )  # fmt: skip


def consented(command: F) -> F:
    """Add --allow-code and --code-changed; the command gets them as `consent`."""
    return _added(
        [
            click.option("--allow-code", is_flag=True, help="Run the code of your own that the study names."),
            click.option("--code-changed", is_flag=True, help="Go on though files of that code are not as they were."),
        ],
        gathered("consent", _consent)(command),
    )
