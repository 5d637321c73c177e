"""What operators take, learnt kind by kind from those that were measured."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from archcost.latency.prediction.operators import Features, Operator, weights
from archcost.search.gaussian_process import Array, Scales, fit, means, process

FEWEST: Final = 4  # of a kind: from fewer nothing is learnt
_MANY: Final = 12  # of a setting
_MOST: Final = 1200  # of a kind, drawn: what is asked of a process grows with their square
_FITTED: Final = 300  # points that scales are fitted on
_PRIOR: Final = 1.5  # of their logarithms: kernels change at sizes that are known to nobody
_LEAST_SPREAD: Final = 0.15  # by which a feature is divided: one that hardly varies shall not be everything
_RIDGE: Final = 0.1
_MARGIN: Final = 0.1  # of a feature's range: so far outside counts as inside


class Seen(NamedTuple):
    """An operator, alone, and the time of one call of it."""

    operator: Operator
    time_s: float


@dataclass(frozen=True, slots=True)
class Kind:
    """Operators of one kind that were measured: features (n, q), logarithms of seconds (n,), scales of the process.

    A straight line through the logarithms, and a Gaussian process of what is left.
    """

    features: tuple[Features, ...]
    logs: tuple[float, ...]
    weights: tuple[float, ...]
    noise: float


@dataclass(frozen=True)
class KindTimes:
    """The times of one kind's operators, ready to be asked for."""

    kind: Kind
    _centre: Array = field(init=False)
    _spread: Array = field(init=False)
    _line: Array = field(init=False)
    _left: Callable[[Array], Array] = field(init=False)
    _ends: tuple[Array, Array] = field(init=False)

    def __post_init__(self) -> None:
        features, logs = np.asarray(self.kind.features), np.asarray(self.kind.logs)
        centre, spread = _standard(features)
        line = _line(_columns(features, centre, spread), logs)
        rest = logs - _columns(features, centre, spread) @ line
        scales = Scales(np.asarray(self.kind.weights), self.kind.noise)
        left = means(process(scales, (features - centre) / spread, rest))
        low, high = features.min(axis=0), features.max(axis=0)
        margin = _MARGIN * (high - low) + 1e-6
        ends = low - margin, high + margin
        for name, value in (
            ("_centre", centre),
            ("_spread", spread),
            ("_line", line),
            ("_left", left),
            ("_ends", ends),
        ):
            object.__setattr__(self, name, value)

    def seconds(self, features: Array) -> Array:
        """Return the seconds of one call each, (m,); features: (m, q)."""
        columns = _columns(features, self._centre, self._spread)
        found: Array = np.exp(columns @ self._line + self._left(columns[:, 1:]))
        return found

    def outside(self, features: Array) -> Array:
        """Return whether each is beyond what was measured, (m,) of bool; features: (m, q)."""
        low, high = self._ends
        found: Array = np.asarray(((features < low) | (features > high)).any(axis=1))
        return found


def learnt(seen: Sequence[Seen]) -> dict[str, Kind]:
    """Return what is known of each kind of operator, without those of which too few were measured.

    Also of a kind in each setting in which many were measured, by the name of the setting, if there are others.
    """
    kinds = _grouped(seen, lambda operator: operator.kind)
    settings = _grouped(seen, lambda operator: operator.setting)
    found = {name: group for name, group in kinds.items() if len(group) >= FEWEST}
    for name, group in settings.items():
        if _MANY <= len(group) < len(kinds[group[0].operator.kind]):
            found[name] = group
    return {name: _kind(group) for name, group in found.items()}


def _grouped(seen: Sequence[Seen], name: Callable[[Operator], str]) -> dict[str, list[Seen]]:
    groups: dict[str, list[Seen]] = {}
    for each in seen:
        groups.setdefault(name(each.operator), []).append(each)
    return groups


def _kind(seen: Sequence[Seen]) -> Kind:
    seen = [seen[place] for place in np.random.default_rng(1).permutation(len(seen))[:_MOST]]
    features = np.asarray([each.operator.features for each in seen], dtype=np.float64)
    logs: Array = np.log(np.asarray([each.time_s for each in seen], dtype=np.float64))
    centre, spread = _standard(features)
    columns = _columns(features, centre, spread)
    rest = logs - columns @ _line(columns, logs)
    some = np.random.default_rng(0).permutation(len(seen))[:_FITTED]
    scales = fit(columns[some, 1:], np.arange(features.shape[1]), rest[some], _PRIOR)
    points = tuple(each.operator.features for each in seen)
    return Kind(points, tuple(map(float, logs)), tuple(map(float, scales.weights)), scales.noise)


def _standard(features: Array) -> tuple[Array, Array]:
    centre: Array = np.asarray(features.mean(axis=0), dtype=np.float64)
    spread: Array = np.asarray(np.maximum(features.std(axis=0), _LEAST_SPREAD), dtype=np.float64)
    return centre, spread


def _columns(features: Array, centre: Array, spread: Array) -> Array:
    """Return a column of ones and the standardised features, (n, 1 + q)."""
    return np.column_stack([np.ones(len(features)), (features - centre) / spread])


def _line(columns: Array, logs: Array) -> Array:
    """Return the coefficients of a straight line, (1 + q,), of which those of features are kept small."""
    damping = _RIDGE * np.eye(columns.shape[1])
    damping[0, 0] = 0.0
    return np.asarray(np.linalg.solve(columns.T @ columns + damping, columns.T @ logs), dtype=np.float64)


class Sums(NamedTuple):
    """What a network's operators take together: seconds by kind, calls, those of unknown kinds, seconds outside.

    outside_s: of operators beyond what was measured; unknown: kinds of which nothing is known, with their calls;
    weights: that are read, those of a part that is called several times once; steps: calls of operators that are called
    more than once, before each of which a part of something larger is taken.
    """

    by_kind_s: Mapping[str, float]
    calls: int
    steps: int
    weights: float
    outside_s: float
    unknown: Mapping[str, int]

    @property
    def total_s(self) -> float:
        """All kinds together."""
        return sum(self.by_kind_s.values())


def sums(known: Mapping[str, KindTimes], operators: Sequence[Operator], absorbed: Collection[str] = ()) -> Sums:
    """Return what a network's operators take by kind, each as if it ran alone; absorbed: places that take nothing."""
    operators = [each for each in operators if not absorbed or each.place not in absorbed]
    groups: dict[str, dict[Features, int]] = {}
    for operator in operators:
        group = groups.setdefault(operator.setting if operator.setting in known else operator.kind, {})
        group[operator.features] = group.get(operator.features, 0) + operator.calls
    by_kind_s: dict[str, float] = {}
    unknown: dict[str, int] = {}
    outside_s = 0.0
    for name, group in groups.items():
        kind = name.partition("<")[0]
        if name not in known:
            unknown[kind] = sum(group.values())
            continue
        points = np.asarray(list(group))
        times_s = known[name].seconds(points) * np.asarray(list(group.values()))
        by_kind_s[kind] = by_kind_s.get(kind, 0.0) + float(times_s.sum())
        outside_s += float(times_s @ known[name].outside(points))
    calls, read = sum(each.calls for each in operators), sum(map(weights, operators))
    steps = sum(each.calls for each in operators if each.calls > 1)
    return Sums(by_kind_s, calls, steps, read, outside_s, unknown)
