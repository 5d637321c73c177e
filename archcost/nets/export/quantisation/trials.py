"""A network's file of 8 bits, made by trying which layers are better left in float32."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeAlias

from archcost import scratch
from archcost.errors import TargetError
from archcost.machine import byte_products
from archcost.nets.export.quantisation import file
from archcost.nets.export.quantisation.calibration import Arrays
from archcost.nets.export.quantisation.choice import Allowed, Layers, Probe, by_accuracy, by_time, losing, paired
from archcost.nets.export.quantisation.spec import Findings, FloatLayer, LayerTimes, Quantisation, Turns
from archcost.nets.export.sessions import session
from archcost.nets.export.torch_export import quiet

Score: TypeAlias = Callable[[Path, int | None], float]
"""How bad a file is on so many examples of a validation split, on all of them if None: lower is better."""

_COMPARED: Final = 32  # examples on which the outputs of two files are compared
_BEHIND: Final = re.compile(r"(_nchwc|_token_\d+|_quant)+$")  # what ONNX Runtime adds to the names of what it replaces
_ONE_INPUT: Final = frozenset({"Relu", "Clip", "LeakyRelu", "Sigmoid", "Tanh", "HardSigmoid", "BatchNormalization"})


@dataclass(frozen=True, slots=True)
class Times:
    """What measures files, on inputs that it has.

    nodes: seconds of each node that a runtime makes of a file, by the runtime's names, none if it does not tell; turns:
    of two files by turns.
    """

    nodes: Callable[[Path], Mapping[str, float]]
    turns: Callable[[Path, Path], Turns]


@dataclass(frozen=True, slots=True)
class Measures:
    """What decides which layers stay in float32; without any all are in 8 bits.

    times: leaves out layers by time; score: leaves out more, for their accuracy; allowed: how much 8 bits may cost.
    """

    times: Times | None = None
    score: Score | None = None
    allowed: Allowed = field(default_factory=Allowed)


@dataclass(frozen=True, slots=True)
class Quantised:
    """A file of 8 bits, and what is known of it.

    how: as it was made, its `float_layers` those that it has; weights_bytes: what its weights take, each in its own
    type; float32_score, score: on all examples of the split, None if none was given.
    """

    path: Path
    how: Quantisation
    findings: Findings
    weights_bytes: int
    float32_score: float | None = None
    score: float | None = None

    @property
    def float_layers(self) -> frozenset[str]:
        """The layers that stay in float32."""
        return self.how.float_layers

    @property
    def reasons(self) -> tuple[FloatLayer, ...]:
        """Why each of them does, with the numbers that decided."""
        return self.findings.float_layers


def quantised(
    source: Path,
    path: Path,
    how: Quantisation,
    examples: Iterable[Arrays],
    measures: Measures | None = None,
    facts: Mapping[str, str] | None = None,
) -> Quantised:
    """Write the file of 8 bits of a float32 file, with the layers in float32 that are better so.

    examples: arrays by the names of the file's inputs, of which the first `how.examples` give the ranges; facts: stand
    in the file. Layers of `how.float_layers` are left out before anything is tried. Raises TargetError as `file.write`
    does, and if ONNX Runtime cannot run a file.
    """
    measures = measures or Measures()
    times, score = measures.times, measures.score
    given = list(islice(examples, how.examples))
    how = replace(how, examples=len(given))
    with scratch.folder() as folder, quiet("ONNX Runtime cannot run"):
        small = folder / "int8.onnx"
        file.write(source, small, replace(how, float_layers=frozenset()), given, facts or {})
        trial = Mixtures(source, small, how.float_layers, given, times)
        slow, total_s = trial.losing()
        found = trial.by_time(slow, total_s)
        best = end = None
        if score is not None:
            best = score(source, None)
            found += trial.by_accuracy(found, score, best, measures.allowed)
            end = score(trial.file(found), None)
        turns = times.turns(source, trial.file(found)) if times else None
        path.write_bytes(trial.file(found).read_bytes())
        size = file.weights_bytes(source, path)
        more, layers = size - file.weights_bytes(source, small), len(file.layer_nodes(source))
        given_layers = tuple(sorted(how.float_layers))
        findings = Findings(found, slow, turns, layers, more, byte_products(), given_layers)
    how = replace(how, float_layers=how.float_layers | {each.name for each in found})
    return Quantised(path, how, findings, size, best, end)


@dataclass(frozen=True, slots=True)
class Mixtures:
    """Files with more layers in float32 than `start`, made beside `small`, one in 8 bits, when they are asked for.

    source: the file of float32 that `small` was made from; examples: arrays, of the first of which outputs are
    compared; times: None if nothing is timed; turn: what is made and compared is inside what it gives.
    """

    source: Path
    small: Path
    start: Layers
    examples: Sequence[Arrays]
    times: Times | None = None
    turn: Callable[[], AbstractContextManager[object]] = nullcontext

    def losing(self) -> tuple[tuple[LayerTimes, ...], float]:
        """Return the layers that take longer in 8 bits, none if nothing is timed, and the seconds of all in 8 bits."""
        if self.times is None:
            return (), 0.0
        owners, whole, small = _owners(self.source), self.times.nodes(self.source), self.times.nodes(self.small)
        return losing(paired(_seconds(owners, whole), _seconds(owners, small))), math.fsum(small.values())

    def by_time(self, slow: Sequence[LayerTimes], total_s: float) -> tuple[FloatLayer, ...]:
        """Return the layers that are left in float32 for their time."""
        if self.times is None or not slow:
            return ()
        measure, order = self.times.turns, tuple(file.layer_nodes(self.source))

        def turns(one: Layers, other: Layers) -> Turns:
            try:
                return measure(self.file(one), self.file(other))
            except TargetError:  # a file that cannot run is not faster
                return Turns(total_s, total_s, None)

        return by_time(slow, order, total_s, turns)

    def by_accuracy(
        self, before: Sequence[FloatLayer], score: Score, best: float, allowed: Allowed
    ) -> tuple[FloatLayer, ...]:
        """Return the layers that are left in float32 for their accuracy, on top of those before.

        best: the score of the file of float32 on all examples.
        """
        kept = self.start | frozenset(each.name for each in before)
        examples = self.examples[:_COMPARED]

        @cache
        def expected() -> list[list[Any]]:  # of a file that loses no more than is allowed nobody asks
            return _outputs(self.source, examples)

        def distance(layers: Layers) -> float:
            with self.turn():
                return _apart(expected(), _outputs(self.file(layers), examples))

        probe = Probe(
            lambda layers, count: score(self.file(layers), count),
            distance,
            lambda layers: self._keeps(kept, layers, allowed.gain),
        )
        return by_accuracy(tuple(file.layer_nodes(self.source)), kept, best, probe, allowed)

    def _keeps(self, kept: Layers, layers: Layers, gain: float) -> bool:
        """Return whether a file keeps so much of what 8 bits gain; nobody knows if nothing is timed."""
        if self.times is None:
            return True
        whole, turn = (self.times.turns(self.file(kept), path) for path in (self.source, self.file(layers)))
        return turn.slowdown * whole.first_s - whole.first_s <= (1 - gain) * (whole.other_s - whole.first_s)

    def file(self, layers: Layers | Sequence[FloatLayer]) -> Path:
        """Return the file that has these layers in float32."""
        names = self.start | {each if isinstance(each, str) else each.name for each in layers}
        if not names:
            return self.small
        digest = hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()[:16]
        path = self.small.with_name(f"{digest}.onnx")
        if not path.exists():
            with self.turn():
                file.mix(self.source, self.small, path, names)
        return path


def _owners(source: Path) -> dict[str, str]:
    """Return the layer of each node that multiplies, by the node's name and by those of what it may be fused with."""
    found = {}
    for layer, nodes in file.layer_nodes(source).items():
        for name in nodes:
            found[name] = layer
    graph = import_module("onnx").load(source, load_external_data=False).graph
    for node in graph.node:  # in execution order: one that is fused with another has that one before it
        before = found.get(node.input[0]) if node.op_type in _ONE_INPUT else None
        if owner := found.get(node.name, before):
            found[node.output[0]] = owner
    return found


def _seconds(owners: Mapping[str, str], nodes: Mapping[str, float]) -> dict[str, float]:
    """Return the seconds of each layer that a runtime's nodes can be told to be of."""
    found: dict[str, float] = {}
    for name, took in nodes.items():
        if (layer := owners.get(_BEHIND.sub("", name).removeprefix("fused "))) is not None:
            found[layer] = found.get(layer, 0.0) + took
    return found


def _outputs(path: Path, examples: Sequence[Arrays]) -> list[list[Any]]:
    opened = session(path)
    return [opened.run(None, dict(arrays)) for arrays in examples]


def _apart(expected: Sequence[Sequence[Any]], given: Sequence[Sequence[Any]]) -> float:
    """Return the mean square of what two files' outputs differ by, over examples and outputs."""
    pairs = [pair for both in zip(expected, given, strict=True) for pair in zip(*both, strict=True)]
    return math.fsum(float(((one - other) ** 2).mean()) for one, other in pairs) / max(1, len(pairs))
