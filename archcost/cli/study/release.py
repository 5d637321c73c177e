"""A network of a study as a file or a bundle, and what the file reaches in its runtime."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import click

from archcost.cli.terminal import progress, say, wrapped
from archcost.errors import InputError, Mistake, quoted, visible
from archcost.nets.export import formats, sessions
from archcost.nets.export.bundle import tried
from archcost.study.code.consent import NONE, Consent
from archcost.study.records.source import is_storage
from archcost.study.records.stored import Stored, member
from archcost.study.release import bundle, eight_bits, scores
from archcost.study.release.again import Again, again
from archcost.study.release.material import Material
from archcost.study.release.scores import Check
from archcost.study.release.weights import Source, source


@dataclass(frozen=True, slots=True)
class Where:
    """A network of a study: the file or storage that was typed, what is stored there, and the network's name."""

    file: str
    stored: Stored
    trial: str
    consent: Consent = NONE

    def again(self) -> Again:
        """Return the study's file with its data; raises InputError for code without consent, or that has changed."""
        return again(self.file, self.stored, self.consent)


def written(where: Where, to: str, output: str, *, batch: int | None, opset: int | None, scored: bool) -> bool:
    """Write a file and say what it holds and reaches; return whether that is what was recorded."""
    is_bare = is_storage(where.file)
    eight = member(where.stored, where.trial).way.quantised
    if eight and is_bare:
        words = "is calibrated on the study's training examples, and a storage does not say where its data are"
        raise InputError(Mistake(f"{quoted(where.trial)} {words}; allowed: the study's file"))
    if scored and is_bare:
        say("not evaluated: a storage does not say where its data are; name the study's file")
    held, study = None, where.again() if not is_bare and (scored or eight or where.consent.allow_code) else None
    found = source(where.stored, where.trial, study.offered if study else None)
    eight_bits.refuse_format(found, to)
    if study is not None and (scored or eight):
        held = study.material(where.stored, found)
    with progress(f"exporting {where.trial} to {to}"):
        if eight and held is not None:
            said = eight_bits.save(where.stored, found, held, Path(output), batch, opset)
        else:
            said = formats.export(found.trained, to, output, batch=batch, opset=opset)
    for line in said:
        click.echo("\n".join(wrapped(line, 2)))
    return held is None or not scored or _evaluated(found, held, to, Path(output), batch)


def _evaluated(found: Source, held: Material, to: str, file: Path, batch: int | None) -> bool:
    with progress("evaluating what was written"):
        predict = sessions.of_onnx(file) if to == "onnx" else sessions.of_pt2(file)
        checks = tuple(scores.checks(found, found.trained.net(), held, predict, raw=False, batch=batch))
    return _said(checks)


def _said(checks: Iterable[Check]) -> bool:
    """Print what was found; return whether it is what was recorded."""
    agree = True
    for check in checks:
        click.echo("\n".join(wrapped(scores.words(check), 11)))
        agree = agree and check.agrees
    if not agree:
        say("what was written is more than a tenth of a point from what was recorded")
    return agree


def bundled(where: Where, folder: str) -> bool:
    """Write a bundle; say what it holds and reaches, and how to try it; return whether that is what was recorded."""
    if is_storage(where.file):
        raise InputError(Mistake("--bundle needs the study's file: a storage does not say where its data are"))
    study = where.again()
    found = source(where.stored, where.trial, study.offered)
    held = study.material(where.stored, found)
    data, beside = study.spec.study.data, Path(study.spec.source.file).parent
    release = bundle.Release(where.stored, found, found.trained.net(), held, data, beside)
    with progress(f"exporting {where.trial} as a bundle"):
        said, checks = bundle.write(release, Path(folder))
    for line in said:
        click.echo("\n".join(wrapped(line, 2)))
    agree = _said(checks)
    click.echo(f"wrote {visible(folder)}")
    click.echo(f"try it: {visible(tried(Path(folder), held.layout))}")
    return agree
