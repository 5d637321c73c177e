"""archcost export: a network as a file for other tools."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from archcost.cli.options import Reading, coded, debugged, gathered
from archcost.cli.terminal import progress, put
from archcost.errors import InputError, Mistake, quoted

if TYPE_CHECKING:
    from archcost.models.load import Reference

_FORMATS = ("json", "yaml", "onnx", "pt2")  # exporting has the same, and loads more than --help needs
_TEXTS = ("json", "yaml")


@dataclass(frozen=True, slots=True)
class Wanted:
    """The format that is written, and where to; seed: of untrained weights; batch: None for any."""

    to: str
    output: str | None
    seed: int
    batch: int | None


@click.command()
@click.argument("model")
@click.option("--to", type=click.Choice(_FORMATS), required=True, help="json and yaml: no weights; onnx, pt2: with.")
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="The file; json and yaml are printed without it.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key (repeatable).")
@click.option(
    "--seed", type=click.IntRange(0, 2**62), default=0, show_default=True, help="Of the weights as initialised."
)
@click.option("--trial", help="MODEL is a study: this trial of it, 12, or a column of one, 12/2, as trained.")
@click.option("--storage", help="Where the study is stored; beside its file if left out.")
@click.option("--batch", type=click.IntRange(1, 2**31), help="Fix the batch; any batch if left out.")
@coded
@debugged
@gathered("wanted", lambda: Wanted)
def export(model: str, reading: Reading, trial: str | None, storage: str | None, wanted: Wanted) -> None:
    """Write a network as JSON, YAML, ONNX or a torch.export file.

    json is the graph, yaml the keys that are not the defaults. onnx (needs the extra: pip install 'archcost[onnx]') and
    pt2 hold weights. Those of a study are trained ones: with --trial, as that trial has trained them. Those of other
    networks are weights as initialised, not trained. The files are run and compared with the network before they are
    written; a recurrent network is unrolled over its steps. MODEL is a study's file or storage with --trial, or else a
    YAML file, - for standard input, a network that ships, or package.module:callable with --input; such code has no
    json.
    """
    # imported when the command runs: reading loads pydantic, onnx and pt2 load torch
    from archcost.cli.models import read_any
    from archcost.models.load import Reference
    from archcost.nets.export import formats

    to, output = wanted.to, wanted.output
    if to not in _TEXTS and output is None:
        raise InputError(Mistake(f"--to {to} needs -o FILE: it is not text"))
    if to in _TEXTS and wanted.batch is not None:
        raise InputError(Mistake(f"--batch: {to} holds no batch; allowed: only with onnx and pt2"))
    if trial is not None:
        _export_trial(model, storage, trial, wanted)
        return
    found = read_any(model, reading)
    if isinstance(found, Reference):
        _export_code(found, wanted)
        return
    if output is None:
        put(formats.TEXTS[to](found), None)
        return
    with progress(f"exporting {found.name} to {to}"):
        said = formats.export(found, to, output, seed=wanted.seed, batch=wanted.batch)
    for line in said:
        click.echo(line)


def _export_trial(study: str, storage: str | None, trial: str, wanted: Wanted) -> None:
    """Write a network of a study: as text what it is, else with the weights that its trial ended with."""
    from archcost.cli.study.run import member, trained
    from archcost.cli.study.stored import opened
    from archcost.models.load import Reference
    from archcost.nets.export import formats
    from archcost.study.records.stored import network

    stored = opened(study, storage)
    to, output = wanted.to, wanted.output
    if to in _TEXTS:
        found = network(member(stored, trial))
        if isinstance(found, Reference):
            _export_code(found, wanted)
        else:
            put(formats.TEXTS[to](found), output)
        return
    assert output is not None  # checked by the caller for what is not text
    with progress(f"exporting trial {trial} to {to}"):
        said = formats.export(trained(stored, trial), to, output, seed=wanted.seed, batch=wanted.batch)
    for line in said:
        click.echo(line)


def _export_code(found: Reference, wanted: Wanted) -> None:
    """Write what code makes: as yaml the reference to the code, which does not run; otherwise the module."""
    from archcost.cli.models import aside
    from archcost.config.writer import to_yaml
    from archcost.nets.export import formats

    to, output = wanted.to, wanted.output
    if to == "json":
        message = f"--to json needs the graph of a family, and {quoted(found.spec.factory)} is code"
        raise InputError(Mistake(f"{message}; allowed: --to yaml, onnx or pt2"))
    if to == "yaml":
        put(to_yaml(found.spec), output)
        return
    assert output is not None  # checked above for what is not text
    with progress(f"exporting {found.name} to {to}"), aside(found):
        said = formats.export_module(found, to, output, seed=wanted.seed, batch=wanted.batch)
    for line in said:
        click.echo(line)
