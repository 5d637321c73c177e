"""The plan of a study: what its file and its data say, fixed before it runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from archcost.config.document import Value
from archcost.config.validation import located
from archcost.data.splits import Dataset
from archcost.errors import InputError, Mistake, Path
from archcost.latency import runtimes, targets
from archcost.latency.samples import Plan
from archcost.machine import physical_cores
from archcost.models.load import Model
from archcost.study.drawn import Drawn, Gives, materialise
from archcost.study.keys.objective import Objective, RunWay
from archcost.study.objectives import quantity_of
from archcost.study.records.confirmed import SEARCHED, Extent
from archcost.study.records.front import Objectives
from archcost.study.records.names import Way, names_of
from archcost.study.spec import StudySpec
from archcost.study.workers.tasks import Code, Setup


@dataclass(frozen=True, slots=True)
class StudyPlan:
    """A study with its data, before it runs.

    gives: what the data give a network; fingerprint: of the data; setups: all that is measured of a network, in the
    order of the objectives and of their ways; objectives: each with the place of its latency among those of a point;
    ways: in which each network runs, one of a study that names none; tested: whether there is a test split; code: of
    the user's own, which runs with consent, None if the study has none; code_changed: it may go on with other files;
    examples: those that trials train with; extent: how long members are trained when they are confirmed.
    """

    spec: StudySpec
    gives: Gives
    fingerprint: str
    setups: tuple[Setup, ...]
    objectives: Objectives
    ways: tuple[Way, ...] = (Way(),)
    tested: bool = True
    code: Code | None = None
    code_changed: bool = False
    examples: int = 0
    extent: Extent = SEARCHED

    @property
    def lengthened(self) -> float:
        """How many times as long as in the search a member is trained when it is confirmed."""
        epochs = self.extent.epochs / self.spec.study.fit.epochs or 1.0
        return epochs * (self.extent.examples / self.examples if self.extent.examples else 1.0)

    @property
    def labels(self) -> tuple[str, ...]:
        """What the objectives are called: error, latency, of several latencies latency.0, latency.1."""
        several = sum(way is not None for _, way in self.objectives) > 1
        return tuple(
            f"{name}.{way}" if way is not None and several else quantity_of(name).name for name, way in self.objectives
        )

    @property
    def fixed(self) -> dict[str, Any]:
        """What may not change while a study goes on, as JSON holds it."""
        return {**self.spec.fixed, "data": self.fingerprint}

    @property
    def names_ways(self) -> bool:
        """Whether its file names ways, of each of which something is kept with a network."""
        return any(each.ways for each in self.spec.study.objectives)

    @property
    def memory_at(self) -> tuple[tuple[int, str], ...]:
        """The batch and dtype at which memory is counted, for each way: the batch is that of the first latency."""
        batch = self.setups[0].plan.batch if self.setups else 1
        return tuple((batch, each.dtype) for each in self.ways)

    @property
    def optional(self) -> tuple[int, ...]:
        """The places of setups in which a network need not run: those of other ways than the first."""
        return tuple(place for place in range(len(self.setups)) if place not in self.ways[0].places)

    @property
    def paths(self) -> tuple[Path, ...]:
        """Where each setup is in the study's file: an objective, or one of its ways."""
        found: list[Path] = []
        for place, each in enumerate(self.spec.study.objectives):
            path = ("objectives", place)
            if each.quantity == "latency":
                found += [(*path, "ways", number) for number in range(len(each.ways))] if each.ways else [path]
        return tuple(found)

    @property
    def predicts(self) -> tuple[int, ...]:
        """The places of setups in which a latency may be predicted: in other types than float32 it is measured."""
        latencies = [each for each in self.spec.study.objectives if each.quantity == "latency"]
        each = [one.predict and way.dtype == "float32" for one in latencies for way in one.run_ways]
        return tuple(place for place, predicts in enumerate(each) if predicts)

    def model(self, drawn: object) -> Drawn:
        """Return the network that a drawn template is; raises InputError if it is not a network."""
        assert isinstance(drawn, tuple)  # what the space's draw gives
        return materialise(self.spec, drawn, self.gives)

    def identity(self, model: Drawn, digest: str = "") -> str:
        """Return a digest of all that accuracy depends on: graph, recipe, training and data.

        digest: of a network that code has made; before it is known, what the code is called with.
        """
        of: list[object]
        if isinstance(model, Model):
            recipe = [model.recipe.init, model.recipe.drop_local, model.recipe.drop_global]
            of = [model.digest, recipe, self.spec.study.fit.fixed, self.fingerprint]
        else:
            of = [digest or model.spec.model_dump(mode="json"), self.spec.study.fit.fixed, self.fingerprint]
        return hashlib.sha256(json.dumps(of, sort_keys=True).encode()).hexdigest()


def settle(spec: StudySpec, dataset: Dataset, code: Code | None = None) -> StudyPlan:
    """Return the plan of a study with its data; threads that are not given are the physical cores.

    code: of the user's own, with consent.

    Raises InputError for a target or runtime that is none.
    """
    _check_ways(spec)
    measured = [each for each in spec.study.objectives if each.quantity == "latency"]
    setups = [_setup(each, way) for each in measured for way in each.run_ways]
    place = iter(range(len(measured)))
    quantities = [each.quantity for each in spec.study.objectives]
    objectives = tuple((name, next(place) if name == "latency" else None) for name in quantities)
    gives = Gives(dataset.input, dataset.classes, dataset.kind, _rows(dataset))
    return StudyPlan(
        *(spec, gives, dataset.fingerprint, tuple(setups), objectives, _ways(measured)),
        tested=dataset.tested,
        code=code,
        examples=len(dataset.train),
        extent=Extent(epochs=spec.study.longer),
    )


def _setup(each: Objective, way: RunWay) -> Setup:
    plan = Plan(each.batch, way.dtype, each.threads or physical_cores(), each.precision, each.time)
    return Setup(each.target, way.runtime, plan)


def _ways(measured: Sequence[Objective]) -> tuple[Way, ...]:
    """Return the ways in which a study runs its networks; one that it does not name is that of the first latency."""
    starts = [sum(len(one.run_ways) for one in measured[:place]) for place in range(len(measured))]
    named = next((each.ways for each in measured if each.ways), None)
    if named is None:
        return (Way(places=tuple(starts), dtype=measured[0].dtype if measured else "float32"),)
    names = names_of([(each.runtime, each.dtype) for each in named])
    places = [
        tuple(start + bool(one.ways) * number for start, one in zip(starts, measured, strict=True))
        for number in range(len(named))
    ]
    return tuple(Way(n, names[n], places[n], each.runtime, each.dtype) for n, each in enumerate(named))


def _rows(dataset: Dataset) -> Value:
    """Return what a recurrent network is given of images: H steps of the W*C values of a row."""
    if dataset.kind != "image" or dataset.loose:
        return None
    channels, height, width = dataset.train.inputs.shape[1:]
    return {"steps": height, "features": width * channels}


def _check_ways(spec: StudySpec) -> None:
    mistakes: list[Mistake] = []
    for place, each in enumerate(spec.study.objectives):
        path = ("objectives", place)
        mistakes += _wrong(spec, (*path, "target"), each.target)
        for number, way in enumerate(each.run_ways):
            at = (*path, "ways", number) if each.ways else path
            mistakes += _wrong(spec, (*at, "runtime"), way.runtime, (way.dtype,))
    if mistakes:
        raise InputError(*mistakes)


def _wrong(spec: StudySpec, path: Path, name: str, dtypes: tuple[str, ...] = ()) -> Iterator[Mistake]:
    """Yield what is wrong with a target, or with a runtime that has to run types; each is at its own key."""
    try:
        if path[-1] == "runtime":
            runtimes.check(name, dtypes)
        else:
            targets.find(name)
    except InputError as error:
        for each in error.mistakes:
            at = (*path[:-1], *each.path) if each.path else path
            yield located(spec.source, replace(each, path=at))
