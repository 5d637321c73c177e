"""A network in 8 bits for a runtime: ranges from drawn inputs, slow layers in float32."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from archcost.nets.call import Call
from archcost.nets.export.agreement import agree
from archcost.nets.export.quantisation import file
from archcost.nets.export.quantisation.calibration import drawn
from archcost.nets.export.quantisation.spec import Findings, Quantisation
from archcost.nets.export.quantisation.trials import Measures, Times, quantised


class Small(NamedTuple):
    """A file of 8 bits, what it is to give, how far from that it may be, and what was found of it."""

    path: Path
    expected: list[Tensor]
    tolerance: float
    findings: Findings


def eight_bit(
    path: Path,
    call: Call,
    own: list[Tensor],
    measuring: Callable[[Any], Times],
    float_layers: frozenset[str] | None = None,
) -> Small:
    """Return a network's file of 8 bits beside its float32 file.

    own: what the network gives; measuring: gives what measures files on inputs; float_layers: those that stay in
    float32, None for those that are better so here. Raises TargetError if the network's outputs are not finite, or if
    it cannot be quantised.
    """
    agree("the network", own, own, 0.0)  # numbers that are not finite have no range
    small, how = path.with_name("int8.onnx"), Quantisation(weights=file.fitting_weights())
    inputs = list(drawn(call, file.input_names(path), how.examples))
    if float_layers is None:
        made = quantised(path, small, how, inputs, Measures(measuring(inputs[0])))
    else:
        made = quantised(path, small, replace(how, float_layers=float_layers), inputs)
    return Small(small, file.emulated(small, inputs[0]), file.TOLERANCE, made.findings)
