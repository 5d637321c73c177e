"""What archcost study worker does: it works on a study beside others, and says so in lines."""

from __future__ import annotations

from math import isfinite

from archcost.cli.study.run import resumable
from archcost.cli.terminal import say
from archcost.data.splits import Dataset
from archcost.errors import InputError, visible
from archcost.machine import physical_cores
from archcost.study import run
from archcost.study.options import Wanted, options
from archcost.study.phases.state import State
from archcost.study.plan import StudyPlan
from archcost.study.records.database.addresses import Address
from archcost.study.records.front import only
from archcost.study.records.part import achieved
from archcost.study.records.stored import Stored, find, labelled
from archcost.units import counted_words


class _Teller:
    """Says which trials begin and end here."""

    def __init__(self) -> None:
        self._running: dict[int, str] = {}
        self.begun = 0

    def watch(self, state: State) -> None:
        """Look at the trials of this process."""
        now = {each.asked.trial.number: each.model.family for each in state.running}
        for number, family in now.items():
            if number not in self._running:
                self.begun += 1
                self.say(f"trial {number}: {family}, begins")
        for number in sorted(self._running.keys() - now.keys()):
            self.say(f"trial {number}: {_outcome(state.stored, number)}")
        self._running = now

    def say(self, line: str) -> None:
        """Say something once."""
        say(visible(line))


def _outcome(stored: Stored, number: int) -> str:
    """Return what a trial that has ended gave, or why it ended early, in words."""
    trial = next(each for each in stored.trials() if each.number == number)
    way, parts = next(iter(stored.ways), only(stored.objectives)), trial.ended.parts if trial.ended else ()
    found = [achieved(each.in_way(way), stored.objectives) for each in parts]
    best = min((each for each in found if all(map(isfinite, each))), default=None)
    if best is not None and trial.state == "complete":
        return labelled(stored, best)
    return trial.reason.text if trial.reason else trial.fate


def _begun(kept: Address) -> bool:
    """Return whether a storage holds a study already."""
    try:
        find(kept)
    except InputError:
        return False
    return True


def worked(plan: StudyPlan, dataset: Dataset, kept: Address, wanted: Wanted) -> int:
    """Work on a study until no work is left, or the time is over; return the exit code."""
    chosen, teller = options(wanted, plan.spec.study.search, physical_cores(), "worker"), _Teller()
    teller.say(f"{plan.spec.name}: {kept}{'' if _begun(kept) else ', a new study'}")
    with resumable(kept):
        outcome = run.explore(plan, dataset, kept, chosen, teller.watch, teller.say)
    now = outcome.stored.front()
    words = f"{now.confirmed} of {counted_words(len(now.members), 'network')} of the front confirmed"
    teller.say(f"{outcome.why}; {counted_words(teller.begun, 'trial')} here; {words}")
    return 0
