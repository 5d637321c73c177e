"""Studies as a storage holds them, made without training: real networks, errors and latencies from a formula.

`made()` gives one in memory, `made(file)` one in an SQLite file that commands open.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import measurements
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from archcost.config.document import load
from archcost.config.writer import to_yaml
from archcost.graph import codec
from archcost.graph.columns import columns, only
from archcost.graph.cost import count, peak_bytes
from archcost.graph.graph import Graph
from archcost.latency.samples import Conditions, Device, Origin, Plan, Samples
from archcost.models.load import Model, expand
from archcost.study.records import confirmed, trials
from archcost.study.records.confirmed import Confirmed
from archcost.study.records.database import storage
from archcost.study.records.database.addresses import Address, address
from archcost.study.records.front import named
from archcost.study.records.part import Part, achieved
from archcost.study.records.reasons import Reason
from archcost.study.records.stored import SCHEMA, Stored
from archcost.study.records.trials import Begun, Ended, remember
from archcost.training.score import Score
from archcost.version import __version__

HOSTILE = "</script><img src=x onerror=alert(1)><a href='//x.test'>\"&amp;\u2028\u202e'=1+1"
"""A text that is shown as it is, or something is broken."""

_BEGIN = datetime(2026, 1, 2, 3, 4, 5)  # as optuna keeps it: without a zone
_EPOCHS = 9
_DEPTHS = IntDistribution(1, 2)
_WIDER = CategoricalDistribution([1, 2, 3])
_COLUMNS = IntDistribution(1, 3)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a study shall hold.

    trials: in all; confirmed: members of the front that are; hostile: whether texts are attacks; objectives: with the
    place of a latency's way; limits: as `study.yaml` holds them, in base units; only: the one state of all trials;
    size: samples in each of eight bursts.
    """

    trials: int = 60
    confirmed: int = 3
    hostile: bool = False
    objectives: tuple[tuple[str, int | None], ...] = (("error", None), ("latency", 0))
    limits: dict[str, float] | None = None
    only: str = ""
    seed: int = 0
    size: int = 5


def made(file: Path | None = None, wanted: Wanted | None = None) -> Stored:
    """Return a study; file: where its SQLite storage is written, in memory if left out."""
    wanted = wanted or Wanted()
    study = _created(wanted, optuna.storages.InMemoryStorage())
    for number in range(wanted.trials):
        _tried(study, wanted, number)
    every = study.get_trials(deepcopy=False)
    for each in every:  # always the same dates, so that the same study is the same to the byte
        each.datetime_start = _BEGIN + timedelta(seconds=20 * each.number)
        if each.state.is_finished():
            each.datetime_complete = each.datetime_start + timedelta(seconds=31 if each.number % 2 else 15)
    where = Address(Path("memory.db"))
    if file is not None:
        where = address(str(file), Path.cwd())
        made = storage.opened(where, lambda store: _created(wanted, store).set_user_attr("archcost:about", {}))
        study = storage.find(made)
        study.add_trials(every)
    labels = tuple(name if way is None else f"{name}.{way}" if _ways(wanted) > 1 else name
                   for name, way in wanted.objectives)  # fmt: skip
    stored = Stored(study, where, HOSTILE if wanted.hostile else "small", wanted.objectives, labels)
    _remembered(stored, wanted)
    if file is not None:
        storage.close(study._storage._backend)
    return stored


def _created(wanted: Wanted, store: optuna.storages.BaseStorage) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    name = HOSTILE if wanted.hostile else "small"
    return optuna.create_study(study_name=name, storage=store, directions=["minimize"] * len(wanted.objectives))


def _ways(wanted: Wanted) -> int:
    return sum(way is not None for _, way in wanted.objectives)


def _remembered(stored: Stored, wanted: Wanted) -> None:
    limits = dict.fromkeys(("params", "macs", "memory", "weights", "latency")) | (wanted.limits or {})
    objectives = [{name: "min"} | ({} if way is None else {"target": "cpu", "threads": 1 + way})
                  for name, way in wanted.objectives]  # fmt: skip
    same = {"models": [], "data": "0123456789abcdef", "objectives": objectives,
            "limits": limits if wanted.limits else None, "search": {"sampler": "tpe", "seed": wanted.seed},
            "fit": {"epochs": _EPOCHS, "rungs": [1, 3, _EPOCHS], "seed": 0}}  # fmt: skip
    about = {"schema": SCHEMA, "archcost": __version__, "name": stored.name, "objectives": wanted.objectives,
             "labels": stored.labels, "same": same}  # fmt: skip
    remember(stored.study, "about", about)
    found = stored.candidates()
    if len(found) >= 10:
        worst = [max(each.values[i] for each in found) for i in range(len(wanted.objectives))]
        remember(stored.study, "reference", [value + 0.1 * abs(value) for value in worst])
    draw = random.Random(wanted.seed + 1)
    for each in stored.front().members[: wanted.confirmed]:
        scores = tuple(_score(_error(each.trial.point, each.part) + draw.uniform(0, 0.01)) for _ in range(3))
        tests = tuple(replace(score, error=(score.error or 0.0) + 0.01) for score in scores)
        again = tuple(_sampled(each.part, way, wanted, seed=each.trial.number) for way in range(_ways(wanted)))
        name = named(each.trial, each.part)
        confirmed.keep(stored.study, name, Confirmed((1, 2, 3), scores, tests, again))


def _point(draw: random.Random, hostile: bool) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
    """Return a point of two templates, each with parameters of its own."""
    model = draw.randrange(2)
    ranges: dict[str, BaseDistribution] = {"model": CategoricalDistribution([0, 1])}
    point: dict[str, Any] = {"model": model}
    name, size = (("0.columns", _COLUMNS), ("1.depths.repeat", _DEPTHS))[model]
    point |= {name: draw.randint(size.low, size.high), f"{model}.widths.by": draw.choice(_WIDER.choices)}
    ranges |= {name: size, f"{model}.widths.by": _WIDER}
    # of no influence on anything: a number on a log scale, and a name and values that attack
    noise = f"0.{HOSTILE}" if hostile else "noise"
    values = [HOSTILE, "plain"] if hostile else ["other", "plain"]
    ranges |= {"slope": FloatDistribution(1e-4, 1.0, log=True), noise: CategoricalDistribution(values)}
    return point | {"slope": 10 ** draw.uniform(-4, 0), noise: draw.choice(values)}, ranges


def _tried(study: optuna.Study, wanted: Wanted, number: int) -> None:
    draw = random.Random(wanted.seed * 100_003 + number)
    point, ranges = _point(draw, wanted.hostile)
    begun = optuna.trial.create_trial(state=optuna.trial.TrialState.RUNNING, params=point, distributions=ranges)
    study.add_trial(begun)
    trial = optuna.trial.Trial(study, study._storage.get_all_trials(study._study_id, deepcopy=False)[-1]._trial_id)
    model = _network(point["model"], *[value for name, value in point.items() if name[:2] in ("0.", "1.")][:2])
    text = HOSTILE if wanted.hostile else ""
    trials.begin(trial, Begun("proposed", text or model.name, text or model.family, to_yaml(model.spec), f"id{number}"))
    parts = tuple(_measured(part, wanted, draw.randrange(10**6)) for part in _parts(model))
    state = wanted.only or _state(number, wanted.trials)
    for epoch, more in ((1, 0.2), (3, 0.08), (_EPOCHS, 0.0)):
        if state in ("complete", "repeated") or (state == "pruned" and epoch < (3 if number % 2 else 9)):
            trials.reach(trial, epoch, achieved(_scored(parts[0], point, draw, more), wanted.objectives))
    _ended(study, trial, wanted, state, tuple(_scored(part, point, draw, 0.0) for part in parts))


def _state(number: int, of: int) -> str:
    kinds = {3: "pruned", 5: "pruned", 7: "limits", 9: "failed", 12: "repeated"}
    return "running" if number == of - 1 else kinds.get(number if number == 12 else number % 10, "complete")


def _ended(study: optuna.Study, trial: optuna.trial.Trial, wanted: Wanted, state: str, parts: tuple[Part, ...]) -> None:
    number, text = trial.number, HOSTILE if wanted.hostile else ""
    given: dict[str, Any] = {
        "seconds": 12.0 + number % 5,
        "versions": {"archcost": __version__, "data": "0123456789abcdef"},
    }
    match state:
        case "complete" | "repeated":
            repeats = {"repeats": 1, "counts": False, "seconds": 0.0} if state == "repeated" else {}
            ended = Ended(parts, **{**given, **repeats})
            trials.end(study, trial, ended, achieved(parts[0], wanted.objectives))
        case "pruned":
            reason = f"at epoch {1 if number % 2 == 0 else 3} not among the best third that had come so far"
            trials.end(study, trial, Ended(parts[:1], Reason("pruned", reason), seconds=3.0), None)
        case "limits":
            reason = f"limits: params {30_000 + number:,}; allowed: 30,000"
            trials.fail(study, trial, Ended(reason=Reason("limit", reason, "params"), counts=False))
        case "failed":
            reason = f"diverged: loss {number}.5 {text}".strip()
            trials.fail(study, trial, Ended(parts[:1], Reason("diverged", reason), seconds=1.0))
        case _:
            pass  # it still runs


@cache
def _network(model: int, one: int, other: int) -> Model:
    fractal = f"family: fractal, columns: {one}, drop_path: {{global: 0.5}}"
    text = f"family: bottleneck, block: basic, depths: [{one}, {one}]" if model else fractal
    widths = f"widths: [{4 * other}, {8 * other}]"
    return expand(load(f"{{name: net, {text}, {widths}, input: [1, 8, 8], classes: 10}}", "net.yaml"))


@cache
def _parts_of(digest: str, graph: Graph, numbers: tuple[int, ...]) -> tuple[Part, ...]:
    return tuple(_counted(number, only(graph, [number]) if number else graph) for number in (0, *numbers))


def _parts(model: Model) -> tuple[Part, ...]:
    found = columns(model.graph)
    return _parts_of(model.digest, model.graph, found if len(found) > 1 else ())


def _counted(column: int, graph: Graph) -> Part:
    cost = count(graph)
    return Part(column, codec.digest(graph), cost.params, cost.macs, peak_bytes(graph, 1, 4))


def _error(point: dict[str, Any], part: Part) -> float:
    """Return an error that falls with the size, and is higher for a column."""
    return 0.02 + 30.0 / math.sqrt(part.params) / 3 + (0.03 if part.column else 0.0)


def _score(error: float) -> Score:
    return Score(2 * error, 180, error=error, perplexity=math.exp(2 * error), bpc=3 * error)


def _scored(part: Part, point: dict[str, Any], draw: random.Random, more: float) -> Part:
    return replace(part, score=_score(_error(point, part) + more + draw.uniform(0, 0.02)))


def _measured(part: Part, wanted: Wanted, seed: int) -> Part:
    return replace(part, samples=tuple(_sampled(part, way, wanted, seed) for way in range(_ways(wanted))))


def _sampled(part: Part, way: int, wanted: Wanted, seed: int) -> Samples:
    """Return samples of a latency that grows with the MACs; every seventh is too restless to be stable."""
    noise = 0.2 if seed % 7 == 0 else 0.005
    plan = Plan(threads=1 + way)
    base_s = (1e-4 + part.macs * 2e-9) / (1 + way) * random.Random(seed).uniform(0.8, 1.25)
    taken = measurements.noisy(base_s, seed=seed, noise=noise, size=wanted.size)
    text = HOSTILE if wanted.hostile else ""
    device = Device(text or "AMD EPYC", 2, 8_000_000_000, "Linux 6 x86_64")
    origin = Origin("cpu", text or "eager", device, Conditions((0, 1)), (("torch", text or "2.13.0"),))
    return replace(taken, origin=origin, plan=plan)
