"""Times of layers: whether they add up to the whole, and whether what is planted is found.

For each network: the share of a call that neither its layers nor dispatch explain, and dispatch's own (targets: at most
3%; at most 5% where the median layer takes over 50 us). For parts that spin for a known time inside an eager network:
what was found of it (target: within 3%). For a network measured twice: how far its ten slowest layers are apart
(target: 5%), one after the other and by turns, and how far within one measurement.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from statistics import median
from time import perf_counter

import torch
from networks import MobileNet
from sidebyside import milliseconds, table
from torch import Tensor, nn

import archcost
from archcost.latency.layers.times import LayerTimes

FAMILIES = (
    *("resnet-20", "nin-cifar10", "fractalnet-20", "rir-18-wide", "hornn-3", "resnet-56", "resnet-56-option-a"),
    *("resnet-164", "resnet-18", "resnet-50", "resnet-50-v1", "resnext-50-32x4d", "wrn-50-2", "wrn-16-10"),
    *("hornn-1", "hornn-3-gated", "hornn-2-gated-embedded"),
)
SPANS_S = (0.0005, 0.001, 0.002, 0.005, 0.01)
AGAIN_HEADS = ("run to run", "of ten, median", "most", "target: 5%", "said to be stable")
CLOSES, DISPATCH, FOUND, AGAIN, LONG_S = 0.03, 0.05, 0.03, 0.05, 50e-6


class Spinning(nn.Module):
    """A part that takes a known time."""

    def __init__(self, span_s: float) -> None:
        super().__init__()
        self.span_s = span_s

    def forward(self, x: Tensor) -> Tensor:
        """x: anything, returned as it is after the time."""
        end = perf_counter() + self.span_s
        while perf_counter() < end:
            pass
        return x


def planted(spans_s: Sequence[float]) -> nn.Module:
    """Return convolutions with a spinning part behind each."""
    parts: list[nn.Module] = []
    for span_s in spans_s:
        parts += [nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), Spinning(span_s)]
    return nn.Sequential(*parts)


def modules() -> Iterator[tuple[str, nn.Module, Tensor]]:
    """Yield modules of torch's own parts, with an input."""
    yield "MobileNet 224", MobileNet().eval(), torch.randn(1, 3, 224, 224)
    encoder = nn.TransformerEncoderLayer(128, 4, 256, batch_first=True)
    yield (
        "4 encoder layers",
        nn.TransformerEncoder(encoder, 4, enable_nested_tensor=False).eval(),
        torch.randn(1, 64, 128),
    )
    yield "LSTM", nn.LSTM(64, 128, batch_first=True).eval(), torch.randn(1, 32, 64)


def times(
    source: str | nn.Module, asked: argparse.Namespace, inputs: Tensor | None = None, runtime: str = "eager"
) -> LayerTimes:
    """Return the times of a network's layers."""
    found = archcost.profile(source, inputs, runtime=runtime, threads=1, time=asked.time, witness=False, layers=True)
    assert found.layer_times, found.failures
    return found.layer_times[0]


def row(name: str, found: LayerTimes) -> tuple[object, ...]:
    """Return a network's row, with whether it meets the targets."""
    layer_s = median(layer.time_s for layer in found.layers)
    open_, dispatch = found.share(found.unexplained_s), found.share(found.residual_s)
    met = abs(open_) <= CLOSES and (dispatch <= DISPATCH or layer_s <= LONG_S)
    cells = (milliseconds(found.end_to_end_s), len(found.layers), milliseconds(layer_s), f"{100 * dispatch:.1f}%")
    return name, *cells, f"{100 * open_:+.1f}%", f"{found.inflation:.3f}", "met" if met else "missed"


def closures(asked: argparse.Namespace) -> Iterator[tuple[object, ...]]:
    """Yield a row for each network."""
    for name in FAMILIES[asked.skip : asked.networks]:
        yield row(name, times(name, asked, runtime=asked.runtime))
    for name, module, x in modules() if asked.networks > len(FAMILIES) or asked.modules else ():
        yield row(name, times(module, asked, x, asked.runtime))


def spins(asked: argparse.Namespace) -> Iterator[tuple[object, ...]]:
    """Yield a row for each planted duration."""
    found = times(planted(SPANS_S), asked, torch.randn(1, 16, 32, 32))
    by_name = {layer.name: layer.time_s for layer in found.layers}
    for place, span_s in enumerate(SPANS_S):
        share = by_name[str(3 * place + 2)] / span_s
        yield milliseconds(span_s), f"{share:.4f}", "met" if abs(share - 1) <= FOUND else "missed"


def again(asked: argparse.Namespace) -> Iterator[tuple[object, ...]]:
    """Yield how far the ten slowest layers of a network are apart, as shares of the whole.

    In two measurements, one after the other; in two that took turns; and in one, its odd rounds beside its even ones:
    what differs there is the estimator's, and what differs beyond it is of another time of the machine.
    """
    first, other = (times("resnet-20", asked, runtime=asked.runtime) for _ in range(2))
    told = " and ".join("no" if each.doubts else "yes" for each in (first, other))
    yield *_apart("one after the other", *map(_shares, (first, other))), told
    yield *_apart("the same, medians of rounds' shares", *map(_of_rounds, (first, other))), told
    turns = archcost.compare(
        "resnet-20", "resnet-20", runtime=asked.runtime, threads=1, time=asked.time, layers=True
    ).against[0].layer_times  # fmt: skip
    assert turns
    whole = turns[0].whole
    sides = (
        {each.name: side_s / whole_s for each in turns[0].layers if (side_s := getattr(each, side))}
        for side, whole_s in (("first_s", whole.first_s), ("other_s", whole.other_s))
    )
    yield *_apart("by turns", *sides), " and ".join("no" if doubts else "yes" for doubts in turns[0].doubts)
    own = "no" if first.doubts else "yes"
    yield *_apart("odd and even rounds", *(_of_rounds(first, slice(start, None, 2)) for start in (0, 1))), own
    half = first.rounds // 2
    yield *_apart("first and second half", *(_of_rounds(first, part) for part in (slice(half), slice(half, None)))), own


def _shares(found: LayerTimes) -> dict[str, float]:
    """Return each layer's share of the whole, as it is said."""
    return {layer.name: found.share(layer.time_s) for layer in found.layers}


def _of_rounds(found: LayerTimes, rounds: slice = slice(None)) -> dict[str, float]:
    """Return the median of each layer's shares in some rounds."""
    wholes_s = found.by_round.whole_s[rounds]
    shares = ((layer.name, zip(layer.by_round_s[rounds], wholes_s, strict=True)) for layer in found.layers)
    return {name: median(part_s / whole_s for part_s, whole_s in pairs) for name, pairs in shares}


def _apart(how: str, first: dict[str, float], other: dict[str, float]) -> tuple[object, ...]:
    slowest = sorted(first, key=lambda name: -first[name])[:10]
    apart = [abs(other[name] / first[name] - 1) for name in slowest]
    met = "met" if max(apart) <= AGAIN else "missed"
    return f"resnet-20, {how}", f"{100 * median(apart):.1f}%", f"{100 * max(apart):.1f}%", met


def main() -> None:
    """Print the three tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--time", type=float, default=10.0, help="seconds for each measurement")
    parser.add_argument("--networks", type=int, default=20, help="how many of the networks")
    parser.add_argument("--modules", action="store_true", help="modules too, also with fewer networks")
    parser.add_argument("--runtime", default="eager", help="eager, compile, onnxruntime or openvino")
    parser.add_argument(
        "--skip", type=int, default=0, help="how many of the networks were measured before, with all else"
    )
    parser.add_argument("--again", action="store_true", help="run to run alone")
    asked = parser.parse_args()
    if asked.again:
        print(table(AGAIN_HEADS, again(asked)))
        return
    heads = ("network", "one call", "layers", "median layer", "residual", "unexplained", "inflation", "targets")
    print(table(heads, closures(asked)), "\n", flush=True)
    if asked.skip:
        return
    print(table(("planted", "found", "target: 3%"), spins(asked)), "\n", flush=True)
    print(table(AGAIN_HEADS, again(asked)))


if __name__ == "__main__":
    main()
