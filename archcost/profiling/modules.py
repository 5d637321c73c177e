"""From what a user gives, a torch module or code that makes one, to a counted module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from torch import Tensor, nn

from archcost.counting import module as counting
from archcost.counting.module import CallAt, Module
from archcost.errors import ArchcostError, InputError, Mistake
from archcost.latency.measure import Request
from archcost.machine import available_memory_bytes
from archcost.models.load import Reference
from archcost.nets import copies, factory
from archcost.nets.call import Call
from archcost.nets.calls.contents import tensors_in
from archcost.nets.storage import is_plain


class Given(NamedTuple):
    """A module and the call it is counted for, by batch; `input` describes it, None: as its tensors are."""

    name: str
    call_at: CallAt
    input: object


def given(module: object, inputs: object, request: Request) -> Given:
    """Return a module with the arguments of one call; raises InputError if it is none, or has no inputs."""
    if not isinstance(module, nn.Module):
        allowed = "a YAML file, a shipped network, a Model, a torch module or package.module:callable"
        raise InputError(Mistake(f"given {type(module).__name__}; allowed: {allowed}"))
    if request.batches != (1,):
        raise InputError(Mistake(f"given {request.batches[0]}; allowed: 1, the inputs hold the batch", ("batch",)))
    call = _call(copies.unwrapped(module), inputs)
    return Given(type(call.module).__name__, lambda _: call, None)


def _call(module: nn.Module, inputs: object) -> Call:
    match inputs:
        case Tensor():
            return Call(module, (inputs,))
        case Mapping():
            return Call(module, (), inputs)
        case tuple() | list():
            return Call(module, tuple(inputs))
        case None:
            raise InputError(Mistake("a torch module needs inputs: a tensor, a tuple of arguments or a dict of them"))
        case _:
            allowed = "a tensor, a tuple or list of arguments, a dict of keyword arguments"
            raise InputError(Mistake(f"given {type(inputs).__name__}; allowed: {allowed}", ("inputs",)))


def equal_inputs(given: Given, request: Request) -> tuple[str, ...]:
    """Return a sentence if each tensor that a user gave holds one value alone, as zeros do.

    Masks of one value are common, so that one tensor of several values is enough. None if nothing is measured.
    """
    if given.input is not None or not request.latency:
        return ()
    call = given.call_at(1)
    tensors = [tensor for tensor in tensors_in((call.args, call.kwargs)) if tensor.numel() > 1]
    if not tensors or not all(map(_is_one_value, tensors)):
        return ()
    words = "a look-up, a branch or a runtime that skips zeros may take another time on real ones"
    return (f"the inputs hold one value alone ({tensors[0].flatten()[0].item():g}): {words}",)


def _is_one_value(tensor: Tensor) -> bool:
    if not is_plain(tensor) or tensor.is_meta or tensor.is_complex():
        return False
    flat = tensor.detach().flatten()
    return bool((flat == flat[0]).all())


def made(reference: Reference) -> Given:
    """Return the module that code makes, with seeded inputs at any batch; raises InputError if the code fails."""
    module = copies.unwrapped(factory.made(reference.spec, folder=Path.cwd()))
    spec = reference.spec

    def call_at(batch: int) -> Call:
        return Call(module, *factory.arguments(spec, batch, available_bytes=available_memory_bytes()))

    first, *others = spec.arguments
    plain = not others and first.dtype == "float32" and first.name is None
    described = list(first.shape) if plain else [a.model_dump(exclude_none=True) for a in spec.arguments]
    return Given(reference.name, call_at, described)


def called(reference: Reference, inputs: object, request: Request) -> Given:
    """Return the module that code makes, with the tensors it is called with; raises InputError as `made` does."""
    return given(factory.made(reference.spec, folder=Path.cwd()), inputs, request)._replace(name=reference.name)


def counted(given: Given, request: Request) -> tuple[Module, str]:
    """Return the counts of a module, and its own dtype.

    Raises InputError, with the module's own error below, if it cannot take its input.
    """
    own_dtype = counting.own_dtype(given.call_at(1))
    try:
        module = counting.counted(given.name, given.call_at, request.settings(own_dtype), own_dtype)
    except ArchcostError:
        raise
    except Exception as error:
        raise factory.own_error(f"{given.name} cannot run on the given input", error) from error
    return (module if given.input is None else replace(module, input=given.input)), own_dtype
