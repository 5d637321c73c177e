"""archcost study new: a first study of one's own network, from its factory's signature."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from archcost.cli.options import debugged
from archcost.cli.terminal import progress, say
from archcost.errors import InputError, Mistake, quoted, visible

if TYPE_CHECKING:
    from archcost.study.spec import StudySpec
    from archcost.study.workers.messages import Parameter

_PATIENCE_S = 60.0


@click.command()
@click.argument("factory", metavar="FACTORY")
@click.option("--data", required=True, help="A data set by name, or package.module:callable that gives yours.")
@click.option("--path", help="Of data of your own by name: a folder of images, a text, a file of sequences.")
@click.option("--set", "given", multiple=True, metavar="NAME=VALUE", help="An argument: a value or a domain.")
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="The file; printed if left out.")
@debugged
def new(factory: str, data: str, path: str | None, given: tuple[str, ...], output: str | None) -> None:
    """Write a first study of a network of your own: FACTORY is package.module:callable.

    It is imported, as typing it is consent, from the current folder first, and its signature read: an argument with a
    default that has a size becomes a domain around it. The study runs with `archcost study run FILE --allow-code`.
    """
    # imported when the command runs: they load torch, and pydantic
    from archcost.config import document
    from archcost.config.types import FORM, names_code
    from archcost.data.known import NAMES
    from archcost.errors import unknown
    from archcost.files import write_whole
    from archcost.study.code import answers, first
    from archcost.study.spec import read_study

    if not names_code(factory):
        raise InputError(Mistake(f"given {quoted(factory)}; allowed: {FORM}"))
    if not names_code(data) and data not in NAMES:
        raise InputError(Mistake(f"{unknown('data set', data, NAMES)}, or {FORM}"))
    if not names_code(data):
        first.refuse_unplaced(data, path)
    parameters, code = answers.parameters(factory, Path.cwd(), _PATIENCE_S)
    if output is not None:
        _refuse_elsewhere(Path(output), list(code.files))
    text = first.study(factory, data, path, parameters, dict(_assigned(given)))
    spec = read_study(document.load(text, output or "study.yaml"))  # what was typed with --set may be wrong
    _try(factory, spec, parameters, [name for name, _ in _assigned(given)])
    if output is None:
        click.echo(text, nl=False)
        return
    write_whole(output, text)
    command = f"archcost study run {shlex.quote(output)} --allow-code"
    say(f"wrote {visible(output)}; next:")
    say(f"  {visible(command)} --dry-run")
    say(f"  {visible(command)}")


def _try(factory: str, spec: StudySpec, parameters: Sequence[Parameter], given: Sequence[str]) -> None:
    """Have the factory make a module once, in a child; raises InputError with what it raises."""
    from archcost.study.code import answers, first
    from archcost.study.workers.tasks import Code, Make

    code = Code(str(Path.cwd()))
    with progress(f"trying {factory}"):
        takes = any(each.name in first.OFFERED for each in parameters)
        offers = answers.offered(spec, code) if takes else {}
        args = first.once(spec, parameters, given, offers)
        if args is None:
            say(f"note: {visible(factory)} was not tried: the data that give it its input are not here")
        else:
            said = {"family": "module", "factory": factory, "args": args, "input": [1]}  # it is not called
            answers.try_factory(Make(said, offers, code), _PATIENCE_S)


def _assigned(given: tuple[str, ...]) -> list[tuple[str, str]]:
    pairs = [each.partition("=") for each in given]
    if wrong := ["".join(pair) for pair in pairs if not all(pair)]:
        raise InputError(Mistake(f"given {quoted(wrong[0])}; allowed: NAME=VALUE", ("--set",)))
    return [(name, value) for name, _, value in pairs]


def _refuse_elsewhere(output: Path, files: list[str]) -> None:
    """Raise InputError for a study that would not find the code it names: it looks beside itself first."""
    if output.exists():
        raise InputError(Mistake(f"{quoted(str(output))} is there already; allowed: another name, or remove it"))
    if files and output.parent.resolve() != Path.cwd().resolve():
        where = f"a file of the current folder, where {quoted(files[0])} is"
        raise InputError(Mistake(f"a study looks for code in its own folder first; allowed: {where}", ("-o",)))
