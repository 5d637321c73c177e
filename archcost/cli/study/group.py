"""archcost study: a search for accurate networks that cost little, and what it found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from archcost.cli.options import debugged, gathered
from archcost.cli.sections import Sectioned
from archcost.cli.study.new import new
from archcost.cli.study.options import STORED, consented, limited, overridden, stored
from archcost.cli.terminal import say
from archcost.errors import InputError, Mistake, visible
from archcost.rows import of_mappings

if TYPE_CHECKING:
    from archcost.cli.study.engine import Manner
    from archcost.study.code.consent import Consent
    from archcost.study.options import Wanted
    from archcost.study.records.stored import Stored

_PASSED_ON = "What an engine is asked for, such as partition=gpu, num_cpus=2 (repeatable)."
_FORMS = ("table", "json", "csv")


def _manner() -> type[Manner]:
    from archcost.cli.study.engine import Manner  # loads pydantic

    return Manner


@click.group(cls=Sectioned)
def study() -> None:
    """Search width, depth and columns for the best accuracy at every cost."""


@study.command()
@click.argument("file", metavar="STUDY")
@overridden
@limited
@stored
@click.option("--dry-run", is_flag=True, help="Say what would be searched, and run nothing.")
@click.option("--measure-again", "anew", is_flag=True, help="Measure the front by turns though it was.")
@click.option("--engine", type=click.Choice(("ray", "slurm")), help="Let Ray or Slurm start workers, and show them.")
@click.option("--jobs", type=click.IntRange(1, 10**4), help="How many workers an engine starts; 1.")
@click.option("--engine-option", "engine_options", multiple=True, metavar="KEY=VALUE", help=_PASSED_ON)
@consented
@gathered("manner", _manner)
@debugged
def run(
    file: str, overrides: tuple[str, ...], storage: str | None, wanted: Wanted, consent: Consent, manner: Manner
) -> int:
    """Run the study in a file, or go on with it where it was interrupted."""
    # imported when the command runs: they load pydantic, and optuna and torch where a trial runs
    from archcost.cli.study.engine import Asked, submitted
    from archcost.cli.study.run import dry, prepared, ran

    manner.check()
    if manner.dry_run:
        for line in dry(file, overrides, storage, wanted, consent):
            click.echo(line)
        return 0
    if manner.engine:
        return submitted(Asked(file, overrides, storage), wanted, consent, manner)
    return ran(*prepared(file, overrides, storage, consent), wanted)


@study.command()
@click.argument("file", metavar="STUDY")
@overridden
@limited
@click.option("--storage", envvar="ARCHCOST_STORAGE", show_envvar=True, help=STORED)
@consented
@click.option("--trains", is_flag=True, help="Train here; measure only where --measures says.")
@click.option("--measures", multiple=True, metavar="TARGET", help="Measure on this target; train only with --trains.")
@debugged
def worker(file: str, overrides: tuple[str, ...], storage: str | None, wanted: Wanted, consent: Consent) -> int:
    """Work on a study beside other processes, here or on other machines, until no work is left."""
    from archcost.cli.study.run import prepared
    from archcost.cli.study.worker import worked

    return worked(*prepared(file, overrides, storage, consent), wanted)


@study.command()
@click.argument("file", metavar="STUDY")
@click.argument("networks", metavar="FILE ...", nargs=-1, required=True)
@overridden
@stored
@consented
@debugged
def enqueue(
    file: str, networks: tuple[str, ...], overrides: tuple[str, ...], storage: str | None, consent: Consent
) -> None:
    """Let a study try known networks first: model.yaml files, or shipped networks by name."""
    from archcost.cli.study.warm_start import enqueued

    for line, warning in enqueued(file, networks, overrides, storage, consent):
        click.echo(line, err=warning)


@study.command("import")
@click.argument("earlier", metavar="OLD")
@click.option("--into", "file", required=True, metavar="STUDY", help="The study they come to.")
@overridden
@click.option("--storage", help="Of STUDY: a file or the URL of a database; beside it if left out.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@consented
@debugged
def import_(
    earlier: str, file: str, overrides: tuple[str, ...], storage: str | None, as_json: bool, consent: Consent
) -> None:
    """Carry the trials of study OLD over into another one, with their weights; OLD does not change."""
    from archcost.cli.study.warm_start import document, imported, lines

    old, done, left = imported(earlier, file, overrides, storage, consent)
    for note in done.notes:
        say(f"note: {visible(note)}")
    if as_json:
        click.echo(json.dumps(document(old, done), indent=1))
        return
    for line in (*lines(done), *left):
        click.echo(line)


@study.command()
@click.argument("file", metavar="STUDY")
@stored
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@debugged
def status(file: str, storage: str | None, as_json: bool) -> None:
    """Say how far a study is: trials by state, why some ended early, its front."""
    from archcost.cli.study.lines import status_lines
    from archcost.cli.study.stored import confirmable, opened_with_run
    from archcost.study.records.tables import status_of

    stored, runs = opened_with_run(file, storage)
    if as_json:
        click.echo(json.dumps(status_of(stored, stored.front(), runs), indent=1))
        return
    for line in status_lines(stored, runs, confirmable(file)):
        click.echo(line)


@study.command()
@click.argument("file", metavar="STUDY")
@stored
@click.option("--format", "form", type=click.Choice(_FORMS), default="table", help="How to print.")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("--yaml", "folder", type=click.Path(file_okay=False), help="Also write each member's YAML to a folder.")
@debugged
def front(file: str, storage: str | None, form: str, as_json: bool, folder: str | None) -> None:
    """Show the networks that no other one beats in every objective."""
    from archcost.cli.study.lines import front_lines, front_rows, write_members
    from archcost.cli.study.stored import opened
    from archcost.study.records.tables import front_of

    stored = opened(file, storage)
    if as_json or form == "json":
        click.echo(json.dumps(front_of(stored, stored.front()), indent=1))
    elif form == "csv":
        rows = front_rows(stored)
        if not rows:
            raise InputError(Mistake(f"the study has {stored.lack}"))
        click.echo(of_mappings(rows), nl=False)
    else:
        for line in front_lines(stored, stored.front()):
            click.echo(line)
    if folder:
        for path in write_members(stored, Path(folder)):
            say(f"written: {visible(str(path))}")


@study.command()
@click.argument("file", metavar="STUDY")
@stored
@click.option("--format", "form", type=click.Choice(("csv", "json")), default="csv", help="How to print.")
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="The file; printed if left out.")
@debugged
def table(file: str, storage: str | None, form: str, output: str | None) -> None:
    """Print every trial of a study, and every column of a trial, as a table."""
    from archcost.cli.study.stored import opened_with_run
    from archcost.files import write_whole

    text = _text(*opened_with_run(file, storage), form)
    if output is None:
        click.echo(text, nl=False)
    else:
        write_whole(output, text)


def _text(stored: Stored, runs: bool | None, form: str) -> str:
    from archcost.study.records import tables
    from archcost.study.records.interruption import as_left

    what = (as_left(stored.trials(), runs), stored.front(), stored.objectives, stored.ways, stored.limits)
    with stored.undamaged():
        rows = tables.rows(*what)
    return json.dumps(rows, indent=1) + "\n" if form == "json" else of_mappings(rows)


study.section("Commands", new, run, worker, enqueue, import_, status, front, table)
# its first name; hidden, as `archcost export` does something else
study.add_command(
    click.Command(
        "export", callback=table.callback, params=table.params, help="The same as 'study table'.", hidden=True
    )
)
