"""What archcost study worker does: it works on a study beside others, and says so in lines."""

from __future__ import annotations

from archcost.cli.terminal import say
from archcost.data.splits import Dataset
from archcost.errors import visible
from archcost.machine import physical_cores
from archcost.study import run
from archcost.study.options import Wanted, options
from archcost.study.phases.state import State
from archcost.study.plan import StudyPlan
from archcost.study.records.database.addresses import Address
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
                self.say(f"trial {number}: {family}")
        for number in self._running.keys() - now.keys():
            self.say(f"trial {number}: over")
        self._running = now

    def say(self, line: str) -> None:
        """Say something once."""
        say(visible(line))


def worked(plan: StudyPlan, dataset: Dataset, kept: Address, wanted: Wanted) -> int:
    """Work on a study until no work is left, or the time is over; return the exit code."""
    chosen, teller = options(wanted, plan.spec.study.search, physical_cores(), "worker"), _Teller()
    teller.say(f"{plan.spec.name}: {kept}")
    outcome = run.explore(plan, dataset, kept, chosen, teller.watch, teller.say)
    now = outcome.stored.front()
    words = f"{now.confirmed} of {counted_words(len(now.members), 'network')} of the front confirmed"
    teller.say(f"{outcome.why}; {counted_words(teller.begun, 'trial')} here; {words}")
    return 0
