"""What archcost study enqueue and import do: known networks wait, trials are carried over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from archcost.cli.study.lines import unconfirmed_lines
from archcost.cli.study.run import planned
from archcost.cli.study.stored import opened
from archcost.cli.terminal import wrapped
from archcost.errors import visible
from archcost.models.load import Model
from archcost.study import run
from archcost.study.code.consent import Consent
from archcost.study.parts import counted
from archcost.study.phases.limits import over
from archcost.study.records.database import connections, locks
from archcost.study.records.stored import Stored, find, running
from archcost.study.warm_start import queue
from archcost.study.warm_start.selection import Left
from archcost.study.warm_start.transfer import Carried, carry_over
from archcost.units import counted_words
from archcost.version import __version__

_REASONS = 10  # kinds of what was left, most often first


def enqueued(
    file: str, networks: Sequence[str], overrides: tuple[str, ...], where: str | None, consent: Consent
) -> Iterator[tuple[str, bool]]:
    """Let the next run of a study, or the one that runs, try known networks first.

    Yields a line for each, and whether it is a warning. Raises InputError before anything is asked for if one of them
    is no point of the study. A study that has not run yet is made.
    """
    plan, _, kept = planned(file, overrides, where, consent)
    found = queue.read(plan, networks)
    if kept.file:
        locks.refuse_links(kept.file)
    with connections.told(kept), run.begun(plan, kept) as stored:
        for name, each in zip(networks, found, strict=True):
            asked = queue.enqueue(running(stored), plan, each.point)
            words = "waits to be tried" if asked.new else "is there already"
            yield f"{visible(name)}: trial {asked.trial} {words}", False
            if asked.new and isinstance(each.model, Model) and (why := over(plan, counted(plan, each.model))):
                yield f"{visible(name)}: will not run: {visible(why.text)}", True


def imported(
    earlier: str, file: str, overrides: tuple[str, ...], where: str | None, consent: Consent
) -> tuple[Stored, Carried, tuple[str, ...]]:
    """Carry the trials of an earlier study over into another one.

    Returns the earlier one, what was done, and in words which members of the front are not confirmed now.
    """
    old = opened(earlier, None)
    plan, dataset, kept = planned(file, overrides, where, consent)
    done = carry_over(old, plan, dataset, kept)
    return old, done, tuple(unconfirmed_lines(find(kept).contenders(), plan.spec.study.confirm.members))


def lines(done: Carried) -> Iterator[str]:
    """Yield what an import did, within 80 columns: how many came, and why the others did not."""
    states = Counter(state for _, _, state in done.trials)
    kinds = ", ".join(f"{count} {state}" for state, count in states.items())
    yield f"carried over  {counted_words(len(done.trials), 'trial')}{f': {kinds}' if kinds else ''}"
    if done.trials:
        yield from wrapped(f"  old -> new  {', '.join(_numbers(done.trials))}", 14)
    if done.weights:
        yield from wrapped(f"  weights of  {', '.join(done.weights)}", 14)
    if done.confirmed:
        yield from wrapped(f"  confirmed   {', '.join(done.confirmed)}", 14)
    yield f"left          {counted_words(len(done.left), 'trial')}"
    for first, count in _alike(done.left):
        key = f"{first.about}: " if first.kind == "point" and first.about else ""
        yield from wrapped(f"  {count:>4} x  {key + first.text}", 14)


def _numbers(trials: Iterable[tuple[int, int, str]]) -> Iterator[str]:
    """Yield what became of the numbers of trials: 3 -> 0, and of those in a row 4-9 -> 1-6."""
    rows: list[list[tuple[int, int]]] = []
    for old, new, _ in sorted(trials):
        if rows and rows[-1][-1] == (old - 1, new - 1):
            rows[-1].append((old, new))
        else:
            rows.append([(old, new)])
    for (first, *more), (old, new) in ((row, row[-1]) for row in rows):
        yield f"{first[0]}-{old} -> {first[1]}-{new}" if more else f"{old} -> {new}"


def _alike(left: Sequence[Left]) -> list[tuple[Left, int]]:
    """Return the first trial that was left for each reason and how many there are, most often first."""
    groups: dict[tuple[str, str], list[Left]] = {}
    for each in left:
        groups.setdefault((each.kind, each.about), []).append(each)
    return sorted(((each[0], len(each)) for each in groups.values()), key=lambda pair: -pair[1])[:_REASONS]


def document(old: Stored, done: Carried) -> dict[str, Any]:
    """Return what an import did, as JSON holds it: every trial that came, and why each other one did not."""
    return {
        "archcost": __version__,
        "from": str(old.address),
        "trials": [{"trial": new, "was": number, "state": state} for number, new, state in done.trials],
        "weights": list(done.weights),
        "confirmed": list(done.confirmed),
        "left": [asdict(each) for each in done.left],
        "notes": list(done.notes),
    }
