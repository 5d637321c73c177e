"""archcost report: one HTML file of a network, of several beside each other, or of a study."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from archcost.cli.options import coded, debugged, measured
from archcost.cli.pages import Said, a_file, document, write_document
from archcost.cli.progress import progress
from archcost.errors import InputError, Mistake, TargetError, quoted, visible

if TYPE_CHECKING:
    from archcost.budget import Budget
    from archcost.report.blocks import Document

_STUDY: Final = "a study"
_JSON: Final = "a JSON file"
_MODEL: Final = "a network"


@click.command(cls=Said)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE ...")
@click.option("-o", "--output", type=click.Path(dir_okay=False), required=True, callback=a_file, metavar="FILE.html",
              help="The page.")  # fmt: skip
@click.option("--budget", "budget_file", metavar="FILE", help="Limits to judge networks by, as YAML.")
@click.option("--storage", help="Where the study is stored; beside its file where left out.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key of all (repeatable).")
@coded
@measured
@debugged
def report(sources: tuple[str, ...], output: str, budget_file: str | None, storage: str | None, **given: Any) -> None:
    """Write a cost report: one HTML file that needs no network.

    SOURCE is a study (its YAML file, its storage's .db file or URL), what 'profile --json' or 'compare --json' printed
    to a file, or a network as 'profile' takes it, which is counted and measured now; several networks are compared.
    """
    from archcost.limits import load_budget  # loads pydantic

    limits = load_budget(budget_file) if budget_file else None
    kinds = {source: _kind(source, storage) for source in sources}
    alone = [source for source, kind in kinds.items() if kind != _MODEL]
    if alone and len(sources) > 1:
        what = f"{quoted(alone[0])} is {kinds[alone[0]]}, which is a report by itself"
        raise InputError(Mistake(f"{what}; allowed: one study, one JSON file, or networks"))
    match kinds[sources[0]]:
        case "a study":
            write_document(output, _study(sources[0], storage))
        case "a JSON file":
            from archcost.report.saved import read

            write_document(output, document(read(sources[0])[1], limits))
        case _:
            _networks(sources, output, limits, given)


def _kind(source: str, storage: str | None) -> str:
    """Return what a source is, by its name, of a YAML file by what it holds."""
    if storage is not None or source.endswith(".db") or "://" in source:
        return _STUDY
    if source.endswith(".json"):
        return _JSON
    if source.endswith((".yaml", ".yml")) and Path(source).is_file():
        from archcost import document as documents

        tree = documents.read_file(source).tree
        return _STUDY if isinstance(tree, dict) and "models" in tree else _MODEL
    return _MODEL


def _study(source: str, storage: str | None) -> Document:
    from archcost.cli.opening import opened
    from archcost.report.study import study

    return study(opened(source, storage))


def _networks(sources: Sequence[str], output: str, limits: Budget | None, given: dict[str, Any]) -> None:
    """Count and measure networks as `profile` and `compare` do, and write their page."""
    from archcost import comparing
    from archcost.cli.models import aside, read_any
    from archcost.measuring import Request
    from archcost.profiling import profiled

    overrides, inputs, consent = given.pop("overrides"), given.pop("inputs"), given.pop("allow_code")
    read = [read_any(source, overrides, inputs, consent) for source in sources]
    with aside(*read):
        if len(read) == 1:
            found = profiled(read[0], Request(**given, columns=True), progress)
            told, failures = found.to_dict(), found.failures
        else:
            compared = comparing.compared(read, Request(**given, witness=False), progress)
            told, failures = compared.to_dict(), compared.failures
    write_document(output, document(told, limits))
    if failures:
        raise TargetError("\n".join(visible(str(failure)) for failure in failures))
