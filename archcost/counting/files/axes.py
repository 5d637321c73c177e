"""The inputs of a model file, and the sizes of axes that it leaves open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from archcost.errors import InputError, Mistake, Place, one_of, quoted, visible
from archcost.models.code import OPTION, Argument

Axis: TypeAlias = int | str | None
"""The size of an axis, the name of one that is open, None of an open one without a name."""


@dataclass(frozen=True, slots=True)
class Port:
    """One input of a file: its name, the dtype of its values, and its axes; None if even their number is open."""

    name: str
    dtype: str
    axes: tuple[Axis, ...] | None


@dataclass(frozen=True, slots=True)
class Bound:
    """The sizes that a call has: of each input's axes, and what each open name stands for."""

    shapes: Mapping[str, tuple[int, ...]]
    sizes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Binding:
    """How the open axes of a file get their sizes: `full` are inputs whose sizes were given with their first axis."""

    file: str
    ports: tuple[Port, ...]
    given: Mapping[str, tuple[int, ...]]
    full: frozenset[str]
    below: Mapping[str, int]

    @property
    def batched(self) -> bool:
        """Whether a batch can be chosen: an input leaves its first axis open."""
        return any(self._takes_batch(port) for port in self.ports)

    def _takes_batch(self, port: Port) -> bool:
        if port.name in self.full:
            return False
        return port.axes is None or (bool(port.axes) and not isinstance(port.axes[0], int))

    def at(self, batch: int) -> Bound:
        """Return the sizes at a batch; raises InputError with every axis that is still open, and what contradicts."""
        if batch != 1 and not self.batched:
            words = f"given {batch}; allowed: 1, {quoted(self.file)} fixes the first axis of its inputs"
            raise InputError(Mistake(words, ("batch",)))
        sizes: dict[str, int] = {}
        mistakes: list[Mistake] = []
        for port in self.ports:
            mistakes += self._named(port, self._sizes(port, batch), sizes)
        if mistakes:
            raise InputError(*mistakes)
        shapes: dict[str, tuple[int, ...]] = {}
        left: list[str] = []
        for port in self.ports:
            shape = [_known(axis, sizes) if size is None else size for axis, size in self._pairs(port, batch)]
            missing = [place for place, size in enumerate(shape) if size is None]
            if missing or (port.axes is None and port.name not in self.given):
                left.append(_open(port, missing, batched=self._takes_batch(port)))
            shapes[port.name] = tuple(size or 0 for size in shape)
        if left:
            raise InputError(*(Mistake(words, place=Place(OPTION)) for words in left))
        return Bound(shapes, sizes)

    def _pairs(self, port: Port, batch: int) -> list[tuple[Axis, int | None]]:
        sizes = self._sizes(port, batch)
        axes: Sequence[Axis] = [None] * len(sizes) if port.axes is None else port.axes
        return list(zip(axes, sizes, strict=True))

    def _sizes(self, port: Port, batch: int) -> list[int | None]:
        """Return what is known of an input's sizes without the names of axes."""
        given = self.given.get(port.name)
        if port.axes is None:
            return [] if given is None else [*([] if port.name in self.full else [batch]), *given]
        known: list[int | None] = [axis if isinstance(axis, int) else None for axis in port.axes]
        if given is not None:
            known[len(known) - len(given) :] = given
        if self._takes_batch(port):
            known[0] = batch
        return known

    def _named(self, port: Port, known: Sequence[int | None], sizes: dict[str, int]) -> Iterator[Mistake]:
        for place, (axis, size) in enumerate(zip(port.axes or (), known, strict=False)):
            if isinstance(axis, int) and size != axis:
                words = f"{quoted(port.name)}: given {size} for axis {place}; allowed: {axis}, which the file fixes"
                yield Mistake(words, place=Place(OPTION))
            elif isinstance(axis, str) and size is not None and sizes.setdefault(axis, size) != size:
                words = f"{quoted(port.name)}: {quoted(axis)} is {size} here and {sizes[axis]} in another place"
                yield Mistake(f"{words}; allowed: one size for one name", place=Place(OPTION))


def _known(axis: Axis, sizes: Mapping[str, int]) -> int | None:
    return axis if isinstance(axis, int) else sizes.get(axis) if isinstance(axis, str) else None


def _open(port: Port, missing: Sequence[int], *, batched: bool) -> str:
    """Say which axes of an input are open, and how their sizes are given."""
    if port.axes is None:
        return f"{quoted(port.name)} has no shape in the file; allowed: {OPTION} {visible(port.name)}=SIZES"
    names = [quoted(axis) if isinstance(axis := port.axes[place], str) else f"axis {place}" for place in missing]
    sizes = ",".join("N" if i in missing else str(axis) for i, axis in enumerate(port.axes) if i or not batched)
    words = f"{quoted(port.name)} leaves {' and '.join(names)} open"
    return f"{words}; allowed: {OPTION} {visible(port.name)}={sizes}, each N a size"


def binding(file: str, ports: Sequence[Port], arguments: Sequence[Argument]) -> Binding:
    """Return how --input fits a file's inputs: by name, or in their order; raises InputError where it does not.

    Sizes are those of all axes but the first, which is the batch, or of all axes.
    """
    known = {port.name: port for port in ports}
    given: dict[str, tuple[int, ...]] = {}
    full: set[str] = set()
    mistakes: list[Mistake] = []
    rest = iter([port for port in ports if port.name not in {argument.name for argument in arguments}])
    below: dict[str, int] = {}
    for argument in arguments:
        port = next(rest, None) if argument.name is None else known.get(argument.name)
        words = _unfit(port, argument, known)
        if words:
            mistakes.append(Mistake(words, place=Place(OPTION)))
            continue
        assert port is not None  # else it did not fit
        given[port.name] = argument.shape
        if port.axes is not None and len(argument.shape) == len(port.axes):
            full.add(port.name)
        if argument.below is not None:
            below[port.name] = argument.below
    if mistakes:
        raise InputError(*mistakes)
    return Binding(file, tuple(ports), given, frozenset(full), below)


def _unfit(port: Port | None, argument: Argument, known: Mapping[str, Port]) -> str:
    """Say why an --input is for none of the file's inputs, '' if it is for one."""
    if port is None:
        names = f"the inputs of the file: {one_of(map(visible, known))}"
        if argument.name is None:
            return f"given more than the file has inputs; allowed: {names}"
        return f"there is no input {quoted(argument.name)}; allowed: {names}"
    if argument.dtype not in ("float32", port.dtype):  # float32 is what is meant if nothing is said
        return f"{quoted(port.name)}: given {argument.dtype}; allowed: {port.dtype}, which the file fixes"
    if port.axes is not None and len(port.axes) - len(argument.shape) not in (0, 1):
        sizes = f"{len(port.axes)} axes, or {len(port.axes) - 1} without the batch" if port.axes else "no axes"
        return f"{quoted(port.name)}: given {len(argument.shape)} sizes; allowed: {sizes}"
    return ""
