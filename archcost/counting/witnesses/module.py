"""Two engines check the count of a module's call: fvcore above autograd, torch's FlopCounterMode below it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from archcost.counting import passes
from archcost.counting.module import Module
from archcost.counting.witnesses.fvcore import Trace, trace
from archcost.errors import named, one_line
from archcost.nets.call import Call, tensors_in


@dataclass(frozen=True, slots=True)
class Engines:
    """What the witnesses of a module counted; `why` one could not, where it could not.

    torch_blind: MACs of ours in operators that torch's counter has no formula for.
    """

    fvcore: Trace | None
    fvcore_why: str
    torch_macs: int | None
    torch_why: str
    torch_blind: Mapping[str, int]
    differences: tuple[str, ...]

    @property
    def agree(self) -> bool | None:
        """Whether both count the same; None where fvcore could not count at all, and torch does not object."""
        return False if self.differences else True if self.fvcore else None

    @property
    def unsupported(self) -> Mapping[str, int]:
        """Operators that fvcore has no count for."""
        return self.fvcore.unsupported if self.fvcore else {}

    @property
    def notes(self) -> tuple[str, ...]:
        """What the witnesses could not do, in words."""
        blind = ", ".join(f"{op} ({macs} MACs)" for op, macs in self.torch_blind.items())
        told = (
            f"fvcore could not trace this call: {self.fvcore_why}" if self.fvcore_why else "",
            f"torch's counter could not run: {self.torch_why}" if self.torch_why else "",
            f"torch's counter has no formula for {blind}" if blind else "",
        )
        return tuple(filter(None, told))

    def to_dict(self) -> dict[str, object]:
        """Return the counts as JSON holds them."""
        seen = self.fvcore
        fvcore = {
            "params": seen.params if seen else None,
            "macs": seen.macs if seen else None,
            "unsupported": dict(self.unsupported),
            "why": self.fvcore_why,
        }
        return {"fvcore": fvcore, "torch": {"macs": self.torch_macs, "why": self.torch_why}}


def engines(module: Module) -> Engines:
    """Return what both witnesses count for a module's call at batch 1; neither leaves anything behind."""
    call = passes.settled(module.call_at(1))
    seen, fvcore_why = _traced(call)
    torch_macs, torch_why = _flops(call)
    blind = _blind(module) if torch_macs is not None else {}
    told = [*_against_fvcore(module, seen)] if seen else []
    expected = module.cost.macs - sum(blind.values())
    if torch_macs not in (None, expected):
        told.append(f"{expected} MACs counted, torch's counter sees {torch_macs}")
    return Engines(seen, fvcore_why, torch_macs, torch_why, blind, tuple(told))


def _traced(call: Call) -> tuple[Trace | None, str]:
    if any(tensor.is_meta for tensor in [*call.module.parameters(), *tensors_in((call.args, call.kwargs))]):
        return None, "its tensors hold no data (meta), and fvcore runs the call"
    try:
        return trace(call), ""
    except Exception as error:  # the tracer fails in many ways; the count stands without it
        return None, one_line(named(error), 200)


def _flops(call: Call) -> tuple[int | None, str]:
    """Return FlopCounterMode's MACs, half its operations; on meta, where kernels are not fused, or else on data."""
    try:
        return passes.under(call, _total), ""
    except Exception as error:  # as above
        return None, one_line(named(error), 200)


def _total(call: Call) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        call.module(*call.args, **call.kwargs)
    return int(counter.get_total_flops()) // 2


def _blind(module: Module) -> dict[str, int]:
    formulas = {str(op).rpartition(".")[2] for op in flop_registry} | {"_scaled_dot_product_flash_attention_for_cpu"}
    return {op: total.macs for op, total in module.cost.by_op().items() if total.macs and op not in formulas}


def _against_fvcore(module: Module, seen: Trace) -> Iterator[str]:
    expected_params = module.weights.params + module.weights.tied
    if seen.params != expected_params:
        yield f"params: {expected_params} counted, fvcore sees {seen.params}"
    if seen.macs == module.cost.macs:
        return
    yield f"{module.cost.macs} MACs counted, fvcore sees {seen.macs}"
    ours: dict[str, dict[str, int]] = {}
    for row in module.cost.rows:
        if row.macs:
            of = ours.setdefault(row.name, {})
            of[row.op] = of.get(row.op, 0) + row.macs
    theirs: dict[str, dict[str, int]] = {}
    for (path, op), macs in seen.by_place.items():
        theirs.setdefault(path or module.root, {})[op] = macs
    for name in dict.fromkeys([*ours, *theirs]):
        here, there = ours.get(name, {}), theirs.get(name, {})
        if sum(here.values()) != sum(there.values()):
            yield f"{name}: {_listed(here)} counted, fvcore sees {_listed(there)}"
    for op, times in seen.unsupported.items():
        yield f"fvcore has no count for {op} ({times} times)"


def _listed(by_op: Mapping[str, int]) -> str:
    return ", ".join(f"{op} {macs}" for op, macs in by_op.items()) or "nothing"
