"""The report of one network: its cost, its latency, and how far to trust both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from archcost.config import document
from archcost.errors import quoted
from archcost.graph.drawing.svg import draw
from archcost.graph.graph import Graph
from archcost.latency.remarks import remarks
from archcost.latency.summary import Latency
from archcost.models.families.hornn import HORNN
from archcost.models.load import expand, validate
from archcost.profiling import budget
from archcost.profiling.bounds import said
from archcost.profiling.budget import Budget
from archcost.profiling.wording import agreement
from archcost.report.blocks import Block, Card, Cards, Document, Drawing, Lines, Section, Text, Verdict, Verdicts
from archcost.report.costs import cost_blocks, layers_csv
from archcost.report.json_input import Profiled
from archcost.report.layers.section import layer_sections
from archcost.report.layers.views import heat_words, heats, switch
from archcost.report.timing import device_lines, latency_blocks, named_ways
from archcost.report.tradeoffs import column_blocks, recurrent_blocks
from archcost.units import data_size, duration, grouped, percent, scaled

METHOD = (
    "MACs are multiply-accumulates of convolutions and matrix products for one example, all its steps; biases, norms, "
    "activations, joins and pools are elementwise. FLOPs = 2 MACs + elementwise.",
    "Peak memory is parameters and buffers at the dtype, plus the largest set of values alive at once, in execution "
    "order.",
    "Latency: inference mode, fixed threads, seeded input; warm-up until its last change of level, then separated "
    "bursts, joined to at most eight blocks. The interval is the range of the blocks' medians; no sample is left out. "
    "It holds for this device, runtime, thread count, dtype and batch.",
)
LAYERS = (
    "Layer times: a call untouched, one timed inside, and both with layers that cost nothing, by turns. What these "
    "take is dispatch, in no layer's time; the rest of the whole is unexplained, of either sign.",
    "Roofline: peaks as they were measured on this device. FLOPs are 2 for each MAC and nothing else, bytes are those "
    "of a layer's inputs, weights and outputs.",
)


def report(found: Profiled, told: dict[str, object], command: str, limits: Budget | None = None) -> Document:
    """Return the report of what `archcost profile --json` says; told: that document, which is embedded.

    command: what made it; limits: a budget to judge it by.
    """
    sections = [
        Section("verdict", "Verdict", tuple(_verdict(found, limits))),
        Section("numbers", "Key numbers", (Cards(tuple(_cards(found))),)),
        Section("costs", "Where the cost is", tuple(cost_blocks(found))),
        *_drawn(found),
        *_measured(found),
        *layer_sections(found),
        *_traded(found),
        Section("trust", "How far to trust it", (Lines(tuple(_doubts(found))),)),
        Section("method", "Method", (Lines((*METHOD, *(LAYERS if found.layer_times else ()))),)),
    ]
    return Document(found.model.name, "profile", tuple(_head(found, command)), tuple(sections), told, layers_csv(found))


def _graph(found: Profiled) -> Graph | None:
    """Return the network's graph, None if code made it; JSON of archcost 0.1.0 has its YAML alone, which is expanded.

    Raises InputError for another than was counted.
    """
    if (graph := found.model.graph()) or found.yaml is None:
        return graph
    expanded = expand(_document(found.model.name, found.yaml)).graph
    found.model.expect(expanded, "YAML")
    return expanded


def _recurrent(found: Profiled) -> HORNN | None:
    """Return the keys of a recurrent network, None of another one."""
    if found.yaml is None or found.model.family != "hornn":
        return None
    spec = validate(_document(found.model.name, found.yaml))
    return spec if isinstance(spec, HORNN) else None


def _document(name: str, yaml: str) -> document.Document:
    return document.load(yaml, f"the YAML of {quoted(name)}")


def _head(found: Profiled, command: str) -> Iterator[tuple[str, str]]:
    model = found.model
    yield "Network", f"{model.family}, input {model.words}"
    yield "Digest", model.digest
    yield from device_lines([*found.latencies, *found.streaming])
    yield "Counted with", f"archcost {found.archcost}, batch {found.batch}, {found.dtype}"
    yield "Command", command


def _verdict(found: Profiled, limits: Budget | None) -> Iterator[Block]:
    if limits is None:
        yield Text("No budget was given: --budget budget.yaml judges this network by its limits.")
    else:
        yield Verdicts(tuple(dict.fromkeys(map(judged, budget.judge(limits, _facts(found))))))
    yield Lines((_agreement(found), *_missing(found), *_steady(found)))


def _missing(found: Profiled) -> Iterator[str]:
    if found.uncounted:
        names = ", ".join(f"{each.op} ({each.calls} times)" for each in found.uncounted)
        yield f"Not counted, so that MACs are a lower bound: {names}."


def _agreement(found: Profiled) -> str:
    if found.agree is False:
        return "The witnesses disagree with the counts: see below."
    return f"Witnesses: {agreement(found.witnesses is not None, found.agree, nodes=found.model.family != 'module')}."


def _steady(found: Profiled) -> Iterator[str]:
    latencies = [one.latency for one in found.latencies]
    steady = sum(latency.stable for latency in latencies)
    if not latencies:
        yield "Latency was not measured."
    elif steady == len(latencies):
        yield "Latency is stable."
    else:
        ways = f" in {len(latencies) - steady} of {len(latencies)} ways" if len(latencies) > 1 else ""
        yield f"Latency is not stable{ways}: 'How far to trust it' says why."


def judged(verdict: budget.Verdict) -> Verdict:
    """Return a verdict on a limit in words."""
    actual = "not known" if verdict.actual is None else _amount(verdict.name, verdict.actual)
    where = f" ({verdict.where})" if verdict.where else ""
    limit = _amount(verdict.name, verdict.limit)
    text = f"{verdict.name}{where}: {said(actual, verdict.at_least)} of at most {limit}; {verdict.words}"
    return Verdict("PASS" if verdict.holds else "FAIL" if verdict.holds is False else "cannot tell", text)


def _amount(name: str, value: float) -> str:
    if name == "latency":
        return duration(value)
    return data_size(int(value)) if name in ("memory", "weights") else grouped(int(value))


def _facts(found: Profiled) -> budget.Facts:
    rows = tuple(budget.Memory(row.batch, row.dtype, row.peak_bytes, row.weights_bytes) for row in found.memory)
    own = budget.Memory(found.batch, found.dtype, found.peak_memory_bytes, found.weights_bytes)
    return budget.Facts(
        params=found.params,
        macs=found.macs,
        memory=rows or (own,),
        latencies=tuple(one.latency for one in found.latencies),
        uncounted=tuple(operator.op for operator in found.uncounted),
        failures=tuple(str(each.failure()) for each in found.failures),
    )


def _cards(found: Profiled) -> Iterator[Card]:
    at = f"batch {found.batch}, {found.dtype}"
    yield Card(
        "Parameters",
        scaled(found.params),
        f"{grouped(found.params)}; {data_size(found.weights_bytes)} with buffers, {found.dtype}",
    )
    least = bool(found.uncounted)
    yield Card("MACs", said(scaled(found.macs), least), f"{said(grouped(found.macs), least)} for one example")
    sum_of = f"{grouped(found.flops)} = 2 MACs + {grouped(found.elementwise)} elementwise"
    yield Card("FLOPs", said(scaled(found.flops), least), said(sum_of, least))
    yield Card(
        "Peak memory",
        data_size(found.peak_memory_bytes),
        f"weights and live values, {at}; {data_size(found.activation_bytes)} written a pass",
    )
    if (step := found.training) is not None:
        saved = f"; {data_size(step.saved_bytes)} saved for backward" if step.saved_bytes is not None else ""
        yield Card(
            "Training step",
            said(f"{scaled(step.forward_macs + step.backward_macs)} MACs", least),
            f"forward and backward, one example{saved}",
        )
    for latency in _first_ways(found):
        yield latency_card(latency)


def _first_ways(found: Profiled) -> Iterator[Latency]:
    """Yield the first latency, and those that differ from it by the runtime alone."""
    for latency in (one.latency for one in found.latencies):
        if replace(latency.way, runtime="") == replace(found.latencies[0].latency.way, runtime=""):
            yield latency


def latency_card(latency: Latency) -> Card:
    """Return a latency as a key number."""
    bounds = latency.interval_s
    interval = f"blocks {duration(bounds[0])} to {duration(bounds[1])}" if bounds else "too few blocks for an interval"
    stable = "stable" if latency.stable else "not stable"
    return Card(
        "Latency",
        duration(latency.median_s),
        f"{latency.way}; {interval}; {grouped(latency.samples)} samples, {stable}",
    )


def _drawn(found: Profiled) -> Iterator[Section]:
    if (graph := _graph(found)) is None:
        return
    words = "Boxes run from top to bottom, fractal columns side by side; recurrent edges are dashed."
    drawing = Drawing(draw(graph, found.model.name, heats(found)), words, heat_words(found))
    yield Section("graph", "The graph", ((switch(found, "graph"), drawing) if found.layer_times else (drawing,)))


def _measured(found: Profiled) -> Iterator[Section]:
    if found.latencies:
        yield Section("latency", "Latency", tuple(latency_blocks(list(named_ways(found.latencies)))))
    if found.streaming:
        text = Text("One step with the state carried on, as in a stream, measured by turns with the whole sequence.")
        yield Section(
            "step",
            "Latency of one step",
            (text, *latency_blocks(list(named_ways(found.streaming)), "one-step", "Latency of one step")),
        )


def _traded(found: Profiled) -> Iterator[Section]:
    if len(found.columns) > 1:
        yield Section("columns", "Columns", tuple(column_blocks(found)))
    if (spec := _recurrent(found)) is not None:
        yield Section("recurrence", "Order and length", tuple(recurrent_blocks(found, spec)))


def _doubts(found: Profiled) -> Iterator[str]:
    yield _agreement(found)
    yield from _missing(found)
    if found.uncounted:
        yield f"{percent(found.coverage)} of the operators' calls have a count."
    else:
        yield "Every operator was counted."
    yield from found.remarks
    sides = [("", found.latencies), ("one step", found.streaming)]
    sides += [(f"column {row.column} alone", row.latencies) for row in found.columns]
    yield from map(str, remarks((name, [one.latency for one in timed]) for name, timed in sides))
    yield from (f"Layers of {times.way} are not stable: {times.why}." for times in found.layer_times or () if times.why)
    if not found.latencies:
        yield "Latency was not measured."
