"""A network of a study as a file or a bundle, and what the file reaches in its runtime."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import click

from archcost.cli.terminal import progress
from archcost.data.spec import DataSpec
from archcost.data.splits import Dataset
from archcost.errors import InputError, Mistake
from archcost.nets.export import formats, sessions
from archcost.study.code import answers
from archcost.study.records.source import is_storage
from archcost.study.records.stored import Stored
from archcost.study.release import bundle, scores
from archcost.study.release.material import Material, check_test, material
from archcost.study.release.scores import Check
from archcost.study.release.weights import Source, source
from archcost.study.spec import load_study


@dataclass(frozen=True, slots=True)
class Where:
    """A network of a study: the file or storage that was typed, what is stored there, and the network's name."""

    file: str
    stored: Stored
    trial: str


def written(where: Where, to: str, output: str, *, batch: int | None, scores: bool) -> bool:
    """Write a file and say what it holds and reaches; return whether that is what was recorded."""
    found = source(where.stored, where.trial)
    if scores and is_storage(where.file):
        click.echo("not evaluated: a storage does not say where its data are; name the study's file", err=True)
    held = _material(where, found) if scores and not is_storage(where.file) else None
    with progress(f"exporting {where.trial} to {to}"):
        said = formats.export(found.trained, to, output, batch=batch)
    for line in said:
        click.echo(line)
    return held is None or _evaluated(found, held, to, Path(output), batch)


def _evaluated(found: Source, held: Material, to: str, file: Path, batch: int | None) -> bool:
    with progress("evaluating what was written"):
        predict = sessions.of_onnx(file) if to == "onnx" else sessions.of_pt2(file)
        checks = tuple(scores.checks(found, found.trained.net(), held, predict, raw=False, batch=batch))
    return _said(checks)


def _said(checks: Iterable[Check]) -> bool:
    """Print what was found; return whether it is what was recorded."""
    agree = True
    for check in checks:
        click.echo(scores.words(check))
        agree = agree and check.agrees
    if not agree:
        click.echo("what was written is more than a tenth of a point from what was recorded", err=True)
    return agree


def _material(where: Where, found: Source) -> Material:
    """Return the data of a study, checked to be those of its training and its test."""
    spec, named = load_study(where.file), _named(where)

    def load(how: DataSpec) -> Dataset:
        return answers.with_data(replace(spec, study=spec.study.model_copy(update={"data": how})), None)[0]

    held = material(where.stored, named, load, found.trained.model)
    if found.seed is not None:
        check_test(where.stored, held)
    return held


def _named(where: Where) -> DataSpec:
    """Return the data that a study names; raises InputError if they, or how it is evaluated, are code."""
    study = load_study(where.file).study
    if not isinstance(study.data, DataSpec) or study.fit.evaluate is not None:
        words = "the study's data or evaluation are code, by which what is written is not evaluated yet"
        raise InputError(Mistake(f"{words}; allowed: --to with --no-scores"))
    return study.data


def bundled(where: Where, folder: str) -> bool:
    """Write a bundle and say what it holds and reaches; return whether that is what was recorded."""
    if is_storage(where.file):
        raise InputError(Mistake("--bundle needs the study's file: a storage does not say where its data are"))
    found = source(where.stored, where.trial)
    net, held = found.trained.net(), _material(where, found)
    release = bundle.Release(where.stored, found, net, held, _named(where), Path(where.file).parent)
    with progress(f"exporting {where.trial} as a bundle"):
        said, checks = bundle.write(release, Path(folder))
    for line in said:
        click.echo(line)
    return _said(checks)
