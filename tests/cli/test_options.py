"""What click hands a command becomes values at the border: commands take these, and no mapping of anything."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest

from archcost import cli
from archcost.cli.models import read_any
from archcost.cli.options import Reading, coded, formatted, gathered, measured
from archcost.errors import InputError
from archcost.latency.measure import Request
from archcost.units import parse_batches


@dataclass(frozen=True, slots=True)
class Trip:
    """Where from and where to; `by` has no option."""

    start: str
    end: str | None
    by: str = "foot"


def called(command: Any, *arguments: str) -> list[Any]:
    """Return what a command that returns its arguments was called with."""
    return [*command.main(arguments, standalone_mode=False)]


def test_options_that_are_fields_come_as_one_value() -> None:
    """What is no field comes by itself, a field without an option keeps its default."""

    @click.command()
    @click.argument("start")
    @click.option("--end")
    @click.option("--speed", type=int)
    @gathered("trip", lambda: Trip)
    def go(trip: Trip, speed: int | None) -> tuple[Trip, int | None]:
        """Walk."""
        return trip, speed

    assert [Trip("here", "there"), 4] == called(go, "here", "--end", "there", "--speed", "4")
    assert [Trip("here", None), None] == called(go, "here")
    assert ("go", "Walk.") == (go.name, go.help)


def test_what_is_read_measured_and_printed_are_three_values() -> None:
    """A Reading, a Request and a format, whatever the order in which they are added."""

    @click.command()
    @click.option("--set", "overrides", multiple=True)
    @formatted
    @coded
    @measured
    def show(reading: Reading, asked: Request, form: str) -> tuple[Reading, Request, str]:
        return reading, asked, form

    assert [Reading(), Request(), "table"] == called(show)
    typed = (
        "--set",
        "a=1",
        "--allow-code",
        "--batch",
        "1..4",
        "--threads",
        "2",
        "--time",
        "1s",
        "--no-latency",
        "--json",
    )
    reading, asked, form = called(show, *typed)
    assert Reading(("a=1",), (), allow_code=True) == reading
    assert Request(batches=(1, 2, 4), threads=(2,), time_s=1.0, latency=False) == asked
    assert "json" == form
    assert "csv" == called(show, "--format", "csv")[2]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (("--batch", "1,8"), (1, 8)),
        (("--batch", "8, 1..4"), (8, 1, 2, 4)),
        (("--batch", "1,1..6,4"), (1, 2, 4)),
        (("--batch", "1,8", "--batch", "8,3"), (1, 8, 3)),
    ],
)
def test_batches_may_be_a_list(typed: tuple[str, ...], expected: tuple[int, ...]) -> None:
    """Of numbers and ranges, in the order in which they are typed, each once."""

    @click.command()
    @measured
    def show(asked: Request) -> tuple[int, ...]:
        return asked.batches

    assert [*expected] == called(show, *typed)


@pytest.mark.parametrize("typed", ["", ",", "1,", "1,0", "4..1", "1;8", "1,-2", "1,x", "1..2..3"])
def test_batches_that_are_none_are_refused(typed: str) -> None:
    """One that is wrong in a list is a mistake of all."""
    with pytest.raises(ValueError, match=r"an integer of at least 1, a range such as 1\.\.64, or several"):
        parse_batches(typed)


def commands(group: click.Group) -> Iterator[click.Command]:
    """Yield the commands of a group, and of the groups in it."""
    for each in group.commands.values():
        if isinstance(each, click.Group):
            yield from commands(each)
        else:
            yield each


COMMANDS = list(commands(cli.cli))


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_a_command_names_all_that_it_takes(command: click.Command) -> None:
    """No `**given`: what a command is called with stands in its signature, with its type."""
    assert command.callback is not None
    parameters = inspect.signature(inspect.unwrap(command.callback)).parameters.values()
    assert [] == [each.name for each in parameters if each.kind in (each.VAR_KEYWORD, each.VAR_POSITIONAL)]


def test_a_reading_says_how_a_network_is_read(tmp_path: Path) -> None:
    """Overrides change it, and code that a file names is refused without consent."""
    assert read_any("resnet-20", Reading()) != read_any("resnet-20", Reading(("depths=[1, 1, 1]",)))
    file = tmp_path / "code.yaml"
    file.write_text("family: module\nfactory: torch.nn:Identity\ninput: [3]\n", "utf-8")
    with pytest.raises(InputError, match="runs only with --allow-code"):
        read_any(str(file), Reading())
    assert "code" == read_any(str(file), Reading(allow_code=True)).name
