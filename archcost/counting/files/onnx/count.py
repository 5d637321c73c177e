"""An ONNX file counted: open axes get their sizes, and a pass is made for each batch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from archcost.counting.files import axes
from archcost.counting.files.axes import Binding, Bound, Port
from archcost.counting.files.model_file import ModelFile
from archcost.counting.files.onnx import names, read, tensors, weights
from archcost.counting.files.onnx.frames import Line
from archcost.counting.files.onnx.rules.steps import UnknownShape, Value
from archcost.counting.files.onnx.walk import Walk
from archcost.counting.witnesses.witness import Uncounted
from archcost.errors import InputError, Mistake, Place, named, quoted
from archcost.graph import tables
from archcost.graph.account import Account, Layer, Trained
from archcost.graph.cost import Row, cut, listed
from archcost.models.code import Argument

_MALFORMED = (UnknownShape, LookupError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError)
_NO_TRAINING = "a file is run forward only"


class Opened(NamedTuple):
    """An ONNX file that was read, and how its open axes get their sizes."""

    path: Path
    model: Any
    binding: Binding

    def at(self, batch: int) -> Bound:
        """Return the sizes of its inputs at a batch; raises InputError with each axis that is open."""
        return self.binding.at(batch)


def opened(path: Path, arguments: Sequence[Argument]) -> Opened:
    """Return an ONNX file with how its open axes get their sizes; raises InputError for what cannot be read."""
    model = read.opened(path)
    return Opened(path, model, axes.binding(path.name, ports(model), arguments))


def dtype(found: Opened) -> str:
    """Return the floating type that most of a file's weights are of, float32 if there is none."""
    return weights.floating({t.name: Value(t.data_type, tuple(t.dims)) for t in found.model.graph.initializer})


def ports(model: Any) -> tuple[Port, ...]:
    """Return the inputs of a model; those that an initialiser gives a default are none."""
    given = {each.name for each in model.graph.initializer}
    return tuple(_port(each) for each in model.graph.input if each.name not in given)


def _port(given: Any) -> Port:
    tensor = given.type.tensor_type
    if not given.type.HasField("tensor_type"):
        raise InputError(f"input {quoted(given.name)} is no tensor; allowed: files whose inputs are tensors")
    dtype = tensors.NAMES.get(tensor.elem_type, "undefined")
    if not tensor.HasField("shape"):
        return Port(given.name, dtype, None)
    return Port(given.name, dtype, tuple(_axis(axis) for axis in tensor.shape.dim))


def _axis(axis: Any) -> axes.Axis:
    if axis.HasField("dim_value") and axis.dim_value >= 0:
        return int(axis.dim_value)
    return str(axis.dim_param) or None if axis.HasField("dim_param") else None


def counted(name: str, found: Opened, settings: Sequence[tuple[int, str]]) -> ModelFile:
    """Return what a file costs, with an account for each (batch, dtype).

    MACs are those of one example, of a file that fixes its batch those of a call. Raises InputError, with the file's
    name, for nodes that cannot be, and for sizes that are open.
    """
    first = _Pass(found, 1 if found.binding.batched else settings[0][0])
    rows = first.rows
    passes = {batch: first if batch == 1 else _Pass(found, batch) for batch, _ in settings}
    unknown, calls = _unknown(first.lines, first.walk)
    return ModelFile(
        name,
        "onnx",
        _described(found, first.bound),
        listed(rows),
        tables.digest(rows),
        dtype(found),
        tuple(passes[batch].account(batch, dtype) for batch, dtype in settings),
        uncounted=unknown,
        coverage=1 - sum(each.calls for each in unknown) / max(1, calls) if unknown else 1.0,
        notes=(*first.walk.state.seen.notes, *_notes(first, unknown)),
    )


class _Pass:
    """One pass through a file at a batch."""

    def __init__(self, found: Opened, batch: int) -> None:
        self.bound = found.at(batch)
        types = {port.name: port.dtype for port in found.binding.ports}
        numbers = {name: elem for elem, name in tensors.NAMES.items()}
        inputs = {name: Value(numbers[types[name]], shape) for name, shape in self.bound.shapes.items()}
        self.walk = Walk(found.model, found.path.parent, self.bound.sizes)
        try:
            self.walk.run(inputs)
        except InputError as error:
            place = Place(str(found.path))
            raise InputError(*(Mistake(m.message, m.path, m.place or place) for m in error.mistakes)) from None
        except _MALFORMED as error:  # inputs or attributes that an operator has to have, of the kind that it has to
            words = f"a node is not as ONNX defines it ({named(error)})"
            raise InputError(Mistake(words, place=Place(str(found.path)))) from error
        self.lines = list(self.walk.state.seen.lines.values())
        self.values = self.walk.constants
        self.held, self.unread = weights.held(self.lines, self.values)

    @property
    def rows(self) -> tuple[Row, ...]:
        """A row for each node, in the order in which they run."""
        layers = names.layers(self.lines)
        depth = tables.depth(layer for (layer, _), line in zip(layers, self.lines, strict=True) if line.work.macs)
        rows = []
        for line, (name, group), held in zip(self.lines, layers, self.held, strict=True):
            work = line.work
            counts = (held.params, held.buffers, work.macs, work.elementwise, work.read, 0, 0, work.written)
            rows.append(Row(name, line.op, cut(group, depth), None, work.shape, line.runs, *counts))
        return tuple(rows)

    def account(self, batch: int, dtype: str) -> Account:
        """Return the bytes of the pass, as values are typed in the file."""
        size_bytes = weights.size_bytes(self.values)
        peak_bytes = size_bytes + self.walk.state.alive.peak_bytes
        written = sum(line.work.written_bytes for line in self.lines)
        return Account(batch, dtype, size_bytes, written, peak_bytes, self._layers, lambda: Trained(None, _NO_TRAINING))

    def _layers(self) -> tuple[Layer, ...]:
        return tuple(
            Layer(
                *(row.name, row.op, row.group, row.column, row.shape, row.params, row.macs, row.elementwise),
                *(line.work.read_bytes, line.work.written_bytes, row.runs, None),
            )
            for row, line in zip(self.rows, self.lines, strict=True)
        )


def _unknown(lines: Sequence[Line], walk: Walk) -> tuple[tuple[Uncounted, ...], int]:
    sums = dict(walk.state.seen.bounds)
    for line in lines:
        if not line.work.known:
            sums[line.op] = sums.get(line.op, 0) + line.runs
    return tuple(Uncounted(op, calls) for op, calls in sums.items()), sum(line.runs for line in lines)


def _notes(found: _Pass, unknown: Sequence[Uncounted]) -> list[str]:
    told = []
    if unknown:
        words = ", ".join(f"{op} ({calls})" for op, calls in unknown)
        told.append(f"no count for {words}: no rule, or sizes that follow from data; what they multiply is missing")
    if found.unread:
        told.append(f"{found.unread} scalars of initialisers are read by no node")
    return told


def _described(found: Opened, bound: Bound) -> object:
    """Return the inputs as JSON holds them: the shape of a single float32 one, else a list of shapes and dtypes."""
    ports = found.binding.ports
    if len(ports) == 1 and ports[0].dtype == "float32":
        return list(bound.shapes[ports[0].name])
    return [{"name": p.name, "shape": list(bound.shapes[p.name]), "dtype": p.dtype} for p in ports]
