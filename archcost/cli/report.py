"""archcost report: one HTML file of a network, of several beside each other, or of a study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from click.core import ParameterSource

from archcost.cli.options import Reading, coded, debugged, measured
from archcost.cli.pages import Said, a_file, command_line, document, write_document
from archcost.cli.terminal import progress, say
from archcost.errors import InputError, Mistake, TargetError, quoted, visible

if TYPE_CHECKING:
    from archcost.latency.measure import Request
    from archcost.latency.samples import Failure
    from archcost.models.files import Network
    from archcost.profiling.budget import Budget
    from archcost.report.blocks import Document

_STUDY: Final = "a study"
_JSON: Final = "a JSON file"
_MODEL: Final = "a network"


@click.command(cls=Said)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE ...")
@click.option("-o", "--output", type=click.Path(dir_okay=False), required=True, callback=a_file, metavar="FILE.html",
              help="The page.")  # fmt: skip
@click.option("--budget", "budget_file", metavar="FILE", help="Limits to judge networks by, as YAML.")
@click.option("--storage", help="Where the study is stored; beside its file if left out.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key of all (repeatable).")
@coded
@measured
@click.option("--layers", "layer_times", is_flag=True, help="Time every layer too: roofline, differences.")
@debugged
def report(
    sources: tuple[str, ...],
    output: str,
    budget_file: str | None,
    storage: str | None,
    reading: Reading,
    asked: Request,
) -> None:
    """Write a cost report: one HTML file that needs no network.

    SOURCE is a study (its YAML file, its storage's .db file or URL), what 'profile --json' or 'compare --json' printed
    to a file, or a network as 'profile' takes it, which is counted and measured now; several networks are compared.
    """
    # imported when the command runs: they load pydantic
    from archcost.cli.models import read_all
    from archcost.profiling.budget import load_budget

    limits = load_budget(budget_file) if budget_file else None
    kinds = {source: _kind(source, storage) for source in sources}
    alone = [source for source, kind in kinds.items() if kind != _MODEL]
    if alone and len(sources) > 1:
        what = f"{quoted(alone[0])} is {kinds[alone[0]]}, which is a report by itself"
        raise InputError(Mistake(f"{what}; allowed: one study, one JSON file, or networks"))
    source, kind = sources[0], kinds[sources[0]]
    failures: Sequence[Failure] = ()
    if kind == _MODEL:
        told, failures = _counted(read_all(sources, reading), asked)
        write_document(output, document(told, limits))
    else:
        _refuse_measuring(source, kind, budget_file)
        write_document(output, _study(source, storage) if kind == _STUDY else _saved(source, limits))
    say(f"wrote {visible(output)}")
    if failures:
        raise TargetError("\n".join(visible(str(failure)) for failure in failures))


def _kind(source: str, storage: str | None) -> str:
    """Return what a source is, by its name, of a YAML file by what it holds."""
    from archcost.study.code.neighbours import is_far
    from archcost.study.records.source import is_storage

    if storage is not None or is_storage(source) or is_far(source):
        return _STUDY
    if source.endswith(".json"):
        return _JSON
    if source.endswith((".yaml", ".yml")) and Path(source).is_file():
        from archcost.config import document as documents

        tree = documents.read_file(source).tree
        return _STUDY if isinstance(tree, dict) and "models" in tree else _MODEL
    return _MODEL


def _saved(source: str, limits: Budget | None) -> Document:
    from archcost.report.json_input import read

    return document(read(source)[1], limits)


def _refuse_measuring(source: str, kind: str, budget: str | None) -> None:
    """Raise InputError for options that only networks have use for: nothing is counted or measured here."""
    context = click.get_current_context()
    own = ("sources", "output", "storage", "budget_file")
    typed = [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name not in own
        and context.get_parameter_source(str(parameter.name)) is ParameterSource.COMMANDLINE
        and parameter.expose_value
    ]
    if typed:
        raise InputError(
            f"{' and '.join(typed)}: only for networks, which are measured now; {quoted(source)} is {kind}"
        )
    if budget and kind == _STUDY:
        raise InputError(
            f"--budget: only for networks and JSON files; {quoted(source)} is a study, whose limits are its own"
        )


def _study(source: str, storage: str | None) -> Document:
    from archcost.cli.study.stored import opened_with_run
    from archcost.report.study.document import study

    stored, runs = opened_with_run(source, storage)
    with stored.undamaged():
        return study(stored, command_line(), runs)


def _counted(networks: Sequence[Network], asked: Request) -> tuple[dict[str, object], Sequence[Failure]]:
    """Count and measure networks as `profile` and `compare` do; return their JSON, and what could not be measured."""
    from archcost.cli.models import aside
    from archcost.profiling import compare
    from archcost.profiling.profile import profiled

    with aside(*networks):
        if len(networks) == 1:
            found = profiled(networks[0], replace(asked, columns=True, beside=True), progress)
            return found.to_dict(), found.failures
        compared = compare.compared(networks, replace(asked, witness=False), progress)
        return compared.to_dict(), compared.failures
