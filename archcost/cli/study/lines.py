"""What a study's storage holds, as lines, rows and files, without torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap
from typing import Any

from archcost.cli.terminal import drawn, wrapped
from archcost.errors import visible
from archcost.files import write_whole
from archcost.study.objectives import first_learnt, quantity_of
from archcost.study.records import tables
from archcost.study.records.best.due import outstanding
from archcost.study.records.best.entrants import entrants
from archcost.study.records.best.fidelity import fidelity
from archcost.study.records.front import Candidate, Front
from archcost.study.records.reasons import alike
from archcost.study.records.stored import Stored, labelled, worded
from archcost.study.records.tables import front_of, status_of, yaml_of
from archcost.units import counted_words, duration, percent, scaled

_COUNTS = (("params", "params"), ("macs", "MACs"))  # of a part, and their titles
REASONS = 10  # why trials ended early, most often first


def unconfirmed_lines(now: Front, most: int) -> Iterator[str]:
    """Yield which members are not confirmed, and how they come to be, within 80 columns; most: `confirm.members`."""
    if not most:
        return
    soon, never = outstanding(now, most)
    if soon:
        yield from wrapped(f"not confirmed: {', '.join(soon)}; running the study again confirms them", 2)
    if never:
        how = f"'confirm.members' is {most}; --set confirm.members={len(now.members)} confirms all"
        yield from wrapped(f"not confirmed: {', '.join(never)}; {how}", 2)


def status_lines(stored: Stored, runs: bool | None, most: int = 0) -> Iterator[str]:
    """Yield how far a study is, within 80 columns.

    runs: whether a process runs it, None if that is not known; most: `confirm.members`, 0 if that is not known.
    """
    front = stored.front()
    now = status_of(stored, front, runs)
    states = ", ".join(f"{count} {state}" for state, count in now["states"].items()) or "none yet"
    yield f"{visible(now['study'])} in {visible(now['storage'])}"
    yield f"trials       {states}"
    if count := len(now["lost"]):
        was = "was" if count == 1 else "were"
        yield f"  {counted_words(count, 'trial')} {was} under way when the run ended: run again to go on"
    yield from _tried(now["counted"], now["repeats"])
    yield f"time         {duration(now['seconds'])} in trials" if now["seconds"] else "time         none yet"
    if now["unfinished"]["trainings"]:
        kept = (counted_words(now["unfinished"][key], key.removesuffix("s")) for key in ("epochs", "trainings"))
        yield f"kept         {' of '.join(kept)} under way or interrupted"
    for words, count in alike(each.reason for each in stored.trials() if each.reason)[:REASONS]:
        yield from wrap(f"  {count:>4} x  {visible(words)}", 80, subsequent_indent=" " * 10)
    yield from _absent(stored)
    for each in stored.workers:
        doing = ", ".join(each.doing) or "waits"
        yield from wrap(f"{each.role:<12} {visible(each.host)}, process {each.pid}: {doing}", 80,
                        subsequent_indent=" " * 13)  # fmt: skip
    if stored.waiting:
        yield f"waiting      {counted_words(stored.waiting, 'network')} to be measured, for who trains them"
    if now["predicted"]:
        yield f"predicted    the latency of {counted_words(len(now['predicted']), 'network')}, which is not measured"
    if now["hypervolume"] is not None:
        yield f"hypervolume  {now['hypervolume']:.4g}"
    yield ""
    yield from front_lines(stored, front)
    if not runs and (lines := list(unconfirmed_lines(stored.contenders(), most))):
        yield ""
        yield from lines


def _absent(stored: Stored) -> Iterator[str]:
    """Yield of how many networks some way has no point, and why, within 80 columns."""
    found = stored.absent()
    if found:
        yield f"no point of  {counted_words(len(found), 'network')} in a way to run"
    for words, count in alike(why for _, why in found)[:REASONS]:
        yield from wrap(f"  {count:>4} x  {visible(words)}", 80, subsequent_indent=" " * 10)


def _tried(counted: int, repeats: int) -> Iterator[str]:
    """Yield how many networks were tried, and of how many it was known from others what they give."""
    if counted:
        yield f"  {counted_words(counted, 'network')} tried: they are what 'trials' asks for"
    if repeats:
        were = "was the same network as an earlier one" if repeats == 1 else "were the same networks as earlier ones"
        yield f"  {counted_words(repeats, 'trial')} {were}, and took its result"


def front_rows(stored: Stored) -> list[dict[str, Any]]:
    """Return the front as flat rows."""
    return [
        {key: value for key, value in member.items() if key not in ("yaml", "intervals", "point", "doubts", "searched")}
        | {f"searched.{label}": value for label, value in member.get("searched", {}).items()}
        | {f"{label}.{end}": bounds[place] for label, bounds in member["intervals"].items()
           for place, end in enumerate(("low", "high"))}
        for member in front_of(stored, stored.front())["members"]
    ]  # fmt: skip


def front_lines(stored: Stored, now: Front) -> Iterator[str]:
    """Yield a front as a table of at most 80 columns, and below it who left it when confirmed."""
    if not now.members:
        yield from wrapped(f"The study has {stored.lack}.", 0)
        return
    rows = [_cells(stored, each, now) for each in now.members]
    counts = [title for name, title in _COUNTS if name not in stored.labels]
    head = ("trial", "family", *map(visible, stored.labels), "test", "p", *counts, "")
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    for row in (head, *rows):
        line = "  ".join(cell.ljust(width) if i < 2 or i == len(head) - 1 else cell.rjust(width)
                         for i, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip()  # fmt: skip
        yield line
    yield from _notes(stored, now)
    networks = {each.network: each.trial for each in now.members}
    if parameters := [line for name, trial in networks.items() for line in drawn(name, tables.drawn(trial))]:
        yield ""
        yield from parameters
    yield from _left(stored, now)


def _cells(stored: Stored, each: Candidate, now: Front) -> tuple[str, ...]:
    holds = {"*": each.name == now.knee, "s": each.shared, "u": bool(now.confirmed) and not each.standing,
             "~": bool(each.why)}  # fmt: skip
    marks = "".join(mark for mark, there in holds.items() if there)
    chance = "-" if each.standing is None else percent(each.standing.probability)
    family = visible(each.trial.begun.family) if each.trial.begun else "?"
    counts = [scaled(getattr(each.part, name)) for name, _ in _COUNTS if name not in stored.labels]
    return (each.name, family, *worded(stored, each.values), _tested(stored, each), chance, *counts, marks)


def _tested(stored: Stored, each: Candidate) -> str:
    learnt, seen = first_learnt(stored.objectives), tables.tested(each, stored.objectives)
    return "-" if seen is None or learnt is None else quantity_of(learnt).words(seen)


def _notes(stored: Stored, now: Front) -> Iterator[str]:
    yield ""
    if len(stored.ways) > 1:
        first, *others = stored.ways
        named = "; ".join(f"@{each.name}: {each.words}" for each in others)
        yield from wrapped(f"{named}; without such a name: {first.words}", 2)
    for each in now.members:
        for words in each.float_words:
            yield from wrapped(f"{each.name} has in float32: {words}", 2)
    if waiting := len(stored.awaited()):
        words = f"{counted_words(waiting, 'network')} more with a latency that is predicted, not measured"
        yield from wrapped(f"{words}; {_entering(stored)}", 2)
    if now.knee:
        yield "*  the knee: beyond it each objective costs most of the other"
    if any(each.shared for each in now.members):
        yield "s  a column with shared weights: not yet trained alone"
    if 0 < now.confirmed < len(now.members):
        yield "u  not confirmed: it rests on one seed, which is optimistic"
    if any(each.why for each in now.members):
        yield "~  a latency was not stable; 'study front --json' and 'study table' say more"
    if found := fidelity(stored, now):
        yield from wrapped(f"{found.words}", 2)
    if now.confirmed:
        yield "p  the chance to belong to the front, by seeds and blocks; test: mean of seeds"
    else:
        yield "No member is confirmed: each rests on one seed, and fronts of one seed are optimistic."


def _entering(stored: Stored) -> str:
    if names := ", ".join(each.name for each in entrants(stored)):
        return f"on the front may be {names}, which running the study again measures"
    return "by it they are not on the front"


def _left(stored: Stored, now: Front) -> Iterator[str]:
    """Yield the networks that are no longer on the front since they were confirmed, within 80 columns."""
    if now.left:
        yield ""
        yield "Confirmed, and no longer on the front:"
    for each in now.left:
        words = visible(labelled(stored, each.values))
        seeds = counted_words(len(each.confirmed.seeds) if each.confirmed else 0, "seed")
        yield from wrap(f"{f'{each.name} ':<6}{words}; test {_tested(stored, each)}, {seeds}", 78,
                        initial_indent="  ", subsequent_indent=" " * 8)  # fmt: skip


def write_members(stored: Stored, folder: Path) -> Iterator[Path]:
    """Write the YAML of every member to a folder, and yield the files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, each in {each.network: each for each in stored.front().members}.items():  # whatever its ways
        path = folder / f"{name.replace('/', '-column-')}.yaml"
        write_whole(path, yaml_of(each))
        yield path
