"""A trial in its process: its network is measured, trained from rung to rung, and scored."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeAlias

import torch
from torch import nn

from archcost.data import own as own_data
from archcost.data import shared
from archcost.data.shared import kept
from archcost.data.splits import Dataset, Split, as_rows
from archcost.graph.graph import Graph
from archcost.latency import runtimes, targets
from archcost.latency.statistics import median
from archcost.nets import weights
from archcost.nets.export import sessions
from archcost.nets.net import Net
from archcost.study.workers import device_wait, inquiries, own
from archcost.study.workers.failures import of_part
from archcost.study.workers.in_8_bits import eight_bits, quantisation
from archcost.study.workers.in_8_bits.quantisation import Networks, able, decided
from archcost.study.workers.in_8_bits.quantise import Quantise
from archcost.study.workers.messages import (
    Alive,
    Event,
    Foreseen,
    Measured,
    Reached,
    Scored,
    Trained,
    Wanted,
    decode_event,
)
from archcost.study.workers.network import Blueprint, Measurable, blueprint, count, with_layers
from archcost.study.workers.progress import Progress, progress_of
from archcost.study.workers.tasks import Code, MeasureTrial, OfCode, Setup, Train
from archcost.training import calibration, checkpoints, fit, scoring, speed
from archcost.training.context import Context
from archcost.training.score import Score
from archcost.training.spec import Fit
from archcost.units import counted_words

Tell: TypeAlias = Callable[[Event], None]
GoesOn: TypeAlias = Callable[[], bool]
"""Waits for the study's reply: whether the trial goes on."""

_SAYS_S: Final = 5.0  # between words of a long epoch
_LONGEST_S: Final = 3.0
_FIRST: Final = 2  # mini-batches that are not timed: they allocate
_MOST: Final = 20


@dataclass(frozen=True)
class _Trial:
    """A trial whose network is there, untrained; context: what code of the user's own may ask.

    progress: what is kept of it as it goes on.
    """

    job: Train
    net: nn.Module
    dataset: Dataset
    spec: Fit
    columns: tuple[int, ...]
    context: Context
    progress: Progress
    tell: Tell
    goes_on: GoesOn

    def score(self, net: nn.Module, split: Split) -> Score:
        """Return how good the network, or a column of it, is on a split."""
        score = own.scored(net, split, self.dataset, self.spec, self.job.code, self.context)
        own.refuse_missing(score, self.job.metrics, self.spec.evaluate)
        return score


def run(job: Train, tell: Tell, goes_on: GoesOn) -> None:
    """Measure, train and score the network of a job, as long as the study's replies are to go on."""
    mark = job.mark
    if job.code is not None:
        mark = {**mark, **_introduced(job, job.code, tell)}
        if isinstance(job.network, OfCode) and not goes_on():
            return
    plans = blueprint(job.network, job.code)
    made = str(mark.get("digest", "")) if isinstance(job.network, OfCode) else ""
    progress = progress_of(job, 1 + len(columns_of(job, plans)), made)
    networks = plans.measurable(columns_of(job, plans))
    if job.given:
        progress.measured = [event for text in job.given if isinstance(event := decode_event(text.encode()), Measured)]
        progress.known = len(progress.measured)
    for number, position in enumerate(job.measured):
        if number < progress.known:
            tell(progress.measured[number])
        else:
            known = decided(job, progress.measured, job.ways[position])
            _measured(job, with_layers(networks, known), position, progress.noting(tell))
        if not goes_on():
            return
    speed.keep_freed()
    trial = begun(job, plans, progress, tell, goes_on)
    torch.set_num_threads(job.threads)  # of evaluating, too; a training sets its own
    if not (reached := _trained(trial)):
        return
    _scored(trial)
    if not _quantised(trial, networks, reached):
        return
    if job.code is not None:
        tell(inquiries.files(job.code))
    if job.weights:
        with kept("the weights of the study"):
            weights.save_weights(trial.net, Path(job.weights), mark)


def _measured(job: Train, networks: Sequence[Measurable], position: int, tell: Tell) -> None:
    """Measure the networks of a job in one way; in one that is optional, tell why it cannot be done."""
    try:
        measure(networks, position, job.ways[position], tell)
    except Exception as error:  # a runtime's own: the network may run in other ways
        if position not in job.optional:
            raise
        tell(Measured(position, (), of_part(error)))


def measure(networks: Sequence[Measurable], position: int, way: Setup, tell: Tell) -> None:
    """Measure networks by turns and tell of it; raises TargetError."""
    target, runtime = targets.find(way.target), runtimes.find(way.runtime)
    sources = [each.source(way.plan) for each in networks]
    with device_wait.held_alone(target.lock, tell) if target.lock else nullcontext():
        tell(Measured(position, target.measure(sources, runtime, way.plan)))


def measure_trial(job: MeasureTrial, tell: Tell, goes_on: GoesOn) -> None:
    """Measure the network of a trial that another process trains, in some of its ways, and tell of it."""
    plans, done = blueprint(job.train.network, job.code), list[Measured]()

    def noted(event: Event) -> None:
        if isinstance(event, Measured):
            done.append(event)
        tell(event)

    networks = plans.measurable(columns_of(job.train, plans))
    for place in job.places:
        layers = job.layers or decided(job.train, done, job.train.ways[place])
        _measured(job.train, with_layers(networks, layers), place, noted)
        goes_on()


def begun(job: Train, plans: Blueprint, progress: Progress, tell: Tell, goes_on: GoesOn) -> _Trial:
    """Return the trial of a job, its network untrained."""
    said, spec = [time.monotonic()], spec_of(job)

    def alive() -> None:
        if time.monotonic() - said[0] > _SAYS_S:  # a long epoch is no hang
            said[0] = time.monotonic()
            tell(Alive())

    context = Context(job.seed, "cpu", job.threads, spec.epochs, args=spec.args, alive=alive,
                      write=progress.save, read=progress.load)  # fmt: skip
    data = data_of(job, plans.graph)
    return _Trial(job, plans.made(job.seed), data, spec, columns_of(job, plans), context, progress, tell, goes_on)


def data_of(job: Train, graph: Graph | None) -> Dataset:
    """Return the data of a job; those that are no tensors are made by their code, here, once more."""
    dataset = shared.read(Path(job.data), Path(job.test) if job.test else None)
    if dataset.own is not None and dataset.own.loose:
        assert job.code is not None  # code runs with consent alone
        return own_data.again(dataset, inquiries.data(dataset.own.code, dataset.own.args, job.code))
    if dataset.kind == "image" and graph is not None and graph.steps is not None:
        return as_rows(dataset)  # a recurrent network reads an image row by row
    return dataset


def columns_of(job: Train, plans: Blueprint) -> tuple[int, ...]:
    """Return the columns that a job scores besides the whole network."""
    return plans.columns if job.columns else ()


def spec_of(job: Train) -> Fit:
    """Return how a job trains."""
    # strict validation reads a tuple from JSON's list only
    return Fit.model_validate_json(json.dumps({**job.fit, "seed": job.seed}))


def _introduced(job: Train, code: Code, tell: Tell) -> dict[str, str | int]:
    """Import a job's code, tell which files it is and what its network costs; return what marks the network."""
    for name in filter(None, (job.fit.get("code"), job.fit.get("evaluate"))):
        own.called(str(name), code)
    counted = count(job.network, code, job.memory, job.seed) if isinstance(job.network, OfCode) else None
    tell(inquiries.files(code))
    if counted is None:
        return {}
    tell(counted)
    return {"digest": counted.digest}


def _trained(trial: _Trial) -> tuple[Score, ...]:
    """Train to the end, with scores at every rung; return the last ones, () if it was not reached."""
    stops, reached = trial.spec.stops(), 0
    scores: tuple[Score, ...] = ()
    start, epochs = _own(trial) if trial.spec.code is not None else _built_in(trial)
    if start in stops:  # it was interrupted there
        reached = start
        if not (scores := _rung(trial, reached)):
            return ()
    for epoch, written in epochs:
        trial.tell(Trained(epoch.number, epoch.loss, epoch.seconds, written))
        if epoch.number in stops:
            reached = epoch.number
            if not (scores := _rung(trial, reached)):
                return ()
    # code of the user's own may end before its epochs are over
    return scores if reached == stops[-1] else _rung(trial, stops[-1])


_Epochs: TypeAlias = tuple[int, Iterator[tuple[fit.Epoch | own.Epoch, bool]]]
"""How many epochs are done, whose weights the network has; and those that follow, with whether each was kept."""


def _built_in(trial: _Trial) -> _Epochs:
    fitting = fit.begin(trial.net, trial.dataset, trial.spec, threads=trial.job.threads)
    said = [time.monotonic()]

    def told(_: int, __: int, loss: float) -> None:
        if time.monotonic() - said[0] > _SAYS_S:
            said[0] = time.monotonic()
            trial.tell(Trained(fitting.done, loss, 0.0))

    def written() -> bool:
        return trial.progress.keep(fitting.done, lambda: checkpoints.state_of(fitting), trial.tell)

    trial.progress.resume(lambda epochs, state: checkpoints.give(fitting, epochs, state), trial.tell)
    written()  # what was measured, if that took long
    return fitting.done, ((epoch, written()) for epoch in fit.epochs(fitting, told=told))


def _own(trial: _Trial) -> _Epochs:
    """Begin training by code of the user's own, which goes on from what it saved itself."""
    code, progress = trial.job.code, trial.progress
    assert code is not None  # code runs with consent alone

    def give(epochs: int, state: Mapping[str, object]) -> None:
        if lost := state.get("lost"):
            raise ValueError(f"nothing that its code saved in {counted_words(int(str(lost)), 'epoch')}")
        if epochs > trial.spec.epochs or not isinstance(state.get("own"), dict):
            raise ValueError("the training of another code")
        checkpoints.give_weights(trial.net, state.get("weights"))

    def written(epoch: int) -> bool:
        if progress.saved:
            state = {"weights": trial.net.state_dict(), "own": progress.own}
            return progress.keep(epoch, lambda: state, trial.tell)
        if progress.own is None:  # what was measured is kept all the same
            progress.keep(0, lambda: {"lost": epoch}, trial.tell)
        return False

    progress.resume(give, trial.tell)
    context = replace(trial.context, start=progress.epochs)
    epochs = own.epochs(trial.net, trial.dataset, trial.spec, code, context)
    return context.start, ((epoch, written(epoch.number)) for epoch in epochs)


def _rung(trial: _Trial, epoch: int) -> tuple[Score, ...]:
    """Score a network and its columns at a rung; return the scores, () if it does not go on."""
    networks: list[nn.Module] = [trial.net]
    if trial.columns and isinstance(trial.net, Net):
        calibration.recalibrate(trial.net, trial.dataset)
        networks += map(trial.net.column, trial.columns)
    first, *others = (trial.score(each, trial.dataset.validation) for each in networks)
    trial.tell(Reached(epoch, first, tuple(others)))
    return (first, *others) if trial.goes_on() else ()


def _scored(trial: _Trial) -> None:
    """Score a network that is trained alone on the validation split, and then on the test split if there is one."""
    if trial.job.alone:
        trial.tell(Scored(0, "validation", trial.score(trial.net, trial.dataset.validation)))
        if trial.job.test:
            trial.tell(Scored(0, "test", trial.score(trial.net, trial.dataset.read_test())))


def _quantised(trial: _Trial, networks: Sequence[Measurable], reached: tuple[Score, ...]) -> bool:
    """Quantise a trained network and its columns for the ways of 8 bits, if any; return whether the trial goes on.

    networks: as they are measured; reached: the score of each in float32.
    """
    job, measured = trial.job, tuple(trial.progress.measured)
    if job.quantise is None:
        return True

    def again(position: int, layers: Sequence[tuple[str, ...]]) -> bool:
        # not kept with what was measured first, on which an interrupted trial that goes on decides anew
        if job.elsewhere:
            trial.tell(Wanted(position, tuple(layers)))
            return trial.goes_on()
        _measured(job, with_layers(networks, layers), position, trial.tell)
        return trial.goes_on()

    trained = Networks(job, trial.net, trial.columns, trial.dataset, trial.context, reached, measured, trial.score)
    return quantisation.quantised(trained, able(job, job.quantise, measured), again, trial.tell)


class _Enough(Exception):  # noqa: N818  # no error: a training that has been looked at for long enough
    pass


def foresee(job: Train, tell: Tell) -> None:
    """Tell how long all of a job's training would take, from a few of its mini-batches and one score.

    Of training by the user's own code nothing is told: only running it would say.
    """
    spec = spec_of(job)
    if spec.code is None:
        tell(_foreseen(job, spec))


def _foreseen(job: Train, spec: Fit) -> Foreseen:
    plans = blueprint(job.network, job.code)
    net, dataset = plans.made(job.seed), data_of(job, plans.graph)
    start = time.monotonic()
    ends: list[float] = []
    total = 1

    def told(_: int, count: int, __: float) -> None:
        nonlocal total
        total = count
        ends.append(time.monotonic())
        if len(ends) >= _MOST or (len(ends) > _FIRST and ends[-1] - start > _LONGEST_S):
            raise _Enough

    fitting = fit.begin(net, dataset, spec, threads=job.threads)
    try:
        for _ in fit.epochs(fitting, told=told):
            pass
    except _Enough:
        pass
    spans = [after - before for before, after in zip(ends[_FIRST - 1 :], ends[_FIRST:], strict=False)]
    trained = time.monotonic()
    scoring.evaluate(net, dataset.validation, dataset)
    scored = time.monotonic()
    networks = 1 + len(columns_of(job, plans))
    scores = len(spec.stops()) + networks - 1
    training_s = total * median(spans or [ends[-1] - start]) + scores * (scored - trained)
    if job.quantise is not None:
        training_s += networks * _quantising_s(job, job.quantise, net, dataset)
    return Foreseen(training_s, time.monotonic() - start)


def _quantising_s(job: Train, how: Quantise, net: nn.Module, dataset: Dataset) -> float:
    """Return how long it takes to quantise a network and to score the file; 0 of one that cannot be quantised."""
    sessions.onnxruntime()  # importing it is not the network's
    begun = time.monotonic()
    try:
        with eight_bits.file(net, dataset, how.seed, Context(job.seed, "cpu", job.threads, 1)) as small:
            scoring.evaluate(eight_bits.module(small.path, job.threads), dataset.validation, dataset)
    except Exception as error:  # that one does not run in 8 bits ends no study
        of_part(error)
        return 0.0
    return time.monotonic() - begun
