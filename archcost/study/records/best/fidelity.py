"""Whether the search ranked networks as longer training does that confirmed them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import isnan
from typing import Any

from archcost.search.ranks import tau, tau_interval
from archcost.study.objectives import first_learnt
from archcost.study.records.front import Front
from archcost.study.records.part import achieved
from archcost.study.records.stored import Stored
from archcost.units import grouped


@dataclass(frozen=True, slots=True)
class Fidelity:
    """The order of networks in the search beside that when they were confirmed with more epochs or examples.

    networks: that were confirmed so; epochs, search_epochs: of these trainings, and of the search's; kendall_tau: of
    the first objective that is learnt, None if there is none; interval: of 95% of resamples, None if there are too few;
    examples, search_examples: 0 if they are as many as in the search; unit: what these are.
    """

    networks: int
    epochs: int
    search_epochs: int
    kendall_tau: float | None
    interval: tuple[float, float] | None
    examples: int = 0
    search_examples: int = 0
    unit: str = "examples"

    @property
    def words(self) -> str:
        """What it says, in a sentence."""
        on = f" on {grouped(self.examples)} {self.unit}" if self.examples else ""
        before = f" on {grouped(self.search_examples)}" if self.examples else ""
        said = f"confirmed with {self.epochs} epochs{on}, searched with {self.search_epochs}{before}"
        if self.kendall_tau is None:
            return f"{said}: too few networks to compare their orders"
        ends = f" ({self.interval[0]:.2f} to {self.interval[1]:.2f})" if self.interval else ""
        return f"{said}: the orders of {self.networks} networks agree with Kendall's tau {self.kendall_tau:.2f}{ends}"

    @property
    def json(self) -> dict[str, Any]:
        """What a front's JSON says of it: of examples only if they are more than in the search."""
        held = {key: value for key, value in asdict(self).items() if key != "unit"}
        return {key: value for key, value in held.items() if self.examples or not key.endswith("examples")}


def fidelity(stored: Stored, now: Front) -> Fidelity | None:
    """Return how the search's order agrees with that of longer training, None if nothing was confirmed longer."""
    name = first_learnt(stored.objectives)
    longer = [each for each in now.comparable if each.longer and not each.way.number]
    if name is None or not longer:
        return None
    place = [objective for objective, _ in stored.objectives].index(name)
    searched = [achieved(each.part, stored.objectives)[place] for each in longer]
    confirmed = [each.values[place] for each in longer]
    found = tau(searched, confirmed) if len(longer) > 1 else float("nan")
    known = not isnan(found)
    return Fidelity(
        len(longer),
        longer[0].extent.epochs or stored.epochs,
        stored.epochs,
        found if known else None,
        tau_interval(searched, confirmed) if known else None,
        longer[0].extent.examples,
        stored.examples if longer[0].extent.examples else 0,
        stored.unit,
    )
