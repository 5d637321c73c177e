"""Sources of the public calls: a path, a name, a Model, code or a torch module."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from archcost.errors import InputError, Mistake, quoted
from archcost.latency.measure import Request
from archcost.models import files
from archcost.models.code import Argument, parse_input
from archcost.models.files import Network
from archcost.models.load import Model, Reference, is_code, read

if TYPE_CHECKING:
    from torch import nn

    from archcost.profiling.modules import Given

Source: TypeAlias = "str | os.PathLike[str] | Model | nn.Module"
"""A YAML file, a shipped name, package.module:callable with arguments or without, a Model, or a torch module."""

_INPUTS = "a tensor, a tuple of arguments or a dict of them, or text as --input takes it, such as '3,224,224'"


def takes_inputs(source: object) -> bool:
    """Return whether a source takes inputs: a torch module, code that makes one, or a model file."""
    return (
        bool(files.kind(source)) or is_code(source)
        if isinstance(source, str)
        else not isinstance(source, os.PathLike | Model)
    )


def named(source: object, inputs: object, request: Request, *, allow_code: bool) -> Network | Given:
    """Return the network that a source is; raises InputError, also for inputs that it does not take.

    allow_code: whether a file may name code to run; code that is the source itself may run.
    """
    if files.kind(source):
        return _file(source, inputs, allow_code)
    if isinstance(source, str) and is_code(source):
        return _code(source, inputs, request)
    if takes_inputs(source):
        from archcost.profiling.modules import given  # loads torch

        return given(source, inputs, request)
    if inputs is not None:
        raise InputError(Mistake("inputs go with a torch module; a network's own input follows from its file"))
    assert isinstance(source, str | os.PathLike | Model)  # all else takes inputs
    return source if isinstance(source, Model) else read(source, allow_code=allow_code)


def _file(source: object, inputs: object, allow_code: bool) -> Network:
    assert isinstance(source, str | os.PathLike)  # so files are named
    if inputs is not None and (texts := _texts(inputs)) is None:
        raise InputError(Mistake("a model file takes inputs as text, as --input does: '3,224,224'", ("inputs",)))
    return files.read(source, inputs=_parsed(texts) if inputs is not None and texts else (), allow_code=allow_code)


def _code(source: str, inputs: object, request: Request) -> Reference | Given:
    if inputs is None:
        raise InputError(Mistake(f"{quoted(source)} is code and needs inputs; allowed: {_INPUTS}"))
    if (texts := _texts(inputs)) is not None:
        return _reference(source, _parsed(texts))
    from archcost.profiling.modules import called  # loads torch

    anything = [Argument(shape=())]  # the tensors themselves are what it is called with
    return called(_reference(source, anything), inputs, request)


def _reference(source: str, inputs: Sequence[Argument]) -> Reference:
    found = read(source, inputs=inputs)
    assert isinstance(found, Reference)  # code always is
    return found


def _texts(inputs: object) -> Sequence[str] | None:
    """Return inputs that are written as --input has them, None if they are tensors."""
    if isinstance(inputs, str):
        return [inputs]
    if isinstance(inputs, list | tuple) and inputs and all(isinstance(each, str) for each in inputs):
        return inputs
    return None


def _parsed(texts: Sequence[str]) -> list[Argument]:
    try:
        return [parse_input(text) for text in texts]
    except ValueError as error:
        raise InputError(Mistake(str(error), ("inputs",))) from None
