"""Trained networks in 8 bits: which layers stay in float32, and how good each file is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal, TypeAlias

import torch
from torch import nn

from archcost.data.splits import Dataset, Split
from archcost.errors import TargetError
from archcost.graph.dtypes import INT8
from archcost.latency.samples import Samples
from archcost.nets.export.quantisation.spec import FloatLayer
from archcost.nets.net import Net
from archcost.study.records.reasons import Reason
from archcost.study.workers.failures import of_part
from archcost.study.workers.in_8_bits import eight_bits
from archcost.study.workers.in_8_bits.eight_bits import Files
from archcost.study.workers.in_8_bits.quantise import Quantise
from archcost.study.workers.messages import Event, Measured, Quantised
from archcost.study.workers.tasks import Setup, Train
from archcost.training.context import Context
from archcost.training.losses import Diverged
from archcost.training.score import Score

Tell: TypeAlias = Callable[[Event], None]
Again: TypeAlias = Callable[[int, Sequence[tuple[str, ...]]], bool]
"""Measures all networks anew in the setup at a position, with these layers of each in float32, and tells of it.

It gives whether the trial goes on.
"""
_Split: TypeAlias = Literal["validation", "test"]
_SPLITS: Final[tuple[_Split, ...]] = ("validation", "test")


@dataclass(frozen=True)
class Networks:
    """The trained networks of a job: the whole one at place 0, then those of its columns that it scores.

    reached: of each, the score on the validation split in float32; measured: what was measured of them before they were
    trained; score: gives how good a module is on a split.
    """

    job: Train
    net: nn.Module
    columns: tuple[int, ...]
    dataset: Dataset
    context: Context
    reached: tuple[Score, ...]
    measured: tuple[Measured, ...]
    score: Callable[[nn.Module, Split], Score]

    @property
    def numbers(self) -> tuple[int, ...]:
        """The column of each network, 0 of the whole one."""
        return 0, *self.columns

    def at(self, place: int) -> nn.Module:
        """Return the network at a place."""
        column = self.numbers[place]
        return self.net.column(column) if column and isinstance(self.net, Net) else self.net

    def of_file(self, path: Path, split: Split) -> Score:
        """Return how good a file is on a split."""
        self.context.alive()  # many files of one network are no hang
        return self.score(eight_bits.module(path, self.job.threads), split)


@dataclass(frozen=True)
class _Made:
    """A network as a file: its layers in float32, those of them that are for accuracy, and its scores by split.

    reason: why there are no scores; float_bytes: how many more bytes the weights of these layers take.
    """

    layers: frozenset[str]
    scores: Mapping[_Split, Score] = field(default_factory=dict)
    reason: Reason | None = None
    costing: tuple[FloatLayer, ...] = ()
    float_bytes: int = 0


def decided(job: Train, measured: Sequence[Measured], setup: Setup) -> tuple[tuple[str, ...], ...]:
    """Return the layers of each network that stay in float32, as its runtime was first measured in 8 bits; () if never.

    What is scored, exported and measured again has them too; only accuracy may ask for more.
    """
    found = _first(job, measured, setup)
    return tuple(samples.findings.in_float32 if samples.findings else () for samples in found)


def _first(job: Train, measured: Sequence[Measured], setup: Setup) -> tuple[Samples, ...]:
    """Return the samples of each network with which its runtime was first measured in 8 bits; () if never."""
    for each in measured:
        way = job.ways[each.way]
        if (way.runtime, way.plan.dtype) == (setup.runtime, INT8) == (setup.runtime, setup.plan.dtype):
            return each.samples
    return ()


def able(job: Train, how: Quantise, measured: Sequence[Measured]) -> Quantise:
    """Return what a network is quantised for without the runtimes that could not run it in 8 bits.

    With the layers that measuring has left in float32, where it was done.
    """
    setups = [job.ways[each.way] for each in measured if each.reason]
    lost = {each.runtime for each in setups if each.plan.dtype == INT8}
    ways = tuple(pair for pair in how.ways if pair[1] not in lost)
    tried = _tried(job)
    each = ((number, decided(job, measured, tried[name])) for number, name in ways if name in tried)
    known = tuple(pair for pair in each if any(pair[1]))
    return replace(how, ways=ways, layers=known or how.layers)


def _tried(job: Train) -> dict[str, Setup]:
    """Return a setup of each runtime with which a job measures in 8 bits."""
    return {each.runtime: each for each in job.ways if each.plan.dtype == INT8}


def quantised(networks: Networks, how: Quantise, again: Again, tell: Tell) -> bool:
    """Quantise the networks of a job, and tell how good each file is; return whether the trial goes on.

    One that loses more than is allowed gets more layers in float32 than it was measured with, if that helps. All are
    then measured again in that way, before anything is told: scores and samples are of the same files. What cannot be
    quantised is told with the reason; of the whole network, in the first way, it ends the trial.
    """
    made: dict[tuple[int, int], _Made] = {}
    for place in range(len(networks.numbers)):
        for number, each in _of_network(networks, how, place):
            made[place, number] = each
    numbers = {(runtime, INT8): number for number, runtime in how.ways}
    for position, setup in enumerate(networks.job.ways):
        way = numbers.get((setup.runtime, setup.plan.dtype))
        files = [made[place, way] for place in range(len(networks.numbers))] if way is not None else []
        layers = [tuple(sorted(each.layers)) for each in files]
        if any(each.costing for each in files) and not again(position, layers):
            return False
    for (place, number), each in made.items():
        _tell(networks, place, (number, dict(how.ways)[number]), each, tell)
    return True


def _tell(networks: Networks, place: int, way: tuple[int, str], made: _Made, tell: Tell) -> None:
    """Tell how good a file is; way: its number, and its runtime."""
    job, (number, runtime) = networks.job, way
    found = _first(job, networks.measured, _tried(job)[runtime]) if runtime in _tried(job) else ()
    slow = next((each.findings.float_layers for each in found[place : place + 1] if each.findings), ())
    column, names, why = networks.numbers[place], tuple(sorted(made.layers)), (*slow, *made.costing)
    for split in _SPLITS if job.test else _SPLITS[:1]:
        score = made.scores.get(split)
        tell(Quantised(number, column, split, score, made.reason, names, made.float_bytes, why))


def _of_network(networks: Networks, how: Quantise, place: int) -> Iterator[tuple[int, _Made]]:
    """Yield one network's file for each way, with the way's number; ways with the same layers share it."""
    ways: dict[frozenset[str], list[int]] = {}
    for number, _ in how.ways:
        ways.setdefault(how.float_layers(number, place), []).append(number)
    for layers, numbers in ways.items():
        try:
            with eight_bits.files(networks.at(place), networks.dataset, how.seed, networks.context) as files:
                made = _scored(networks, place, files, layers, how.seed)
        except Exception as error:  # the exporter's, or the quantiser's: there is no point, and all others are
            if not place and 0 in numbers:
                raise
            made = _Made(layers, reason=of_part(error))
        yield from ((number, made) for number in numbers)


def _scored(networks: Networks, place: int, files: Files, layers: frozenset[str], seed: int) -> _Made:
    """Return the file that a network has a point with; layers: in float32 already."""
    validation = networks.dataset.validation
    known: dict[Path, Score] = {}

    def whole(path: Path) -> Score:
        if path not in known:
            known[path] = networks.of_file(path, validation)
        return known[path]

    def error(path: Path, count: int | None) -> float:
        some = validation if count is None else _some(validation, count, seed)
        try:
            found = whole(path) if some is validation else networks.of_file(path, some)
        except (Diverged, TargetError):  # it is no better, and the file without it is there
            return math.inf
        return math.inf if found.error is None else found.error

    small = files.mixed(layers)
    best, costing = networks.reached[place].error, tuple[FloatLayer, ...]()
    # a job that measures nothing is given the layers: they were decided where its network was measured
    if _tried(networks.job) and best is not None and whole(small.path).error is not None:
        costing = files.costing(layers, error, best)
        layers |= {each.name for each in costing}
        small = files.mixed(layers)
    scores: dict[_Split, Score] = {"validation": whole(small.path)}
    if networks.job.test:
        scores["test"] = networks.of_file(small.path, networks.dataset.read_test())
    return _Made(layers, scores, None, costing, small.float_bytes)


def _some(split: Split, count: int, seed: int) -> Split:
    """Return so many examples of a split, the same for a seed; the split if it has no more, or is no tensors."""
    if split.loose is not None or len(split) <= count:
        return split
    chosen = torch.randperm(len(split), generator=torch.Generator().manual_seed(seed))[:count]
    return split.take(chosen.sort().values)
