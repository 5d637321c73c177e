"""How the numbers of a study's report were made, and what they leave out, in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from archcost.report.blocks import Lines, Section
from archcost.report.study.facts import Found
from archcost.study.objectives import quantity_of
from archcost.study.records.best.standings import DRAWS
from archcost.study.records.confirmed import SEARCHED
from archcost.units import grouped

_MEANT: Final = {
    "error": "the share of wrong answers on the validation split",
    "perplexity": "the perplexity of the validation split, per token",
    "bpc": "the bits per character (or token) of the validation split",
    "latency": "the median time of a call",
    "params": "the trainable scalars, counted",
    "macs": "the multiply-accumulates of one example, counted",
    "memory": "the weights and the largest set of values alive at once, in bytes, counted",
}


def method_section(found: Found) -> Section:
    """Return the method, one sentence after another."""
    return Section("method", "Method", (Lines(tuple(_lines(found))),))


def _of_ways(found: Found) -> str:
    ways = ", ".join(each.words for each in found.ways)
    return (
        f"Each network has a point for each of {len(found.ways)} ways to run it: {ways}. A training is one in all of "
        "them. In 8 bits a network is quantised after training, with ranges from at most 512 training examples, and "
        "scored as that file, over the whole split; if it loses more than 0.3 points, layers go back to float32 and it "
        "is measured again. In another type it has the score of the network. The search hears "
        "of the first way, and gives a trial up if no point of it is good enough; at a rung a point of 8 bits has the "
        "score of the network."
    )


def _longer(found: Found) -> Iterator[str]:
    longest = max((each.extent for each in found.now.members), default=SEARCHED)
    if longest == SEARCHED:
        return
    unit, on, normalised = found.stored.unit, "", ""
    if longest.examples:
        on = f" on {grouped(longest.examples)} {unit}, searched with {found.epochs} on {grouped(found.stored.examples)}"
        normalised = " What they take is normalised by mean and deviation of the examples that they were confirmed on."
        normalised = normalised if unit == "examples" else ""
    yield (
        f"Members were confirmed with {longest.epochs or found.epochs} epochs{on}: networks that were not are no part "
        f"of the front, as their scores are of shorter trainings, or on fewer examples.{normalised}"
    )


def _lines(found: Found) -> Iterator[str]:
    for place, (name, _) in enumerate(found.stored.objectives):
        log = "; its logarithm is what is searched and what the hypervolume is made of" if quantity_of(name).log else ""
        goal = "higher" if quantity_of(name).goal == "max" else "lower"
        meant = _MEANT.get(name, "a metric of the study's own evaluation")
        yield f"Objective {found.title(place)}: {meant}, {goal} is better{log}."
    if len(found.ways) > 1:
        yield _of_ways(found)
    yield (
        "A network is on the front if no other is at least as good in every objective and better in one. The knee is "
        "where the front bends most, its objectives scaled to the front's range (Das 1999)."
    )
    yield (
        "To confirm a member, it is trained again, alone, with several seeds, measured by turns with the others, and "
        "only then tested. Its objectives are then the means over these repetitions."
    )
    yield (
        f"Probability is the share of {grouped(DRAWS)} draws in which a confirmed member is on the front of all "
        "confirmed ones: scores drawn by the standard error of their mean, of latencies one block, the same of all. An "
        "interval encloses 95% of the draws. Neither knows of networks that were not confirmed."
    )
    yield "Selection saw the validation split alone; the test split was not in the file that trials read."
    yield (
        "A trial's score is that of one seed. A column's comes with the weights it shares with its network, and says "
        "little of what it reaches when it is trained alone."
    )
    yield "Not counted: what training takes, elementwise operations in MACs, what a runtime changes in a network."
    fit, search = found.same.get("fit", {}), found.same.get("search", {})
    if fit:
        rungs = fit.get("rungs") or [found.epochs]
        yield from _longer(found)
        yield (
            f"Networks were trained for {found.epochs} epochs and compared after {', '.join(map(str, rungs))}; "
            f"points were proposed by {search.get('sampler', 'a sampler that is not known')}, seed "
            f"{search.get('seed', 'not known')}; data {found.same.get('data', 'not known')}."
        )
    yield "While a study runs, Optuna's own dashboard shows the same storage live: optuna-dashboard, with its URL."
