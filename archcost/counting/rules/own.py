"""Rules of the user's own: what one is given, what it answers, and how it is asked.

Rules are registered from Python, in this process alone, or named by an installed package: an entry point of the group
`archcost.rules` whose name is the operator's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from importlib.metadata import entry_points
from operator import index
from typing import Any, Final, TypeAlias

from torch import Tensor

from archcost.errors import InputError, Mistake, named, one_line, quoted

GROUP: Final = "archcost.rules"


@dataclass(frozen=True, slots=True)
class Shape:
    """A tensor as a rule sees it: no values. dtype and layout are torch's names: 'float32', 'strided'."""

    shape: tuple[int, ...]
    dtype: str
    layout: str = "strided"


@dataclass(frozen=True, slots=True)
class Work:
    """What one call of an operator does: multiply-adds, elementwise operations, bytes; None: as its tensors are.

    Raises InputError if a number is negative or not whole.
    """

    macs: int
    elementwise: int = 0
    read_bytes: int | None = None
    written_bytes: int | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None and field.name.endswith("_bytes"):
                continue
            if not _whole(value) or value < 0:
                words = f"given {value!r}; allowed: a whole number that is not negative"
                raise InputError(Mistake(words, (field.name,)))
            object.__setattr__(self, field.name, index(value))


def _whole(value: object) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool | Tensor)


OwnRule: TypeAlias = Callable[[tuple[Any, ...], tuple[Any, ...]], Work]
"""(inputs, outputs) -> Work. Inputs are in the order of the schema, with defaults, those that have names only last.

A tensor is a Shape, a list of them a tuple; plain arguments are as they were given.
"""

_RULES: dict[str, OwnRule] = {}  # filled by `put` alone, when a user registers one


def put(name: str, rule: OwnRule) -> None:
    """Let a rule be an operator's from now on."""
    _RULES[name] = rule


def drop(name: str) -> None:
    """Let an operator be without the rule that was registered for it."""
    _RULES.pop(name, None)


def registered() -> frozenset[str]:
    """Return the names of the operators that a rule was registered for in this process."""
    return frozenset(_RULES)


def edition() -> tuple[tuple[str, int], ...]:
    """Return what tells one state of the registered rules from another; empty if there are none."""
    return tuple((name, id(rule)) for name, rule in _RULES.items())


def own_rule(name: str) -> OwnRule | None:
    """Return the registered rule of an operator, `space::name`, else that of an installed package, else None."""
    return _RULES.get(name) or _installed().get(name)


def replaced(name: str) -> OwnRule | None:
    """Return the registered rule of an operator; packages are not asked, as they replace no rule of archcost's."""
    return _RULES.get(name) if _RULES else None


@cache
def _installed() -> Mapping[str, OwnRule]:
    """Return the rules of installed packages; raises InputError if two are of one operator, or one cannot be loaded."""
    found: dict[str, OwnRule] = {}
    for point in entry_points(group=GROUP):
        if point.name in found:
            raise InputError(Mistake(f"two packages have a rule for {quoted(point.name)}; one is {point.value}"))
        try:
            rule = point.load()
        except Exception as error:  # the package's own
            words = f"the rule {point.value} for {quoted(point.name)} cannot be loaded: {one_line(named(error), 200)}"
            raise InputError(Mistake(words)) from error
        if not callable(rule):
            raise InputError(Mistake(f"the rule {point.value} for {quoted(point.name)} cannot be called"))
        found[point.name] = rule
    return found


def asked(rule: OwnRule, op: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> Work:
    """Return what a rule says of a call of an operator; raises InputError, with its name, for anything but a Work."""
    name = op._schema.name
    outputs = result if isinstance(result, tuple | list) else () if result is None else (result,)
    try:
        work = rule(_inputs(op, args, kwargs), tuple(_seen(value) for value in outputs))
    except InputError as error:
        raise InputError(Mistake(f"the rule for {quoted(name)}: {error}")) from error
    except Exception as error:  # the user's own
        raise InputError(Mistake(f"the rule for {quoted(name)} raised {one_line(named(error), 200)}")) from error
    if not isinstance(work, Work):
        words = f"the rule for {quoted(name)} gave {one_line(repr(work), 60)}; allowed: archcost.Work(macs=...)"
        raise InputError(Mistake(words))
    return work


def _inputs(op: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, ...]:
    given = []
    for place, argument in enumerate(op._schema.arguments):
        if place < len(args) and not argument.kwarg_only:
            given.append(args[place])
        else:
            given.append(kwargs.get(argument.name, argument.default_value))
    return tuple(_seen(value) for value in given)


def _seen(value: Any) -> Any:
    if isinstance(value, Tensor):
        shape = () if value.is_nested else tuple(int(side) for side in value.shape)
        return Shape(shape, str(value.dtype).removeprefix("torch."), str(value.layout).removeprefix("torch."))
    return tuple(_seen(v) for v in value) if isinstance(value, list | tuple) else value
