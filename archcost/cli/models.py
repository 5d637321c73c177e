"""From the MODEL that is typed to a Model or a Reference."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import replace
from pathlib import Path

from archcost.cli.options import Reading, standard_input
from archcost.config import document
from archcost.errors import InputError, Mistake, one_of, quoted
from archcost.models import files
from archcost.models.families import FAMILIES
from archcost.models.files import File, Network
from archcost.models.load import Model, Reference, interpret, is_code


@contextmanager
def aside(*networks: Network) -> Iterator[None]:
    """Let code run as it would in its own folder, but print to standard error: standard output is for the result."""
    with ExitStack() as stack:
        if any(isinstance(network, Reference) for network in networks):
            from archcost.nets.factory import importing_from  # loads torch

            stack.enter_context(importing_from(Path.cwd()))
            stack.enter_context(redirect_stdout(sys.stderr))
        yield


def read_any(typed: str, reading: Reading) -> Network:
    """Return the network, or the reference to code; `-` reads standard input, no further than a model may be long."""
    how = (reading.overrides, reading.inputs, reading.allow_code)
    if typed != "-":
        return files.read(typed, *how)
    text = standard_input().read(document.MAX_BYTES + 1)
    return interpret(document.read_bytes(text, "<stdin>"), *how)


def read_all(typed: Sequence[str], reading: Reading) -> list[Network]:
    """Return all networks; raises InputError with all mistakes. Inputs are for the code that is typed, if any."""
    if typed.count("-") > 1:
        raise InputError(Mistake("standard input (-) can be read only once"))
    read: list[Network] = []
    has_code = any(map(_takes_inputs, typed))
    mistakes: dict[Mistake, None] = {}  # in order, each once: an override that is wrong is wrong in every network
    for each in typed:
        try:
            takes = _takes_inputs(each) or not has_code
            read.append(read_any(each, reading if takes else replace(reading, inputs=())))
        except InputError as error:
            mistakes |= dict.fromkeys(error.mistakes)
    if mistakes:
        raise InputError(*mistakes)
    return read


def _takes_inputs(typed: str) -> bool:
    return is_code(typed) or bool(files.kind(typed))


def read_model(typed: str, reading: Reading, command: str) -> Model:
    """Return the network of a family, which alone has a graph; code is refused and does not run."""
    found = None if is_code(typed) else read_any(typed, reading)
    if isinstance(found, Model):
        return found
    if isinstance(found, File):
        message = f"{command} needs the graph of a family, and {quoted(typed)} is a model file"
        raise InputError(Mistake(f"{message}; allowed: a network of family {one_of(FAMILIES)}"))
    code = found.spec.factory if found else typed
    message = f"{command} needs the graph of a family, and {quoted(code)} is code"
    raise InputError(Mistake(f"{message}; allowed: a network of family {one_of(FAMILIES)}"))
