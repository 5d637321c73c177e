"""archcost predict: what a network will take on a calibrated device, without running it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from archcost.cli.options import Reading, coded, debugged, gathered, placed, requested
from archcost.cli.terminal import field
from archcost.errors import visible
from archcost.rows import aligned
from archcost.units import duration

if TYPE_CHECKING:
    from archcost.latency.measure import Request
    from archcost.latency.prediction.predictor import Prediction


@click.command()
@click.argument("model")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key (repeatable).")
@coded
@placed
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@debugged
@gathered("asked", requested)
def predict(model: str, reading: Reading, as_json: bool, asked: Request) -> None:
    """Predict what a network will take, from 'archcost calibrate'; nothing is run.

    MODEL is a YAML file, - for standard input, a network that ships, or package.module:callable with --input. A
    network of what was not measured is predicted all the same, and the line says so: then measure it with 'archcost
    profile'.
    """
    # imported when the command runs: they load pydantic
    from archcost.cli.models import aside, read_any
    from archcost.profiling.prediction.predict import predicted

    network = read_any(model, reading)
    with aside(network):
        found = predicted(network, replace(asked, latency=False))
    if as_json:
        click.echo(json.dumps({"predictions": [each.to_dict() for each in found]}, indent=1))
    else:
        click.echo("\n".join(_lines(network.name, found)))


def _lines(name: str, found: Sequence[Prediction]) -> Iterator[str]:
    yield visible(f"{name}: predicted, not measured")
    rows = [(str(each.way), duration(each.median_s), _interval(each)) for each in found]
    yield aligned(("way", "latency", "nine in ten"), rows).rstrip("\n")
    for each in found:
        if not each.in_domain:
            yield from field("outside", f"{each.way}: measure it ({each.why})")


def _interval(found: Prediction) -> str:
    return "not known" if found.interval_s is None else " to ".join(duration(bound) for bound in found.interval_s)
