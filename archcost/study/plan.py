"""What a study's file and its data say, in the form its run needs: ways to measure, objectives, jobs, identities."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from archcost.config.document import Value
from archcost.config.validation import located
from archcost.config.writer import to_yaml
from archcost.data.splits import Dataset
from archcost.errors import InputError
from archcost.graph import codec
from archcost.graph.columns import columns, only
from archcost.graph.cost import count, peak_bytes
from archcost.graph.dtypes import BYTES
from archcost.graph.graph import Graph
from archcost.latency import runtimes, targets
from archcost.latency.samples import Plan
from archcost.machine import physical_cores
from archcost.models.load import Model
from archcost.profiling.budget import Budget
from archcost.search.ask import Method
from archcost.search.domains import Draw
from archcost.study.records.reasons import Reason
from archcost.study.records.trials import Begun, Part
from archcost.study.spec import Confirm, Gives, Study, StudySpec, materialise
from archcost.study.workers.messages import Measure, Setup, Train
from archcost.units import data_size, grouped
from archcost.version import __version__

SHARE: Final = 1 / 3
"""Of the trials that come to a rung, those that go on."""


@dataclass(frozen=True, slots=True)
class Excess:
    """A limit on a count that a network exceeds, and by what."""

    name: str
    actual: int
    limit: int
    words: Callable[[int], str]


@dataclass(frozen=True)
class Setting:
    """A study ready to run.

    ways: every way in which latency is measured, in the order of the objectives; objectives: each with the place of
    its way; fingerprint: of the data.
    """

    spec: StudySpec
    gives: Gives
    fingerprint: str
    ways: tuple[Setup, ...]
    objectives: tuple[tuple[str, int | None], ...]

    @property
    def study(self) -> Study:
        """What the file says."""
        return self.spec.study

    @property
    def labels(self) -> tuple[str, ...]:
        """What the objectives are called: error, latency, of several latencies latency.0, latency.1."""
        several = len(self.ways) > 1
        return tuple(f"{name}.{way}" if way is not None and several else name for name, way in self.objectives)

    def same(self) -> dict[str, Any]:
        """Return, as JSON holds it, what may not change while a study goes on."""
        study = self.study
        return {
            "models": self.spec.templates,
            "data": self.fingerprint,
            "objectives": [each.model_dump(mode="json", exclude_unset=True) for each in study.objectives],
            "limits": study.limits.model_dump(mode="json") if study.limits else None,
            "fit": study.fit.model_dump(mode="json", by_alias=True),
            "search": {"sampler": study.search.sampler, "seed": study.search.seed},
        }

    @property
    def draw(self) -> Draw:
        """What a point is drawn with."""
        return self.spec.space.draw

    @property
    def method(self) -> Method:
        """How points are proposed."""
        search = self.study.search
        return Method(sampler=search.sampler, seed=search.seed, trials=search.trials)

    @property
    def patience_s(self) -> float:
        """Silence after which a trial is taken to hang."""
        return self.study.search.patience

    @property
    def confirm(self) -> Confirm:
        """How many members are confirmed with how many seeds."""
        return self.study.confirm

    @property
    def rungs(self) -> tuple[int, ...]:
        """Epochs after which a trial is compared with others; the last is the end."""
        return self.study.fit.stops()

    @property
    def share(self) -> float:
        """The share of trials that goes on at a rung."""
        return SHARE

    @property
    def budget(self) -> Budget | None:
        """The limits in base units, None where there are none."""
        return self.study.limits.budget() if self.study.limits else None

    @property
    def versions(self) -> dict[str, str]:
        """What a result depends on besides the study itself."""
        return {"archcost": __version__, "data": self.fingerprint}

    def model(self, tree: object) -> Model:
        """Return the network a drawn tree stands for; raises InputError where it is none."""
        assert isinstance(tree, tuple)  # what the space's draw gives
        return materialise(self.spec, tree, self.gives)

    def begun(self, model: Model, origin: str) -> Begun:
        """Return what is known of a trial before it runs."""
        return Begun(origin, model.name, model.family, to_yaml(model.spec), self.identity(model))

    def identity(self, model: Model) -> str:
        """Return a digest of all that accuracy depends on: graph, recipe, training and data."""
        recipe = [model.recipe.init, model.recipe.drop_local, model.recipe.drop_global]
        of = [model.digest, recipe, self.study.fit.model_dump(mode="json"), self.fingerprint]
        return hashlib.sha256(json.dumps(of, sort_keys=True).encode()).hexdigest()

    def over(self, model: Model) -> Reason | None:
        """Return which limits on counts a network exceeds, and by what, None if it keeps to all."""
        found = self.exceeded(model)
        each = (f"{over.name} {over.words(over.actual)}; allowed: {over.words(over.limit)}" for over in found)
        names = ", ".join(over.name for over in found)
        return Reason("limit", f"limits: {', '.join(each)}", names) if found else None

    def exceeded(self, model: Model) -> tuple[Excess, ...]:
        """Return the limits on counts that a network exceeds; nothing has to run for it."""
        budget = self.budget
        counted = self._counted(model, budget) if budget else ()
        return tuple(
            Excess(name, actual, limit, words)
            for name, limit, actual, words in counted
            if limit is not None and actual > limit
        )

    def _counted(self, model: Model, budget: Budget) -> list[tuple[str, int | None, int, Callable[[int], str]]]:
        memory, weights = self._memory(model.graph), count(model.graph).weights_bytes(BYTES[self._dtype])
        return [
            ("params", budget.params, model.cost.params, grouped),
            ("macs", budget.macs, model.cost.macs, grouped),
            ("memory", budget.memory_bytes, memory, data_size),
            ("weights", budget.weights_bytes, weights, data_size),
        ]

    @property
    def _dtype(self) -> str:
        return self.ways[0].plan.dtype if self.ways else "float32"

    def _memory(self, graph: Graph) -> int:
        way = self.ways[0] if self.ways else None
        return peak_bytes(graph, way.plan.batch if way else 1, BYTES[self._dtype])

    def parts(self, model: Model) -> list[Part]:
        """Return the network and, of a fractal one that trains columns alone, its columns, without results."""
        graphs = [model.graph, *(only(model.graph, [column]) for column in self.columns(model))]
        numbers = (0, *self.columns(model))
        return [self._part(number, graph) for number, graph in zip(numbers, graphs, strict=True)]

    def _part(self, column: int, graph: Graph) -> Part:
        cost = count(graph)
        return Part(column, codec.digest(graph), cost.params, cost.macs, self._memory(graph))

    def columns(self, model: Model) -> tuple[int, ...]:
        """Return the columns that one training gives besides the whole network: where they also train alone."""
        found = columns(model.graph)
        return found if len(found) > 1 and model.recipe.drop_global > 0 else ()

    def job(self, model: Model, folder: Path, weights: Path, threads: int) -> Train:
        """Return the job of a trial; folder: where the data were written for children."""
        return Train(
            graph=dict(codec.encode(model.graph)),
            init=model.recipe.init,
            drop_local=model.recipe.drop_local,
            drop_global=model.recipe.drop_global,
            data=str(folder / "data.pt"),
            test="",
            fit=self.study.fit.model_dump(mode="json", by_alias=True),
            seed=self.study.fit.seed,
            ways=self.ways,
            columns=bool(self.columns(model)),
            weights=str(weights),
            threads=threads,
        )

    def again(self, model: Model, folder: Path, seed: int, threads: int) -> Train:
        """Return the job of training a network once more, alone and with another seed, and testing it."""
        job = self.job(model, folder, Path(), threads)
        changed = {"seed": self.study.fit.seed + seed, "ways": (), "columns": False, "weights": ""}
        return Train(**{**_fields(job), **changed, "test": str(folder / "test.pt")})

    def together(self, models: list[Model], way: Setup) -> Measure:
        """Return the job of measuring networks by turns."""
        return Measure(tuple(dict(codec.encode(model.graph)) for model in models), way)


def _fields(job: Train) -> dict[str, Any]:
    return {name: getattr(job, name) for name in job.__dataclass_fields__}


def settle(spec: StudySpec, dataset: Dataset) -> Setting:
    """Return a study with its data as its run needs it; threads that are not given are the physical cores.

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
    return Setting(spec, gives, dataset.fingerprint, tuple(ways), tuple(objectives))


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
