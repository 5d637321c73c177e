"""The plan of a study: what its file and its data say, fixed before it runs."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any

from archcost.config.document import Value
from archcost.config.validation import located
from archcost.data.splits import Dataset
from archcost.errors import InputError
from archcost.graph.cost import peak_bytes
from archcost.graph.dtypes import BYTES
from archcost.graph.graph import Graph
from archcost.latency import runtimes, targets
from archcost.latency.samples import Plan
from archcost.machine import physical_cores
from archcost.models.load import Model
from archcost.study.records.front import Objectives
from archcost.study.spec import Gives, StudySpec, materialise
from archcost.study.workers.messages import Setup


@dataclass(frozen=True, slots=True)
class StudyPlan:
    """A study with its data, before it runs.

    gives: what the data give a network; fingerprint: of the data; ways: every way in which latency is measured, in the
    order of the objectives; objectives: each with the place of its way.
    """

    spec: StudySpec
    gives: Gives
    fingerprint: str
    ways: tuple[Setup, ...]
    objectives: Objectives

    @property
    def labels(self) -> tuple[str, ...]:
        """What the objectives are called: error, latency, of several latencies latency.0, latency.1."""
        several = len(self.ways) > 1
        return tuple(f"{name}.{way}" if way is not None and several else name for name, way in self.objectives)

    @property
    def fixed(self) -> dict[str, Any]:
        """What may not change while a study goes on, as JSON holds it."""
        return {**self.spec.fixed, "data": self.fingerprint}

    @property
    def dtype(self) -> str:
        """What networks are counted in: the dtype of the first way."""
        return self.ways[0].plan.dtype if self.ways else "float32"

    def memory_bytes(self, graph: Graph) -> int:
        """Return the memory that a graph needs at its peak, in a call of the first way."""
        return peak_bytes(graph, self.ways[0].plan.batch if self.ways else 1, BYTES[self.dtype])

    def model(self, drawn: object) -> Model:
        """Return the network that a drawn template is; raises InputError if it is not a network."""
        assert isinstance(drawn, tuple)  # what the space's draw gives
        return materialise(self.spec, drawn, self.gives)

    def identity(self, model: Model) -> str:
        """Return a digest of all that accuracy depends on: graph, recipe, training and data."""
        recipe = [model.recipe.init, model.recipe.drop_local, model.recipe.drop_global]
        of = [model.digest, recipe, self.spec.study.fit.model_dump(mode="json"), self.fingerprint]
        return hashlib.sha256(json.dumps(of, sort_keys=True).encode()).hexdigest()


def settle(spec: StudySpec, dataset: Dataset) -> StudyPlan:
    """Return the plan of a study with its data; threads that are not given are the physical cores.

    Raises InputError for a target or runtime that is none.
    """
    _check_ways(spec)
    ways: list[Setup] = []
    objectives: list[tuple[str, int | None]] = []
    for each in spec.study.objectives:
        place = None
        if each.quantity == "latency":
            place = len(ways)
            threads = each.threads or physical_cores()
            plan = Plan(each.batch, each.dtype, threads, each.precision, each.time)
            ways.append(Setup(each.target, each.runtime, plan))
        objectives.append((each.quantity, place))
    gives = Gives(dataset.input, dataset.classes, dataset.kind, _rows(dataset))
    return StudyPlan(spec, gives, dataset.fingerprint, tuple(ways), tuple(objectives))


def _rows(dataset: Dataset) -> Value:
    """Return what a recurrent network is given of images: H steps of the W*C values of a row."""
    if dataset.kind != "image":
        return None
    channels, height, width = dataset.train.inputs.shape[1:]
    return {"steps": height, "features": width * channels}


def _check_ways(spec: StudySpec) -> None:
    for place, each in enumerate(spec.study.objectives):
        for key, check in (("target", targets.find), ("runtime", runtimes.check)):
            try:
                check(getattr(each, key))
            except InputError as error:
                path = ("objectives", place, key)
                raise InputError(*(located(spec.source, replace(m, path=path)) for m in error.mistakes)) from None
