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
from archcost.study.drawn import Drawn, Gives, materialise
from archcost.study.objectives import quantity_of
from archcost.study.records.front import Objectives
from archcost.study.spec import StudySpec
from archcost.study.workers.messages import Code, Setup


@dataclass(frozen=True, slots=True)
class StudyPlan:
    """A study with its data, before it runs.

    gives: what the data give a network; fingerprint: of the data; ways: every way in which latency is measured, in the
    order of the objectives; objectives: each with the place of its way; tested: whether there is a test split; code: of
    the user's own, which runs with consent, None if the study has none; code_changed: it may go on with other files.
    """

    spec: StudySpec
    gives: Gives
    fingerprint: str
    ways: tuple[Setup, ...]
    objectives: Objectives
    tested: bool = True
    code: Code | None = None
    code_changed: bool = False

    @property
    def labels(self) -> tuple[str, ...]:
        """What the objectives are called: error, latency, of several latencies latency.0, latency.1."""
        several = len(self.ways) > 1
        return tuple(
            f"{name}.{way}" if way is not None and several else quantity_of(name).name for name, way in self.objectives
        )

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

    @property
    def memory_at(self) -> tuple[int, str]:
        """The batch and dtype at which memory is counted: those of the first way."""
        return self.ways[0].plan.batch if self.ways else 1, self.dtype

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
    return StudyPlan(spec, gives, dataset.fingerprint, tuple(ways), tuple(objectives), dataset.tested, code)


def _rows(dataset: Dataset) -> Value:
    """Return what a recurrent network is given of images: H steps of the W*C values of a row."""
    if dataset.kind != "image" or dataset.loose:
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
