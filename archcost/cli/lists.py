"""archcost targets, schema, example, completion: what there is."""

from __future__ import annotations

import json
from dataclasses import asdict
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Final

import click

from archcost.cli.device.rooflines import roofline
from archcost.cli.options import debugged
from archcost.cli.terminal import WIDTH
from archcost.errors import InputError, Mistake, unknown, visible
from archcost.units import counted_words, data_size
from archcost.version import __version__

if TYPE_CHECKING:
    from archcost.latency.targets import Facts

_BESIDE: Final = 21  # where what is known of a target or runtime begins, behind its name


@click.command()
@click.option("--measure", is_flag=True, help="Measure now what the target reaches at most: FLOP/s and bytes/s.")
@click.option("--target", "name", help="This target alone; with --measure: cpu.")
@click.option("--threads", type=int, help="Threads of the peaks; the physical cores.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@debugged
def targets(measure: bool, name: str | None, threads: int | None, as_json: bool) -> None:
    """List the devices and runtimes to measure with, whether they are here, and what devices reach at most."""
    # imported when the command runs, to keep start-up fast
    from archcost.latency import runtimes
    from archcost.latency import targets as known

    if measure and name is None:
        name = "cpu"
    found = [known.find(each) for each in (known.LISTED if name is None else (name,))]
    rooflines = [roofline(each, threads, measure) for each in found]
    if as_json:
        rows = [{**_described(each.facts), "roofline": each.as_json()} for each in rooflines]
        document = {"targets": rows, "forms": list(known.FORMS), "runtimes": list(runtimes.RUNTIMES)}
        click.echo(json.dumps({**document, "runtime_facts": _ways()}, indent=1))
        return
    for each in rooflines:
        f = each.facts
        _tell("target", f.target, *((*_device(f), *each.lines()) if f.here else (f"not here: {f.why_not}",)))
    if name is not None:
        return
    _tell("target", "ssh", f"{known.FORMS[-1]}: archcost {__version__} on another machine")
    for way in _ways():
        versions = ", ".join(f"{package} {version}" for package, version in way["versions"].items())
        _tell("runtime", way["runtime"], versions if way["here"] else f"not here: {way['why_not']}")


def _tell(what: str, name: str, *told: str) -> None:
    """Print what is known of a target or runtime, each text beginning a line, in 80 columns."""
    lines = [line for text in told for line in wrap(visible(text), WIDTH - _BESIDE, break_on_hyphens=False)]
    for i, line in enumerate(lines):
        head = "" if i else f"{what:<7} {name}"
        click.echo(f"{head:<{_BESIDE}}{line}")


def _device(facts: Facts) -> tuple[str, str]:
    """Return what a target is, in two texts."""
    memory = "" if facts.memory_bytes is None else f", {data_size(facts.memory_bytes)} free"
    threads = counted_words(facts.threads, "thread")
    device = facts.device
    return f"{device.name}, {threads}{memory}", f"{device.system}, fingerprint {device.fingerprint}"


def _described(facts: Facts) -> dict[str, Any]:
    """Return what is known of a target as JSON holds it; conditions are those of this process."""
    from archcost.latency.targets.device import this_conditions

    device = facts.device
    return {
        "target": facts.target,
        "here": facts.here,
        "why_not": facts.why_not,
        "device": device.name,
        "fingerprint": device.fingerprint if facts.here else None,
        "system": device.system,
        "threads": facts.threads if facts.here else None,
        "cpus": facts.cpus if facts.here else None,
        "memory_bytes": facts.memory_bytes,
        "conditions": asdict(this_conditions()) if facts.here else None,
    }


def _ways() -> list[dict[str, Any]]:
    """Return what is known of every runtime without loading what it runs with."""
    from archcost.latency import runtimes

    found = [runtimes.find(name) for name in runtimes.RUNTIMES]
    facts = [(each.name, each.why_not(), dict(each.versions())) for each in found]
    return [{"runtime": name, "here": not why, "why_not": why, "versions": has} for name, why, has in facts]


@click.command()
@click.argument("name")
@debugged
def schema(name: str) -> None:
    """Print the JSON Schema of a file format: model, study or budget."""
    from archcost.cli import schemas  # loads pydantic

    if name not in schemas.NAMES:
        raise InputError(Mistake(unknown("schema", name, schemas.NAMES)))
    click.echo(schemas.committed(name), nl=False)


@click.command()
@click.argument("name", required=False)
@debugged
def example(name: str | None) -> None:
    """Print a published network that ships, or list them all."""
    from archcost.models import published

    known = published.names()
    if name is None:
        for each in known:
            click.echo(f"{each:<24} {published.title(each)}")
    elif name not in known:
        raise InputError(Mistake(unknown("network", name, known)))
    else:
        click.echo(published.text(name).decode("utf-8"), nl=False)


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@debugged
def completion(shell: str) -> None:
    """Print the script that completes archcost in a shell: eval "$(archcost completion bash)"."""
    from click.shell_completion import get_completion_class

    made = get_completion_class(shell)
    assert made is not None  # the choices are click's own
    root = click.get_current_context().find_root().command
    click.echo(made(root, {}, "archcost", "_ARCHCOST_COMPLETE").source())
