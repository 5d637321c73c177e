"""The witnesses of a module's call: fvcore above autograd, torch's counter below it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from typing import Any, Final

from torch._ops import OpOverloadPacket
from torch.backends import mkldnn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from archcost.counting import passes
from archcost.counting.module import Module
from archcost.counting.rules.complex_numbers import real_products
from archcost.counting.witnesses.fvcore import Trace, trace
from archcost.counting.witnesses.witness import Engine, Witness
from archcost.errors import named, one_line
from archcost.nets.call import Call
from archcost.nets.calls.autograd import Autograd
from archcost.nets.calls.contents import tensors_in

_DIFFERENTIATES: Final = "the call differentiates, and the tracer does not record all that autograd runs"
_UNFUSED: Final = frozenset({"_scaled_dot_product_flash_attention_for_cpu", "mkldnn_rnn_layer"})

_REPLACED: Final = "it counts by its own formulas what registered rules count here"
_NO_TRIPS: Final = "it counts no trips of a loop, and of branches the larger one"


def witness(module: Module) -> Witness:
    """Return what both witnesses count for a module's call at batch 1; neither leaves anything behind."""
    call = passes.settled(module.call_at(1))
    takes_dense = f"it takes what is sparse or nested for dense ({', '.join(sorted(module.by_value))})"
    seen, fvcore_why = (None, takes_dense) if module.by_value else _traced(call, module.autograd)
    torch_macs, torch_why = (None, takes_dense) if module.by_value else _flops(call, module.autograd)
    if torch_macs not in (None, module.cost.macs) and (module.entered or _replaced(module)):
        torch_macs, torch_why = None, _REPLACED if _replaced(module) else _NO_TRIPS
    blind = _blind(module) if torch_macs is not None else {}
    told = [*_against_fvcore(module, seen)] if seen else []
    expected = module.cost.macs - sum(blind.values())
    if torch_macs not in (None, expected):
        told.append(f"{expected} MACs counted, torch's counter sees {torch_macs}")
    fvcore, torch_ = _fvcore(module, seen, fvcore_why), Engine(torch_macs, torch_why, blind)
    unknown = tuple(op for op, _ in module.uncounted)
    return Witness(seen.params if seen else None, fvcore, torch_, tuple(told), own=module.own, unknown=unknown)


def _fvcore(module: Module, seen: Trace | None, why: str) -> Engine:
    """Return fvcore's count; it has none if it lacks what it does not see."""
    if seen is None:
        return Engine(None, _DIFFERENTIATES if module.autograd == "on" else why)
    unseen = "" if _counts_as_much(module, seen) else _unseen(module, seen)
    return Engine(None if unseen else seen.macs, unseen, seen.unsupported)


def _counts_as_much(module: Module, seen: Trace) -> bool:
    """Return whether fvcore counts all, or all but what rules of the user's own count, or has formulas for that."""
    return _replaced(module) or seen.macs in (module.cost.macs, module.cost.macs - sum(module.own.values()))


def _unseen(module: Module, seen: Trace) -> str:
    """Return why fvcore's count may differ without being another one, '' if it may not."""
    if module.autograd != "off":
        return _DIFFERENTIATES
    blind = {path or module.root for path in seen.blind}
    others = [sides for place, sides in _places(module, seen).items() if place not in blind]
    here, there = (sum(sum(side[i].values()) for side in others) for i in (0, 1))
    if seen.unsupported and here == there:
        return "it has no count for " + ", ".join(f"{op} ({times} times)" for op, times in seen.unsupported.items())
    return ""


def _traced(call: Call, autograd: Autograd) -> tuple[Trace | None, str]:
    if any(tensor.is_meta for tensor in [*call.module.parameters(), *tensors_in((call.args, call.kwargs))]):
        return None, "its tensors hold no data (meta), and fvcore runs the call"
    try:
        return trace(call, autograd), ""
    except Exception as error:  # the tracer fails in many ways; the count stands without it
        return None, one_line(named(error), 200)


def _flops(call: Call, autograd: Autograd) -> tuple[int | None, str]:
    """Return FlopCounterMode's MACs, half its operations; on meta, where kernels are not fused, or else on data."""
    try:
        return passes.under(call, _total, autograd), ""
    except Exception as error:  # as above
        return None, one_line(named(error), 200)


def _total(call: Call) -> int:
    """Run a call under torch's counter, with no operator that it does not see into: on data a CPU has fused ones."""
    counter = FlopCounterMode(display=False, custom_mapping=_formulas())
    counter.mod_tracker = _Nowhere()  # type: ignore[assignment]  # torch's own fails if a forward differentiates
    with sdpa_kernel(SDPBackend.MATH), mkldnn.flags(enabled=False), counter:
        call.module(*call.args, **call.kwargs)
    return int(counter.get_total_flops()) // 2


class _Nowhere(nullcontext[None]):
    """A tracker of modules that knows only the whole."""

    parents = frozenset({"Global"})


def _formulas() -> dict[Any, Callable[..., int]]:
    """Return torch's own formulas, which count a complex product as one, with the real products that it consists of."""
    return {op: _scaled(op, formula) for op, formula in flop_registry.items() if isinstance(op, OpOverloadPacket)}


def _scaled(op: OpOverloadPacket, formula: Callable[..., int]) -> Callable[..., int]:
    def scaled(*args: Any, out_val: Any = None, **kwargs: Any) -> int:
        return formula(*args, out_val=out_val, **kwargs) * real_products(op.__name__, args)

    scaled._get_raw = True  # type: ignore[attr-defined]  # torch's sign for a formula that gets tensors, not shapes
    return scaled


def _blind(module: Module) -> dict[str, int]:
    """Return the MACs of the operators that torch's counter has no formula for, nor for those they are run as there."""
    formulas = {str(op).rpartition(".")[2] for op in flop_registry} | _UNFUSED
    return {op: total.macs for op, total in module.cost.by_op().items() if total.macs and op not in formulas}


def _replaced(module: Module) -> bool:
    """Return whether rules of the user's own count torch's operators, which the witnesses count in their own way."""
    return any("::" not in op for op in module.own)  # only torch's are listed without their namespace


def _against_fvcore(module: Module, seen: Trace) -> Iterator[str]:
    weights = module.weights
    expected_params = weights.params + weights.tied + weights.absent
    if seen.params != expected_params:
        yield f"params: {expected_params} counted, fvcore sees {seen.params}"
    if _counts_as_much(module, seen) or _unseen(module, seen):
        return
    yield f"{module.cost.macs - sum(module.own.values())} MACs counted, fvcore sees {seen.macs}"
    for name, (here, there) in _places(module, seen).items():
        if sum(here.values()) != sum(there.values()):
            yield f"{name}: {_listed(here)} counted, fvcore sees {_listed(there)}"
    for op, times in seen.unsupported.items():
        yield f"fvcore has no count for {op} ({times} times)"


def _places(module: Module, seen: Trace) -> dict[str, tuple[dict[str, int], dict[str, int]]]:
    """Return what each part multiplies by operator, as counted and as fvcore sees it."""
    found: dict[str, tuple[dict[str, int], dict[str, int]]] = {}
    for row in module.cost.rows:
        if row.macs and row.op not in module.own:
            here, _ = found.setdefault(row.name, ({}, {}))
            here[row.op] = here.get(row.op, 0) + row.macs
    for (path, op), macs in seen.by_place.items():
        found.setdefault(path or module.root, ({}, {}))[1][op] = macs
    return found


def _listed(by_op: Mapping[str, int]) -> str:
    return ", ".join(f"{op} {macs}" for op, macs in by_op.items()) or "nothing"
