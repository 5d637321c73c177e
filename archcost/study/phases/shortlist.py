"""Networks that may be on the front as their latencies are predicted: they are measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from archcost.study import jobs
from archcost.study.options import Workplace
from archcost.study.phases import turns
from archcost.study.phases.turns import Say
from archcost.study.plan import StudyPlan
from archcost.study.records import confirmed
from archcost.study.records.best.entrants import following
from archcost.study.records.confirmed import Confirmed
from archcost.study.records.front import Awaited
from archcost.study.records.stored import Stored, network, running
from archcost.study.workers import processes
from archcost.units import counted_words

MEMBERS: Final = 8
"""So many networks are taken to be on a front of which none will be confirmed."""


def measure(stored: Stored, plan: StudyPlan, place: Workplace, say: Say) -> None:
    """Measure who would enter the front, until nobody else may; what comes of it is kept beside what was confirmed.

    Who cannot be measured is tried once, and stays off the front.
    """
    tried = set[str]()
    while due := following(stored.searched(), [each for each in stored.awaited() if each.name not in tried]):
        tried |= {each.name for each in due}
        for number in plan.predicts:
            lacking = {each.part.digest: each for each in due if _lacks(each, number)}
            _measured(stored, plan, place, number, lacking, say)


def _lacks(each: Awaited, number: int) -> bool:
    return number in each.way.places and number not in each.part.measured


def _measured(
    stored: Stored, plan: StudyPlan, place: Workplace, number: int, due: Mapping[str, Awaited], say: Say
) -> None:
    """Measure networks by turns in a setup; due: by their graphs, each of which is measured once."""
    if not due:
        return
    setup, study = plan.setups[number], running(stored)
    words = f"measuring {counted_words(len(due), 'network')} that may be on the front"
    say(f"{words}, as predicted, {turns.where(plan, setup)}")
    job = jobs.measure(plan, [network(each) for each in due.values()], setup)
    samples, why = turns.measured(processes.server(), job, place, say)
    for each, taken in zip(due.values(), samples, strict=False):
        found = confirmed.confirmed(study, each.network) or Confirmed()
        confirmed.keep(study, each.network, found.measured(number, taken))
    if why:
        say(f"not measured, and on no front: {why}")
