"""What a written file reaches over whole splits, beside what was recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from archcost.data.splits import Split
from archcost.nets.export.sessions import Predict
from archcost.nets.net import Net
from archcost.study.objectives import QUANTITIES
from archcost.study.release.material import Material, Part, Predictor, normalised
from archcost.study.release.weights import Source
from archcost.training import scoring
from archcost.training.score import Score, score
from archcost.units import grouped

_BATCH: Final = 256
_MOST_SCORES: Final = 2**22  # of a text's windows at a time
_POINTS: Final = 0.001  # of error
_RELATIVE: Final = 0.001  # of other metrics
_NOT: Final = -1  # the target of what does not count


@dataclass(frozen=True, slots=True)
class Fed:
    """A split as a file is given it: the inputs at positions; targets: (N,) or (N, T), -1 if none counts.

    size: how many of them at a time.
    """

    inputs: Callable[[Tensor], Tensor]
    targets: Tensor
    size: int = _BATCH


@dataclass(frozen=True, slots=True)
class Check:
    """A score beside the one that it should be, by one metric; windows: of a text whose file forgets after so many.

    whose: what has the score: the file, or the weights in torch with the state of a text carried on.
    """

    split: Part
    whose: Literal["the file", "these weights"]
    metric: str
    given: Score
    expected: Score
    windows: int = 0

    @property
    def values(self) -> tuple[float | None, float | None]:
        """What the two say of the metric."""
        return self.given.value(self.metric), self.expected.value(self.metric)

    @property
    def words(self) -> tuple[str, str]:
        """The two in words."""
        shown = QUANTITIES[self.metric].words if self.metric in QUANTITIES else "{:.4g}".format
        one, other = ("unknown" if value is None else shown(value) for value in self.values)
        return one, other

    @property
    def agrees(self) -> bool:
        """Whether they are at most a tenth of a point of error apart, or a thousandth of any other metric."""
        one, other = self.values
        if one is None or other is None:
            return False
        most = _POINTS if self.metric == "error" else _RELATIVE * abs(other)
        return abs(one - other) <= most + 1e-9


def scored(predict: Predict, fed: Fed, *, batch: int | None = None) -> Score:
    """Return what a file reaches on all that it is fed; batch: the one size that it takes, None for any."""
    loss, wrong, count, text = 0.0, 0, 0, fed.targets.dim() == 2
    for inputs, targets in _batches(fed, batch):
        counts = targets.flatten() != _NOT
        scores, answers = predict(inputs).float().flatten(0, -2)[counts], targets.flatten()[counts]
        loss += float(functional.cross_entropy(scores, answers, reduction="sum"))
        wrong += int((scores.argmax(1) != answers).sum())
        count += len(answers)
    return score(loss, count, wrong, text=text)


def _batches(fed: Fed, batch: int | None) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield inputs and targets; a last batch that is too short is filled up with what does not count."""
    for chosen in torch.split(torch.arange(len(fed.targets)), batch or fed.size):
        inputs, targets, missing = fed.inputs(chosen), fed.targets[chosen], (batch or len(chosen)) - len(chosen)
        if missing:
            inputs = torch.cat([inputs, inputs[:1].expand(missing, *inputs.shape[1:])])
            targets = torch.cat([targets, torch.full_like(targets[:1], _NOT).expand(missing, *targets.shape[1:])])
        yield inputs, targets


def fed(held: Material, part: Part, *, raw: bool) -> Fed:
    """Return a split as a file takes it; raw: with the preprocessing inside, else as the network does."""
    if held.layout == "tokens":
        return windows(held.split(part), held.inputs.shape[0], held.dataset.classes)
    inputs, targets = normalised(held, part)
    return Fed((lambda chosen: held.raw(inputs(chosen))) if raw else inputs, targets)


def windows(split: Split, steps: int, classes: int) -> Fed:
    """Return a text in windows of so many tokens, each of which begins with nothing before it; every token counts."""
    missing = -len(split) % steps
    inputs = functional.pad(split.inputs, (0, missing)).view(-1, steps)
    targets = functional.pad(split.targets, (0, missing), value=_NOT).view(-1, steps)
    return Fed(lambda chosen: inputs[chosen], targets, max(1, _MOST_SCORES // (steps * classes)))


def checks(source: Source, net: nn.Module, held: Material, predict: Predict, *, raw: bool, batch: int | None = None
           ) -> Iterator[Check]:  # fmt: skip
    """Yield what a file reaches beside what it should, on validation, and on the test split if it was confirmed.

    net: with the weights of the file. A text's scores were recorded with the state carried from its first token to its
    last, which a file of so many steps cannot do: the file is compared with the network in the same windows, and the
    network, carrying its state, with what was recorded. A study's own evaluation is called as it was before.
    """
    recorded: dict[Part, Score | None] = {"validation": source.validation, "test": source.test}
    for part, before in recorded.items():
        if before is None:
            continue
        if held.judge is not None:
            found = held.judge(_predictor(held, predict, raw=raw, batch=batch), held.dataset, held.split(part))
            yield Check(part, "the file", source.metric, found, before)
            continue
        given = fed(held, part, raw=raw)
        found = scored(predict, given, batch=batch)
        if held.layout == "tokens" and isinstance(net, Net):
            with torch.inference_mode():
                alike = scored(net, given)
            yield Check(part, "the file", source.metric, found, alike, given.targets.shape[1])
            now = scoring.evaluate(net, held.split(part), held.dataset)
            yield Check(part, "these weights", source.metric, now, before)
        else:
            yield Check(part, "the file", source.metric, found, before)


def _predictor(held: Material, predict: Predict, *, raw: bool, batch: int | None) -> Predictor:
    """Return what an evaluation of the user's own is given: the file, which is handed what the network would be."""

    def called(inputs: object) -> Tensor:
        if not isinstance(inputs, Tensor):
            given = type(inputs).__name__
            raise TypeError(f"predict is given {given}; allowed: a tensor, as the file that was written has one input")
        taken = held.raw(inputs) if raw else inputs
        size = batch or max(len(taken), 1)
        return torch.cat([_filled(predict, each, size) for each in torch.split(taken, size)])

    return called


def _filled(predict: Predict, x: Tensor, size: int) -> Tensor:
    """Return what a file that takes `size` examples gives for as many or fewer."""
    whole = torch.cat([x, x[:1].expand(size - len(x), *x.shape[1:])]).contiguous()
    return predict(whole)[: len(x)]


def words(check: Check) -> str:
    """Return a check as a line: what was found on how many examples, and what it is compared with."""
    one, other = check.words
    count = "" if check.given.count is None else f", {grouped(check.given.count)} "
    what = count and ("tokens" if check.given.perplexity is not None else "examples")
    head = f"{check.split:<11}{check.metric} {one} ({check.whose}{count}{what}"
    apart = "" if check.agrees else ": more than a tenth of a point apart"
    if check.windows:
        return f"{head} in windows of {check.windows}); the network in the same windows {other}{apart}"
    carried = ", state carried on" if check.whose == "these weights" else ""
    return f"{head}{carried}); recorded with these weights {other}{apart}"
