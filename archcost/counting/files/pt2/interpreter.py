"""A program as a torch module on meta tensors: it calls torch's own operators by shapes.

Nothing of the file is run but these. Every tensor is on meta and every operator that makes one makes it there, so no
kernel runs, no file is opened and nothing the size of a weight is allocated.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import Any, Final

import torch
from torch import nn
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils.flop_counter import FlopCounterMode

from archcost.counting.files.pt2.program import DTYPES, Argument, Graph, Node, Program, names_of
from archcost.errors import InputError, named, one_line, quoted

_TARGET: Final = re.compile(r"torch\.ops\.(\w+)\.(\w+)\.(\w+)")
_SPACES: Final = frozenset({"aten", "prims", "quantized_decomposed"})
"""Namespaces of operators that are called; others are uncounted."""
_CHECKS: Final = frozenset(
    """_assert_scalar _assert_async _assert_tensor_metadata sym_constrain_range sym_constrain_range_for_size
    _functional_assert_async _functional_assert_scalar""".split()
)
"""Operators that only look at their arguments, which have no values here."""
_NUMBERS: Final[Mapping[str, Callable[..., Any]]] = {
    **{f"_operator.{name}": getattr(operator, name) for name in
       "add sub mul floordiv mod truediv neg eq ne lt le gt ge and_ or_ not_ getitem".split()},
    "math.ceil": math.ceil, "math.floor": math.floor, "math.trunc": math.trunc,
    "torch.sym_max": max, "torch.sym_min": min, "torch.sym_float": float, "torch.sym_int": int,
    "torch.sym_not": operator.not_,
}  # fmt: skip
"""Python's own functions of numbers that a program calls, by name."""
_LAYOUTS: Final = {7: torch.strided}
_FORMATS: Final = {
    1: torch.contiguous_format, 2: torch.channels_last, 3: torch.channels_last_3d, 4: torch.preserve_format,
}  # fmt: skip

Values = dict[str, Any]


class Unknown(Exception):  # noqa: N818 - not a mistake of anybody's: an operator has no count
    """A target that is not called."""


@dataclass(slots=True)
class Log:
    """What a run found out: by the name of a node the operator that could not be called, and notes.

    Copies of a module write into one log.
    """

    unknown: dict[str, str] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)

    def __deepcopy__(self, memo: object) -> Log:
        """Return itself."""
        return self


class Part(nn.Module):
    """A part of the module that was exported: it runs the nodes that are of it, so that they count as its own."""

    def forward(self, run: Callable[[], None]) -> None:
        """Run nodes."""
        run()


class Network(Part):
    """The program as a module."""

    def __init__(self, program: Program, sizes: Mapping[str, int]) -> None:
        super().__init__()
        self.program, self.sizes = program, dict(sizes)
        self.names = [(weight.placeholder, weight.name) for weight in program.weights]
        self.log = Log()
        self.ends = last_uses(program.graph)
        made: dict[object, torch.Tensor] = {}
        for weight in program.weights:
            tensor = made.get(weight.storage)
            if tensor is None:
                tensor = made[weight.storage] = self._weight(weight.placeholder, weight.is_parameter)
            self._hold(weight.name, tensor)
        for node in program.graph.nodes:
            self._part(node.path)

    def _weight(self, placeholder: str, is_parameter: bool) -> torch.Tensor:
        facts = self.program.graph.tensors.get(placeholder)
        if facts is None or not all(isinstance(size, int) for size in facts.sizes):
            raise InputError(f"nothing fixes the shape of the weight {quoted(placeholder)}")
        kind: torch.dtype = getattr(torch, facts.dtype)
        sizes = [size for size in facts.sizes if isinstance(size, int)]
        if facts.strides is None:
            made = torch.empty(sizes, dtype=kind, device="meta")
        else:
            made = torch.empty_strided(sizes, facts.strides, dtype=kind, device="meta")
        grad = facts.requires_grad and (kind.is_floating_point or kind.is_complex)
        return nn.Parameter(made, requires_grad=grad) if is_parameter else made

    def _hold(self, name: str, tensor: torch.Tensor) -> None:
        path, _, last = name.rpartition(".")
        part = self._part(path)
        try:
            if isinstance(tensor, nn.Parameter):
                part.register_parameter(last, tensor)
            else:
                part.register_buffer(last, tensor)
        except (KeyError, TypeError):
            raise InputError(f"no weight can be called {quoted(name)}") from None

    def _part(self, path: str) -> nn.Module:
        part: nn.Module = self
        for name in path.split(".") if path else ():
            if name not in part._modules:
                try:
                    part.add_module(name, Part())
                except (KeyError, TypeError):
                    raise InputError(f"no part can be called {quoted(path)}") from None
            inner = part._modules[name]
            assert inner is not None  # it was made above
            part = inner
        return part

    def forward(self, *given: torch.Tensor) -> list[Any]:  # type: ignore[override]  # it is the whole
        """Return what the program gives for tensors on meta; raises InputError if an operator cannot be called."""
        values: Values = {**self.program.constants, **dict(zip(self.program.given, given, strict=True))}
        own = {
            **dict(self.named_parameters(remove_duplicate=False)),
            **dict(self.named_buffers(remove_duplicate=False)),
        }
        values |= {placeholder: own[name] for placeholder, name in self.names}
        for path, nodes in groupby(enumerate(self.program.graph.nodes), lambda pair: pair[1].path):
            held = list(nodes)
            run = partial(self._kept, held, values)
            self.get_submodule(path)(run) if path else run()
        return [_value(argument, values) for argument in self.program.graph.outputs]

    def _kept(self, nodes: Sequence[tuple[int, Node]], values: Values) -> None:
        """Run nodes of the whole program, and let go of what no later one reads."""
        for place, node in nodes:
            self._run([node], values)
            for name in self.ends.get(place, ()):
                values.pop(name, None)

    def _run(self, nodes: Sequence[Node], values: Values) -> None:
        for node in nodes:
            try:
                result = self._called(node, values)
            except Unknown:
                self.log.unknown[node.name] = node.target
                result = self._declared(node)
            except InputError:
                raise
            except Exception as error:
                words = f"node {quoted(node.name)} ({quoted(node.target)}) cannot be followed by shapes"
                raise InputError(f"{words}: {one_line(named(error), 200)}") from None
            _keep(node, result, values)

    def _called(self, node: Node, values: Values) -> Any:
        if (number := _NUMBERS.get(node.target)) is not None:
            return number(*(_value(argument, values) for _, argument in node.inputs))
        if node.target == "torch.ops.higher_order.cond":
            return self._branch(node, values)
        found = operator_of(node.target)
        if found._schema.name.partition("::")[2] in _CHECKS:
            return None
        args, kwargs = _arguments(found, {name: _value(argument, values) for name, argument in node.inputs})
        return found(*args, **kwargs)

    def _branch(self, node: Node, values: Values) -> Any:
        """Return what the dearer branch of a cond gives: it alone is run."""
        _, (_, first), (_, second), operands = (argument for _, argument in node.inputs)
        given = _value(operands, values)
        inner = [{**values, **dict(zip(names_of(graph.inputs), given, strict=True))} for graph in (first, second)]
        costs = [self._cost(graph, each) for graph, each in zip((first, second), inner, strict=True)]
        which = 0 if costs[0] >= costs[1] else 1
        taken, own = (first, second)[which], inner[which]
        self.log.notes[f"cond {quoted(node.name)} depends on data: its dearer branch, {which + 1}, is counted"] = None
        self._run(taken.nodes, own)
        return [_value(argument, own) for argument in taken.outputs]

    def _cost(self, graph: Graph, values: Values) -> int:
        """Return what torch's own counter finds that a branch multiplies: the choice between two goes by it."""
        with _disable_current_modes(), FlopCounterMode(display=False) as counter:
            self._run(graph.nodes, dict(values))
        return int(counter.get_total_flops())

    def _declared(self, node: Node) -> Any:
        """Return tensors as the file declares a node's results."""
        found = [self._empty(name) for name in names_of(node.outputs)]
        return found[0] if len(node.outputs) == 1 and node.outputs[0][0] == "as_tensor" else found

    def _empty(self, name: str) -> Any:
        facts = self.program.graph.tensors.get(name)
        if facts is None:
            return None
        sizes = [size if isinstance(size, int) else self.sizes.get(str(size)) for size in facts.sizes]
        if None in sizes:
            raise InputError(f"the sizes of {quoted(name)} follow from an operator without a rule")
        return torch.empty(sizes, dtype=getattr(torch, facts.dtype), device="meta")  # type: ignore[arg-type]


def last_uses(graph: Graph) -> dict[int, tuple[str, ...]]:
    """Return by the place of a node the names that are made or read last there; those of results stay."""
    last: dict[str, int] = {}
    for place, node in enumerate(graph.nodes):
        last.update(dict.fromkeys(_all_names([*node.outputs, *(argument for _, argument in node.inputs)]), place))
    kept = set(_all_names(graph.outputs))
    found: dict[int, tuple[str, ...]] = {}
    for name, place in last.items():
        if name not in kept:
            found[place] = (*found.get(place, ()), name)
    return found


def _all_names(arguments: Sequence[Argument]) -> Iterator[str]:
    """Yield every name in arguments, as deep as they stand."""
    waiting: list[Any] = [value for _, value in arguments]
    while waiting:
        value = waiting.pop()
        match value:
            case dict():
                waiting += [inner for key, inner in value.items() if key not in ("name", "as_name")]
                yield from (name for key in ("name", "as_name") if isinstance(name := value.get(key), str))
            case list():
                waiting += value
            case Graph():
                for node in value.nodes:
                    yield from _all_names([argument for _, argument in node.inputs])
            case _:
                pass  # a number, a text


def operator_of(target: str) -> Any:
    """Return torch's operator of a name; raises Unknown for one that is not torch's own, or that makes no tensors.

    Only the dispatcher's operators are: those of torch's old interpreter (aten::save is one) are not.
    """
    found = _TARGET.fullmatch(target)
    if found is None or found[1] not in _SPACES:
        raise Unknown
    space, name, overload = found.groups()
    try:
        torch._C._dispatch_find_schema_or_throw(f"{space}::{name}", "" if overload == "default" else overload)
        made = getattr(getattr(getattr(torch.ops, space), name), overload)
    except (RuntimeError, AttributeError):
        raise Unknown from None
    schema = made._schema
    takes = any("Tensor" in str(argument.type) or argument.name == "device" for argument in schema.arguments)
    if not takes or any(argument.name in ("filename", "file") for argument in schema.arguments):
        raise Unknown
    return made


def _arguments(found: Any, given: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Return what an operator is called with, by its schema: on meta, whatever device the file says."""
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    in_order = True
    for argument in found._schema.arguments:
        if argument.name == "device":
            kwargs["device"] = torch.device("meta")
        elif argument.name == "pin_memory":
            continue
        elif argument.name not in given:
            in_order = False
        elif argument.kwarg_only or not in_order:
            kwargs[argument.name] = given[argument.name]
        else:
            args.append(given[argument.name])
    return args, kwargs


def _keep(node: Node, result: Any, values: Values) -> None:
    """Give what a node returned its names."""
    if len(node.outputs) == 1:
        kind, value = node.outputs[0]
        if kind in ("as_tensors", "as_optional_tensors"):
            for each, made in zip(value, result or (), strict=False):
                name = each.get("name") or (each.get("as_tensor") or {}).get("name")
                if name is not None:
                    values[name] = made
            return
        single = result[0] if isinstance(result, list | tuple) and kind == "as_tensor" else result
        values.update({name: single for name in names_of(node.outputs) if name})
        return
    for name, made in zip(names_of(node.outputs), result if isinstance(result, list | tuple) else (), strict=False):
        if name:
            values[name] = made


def _value(argument: Argument, values: Mapping[str, Any]) -> Any:
    """Return what an argument stands for."""
    kind, value = argument
    match kind:
        case "as_none":
            return None
        case "as_tensor":
            return values[value["name"]]
        case "as_tensors":
            return [values[each["name"]] for each in value]
        case "as_optional_tensors" | "as_optional_tensor" | "as_sym_ints" | "as_sym_bools" | "as_sym_floats":
            several = value if isinstance(value, list) else [value]
            found = [_inner(each, values) for each in several]
            return found if isinstance(value, list) else found[0]
        case "as_sym_int" | "as_sym_bool" | "as_sym_float":
            return _inner(value, values)
        case (
            "as_int"
            | "as_ints"
            | "as_float"
            | "as_floats"
            | "as_bool"
            | "as_bools"
            | "as_string"
            | "as_strings"
            | "as_int_lists"
        ):
            return value
        case "as_scalar_type":
            return getattr(torch, DTYPES[value])
        case "as_memory_format":
            return _FORMATS[value]
        case "as_layout":
            return _LAYOUTS[value]
        case "as_device":
            return torch.device("meta")
        case "as_complex":
            return complex(value["real"], value["imag"])
        case _:
            raise InputError(f"it has an argument of the kind {quoted(kind)}, which is not read")


def _inner(value: Mapping[str, Any], values: Mapping[str, Any]) -> Any:
    """Return a number or a tensor that may have a name: {"as_name": ...}, {"as_int": ...}, {"as_tensor": ...}."""
    ((kind, inner),) = value.items()
    if kind == "as_name":
        return values[inner]
    return None if kind == "as_none" else values[inner["name"]] if kind == "as_tensor" else inner
