"""Confirming a front: its members are trained alone with several seeds, measured by turns, and tested once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import optuna

from archcost import children, confirmed, pareto
from archcost.confirmed import Confirmed
from archcost.errors import visible
from archcost.front import Candidate
from archcost.jobs import Done, Failed, Job, Measured, Score, Scored
from archcost.measured import Samples
from archcost.read import Model
from archcost.setting import Setting
from archcost.studying import Options

Say = Callable[[str], None]


def chosen(members: Sequence[Candidate], reference: Sequence[float] | None, most: int) -> tuple[Candidate, ...]:
    """Return the members to confirm: those without which the front would lose most of its hypervolume."""
    if len(members) <= most or reference is None:
        return tuple(members[:most])
    lost = pareto.contributions([each.values for each in members], reference)
    best = sorted(range(len(members)), key=lambda place: -lost[place])[:most]
    return tuple(members[place] for place in sorted(best))


def confirm(
    study: optuna.Study, setting: Setting, options: Options, members: Sequence[tuple[Candidate, Model]], say: Say
) -> int:
    """Confirm members of the front as far as the time allows, and keep what was found; return how many were.

    What was confirmed before is kept; networks are measured again together with new ones: only then are they
    comparable. A network is confirmed when all its seeds are trained; each looks at the test split once.
    """
    context, done = children.server(), 0
    for candidate, model in members:
        found = confirmed.confirmed(study, candidate.name) or Confirmed()
        for seed in range(len(found.scores), setting.confirm.seeds):
            if time.monotonic() >= options.deadline:
                say(f"the time is over: {candidate.name} is confirmed with {len(found.scores)} seeds")
                break
            say(f"confirming {candidate.name}, seed {seed + 1} of {setting.confirm.seeds}")
            found = _trained(found, context, setting, options, model, seed)
            confirmed.keep(study, candidate.name, found)
            if found.reason:
                say(f"{candidate.name}: {found.reason}")
                break
        done += len(found.scores) > 0
    for place, way in enumerate(setting.ways):
        say(f"measuring {len(members)} networks of the front by turns on {way.target}")
        samples, why = _measured(context, setting.together([model for _, model in members], way), options)
        for (candidate, _), each in zip(members, samples, strict=False):
            found = confirmed.confirmed(study, candidate.name) or Confirmed()
            confirmed.keep(study, candidate.name, replace(found, samples=(*found.samples[:place], each)))
        if why:
            say(f"not measured again: {why}")
            break
    return done


def _trained(
    found: Confirmed, context: children.ForkServerContext, setting: Setting, options: Options, model: Model, seed: int
) -> Confirmed:
    scores: dict[str, Score] = {}
    reason = ""
    for event in _events(context, setting.again(model, options.folder, seed + 1, options.threads), options):
        match event:
            case Scored():
                scores[event.split] = event.score
            case Failed():
                reason = visible(event.reason)
            case _:
                pass
    if "validation" not in scores or "test" not in scores:
        return replace(found, reason=reason or "the training gave no score")
    return replace(
        found, scores=(*found.scores, scores["validation"]), tests=(*found.tests, scores["test"]), reason=reason
    )


def _measured(context: children.ForkServerContext, job: Job, options: Options) -> tuple[tuple[Samples, ...], str]:
    samples: tuple[Samples, ...] = ()
    for event in _events(context, job, options):
        if isinstance(event, Measured):
            samples = event.samples
        elif isinstance(event, Failed):
            return samples, visible(event.reason)
    return samples, ""


def _events(context: children.ForkServerContext, job: Job, options: Options) -> Iterator[object]:
    """Yield what one job tells, to its end; every reply is to go on."""
    child = children.start(context, job)
    try:
        while True:
            for _, event in children.events([child], 1.0, options.patience_s):
                yield event
                if isinstance(event, Done | Failed):
                    return
                child.reply(children.ON)
    finally:
        child.end()
