"""What a study's report begins with: the network to take, its limits, and what is to doubt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Literal

from archcost.graph.cost import count
from archcost.graph.dtypes import BYTES
from archcost.latency.samples import Origin
from archcost.profiling import budget
from archcost.profiling.budget import Budget, Facts, Memory
from archcost.report.blocks import Block, Card, Cards, Lines, Section, Text, Verdict, Verdicts
from archcost.report.study.choice import slider
from archcost.report.study.facts import Found, some
from archcost.study.objectives import quantity_of
from archcost.study.records.best.entrants import entrants
from archcost.study.records.best.fidelity import fidelity
from archcost.study.records.front import Candidate
from archcost.study.records.stored import network
from archcost.units import counted_words, data_size, duration, grouped, percent

_TOLD: Final = 3
"""Of so many latencies at most it is told one by one what speaks against them."""


def head(found: Found, command: str) -> tuple[tuple[str, str], ...]:
    """Return where the report comes from: study, storage, version, devices, dates, command."""
    began = [each.since for each in found.trials if each.since]
    ended = [each.until for each in found.trials if each.until]
    dates = [("first trial", f"{min(began):%Y-%m-%d %H:%M:%S}")] if began else []
    dates += (
        [("last trial", f"{max(ended):%Y-%m-%d %H:%M:%S}, by the clock of the machine that ran it")] if ended else []
    )
    return (
        ("study", found.stored.name),
        ("storage", str(found.stored.address)),
        ("made by", f"archcost {', '.join(_versions(found))}"),
        *_devices(found.origins),
        *dates,
        *([("command", command)] if command else []),
    )


def _versions(found: Found) -> list[str]:
    said = {each.ended.versions.get("archcost") for each in found.trials if each.ended}
    return sorted({str(found.about.get("archcost", "unknown")), *filter(None, said)})


def _devices(origins: Sequence[Origin]) -> Iterator[tuple[str, str]]:
    for device in dict.fromkeys(each.device for each in origins):
        yield "device", f"{device.name}, {device.cpus} CPUs, {device.system} (fingerprint {device.fingerprint})"
    for versions in dict.fromkeys(each.versions for each in origins):
        yield "versions", ", ".join(f"{name} {version}" for name, version in versions)
    if not origins:
        yield "device", "nothing was measured"


def verdict_section(found: Found) -> Section:
    """Return which network to take, whether the limits are kept, and how far the front can be trusted."""
    blocks: list[Block] = [slider(found), Cards(tuple(_cards(found)))]
    if found.budget:
        blocks.append(Verdicts((*_of_knee(found, found.budget), *_of_front(found, found.budget))))
    else:
        blocks.append(Text("The study sets no limits."))
    blocks.append(Lines(tuple(trust(found))))
    return Section("verdict", "Verdict", tuple(blocks))


def _cards(found: Found) -> Iterator[Card]:
    now = found.now
    yield Card("front", counted_words(len(now.members), "network"), f"of {grouped(len(now.members) + len(now.others))}")
    knee = next((each for each in now.members if each.name == now.knee), None)
    if knee:
        for place, label in enumerate(found.stored.labels):
            yield Card(f"{label} at the knee", found.words(place, knee.values[place]), f"trial {knee.name}")
    counted = sum(each.counts for each in found.trials)
    took = sum(each.ended.seconds for each in found.trials if each.ended)
    yield Card("trials", grouped(counted), f"{duration(took)} in trials" if took else "")
    if now.hypervolume is not None:
        yield Card("hypervolume", f"{now.hypervolume:.4g}", "below the study's own reference point")


def _facts(found: Found, each: Candidate) -> Facts:
    limit = found.limits.get("weights")
    weights = _weights_bytes(found, each) if limit else 0
    memory = Memory(found.batch, each.way.dtype if found.stored.ways else found.dtype, each.part.memory_bytes, weights)
    return Facts(each.part.params, each.part.macs, (memory,), each.latencies())


def _weights_bytes(found: Found, each: Candidate) -> int:
    """Return the bytes of a network's weights; earlier versions did not keep them, and had families only."""
    if each.part.weights_bytes is not None:
        return each.part.weights_bytes
    graph = network(each).graph
    return 0 if graph is None else count(graph).weights_bytes(BYTES[found.dtype])


def _of_knee(found: Found, limits: Budget) -> Iterator[Verdict]:
    knee = next((each for each in found.now.members if each.name == found.now.knee), None)
    if knee is None:
        return
    for each in budget.judge(limits, _facts(found, knee)):
        actual = "not known" if each.actual is None else _amount(each.name, each.actual)
        said = f"{_named(each)}: {actual}, allowed {_amount(each.name, each.limit)}; {each.words}"
        yield Verdict(_word([each.holds]), f"knee {knee.name}: {said}")


def _of_front(found: Found, limits: Budget) -> Iterator[Verdict]:
    judged = [budget.judge(limits, _facts(found, each)) for each in found.now.members]
    names = [each.name for each in found.now.members]
    for of_one in zip(*judged, strict=True):  # every member is judged by the same limits, in the same ways
        holds = [each.holds for each in of_one]
        each_own = len(found.ways) > 1 and of_one[0].name == "latency"
        name = "latency, each in its own way," if each_own else _named(of_one[0])
        limit = f"{name} of at most {_amount(of_one[0].name, of_one[0].limit)}"
        broken = [name for name, each in zip(names, holds, strict=True) if each is False]
        unclear = [name for name, each in zip(names, holds, strict=True) if each is None]
        said = [f"front: {limit}, kept by {holds.count(True)} of {counted_words(len(holds), 'network')}"]
        said += [f"not by {some(broken)}"] if broken else []
        said += [f"cannot be told of {some(unclear)}"] if unclear else []
        yield Verdict(_word(holds), "; ".join(said))


def _word(holds: Sequence[bool | None]) -> Literal["PASS", "FAIL", "cannot tell"]:
    if False in holds:
        return "FAIL"
    return "cannot tell" if None in holds else "PASS"


def _named(each: budget.Verdict) -> str:
    return f"{each.name} ({each.where})" if each.where else each.name


def _amount(name: str, value: float) -> str:
    return data_size(round(value)) if name == "weights" else quantity_of(name).words(value)


def trust(found: Found) -> Iterator[str]:
    """Yield whether the front is confirmed, and what is against trusting it."""
    yield from _confirmed(found.now.members)
    if found.now.knee is None:
        yield "The front has no knee: it has fewer than three different members, or does not bend towards the ideal."
    if shared := [each.name for each in found.now.members if each.shared]:
        yield f"Columns with shared weights, not yet trained alone, which may make them better: {some(shared)}."
    yield from _unsteady(found.now.members)
    devices = {each.device for each in found.origins}
    if len(devices) > 1:
        yield f"Latencies come from {len(devices)} devices, and are not comparable with each other."
    data = {each.ended.versions.get("data") for each in found.trials if each.ended} - {None}
    if len(data) > 1:
        yield f"Trials were trained on {len(data)} versions of the data."
    if agreed := fidelity(found.stored, found.now):
        yield f"{agreed.words[0].upper()}{agreed.words[1:]}."
    if found.predicted:
        words = f"The latency of {counted_words(len(found.predicted), 'network')} is predicted, not measured"
        due = some([each.name for each in entrants(found.stored)])
        may = f"running the study again measures those that may be on it: {due}" if due else "by it they are not on it"
        yield f"{words}. The front holds measured ones alone; {may}."
    if running := sum(each.state in ("running", "waiting") for each in found.trials):
        yield f"{counted_words(running, 'trial')} not over yet: the front may change."


def _confirmed(members: Sequence[Candidate]) -> Iterator[str]:
    sure = [each for each in members if each.standing]
    if not sure:
        yield "The front is not confirmed: each member rests on one seed, and fronts of one seed are optimistic."
        return
    seeds = sorted({len(each.confirmed.seeds) for each in sure if each.confirmed})
    often = " or ".join(map(str, seeds))
    if len(sure) == len(members):
        yield f"The front is confirmed: every member was trained again, alone, with {often} seeds."
    else:
        open_ones = some([each.name for each in members if not each.standing])
        yield (
            f"The front is confirmed in part: {len(sure)} of {counted_words(len(members), 'member')} were trained "
            f"again, alone, with {often} seeds. On a single seed, which is optimistic, rest {open_ones}."
        )
    if single := [each.name for each in sure if each.confirmed and len(each.confirmed.seeds) == 1]:
        yield f"Trained again with one seed only: {some(single)}."
    if doubtful := [each for each in sure if each.standing and each.standing.probability < 0.5]:
        said = some([f"{each.name} ({percent(each.standing.probability)})" for each in doubtful if each.standing])
        yield f"More likely not on the front than on it: {said}."
    short = [(each, each.confirmed.reason) for each in members if each.confirmed and each.confirmed.reason]
    yield from (f"{each.name} was not confirmed whole: {reason.text}." for each, reason in short)


def _unsteady(members: Sequence[Candidate]) -> Iterator[str]:
    doubts = [(each.name, one.why) for each in members for one in each.latencies() if not one.stable]
    if len(doubts) > _TOLD:
        names = list(dict.fromkeys(name for name, _ in doubts))
        yield f"The latencies of {counted_words(len(names), 'member')} are not stable: {some(names)}."
        (name, why), more = doubts[0], "; 'archcost study front --json' says what speaks against the others"
        yield f"Against that of {name} speaks: {why}{more}."
        return
    for name, why in doubts:
        yield f"The latency of {name} is not stable: {why}."
