"""Which layers of a file of 8 bits stay in float32: decided by given times and scores."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from archcost.nets.export.quantisation.spec import FloatLayer, LayerTimes, Turns

Layers: TypeAlias = frozenset[str]
"""Those that a file has in float32."""

SLOWER: Final = 1.1
"""Times as long as in float32 from which a layer is said to lose: profiles of single layers are no surer than that."""

_WORTH: Final = 0.01  # share of the file's time that a layer must cost, for it to be tried alone
_MUCH: Final = 0.05  # share of the time that layers which do not lose must save, as they take four times the memory
_TRIED: Final = 5  # layers that are tried alone, by time; each takes a measurement
_CONFIRMED: Final = 8  # layers that are tried alone, by accuracy, on a whole split


@dataclass(frozen=True, slots=True)
class Allowed:
    """What 8 bits may cost.

    lost: of the score, such as an error as a share; gain: the share of the time that 8 bits gain which is to be kept as
    layers go back to float32 for their accuracy; some: on how many examples each layer is tried first.
    """

    lost: float = 0.003
    gain: float = 0.95
    some: int = 1000


def losing(times: Iterable[LayerTimes]) -> tuple[LayerTimes, ...]:
    """Return the layers that take longer in 8 bits, those that lose most first."""
    slow = [each for each in times if each.int8_s > SLOWER * each.float32_s]
    return tuple(sorted(slow, key=_lost_s, reverse=True))


def _lost_s(layer: LayerTimes) -> float:
    return layer.int8_s - layer.float32_s


def by_time(
    slow: Sequence[LayerTimes], order: Sequence[str], total_s: float, turns: Callable[[Layers, Layers], Turns]
) -> tuple[FloatLayer, ...]:
    """Return the layers without which in 8 bits the whole file is faster, each tried on top of those before.

    A layer that loses alone need not: in float32 it costs conversions on both of its sides. Layers beside each other
    share those, so that then all are tried together, all before the last of them, and all behind the first. slow: from
    `losing`; order: of all layers, as they run; total_s: of the file; turns: measures two files, given what they have
    in float32.
    """
    found: list[FloatLayer] = []
    loses = frozenset(each.name for each in slow)
    worth = [each.name for each in slow if _lost_s(each) >= _WORTH * total_s][:_TRIED]
    alone = (frozenset({name}) for name in worth)
    for more in dict.fromkeys([*alone, *_groups(loses, worth, order)]):
        kept = frozenset(each.name for each in found)
        if new := more - kept:
            turn = turns(kept, kept | new)
            if turn.faster and (new <= loses or turn.slowdown <= 1 - _MUCH):
                found += [FloatLayer(name, "slower", turn.first_s, turn.other_s) for name in order if name in new]
    return tuple(found)


def _groups(loses: Layers, worth: Collection[str], order: Sequence[str]) -> Iterator[Layers]:
    yield loses
    if places := [place for place, name in enumerate(order) if name in worth]:
        yield frozenset(order[: places[-1] + 1])
        yield frozenset(order[places[0] :])


@dataclass(frozen=True, slots=True)
class Probe:
    """What is asked of files, given what they have in float32.

    score: on so many examples, on all if None, the lower the better; distance: of a file's outputs from those of
    float32, which tells layers apart whose scores are equal; keeps: whether a file is fast enough.
    """

    score: Callable[[Layers, int | None], float]
    distance: Callable[[Layers], float]
    keeps: Callable[[Layers], bool]


def by_accuracy(
    names: Collection[str], kept: Layers, best: float, probe: Probe, allowed: Allowed
) -> tuple[FloatLayer, ...]:
    """Return layers that go back to float32 for their accuracy until no more than is allowed is lost.

    names: of all layers; kept: those in float32 already; best: the score of float32 on all examples. Each layer is
    tried on some examples, and those that gain most are then confirmed on all.
    """
    now = probe.score(kept, None)
    if now - best <= allowed.lost:
        return ()
    part = probe.score(kept, allowed.some)
    gained = {name: part - probe.score(kept | {name}, allowed.some) for name in names if name not in kept}
    apart = {name: probe.distance(kept | {name}) for name in gained}
    found: list[FloatLayer] = []
    for name in sorted(gained, key=lambda each: (-gained[each], apart[each]))[:_CONFIRMED]:
        more = kept | {name}
        after = probe.score(more, None)
        if after < now and probe.keeps(more):
            found.append(FloatLayer(name, "accuracy", now, after))
            kept, now = more, after
        if now - best <= allowed.lost:
            break
    return tuple(found)


def paired(float32_s: Mapping[str, float], int8_s: Mapping[str, float]) -> tuple[LayerTimes, ...]:
    """Return the times of the layers that both files are known to have."""
    return tuple(LayerTimes(name, float32_s[name], took) for name, took in int8_s.items() if name in float32_s)
