"""archcost draw: a network as an SVG picture."""

from __future__ import annotations

import click

from archcost.cli.options import Reading, coded, debugged
from archcost.cli.terminal import put


@click.command()
@click.argument("model")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key (repeatable).")
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="The SVG file; standard output if left out.")
@coded
@debugged
def draw(model: str, output: str | None, reading: Reading) -> None:
    """Draw a network as SVG: fractal columns in lanes, states of earlier steps dashed.

    Above 300 nodes every stage is one box with its totals. MODEL is a YAML file, - for standard input, or a network
    that ships ('archcost example' lists them); code (family: module) has no graph to draw.
    """
    # imported when the command runs: reading loads pydantic
    from archcost.cli.models import read_model
    from archcost.graph.drawing import svg

    found = read_model(model, reading, "archcost draw")
    picture = svg.draw(found.graph, found.name)
    put(picture, output)  # in UTF-8: so XML is read that does not say what it is in
