"""archcost export: a network as a file for other tools."""

from __future__ import annotations

import click

from archcost.cli.options import debugged
from archcost.cli.progress import progress
from archcost.errors import InputError, Mistake

_FORMATS = ("json", "yaml", "onnx", "pt2")  # exporting has the same, and loads more than --help needs
_TEXTS = ("json", "yaml")


@click.command()
@click.argument("model")
@click.option("--to", type=click.Choice(_FORMATS), required=True, help="json and yaml: no weights; onnx, pt2: with.")
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="The file; json and yaml are printed without it.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key (repeatable).")
@click.option("--seed", type=click.IntRange(0, 2**62), default=0, show_default=True, help="Of the untrained weights.")
@click.option("--batch", type=click.IntRange(1, 2**31), help="Fix the batch; any batch where left out.")
@debugged
def export(model: str, to: str, output: str | None, overrides: tuple[str, ...], seed: int, batch: int | None) -> None:
    """Write a network as JSON, YAML, ONNX or a torch.export file.

    json is the graph, yaml the keys that are not the defaults. onnx (needs the extra: pip install 'archcost[onnx]') and
    pt2 hold weights as initialised, not trained, and are run and compared with the network before they are written; a
    recurrent network is unrolled over its steps. MODEL is a YAML file, - for standard input, or a network that ships.
    """
    # imported when the command runs: reading loads pydantic, onnx and pt2 load torch
    from archcost import exporting
    from archcost.cli.models import read_model

    if to not in _TEXTS and output is None:
        raise InputError(Mistake(f"--to {to} needs -o FILE: it is not text"))
    if to in _TEXTS and batch is not None:
        raise InputError(Mistake(f"--batch: {to} holds no batch; allowed: only with onnx and pt2"))
    found = read_model(model, overrides)
    if output is None:
        click.echo(exporting.TEXTS[to](found).encode("utf-8"), nl=False)
        return
    with progress(f"exporting {found.name} to {to}"):
        said = exporting.export(found, to, output, seed=seed, batch=batch)
    for line in said:
        click.echo(line)
