"""A module from the user's code, and the tensors it is called with.

Whatever goes wrong in that code is one error.

Who calls this has the user's consent: the code named can do whatever the user can.
"""

from __future__ import annotations

import copy
import inspect
import os
import pkgutil
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from math import prod
from pathlib import Path
from types import ModuleType
from typing import Final

import torch
from torch import Tensor, nn

from archcost.errors import InputError, Mistake, did_you_mean, named, one_of, quoted, shorten, visible
from archcost.graph.dtypes import BYTES
from archcost.machine import shortage
from archcost.models.code import INTEGERS, Argument, Foreign
from archcost.nets.dtypes import TORCH

_MODULE: Final = "a function or class that makes a torch.nn.Module, or such a module"
_MOST_LINES: Final = 8  # of a model's own error
_OURS: Final = str(Path(__file__).parents[1]) + os.sep  # all of archcost
_TORCH: Final = str(Path(torch.__file__).parent) + os.sep
_STDLIB: Final = sysconfig.get_path("stdlib") + os.sep


def made(
    spec: Foreign, *, seed: int = 0, folder: Path | None = None, offers: Mapping[str, object] | None = None
) -> nn.Module:
    """Return the module that the code makes, as the code leaves it; torch's random state stays as it was.

    Modules are also looked for in `folder`, first of all places. `seed` is that of torch, for the import and the call.
    offers: arguments that the code gets if it has a parameter of that name, and `args` has not.
    Raises InputError, with the code's own error below if there is one.
    """
    # a caller's inference mode would make weights that no later training may use
    with importing_from(folder), torch.inference_mode(False), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        found = named_object(spec.factory)
        torch.manual_seed(seed)  # again: only the first import draws
        return _module(found, spec.model_copy(update={"args": _taken(found, offers or {}) | spec.args}))


def _taken(found: object, offers: Mapping[str, object]) -> dict[str, object]:
    """Return what of the offers a callable has a parameter for."""
    if not offers or not callable(found) or isinstance(found, nn.Module):
        return {}
    named = [each for each in signature(found).values() if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)]
    return {each.name: offers[each.name] for each in named if each.name in offers}


def signature(found: Callable[..., object]) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of a callable by name, none if it does not say which it has."""
    try:
        return inspect.signature(found).parameters
    except Exception:  # many a builtin has none: the call itself will tell
        return {}


@contextmanager
def importing_from(folder: Path | None) -> Iterator[None]:
    """Put a folder first among the places where Python looks for modules; an installed command starts without one."""
    if folder is None:
        yield
        return
    place = str(folder.absolute())
    sys.path.insert(0, place)
    try:
        yield
    finally:
        with suppress(ValueError):  # the code may have removed it
            sys.path.remove(place)


def arguments(
    spec: Foreign, batch: int, *, seed: int = 0, device: str = "cpu", available_bytes: int | None = None
) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
    """Return the seeded tensors of one call, those without a name and those with: (batch, *shape) each.

    The values do not depend on the device; on `meta` there are none. Raises InputError for what torch cannot make or
    `available_bytes` cannot hold.
    """
    needed = sum(batch * prod(a.shape) * BYTES[a.dtype] for a in spec.arguments)
    if device != "meta" and (short := shortage(needed, available_bytes)):
        raise InputError(f"inputs too large to make: batch {batch} {short}")
    generator = torch.Generator().manual_seed(seed)
    try:
        tensors = [(a.name, _drawn(a, (batch, *a.shape), generator, device)) for a in spec.arguments]
    except (RuntimeError, MemoryError, OverflowError, TypeError) as error:
        raise own_error(f"torch cannot make the inputs at batch {batch}", error) from error
    return tuple(x for name, x in tensors if name is None), {name: x for name, x in tensors if name is not None}


class CodeError(InputError):
    """Code of the user's own failed: with what it raised, and where."""


class RefusedError(CodeError):
    """A factory does not take arguments that it knows: it raised ValueError or TypeError, which is the cause."""


def own_error(what: str, error: BaseException) -> CodeError:
    """Return one error that says `what` failed and, in the lines below, the code's own error and its place there."""
    lines = named(error)[:5000].expandtabs(4).splitlines()
    if len(lines) > _MOST_LINES:
        lines = [*lines[: _MOST_LINES - 1], "..."]
    place = place_of(error)
    below = [*lines, *([f"at {place}"] if place else [])]
    return CodeError(what, *(f"    {shorten(line, 200)}" for line in below))


def place_of(error: BaseException) -> str:
    """Return file, line and function where the user's code raised; empty if none of it ran."""
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return f"{error.filename}:{error.lineno}"
    frames = [
        (frame.f_code.co_filename, line, frame.f_code.co_qualname)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if not frame.f_code.co_filename.startswith(("<frozen ", _OURS))
    ]
    users = [each for each in frames if _is_users(each[0])]
    file, line, function = (users or frames or [("", 0, "")])[-1]
    return f"{file}:{line}" + (f", in {function}" if function != "<module>" else "") if file else ""


def _is_users(file: str) -> bool:
    """Return whether code is neither torch's nor Python's own; what is installed besides may be the user's model."""
    installed = "site-packages" in file or "dist-packages" in file
    return not file.startswith(_TORCH) and (installed or not file.startswith(_STDLIB))


def named_object(factory: str) -> object:
    """Return what package.module:callable names, which is imported; raises InputError, with the code's own error."""
    place, _, attribute = factory.partition(":")
    found: object = _imported(place)
    for part in attribute.split("."):
        try:
            with guarded(f"looking up {quoted(factory)} failed"):
                found = getattr(found, part)
        except InputError as error:
            if not isinstance(error.__cause__, AttributeError):
                raise
            guess = visible(did_you_mean(part, _names(found)))
            raise InputError(f"{quoted(place)} has nothing called {quoted(part)}{guess}") from error.__cause__
        place = f"{place}{'.' if ':' in place else ':'}{part}"
    return found


def _names(found: object) -> list[str]:
    with suppress(Exception):  # a module may have a __dir__ of its own
        return [str(name) for name in dir(found) if not str(name).startswith("_")]
    return []


def _imported(name: str) -> ModuleType:
    try:
        with guarded(f"importing {quoted(name)} failed"):
            return import_module(name)
    except InputError as error:
        missing = error.__cause__
        # a module that the code itself imports and that is missing has another name: then its own error is reported
        if not (isinstance(missing, ModuleNotFoundError) and f"{name}.".startswith(f"{missing.name}.")):
            raise
        allowed = "one that is installed here, or a file of the current folder"
        raise InputError(
            f"there is no module {quoted(name)}{_near(str(missing.name))}; allowed: {allowed}"
        ) from missing


def _near(name: str) -> str:
    """Return ` (did you mean ...?)` for the module beside a missing one whose name is closest."""
    parent, _, last = name.rpartition(".")
    path = getattr(sys.modules.get(parent), "__path__", ()) if parent else None
    return visible(did_you_mean(last, [found.name for found in pkgutil.iter_modules(path)]))


@contextmanager
def guarded(what: str) -> Iterator[None]:
    """Turn whatever the user's code raises inside into one error: also an exit, which is not the code's to decide."""
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if isinstance(error, SystemExit) and _is_ours(error):  # a signal came, and our handler ends the program
            raise
        raise own_error(what, error) from error


def _is_ours(error: BaseException) -> bool:
    files = [frame.f_code.co_filename for frame, _ in traceback.walk_tb(error.__traceback__)]
    return bool(files) and files[-1].startswith(_OURS) and files[-1] != __file__  # here only builtins are called


def _module(found: object, spec: Foreign) -> nn.Module:
    if isinstance(found, nn.Module):
        if spec.args:
            raise InputError(Mistake(f"{quoted(spec.factory)} is a module already, and takes no arguments", ("args",)))
        return found
    if not callable(found):
        raise InputError(f"{quoted(spec.factory)} is {_kind(found)}; allowed: {_MODULE}")
    if mistakes := [*_misfits(found, spec)]:
        raise InputError(*mistakes)
    try:
        with guarded(f"{quoted(spec.factory)} failed"):
            result = found(**copy.deepcopy(spec.args))  # a copy: what it is given, it may change
    except CodeError as error:
        if isinstance(error.__cause__, ValueError | TypeError):
            raise RefusedError(*error.mistakes) from error.__cause__
        raise
    if not isinstance(result, nn.Module):
        raise InputError(f"{quoted(spec.factory)} returned {_kind(result)}; allowed: a torch.nn.Module")
    return result


def _kind(value: object) -> str:
    if value is None:
        return "None"
    return "a file of code" if isinstance(value, ModuleType) else f"an object of type {quoted(type(value).__name__)}"


def _misfits(call: Callable[..., object], spec: Foreign) -> Iterator[Mistake]:
    """Yield the arguments that a callable needs and has not, and those it does not take."""
    parameters = signature(call).values()
    if not parameters:
        return
    named = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    for p in parameters:
        if p.default is p.empty and p.kind is p.POSITIONAL_ONLY:
            yield Mistake(f"{quoted(spec.factory)} takes {quoted(p.name)} by position only, which 'args' cannot give")
        elif p.default is p.empty and p.name in named and p.name not in spec.args:
            allowed = f"a value in 'args', as --set args.{p.name}=... gives it"
            yield Mistake(f"missing; {quoted(spec.factory)} needs it; allowed: {allowed}", ("args", p.name))
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        for name in (name for name in spec.args if name not in named):
            guess = did_you_mean(name, named)
            message = f"{quoted(spec.factory)} takes no such argument{guess}; allowed: {one_of(named)}"
            yield Mistake(message, ("args", name))


def _drawn(argument: Argument, shape: tuple[int, ...], generator: torch.Generator, device: str) -> Tensor:
    dtype = TORCH[argument.dtype]
    if device == "meta":
        return torch.empty(shape, dtype=dtype, device="meta")
    if argument.dtype in INTEGERS:
        return torch.randint(argument.bound, shape, generator=generator, dtype=dtype).to(device)
    if dtype is torch.bool:
        return torch.randint(2, shape, generator=generator).to(device, dtype)
    # half precision is float32's values, rounded: the same network is given the same at any dtype
    drawn = torch.randn(shape, generator=generator, dtype=torch.float64 if dtype is torch.float64 else torch.float32)
    return drawn.to(device, dtype)
