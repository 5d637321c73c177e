"""The sample that a device is calibrated with: operators, and networks of every family."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Final, NamedTuple

from archcost.config.document import Document, Value
from archcost.errors import InputError
from archcost.graph.graph import Builder, Graph, GraphError, recurrent
from archcost.graph.ops import (
    Act,
    Bias,
    Concat,
    Conv,
    GlobalPool,
    Input,
    Join,
    Last,
    Linear,
    Lookup,
    Norm,
    Op,
    Pad,
    Pool,
    Recall,
    Scale,
    Shape,
    ShapeError,
    Window,
)
from archcost.latency.prediction.operators import is_free
from archcost.models.load import Model, expand

FAMILIES: Final = ("bottleneck", "nin", "fractal", "rir", "hornn")
"""Families that networks are drawn from, in this order."""

_MOST_MACS: Final = 250_000_000  # of one operator: it takes some milliseconds
_MOST_PARAMS: Final = 3_000_000
_MOST_ELEMENTS: Final = 1_700_000
_CONVOLUTIONS: Final = 4  # in a turn: their times have the most steps and corners
_OTHERS: Final = 2
_OF_NETWORKS: Final = 3
_NETWORK_MACS: Final = 1_500_000_000
_SIDES: Final = (1, 2, 3, 4, 7, 8, 8, 14, 16, 16, 28, 32, 32, 56, 64, 112)  # of images inside networks
_MULTIPLES: Final = (1, 2, 4, 8, 8, 16, 16)  # what numbers of channels are multiples of


class Single(NamedTuple):
    """An operator that is measured alone: on what shapes, of how many steps at once, None if it is no sequence."""

    op: Op
    shapes: tuple[Shape, ...]
    steps: int | None = None

    def graph(self) -> Graph:
        """Return the network of this operator alone; several inputs are one value, read several times.

        Raises GraphError or ShapeError if there is no such network.
        """
        b = Builder(self.steps)
        below = self.op.rows if isinstance(self.op, Lookup) else None
        x = b.add("input", Input(self.shapes[0], below))
        b.add("operator", self.op, *[x] * len(self.shapes))
        return b.graph()


def singles(draw: Random, networks: Iterator[Model]) -> Iterator[Single]:
    """Yield different operators without end: by turns designed ones, and those of networks that are drawn."""
    seen: set[Single] = set()
    of_networks = (single for model in networks for single in _inside(model.graph))
    while True:
        convolutions, others = (
            (_convolution(draw) for _ in range(_CONVOLUTIONS)),
            (_other(draw) for _ in range(_OTHERS)),
        )
        designed = (*convolutions, _dense(draw), *others)
        for single in (*designed, *(next(of_networks) for _ in range(_OF_NETWORKS))):
            if single not in seen and _can_be(single):
                seen.add(single)
                yield single


def _can_be(single: Single) -> bool:
    try:
        found = single.graph()
    except (GraphError, ShapeError, InputError):
        return False
    work = found.works[-1]
    elements = max(math.prod(shape) for shape in (*single.shapes, work.shape)) * (single.steps or 1)
    return work.macs <= _MOST_MACS and work.params <= _MOST_PARAMS and elements <= _MOST_ELEMENTS


def _inside(graph: Graph) -> Iterator[Single]:
    """Yield the different operators of a network that can be measured alone."""
    cycle = recurrent(graph) if graph.steps else frozenset()
    found: set[Single] = set()
    for place, node in enumerate(graph.nodes):
        shapes = tuple(graph.nodes[i].shape for i in node.inputs)
        if is_free(node.op) or isinstance(node.op, Recall) or len(set(shapes)) != 1:
            continue
        many = node.runs > 1 or isinstance(node.op, Last | Lookup)
        single = Single(node.op, shapes, graph.steps if many and place not in cycle else None)
        if single not in found:
            found.add(single)
            yield single


def _convolution(draw: Random) -> Single:
    kernel, stride = draw.choice((1, 1, 1, 3, 3, 3, 5, 7)), draw.choice((1, 1, 1, 1, 2))
    side, multiple = draw.choice(_SIDES), draw.choice(_MULTIPLES)
    channels = draw.choice((1, 3)) if draw.random() < 0.08 else _about(draw, multiple, 1024, multiple)
    out, groups = _about(draw, multiple, 1024, multiple), 1
    kind = draw.random()
    if kind < 0.2:
        groups = draw.choice((2, 4, 8, 16, 32))
        channels, out = (max(1, round(size / groups)) * groups for size in (channels, out))
    elif kind < 0.35:  # depthwise
        out = groups = channels
    elif kind < 0.42:  # Convolution in Convolution: each output sees a window of its own
        out, kernel, stride = _about(draw, 16, 192, 8), draw.choice((1, 1, 3)), 1
        channels, groups = out * draw.choice((4, 8, 16)), out
    op = Conv(out, kernel, stride, kernel // 2, groups, bias=draw.random() < 0.3)
    return Single(op, ((channels, side, side),))


def _dense(draw: Random) -> Single:
    """Return a product with a weight of any size up to the largest: from a few megabytes on it is in no cache."""
    params = _about(draw, 64, _MOST_PARAMS)
    inputs = _about(draw, max(8, params // 10_000), min(4096, params // 4))
    linear = Linear(params // inputs, bias=draw.random() < 0.7)
    return Single(linear, ((inputs,),), draw.choice((None, None, 8, 28, 35)))


def _other(draw: Random) -> Single:
    channels = _about(draw, 4, 1024, draw.choice((1, 4, 8)))
    side = draw.choice((1, *_SIDES[:-1]))
    op = draw.choice(_others(draw, channels))
    if isinstance(op, Bias | Scale | Lookup):
        return Single(op, ((),) if isinstance(op, Lookup) else ((channels,),), draw.choice((8, 28, 35)))
    return Single(op, ((channels, side, side),) * (draw.choice((2, 2, 3, 4)) if isinstance(op, Join | Concat) else 1))


def _others(draw: Random, channels: int) -> tuple[Op, ...]:
    return (
        *(Norm(), Act("relu"), Act("tanh"), Act("sigmoid"), GlobalPool(), Concat(), Pad(2 * channels, 2), Bias()),
        *(Join("sum"), Join("mean"), Join("max"), Join("product")),
        *(Pool("max", 2, 2), Pool("max", 3, 2, 1), Pool("avg", 3, 2, ceil=True), Pool("avg", 2, 2)),
        *(
            Window(_about(draw, 8, 128), draw.choice((4, 8))),
            Scale((0.6,)),
            Lookup(_about(draw, 100, 10_000), channels),
        ),
    )


def _about(draw: Random, low: int, high: int, step: int = 1) -> int:
    """Return a multiple of `step` between two numbers, as likely in each octave."""
    value = math.exp(draw.uniform(math.log(low), math.log(high)))
    return max(1, round(value / step)) * step


def networks(draw: Random, families: Sequence[str] = FAMILIES) -> Iterator[Model]:
    """Yield networks of the families by turns without end, each once, small and large, as search spaces have them."""
    specs = {"bottleneck": _bottleneck, "nin": _nin, "fractal": _fractal, "rir": _rir, "hornn": _hornn}
    seen: set[str] = set()
    while True:
        for family in families:
            try:
                model = expand(Document("sample", dict(specs[family](draw)), {}, {}))
            except InputError:
                continue  # a spec that cannot be, such as more groups than channels: the next one
            if model.cost.macs <= _NETWORK_MACS and model.digest not in seen:
                seen.add(model.digest)
                yield model


def _images(draw: Random, family: str) -> dict[str, Value]:
    side = draw.choice((8, 16, 28, 32, 32, 32, 64))
    return {"family": family, "input": [draw.choice((1, 3, 3)), side, side], "classes": 10}


def _doubled(draw: Random, first: int, stages: int) -> list[Value]:
    width = _about(draw, 8, first, 8)
    return [min(1024, width * 2**stage) for stage in range(stages)]


def _bottleneck(draw: Random) -> Mapping[str, Value]:
    stages, block = draw.choice((2, 3, 3, 4)), draw.choice(("basic", "bottleneck", "bottleneck"))
    inner: dict[str, Value] = {}
    if block == "bottleneck":
        inner = {"reduction": draw.choice((1, 2, 4, 8)), "groups": draw.choice((1, 1, 1, 2, 4, 8))}
    return {
        **_images(draw, "bottleneck"),
        **inner,
        "block": block,
        "order": draw.choice(("post", "pre")),
        "depths": [draw.randint(1, 4) for _ in range(stages)],
        "widths": _doubled(draw, 128, stages),
        "stem": {"channels": _about(draw, 8, 64, 8), "kernel": draw.choice((3, 3, 5))},
    }


def _nin(draw: Random) -> Mapping[str, Value]:
    width, count = _about(draw, 16, 192, 8), draw.choice((2, 3, 3))
    sparse = draw.random() < 0.4
    layers: list[Value] = []
    for place in range(count):
        last = place == count - 1
        widths = [width] * (1 + draw.randint(0, 2)) + ([10] if last else [])
        layer: dict[str, Value] = {"kernel": draw.choice((3, 5)), "widths": [*widths]}
        layer["pool"] = "none" if last else draw.choice(("max", "avg"))
        if sparse:
            layer["sparse"] = [0, *(int(draw.random() < 0.6 and each == width) for each in widths[1:])]
        layers.append(layer)
    spans: dict[str, Value] = {"span": draw.choice((4, 8, 16)), "window": draw.choice((1, 1, 3))} if sparse else {}
    return {**_images(draw, "nin"), **spans, "layers": layers}


def _fractal(draw: Random) -> Mapping[str, Value]:
    widths = _doubled(draw, 48, draw.choice((2, 3, 3, 4)))
    join = draw.choice(("mean", "mean", "sum", "max"))
    return {**_images(draw, "fractal"), "columns": draw.randint(1, 4), "widths": widths, "join": join}


def _rir(draw: Random) -> Mapping[str, Value]:
    widths = _doubled(draw, 48, draw.choice((2, 3)))
    depths: list[Value] = [draw.randint(1, 2) for _ in widths]  # two units in each
    return {**_images(draw, "rir"), "depths": depths, "widths": widths, "head": draw.choice(("conv", "linear"))}


def _hornn(draw: Random) -> Mapping[str, Value]:
    steps = draw.choice((8, 16, 28, 35))
    spec: dict[str, Value] = {"family": "hornn", "hidden": _about(draw, 32, 512, 16), "order": draw.randint(1, 4)}
    spec["pooling"] = draw.choice(("none", "max", "fofe", "gated"))
    if draw.random() < 0.5:
        return {**spec, "input": {"steps": steps, "features": _about(draw, 8, 128)}, "classes": 10}
    spec["input"] = {"steps": steps, "vocab": _about(draw, 1000, 10_000)}
    return {**spec, "embedding": _about(draw, 32, 256, 16)} if draw.random() < 0.5 else spec
