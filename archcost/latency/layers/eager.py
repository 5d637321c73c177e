"""Eager networks timed inside: the clock is read after each node, or around each forward.

What lies between two reads belongs to one layer, so that nothing of a call is lost or told twice. A function that a
part calls between its own parts is the part's. The same nodes, or calls of parts, are run once more costing nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any, NamedTuple

from torch import Tensor, nn

from archcost.latency.layers.stage import Sides, Staged
from archcost.latency.player import Clock, Instruments
from archcost.latency.runtimes import Prepared, Source
from archcost.latency.runtimes.copied import fresh, keeps, prepared, running
from archcost.latency.samples import Plan
from archcost.nets import copies
from archcost.nets.call import Call
from archcost.nets.net import Net


@contextmanager
def staged(source: Source, plan: Plan, instruments: Instruments) -> Iterator[Staged]:
    """Yield a copy of a source's module that runs in the four ways; raises TargetError as the eager runtime does."""
    with running(source, plan) as call:
        sides = partial(_sides, source=source, plan=plan, clock=instruments.clock)

        def again() -> Sides | None:
            copied = fresh(call, source, plan)
            return None if copied is None else sides(copied)

        yield Staged(sides(call), again, instruments, keeps=keeps(call.module))


def _sides(call: Call, source: Source, plan: Plan, clock: Clock) -> Sides:
    def ready(run: Callable[..., object]) -> Prepared:
        return prepared(run, call, source, plan, watched=False)

    if isinstance(call.module, Net):
        return _of_net(call.module, ready, clock)
    return _of_module(call, ready, clock)


def _of_net(net: Net, ready: Callable[[Callable[..., object]], Prepared], clock: Clock) -> Sides:
    events: list[float] = []
    names = [node.name for node in net.graph.nodes]
    add, still = events.append, net.idle()

    def mark(place: int) -> None:
        add(place)
        add(clock())

    def timed(ran: Net, x: Tensor) -> None:
        add(clock())
        ran.marked(x, mark)

    read = partial(by_name, names)
    both = (ready(net), ready(partial(timed, net)), ready(still), ready(partial(timed, still)))
    return Sides(*both, events, nullcontext, nullcontext, read, read)


def by_name(names: Sequence[str], events: Sequence[float]) -> dict[str, float]:
    """Return the seconds of each node: from the clock read before it to the one behind it."""
    sums: dict[str, float] = {}
    before = events[0]
    for place, at in zip(events[1::2], events[2::2], strict=True):
        name = names[int(place)]
        sums[name] = sums.get(name, 0.0) + at - before
        before = at
    return sums


class _Visit(NamedTuple):
    """A call of a part, and the calls within it, in order."""

    place: int
    inner: list[_Visit]


class _Echo(nn.Module):
    """A part that does nothing but call what the part that it stands for has called."""

    def __init__(self, visit: _Visit, made: list[tuple[int, nn.Module]]) -> None:
        super().__init__()
        made.append((visit.place, self))
        self.calls = [_Echo(each, made) for each in visit.inner]  # a list: no parts are to be looked up

    def forward(self, *given: object, **_: object) -> object:
        """given: anything -> the first of it."""
        for call in self.calls:
            call(*given)
        return given[0] if given else None


def _of_module(call: Call, ready: Callable[[Callable[..., object]], Prepared], clock: Clock) -> Sides:
    events: list[float] = []
    parts = copies.parts(call.module)
    paths = [path or type(call.module).__name__ for path, _ in parts]
    watching = watching_parts([(place, part) for place, (_, part) in enumerate(parts)], events, clock)
    whole = ready(call.module)
    with watching():
        (whole.before or _nothing)()
        whole.call()
    visits = _visits(events)
    echoes: list[tuple[int, nn.Module]] = []
    still = _Echo(visits[0] if visits else _Visit(0, []), echoes)
    read = partial(_by_path, paths)
    both = (whole, ready(call.module), ready(still), ready(still))
    return Sides(*both, events, watching, watching_parts(echoes, events, clock), read, read)


def _nothing() -> None:
    """Do nothing."""


def watching_parts(parts: Sequence[tuple[int, nn.Module]], events: list[float], clock: Clock) -> Callable[[], Any]:
    """Return the context in which every forward of parts writes down when it begins, as ~place, and ends, as place.

    Only the parts' own attributes are exchanged, and put back: outside of it the network is untouched.
    """
    kept = [(part.__dict__, part.__dict__.get("forward")) for _, part in parts]
    ours = [_timed(place, part.forward, events.append, clock) for place, part in parts]

    @contextmanager
    def watching() -> Iterator[None]:
        for (attributes, _), forward in zip(kept, ours, strict=True):
            attributes["forward"] = forward
        try:
            yield
        finally:
            for attributes, own in kept:
                if own is None:
                    attributes.pop("forward", None)
                else:
                    attributes["forward"] = own

    return watching


def _timed(place: int, inner: Callable[..., Any], add: Callable[[float], None], clock: Clock) -> Callable[..., Any]:
    begins = ~place

    def forward(*args: Any, **kwargs: Any) -> Any:
        add(begins)
        add(clock())
        given = inner(*args, **kwargs)
        add(place)
        add(clock())
        return given

    return forward


def _visits(events: Sequence[float]) -> list[_Visit]:
    """Return the calls that events tell of, those within others inside them."""
    top: list[_Visit] = []
    stack: list[_Visit] = []
    for code in map(int, events[::2]):
        if code < 0:
            visit = _Visit(~code, [])
            (stack[-1].inner if stack else top).append(visit)
            stack.append(visit)
        else:
            _back(stack, code, lambda visit: visit.place)
    return top


def _by_path(paths: Sequence[str], events: Sequence[float]) -> dict[str, float]:
    """Return the seconds of each part without those of the parts within it; what is outside of the whole is none's."""
    sums: dict[str, float] = {}
    stack: list[int] = []
    before = 0.0
    for code, at in zip(map(int, events[::2]), events[1::2], strict=True):
        if stack:
            path = paths[stack[-1]]
            sums[path] = sums.get(path, 0.0) + at - before
        before = at
        if code < 0:
            stack.append(~code)
        else:
            _back(stack, code, lambda place: place)
    return sums


def _back(stack: list[Any], code: int, place: Callable[[Any], int]) -> None:
    """Take what has ended off a stack, and what was left by an exception inside it."""
    while stack and place(stack.pop()) != code:
        pass
