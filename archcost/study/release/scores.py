"""What a written file reaches over whole splits, beside what was recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from archcost.data.splits import Split
from archcost.nets.export.sessions import Predict
from archcost.nets.net import Net
from archcost.study.objectives import quantity_of
from archcost.study.release.material import Material, Part
from archcost.study.release.weights import Source
from archcost.training import scoring
from archcost.training.batches import examples
from archcost.training.score import Score, score
from archcost.units import grouped

_BATCH: Final = 256
_MOST_SCORES: Final = 2**22  # of a text's windows at a time
_POINTS: Final = 0.001  # of error
_RELATIVE: Final = 0.001  # of perplexity
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
    """A score beside the one that it should be; windows: of a text whose file forgets after so many tokens, else 0.

    whose: what has the score: the file, or the weights in torch with the state of a text carried on.
    """

    split: Part
    whose: str
    given: Score
    expected: Score
    windows: int = 0

    @property
    def agrees(self) -> bool:
        """Whether they are at most a tenth of a point of error apart, or a thousandth of the perplexity."""
        if self.given.perplexity is not None and self.expected.perplexity is not None:
            return abs(self.given.perplexity / self.expected.perplexity - 1) <= _RELATIVE
        errors = [inf if each.error is None else each.error for each in (self.given, self.expected)]
        return abs(errors[0] - errors[1]) <= _POINTS + 1e-9


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
        assert isinstance(held.dataset.input, dict)  # of a text
        return windows(held.split(part), int(str(held.dataset.input["steps"])), held.dataset.classes)
    split = held.split(part, raw=raw)
    if raw:
        return Fed(lambda chosen: split.inputs[chosen], split.targets)
    normal = examples(held.dataset, split, torch.device("cpu"))
    return Fed(lambda chosen: normal.batch(chosen)[0].contiguous(), split.targets)


def windows(split: Split, steps: int, classes: int) -> Fed:
    """Return a text in windows of so many tokens, each of which begins with nothing before it; every token counts."""
    missing = -len(split) % steps
    inputs = functional.pad(split.inputs, (0, missing)).view(-1, steps)
    targets = functional.pad(split.targets, (0, missing), value=_NOT).view(-1, steps)
    return Fed(lambda chosen: inputs[chosen], targets, max(1, _MOST_SCORES // (steps * classes)))


def checks(source: Source, net: Net, held: Material, predict: Predict, *, raw: bool, batch: int | None = None
           ) -> Iterator[Check]:  # fmt: skip
    """Yield what a file reaches beside what it should, on validation, and on the test split if it was confirmed.

    net: with the weights of the file. A text's scores were recorded with the state carried from its first token to its
    last, which a file of so many steps cannot do: the file is compared with the network in the same windows, and the
    network, carrying its state, with what was recorded.
    """
    recorded: dict[Part, Score | None] = {"validation": source.validation, "test": source.test}
    parts: tuple[Part, ...] = ("validation",) if source.test is None else ("validation", "test")
    for part in parts:
        given, before = fed(held, part, raw=raw), recorded[part]
        found = scored(predict, given, batch=batch)
        if held.layout == "tokens":
            with torch.inference_mode():
                alike = scored(net, given)
            yield Check(part, "the file", found, alike, given.targets.shape[1])
            now = scoring.evaluate(net, held.split(part), held.dataset)
            yield Check(part, "these weights", now, before or now)
        else:
            yield Check(part, "the file", found, before or scoring.evaluate(net, held.split(part), held.dataset))


def words(check: Check) -> str:
    """Return a check as a line: what was found on how many examples, and what it is compared with."""
    metric = "error" if check.given.perplexity is None else "perplexity"
    values = [quantity_of(metric).words(getattr(each, metric)) for each in (check.given, check.expected)]
    count, what = grouped(check.given.count or 0), "examples" if metric == "error" else "tokens"
    head = f"{check.split:<11}{metric} {values[0]} ({check.whose}, {count} {what}"
    if check.windows:
        return f"{head} in windows of {check.windows}); the network in the same windows {values[1]}"
    carried = "" if metric == "error" else ", state carried on"
    apart = "" if check.agrees else ": more than a tenth of a point apart"
    return f"{head}{carried}); recorded with these weights {values[1]}{apart}"
