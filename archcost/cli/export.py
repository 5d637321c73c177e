"""archcost export: a network as a file for other tools."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from archcost.cli.options import Reading, coded, debugged, gathered
from archcost.cli.terminal import progress, put
from archcost.errors import InputError, Mistake, quoted

if TYPE_CHECKING:
    from archcost.models.load import Loaded, Model, Reference

_FORMATS = ("json", "yaml", "onnx", "pt2")  # exporting has the same, and loads more than --help needs
_TEXTS = ("json", "yaml")
_DTYPES = ("float32", "int8")


@dataclass(frozen=True, slots=True)
class Wanted:
    """The format that is written, and where to; seed: of untrained weights; batch: None for any.

    opset: of an ONNX file, None for torch's choice; weights: a file of them, None for those as initialised; dtype: int8
    is quantised; bundle: a folder, which is written instead; unscored: what is written is not evaluated; code_changed:
    code of a study's may be other code than it ran with.
    """

    to: str | None
    output: str | None
    seed: int
    batch: int | None
    opset: int | None
    weights: str | None
    dtype: str
    bundle: str | None
    unscored: bool
    code_changed: bool


@click.command()
@click.argument("model")
@click.option("--to", type=click.Choice(_FORMATS), help="json and yaml: no weights; onnx, pt2: with.")
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="The file; json and yaml are printed without it.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key (repeatable).")
@click.option(
    "--seed", type=click.IntRange(0, 2**62), default=0, show_default=True, help="Of the weights as initialised."
)
@click.option("--trial", help="MODEL is a study: a trial of it, 12, a column, 12/2, or in another way, 12@int8.")
@click.option("--bundle", type=click.Path(file_okay=False), metavar="DIR", help="With --trial: all that its use needs.")
@click.option("--no-scores", "unscored", is_flag=True, help="Do not evaluate what is written on the study's data.")
@click.option("--storage", help="Where the study is stored; beside its file if left out.")
@click.option("--batch", type=click.IntRange(1, 2**31), help="Fix the batch; any batch if left out.")
@click.option("--opset", type=click.IntRange(1, 1000), metavar="N", help="Of an ONNX file; torch's choice if left out.")
@click.option("--weights", type=click.Path(), metavar="FILE", help="A state_dict, as .safetensors or torch's .pt.")
@click.option(
    "--dtype", type=click.Choice(_DTYPES), default="float32", help="int8: quantised on drawn inputs (onnx only)."
)
@click.option("--code-changed", is_flag=True, help="With --trial: though files of its code are not as they were.")
@coded
@debugged
@gathered("wanted", lambda: Wanted)
def export(model: str, reading: Reading, trial: str | None, storage: str | None, wanted: Wanted) -> int:
    """Write a network as JSON, YAML, ONNX or a torch.export file, or one of a study as a bundle.

    json is the graph, yaml the keys that are not the defaults. onnx and pt2 hold weights as initialised, not trained.
    They are run and compared with the network before they are written; a recurrent network is unrolled over its steps.
    MODEL is a YAML file, - for standard input, a network that ships, or package.module:callable with --input; such code
    has no json. --weights reads a checkpoint and runs nothing of it: a pickle that names code is refused. Weights over
    2 GB are beside an onnx file, with .data behind its name. With --dtype int8 an onnx file holds the network in 8
    bits.

    With --trial, MODEL is a study and the weights are trained ones: those that were confirmed, else the trial's. What
    was written is then evaluated on the study's validation split, and on its test split if it was confirmed; if that is
    more than a tenth of a point from what was recorded, the exit code is 1. A network in 8 bits, 12@int8, is quantised
    as it was scored, on the study's training examples. --bundle DIR writes a folder: model.onnx with the preprocessing
    inside, model.yaml, weights.safetensors, card.md, predict.py and meta.json.
    """
    # imported when the command runs: reading loads pydantic, onnx and pt2 load torch
    from archcost.cli.models import read_any
    from archcost.models.files import File
    from archcost.models.load import Loaded, Reference
    from archcost.nets.export import formats

    to, output = _checked(wanted, trial), wanted.output
    wanted = replace(wanted, to=to or None)
    if trial is not None:
        return _export_trial(model, storage, trial, wanted, reading.allow_code)
    found = read_any(model, reading)
    if isinstance(found, File):
        raise InputError(Mistake(f"{quoted(model)} is an exported file already; allowed: a network to export"))
    if isinstance(found, Reference):
        _export_code(found, wanted)
        return 0
    if output is None:
        put(formats.TEXTS[to](found), None)
        return 0
    with progress(f"exporting {found.name} to {to}"):
        source = Loaded(found, Path(wanted.weights)) if wanted.weights else found
        if wanted.dtype == "int8":
            said = _int8(source, output, wanted)
        else:
            said = formats.export(source, to, output, seed=wanted.seed, batch=wanted.batch, opset=wanted.opset)
    for line in said:
        click.echo(line)
    return 0


def _int8(source: Model | Reference | Loaded, output: str, wanted: Wanted) -> tuple[str, ...]:
    """Write a network in 8 bits, with the layers in float32 that are faster so on this processor."""
    from archcost.latency.runtimes.file_times import alone
    from archcost.latency.runtimes.onnxruntime import file_times
    from archcost.latency.samples import Plan
    from archcost.machine import physical_cores
    from archcost.nets.export import formats

    plan = Plan(wanted.batch or 1, threads=physical_cores())
    return formats.export_int8(
        *(source, output),
        seed=wanted.seed,
        batch=wanted.batch,
        opset=wanted.opset,
        timing=lambda arrays: alone(file_times(arrays, plan)),
    )


def _checked(wanted: Wanted, trial: str | None) -> str:
    """Return the format, '' of a bundle, onnx of int8; raises InputError for options that do not go together."""
    if trial is not None and wanted.weights is not None:
        raise InputError(Mistake("--trial and --weights exclude each other: a trial has weights; allowed: one of them"))
    if wanted.bundle is not None:
        if trial is None:
            raise InputError(Mistake("--bundle needs --trial: it holds a network that a study has trained"))
        beside = {"--to": wanted.to, "-o": wanted.output, "--batch": wanted.batch, "--opset": wanted.opset}
        beside |= {"--no-scores": wanted.unscored, "--dtype": wanted.dtype == "int8"}
        if given := [name for name, value in beside.items() if value]:
            raise InputError(Mistake(f"--bundle and {given[0]} exclude each other; allowed: one of them"))
        return ""
    if wanted.dtype == "int8":
        return _checked_int8(wanted, trial)
    if wanted.to is None:
        raise click.UsageError("Missing option '--to' (or '--bundle').")
    if wanted.to not in _TEXTS and wanted.output is None:
        raise InputError(Mistake(f"--to {wanted.to} needs -o FILE: it is not text"))
    for option, value, what in (("--batch", wanted.batch, "no batch"), ("--weights", wanted.weights, "no weights")):
        if wanted.to in _TEXTS and value is not None:
            raise InputError(Mistake(f"{option}: {wanted.to} holds {what}; allowed: only with onnx and pt2"))
    if wanted.to != "onnx" and wanted.opset is not None:
        raise InputError(Mistake(f"--opset: {wanted.to} has none; allowed: only with onnx"))
    return wanted.to


def _checked_int8(wanted: Wanted, trial: str | None) -> str:
    if trial is not None:
        words = "a network of a study has 8 bits if a way of the study has, and is named with it"
        raise InputError(Mistake(f"--dtype int8 and --trial exclude each other: {words}; allowed: --trial 12@int8"))
    if wanted.to not in (None, "onnx"):
        raise InputError(Mistake(f"given {wanted.to} for --dtype int8; allowed: --to onnx"))
    if wanted.output is None:
        raise InputError(Mistake("--dtype int8 needs -o FILE: it is not text"))
    return "onnx"


def _export_trial(study: str, storage: str | None, trial: str, wanted: Wanted, allow_code: bool) -> int:
    """Write a network of a study: as text what it is, else with weights; return 1 if it is not what was recorded."""
    from archcost.cli.study import release
    from archcost.cli.study.stored import opened
    from archcost.models.load import Reference
    from archcost.nets.export import formats
    from archcost.study.code.consent import Consent
    from archcost.study.records.stored import member, network

    stored = opened(study, storage)
    to, output = wanted.to, wanted.output
    if to in _TEXTS:
        found = network(member(stored, trial))
        if isinstance(found, Reference):
            _export_code(found, wanted)
        else:
            put(formats.TEXTS[to](found), output)
        return 0
    where = release.Where(study, stored, trial, Consent(allow_code, wanted.code_changed))
    if wanted.bundle is not None:
        agrees = release.bundled(where, wanted.bundle)
    else:
        assert to is not None  # checked by the caller, as is the output
        assert output is not None
        how = {"batch": wanted.batch, "opset": wanted.opset}
        agrees = release.written(where, to, output, **how, scored=not wanted.unscored)
    return 0 if agrees else 1


def _export_code(found: Reference, wanted: Wanted) -> None:
    """Write what code makes: as yaml the reference to the code, which does not run; otherwise the module."""
    from archcost.cli.models import aside
    from archcost.config.writer import to_yaml
    from archcost.models.load import Loaded
    from archcost.nets.export import formats

    to, output = wanted.to or "", wanted.output
    if to == "json":
        message = f"--to json needs the graph of a family, and {quoted(found.spec.factory)} is code"
        raise InputError(Mistake(f"{message}; allowed: --to yaml, onnx or pt2"))
    if to == "yaml":
        put(to_yaml(found.spec), output)
        return
    assert output is not None  # checked above for what is not text
    with progress(f"exporting {found.name} to {to}"), aside(found):
        source = Loaded(found, Path(wanted.weights)) if wanted.weights else found
        if wanted.dtype == "int8":
            said = _int8(source, output, wanted)
        else:
            said = formats.export_module(source, to, output, seed=wanted.seed, batch=wanted.batch, opset=wanted.opset)
    for line in said:
        click.echo(line)
