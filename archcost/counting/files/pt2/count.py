"""A torch.export file counted: its program is run on meta tensors under the count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch

from archcost.counting import module as counting
from archcost.counting.files import axes
from archcost.counting.files.axes import Binding, Bound, Port
from archcost.counting.files.model_file import ModelFile
from archcost.counting.files.pt2 import archive, program
from archcost.counting.files.pt2.interpreter import Network
from archcost.counting.files.pt2.program import Program
from archcost.counting.witnesses.witness import Uncounted
from archcost.errors import InputError, Mistake, Place, quoted
from archcost.graph.account import Account, Trained
from archcost.models.code import Argument
from archcost.nets.call import Call

_NO_TRAINING = "a file is run forward only"


class Opened(NamedTuple):
    """A torch.export file that was read, and how its open axes get their sizes."""

    path: Path
    program: Program
    binding: Binding

    def at(self, batch: int) -> Bound:
        """Return the sizes of its inputs at a batch; raises InputError with each axis that is open, or out of range."""
        bound = self.binding.at(batch)
        for name, size in bound.sizes.items():
            least, most = self.program.ranges.get(name, (None, None))
            # torch itself makes 2 the least of an axis that may well be 1
            if (least or 0) > max(size, 2) or (most is not None and size > most):
                allowed = f"{least or 0} to {most}" if most is not None else f"from {least}"
                raise InputError(
                    Mistake(f"given {size} for {quoted(name)}; allowed: {allowed}", place=Place(str(self.path)))
                )
        return bound


def opened(path: Path, arguments: Sequence[Argument]) -> Opened:
    """Return a torch.export file with how its open axes get their sizes; raises InputError for what cannot be read."""
    found = archive.opened(path)
    try:
        parsed = program.parsed(found)
        ports = [_port(parsed, name) for name in parsed.given]
    except InputError as error:
        raise InputError(*(Mistake(m.message, m.path, Place(str(path))) for m in error.mistakes)) from None
    return Opened(path, parsed, axes.binding(path.name, ports, arguments))


def _port(found: Program, name: str) -> Port:
    facts = found.graph.tensors.get(name)
    if facts is None:
        raise InputError(f"nothing says what its input {quoted(name)} is")
    return Port(name, facts.dtype, facts.sizes)


def dtype(found: Opened) -> str:
    """Return the floating type that most of a file's weights are of."""
    return counting.own_dtype(_call(found, 1))


def _call(found: Opened, batch: int) -> Call:
    bound = found.at(batch)
    kinds = {port.name: port.dtype for port in found.binding.ports}
    inputs = [
        torch.empty(bound.shapes[name], dtype=getattr(torch, kinds[name]), device="meta")
        for name in found.program.given
    ]
    return Call(Network(found.program, bound.sizes), tuple(inputs))


def counted(name: str, found: Opened, settings: Sequence[tuple[int, str]]) -> ModelFile:
    """Return what a file costs, with an account for each (batch, dtype); raises InputError, with the file's name."""
    try:
        call = _call(found, 1)
        module = counting.counted(
            name, lambda batch: call if batch == 1 else _call(found, batch), settings, dtype(found)
        )
    except InputError as error:
        place = Place(str(found.path))
        raise InputError(*(Mistake(m.message, m.path, m.place or place) for m in error.mistakes)) from None
    interpreter = call.module
    assert isinstance(interpreter, Network)  # `_call` made it
    return ModelFile(
        name,
        "pt2",
        module.input,
        module.cost,
        module.digest,
        dtype(found),
        tuple(map(_forward_only, module.accounts)),
        module.weights,
        (*module.uncounted, *(Uncounted(op, calls) for op, calls in Counter(interpreter.log.unknown.values()).items())),
        module.coverage,
        (*module.notes, *interpreter.log.notes),
    )


def _forward_only(account: Account) -> Account:
    return replace(account, train=lambda: Trained(None, _NO_TRAINING))


def drawn(found: Opened, batch: int, seed: int) -> tuple[torch.Tensor, ...]:
    """Return tensors for a call: floating ones normally distributed, integers below what --input says, or 2."""
    bound, generator = found.at(batch), torch.Generator().manual_seed(seed)
    made = []
    for port in found.binding.ports:
        kind: torch.dtype = getattr(torch, port.dtype)
        shape = bound.shapes[port.name]
        if kind.is_floating_point or kind.is_complex:
            made.append(torch.randn(shape, generator=generator).to(kind))
        else:
            made.append(torch.randint(found.binding.below.get(port.name, 2), shape, generator=generator).to(kind))
    return tuple(made)
