"""A network in 8 bits for a runtime: ranges from drawn inputs, slow layers in float32."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from archcost.graph.dtypes import INT8
from archcost.latency.samples import Plan
from archcost.nets.call import Call
from archcost.nets.export.agreement import agree
from archcost.nets.export.quantisation import file
from archcost.nets.export.quantisation.calibration import drawn
from archcost.nets.export.quantisation.spec import Findings, Quantisation
from archcost.nets.export.quantisation.trials import Measures, Times, quantised


class Program(NamedTuple):
    """A file that runs, what it is to give, how far from that it may be, and of one of 8 bits what was found of it."""

    path: Path
    expected: list[Tensor]
    tolerance: float
    findings: Findings | None = None


def fitting(
    whole: Program,
    call: Call,
    plan: Plan,
    measuring: Callable[[Any], Times],
    float_layers: frozenset[str] | None = None,
) -> Program:
    """Return the file that a plan's dtype runs: at int8 one of 8 bits beside the float32 file, else this itself.

    measuring: gives what measures files on inputs; float_layers: those that stay in float32, None for those that are
    better so here. Raises TargetError if the network's outputs are not finite, or if it cannot be quantised.
    """
    if plan.dtype != INT8:
        return whole
    agree("the network", whole.expected, whole.expected, 0.0)  # numbers that are not finite have no range
    path, how = whole.path.with_name("int8.onnx"), Quantisation(weights=file.fitting_weights())
    inputs = list(drawn(call, file.input_names(whole.path), how.examples))
    if float_layers is None:
        made = quantised(whole.path, path, how, inputs, Measures(measuring(inputs[0])))
    else:
        made = quantised(whole.path, path, replace(how, float_layers=float_layers), inputs)
    return Program(path, file.emulated(path, inputs[0]), file.TOLERANCE, made.findings)
