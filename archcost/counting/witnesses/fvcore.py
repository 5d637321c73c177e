"""fvcore's count of a call, traced on real tensors, with handles for what it misses.

It sees operators above autograd, as torch.jit records them; the first engine (passes) sees them below. They fail on
different models.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import RLock
from types import MethodType
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.autograd.function import Function, FunctionCtx
from torch.backends import opt_einsum

from archcost.counting.operators import multiplies_nothing
from archcost.counting.passes import on_data, quiet
from archcost.counting.witnesses.handles import HANDLES
from archcost.nets import copies
from archcost.nets.call import Call, tensors_in
from archcost.nets.restore import evaluating

# fvcore's names of what carries MACs: its own handles', and behind them those of ours that have no short name
MAC_NAMES: Final = frozenset({"conv", "linear", "addmm", "matmul", "bmm", "einsum"})
NO_MACS: Final = frozenset(
    """abs add arange argmax argmin as_strided avg_pool1d avg_pool2d avg_pool3d bernoulli bitwise_not bool cat celu
    channel_shuffle chunk clamp clamp_min clamp_max clone constant_pad_nd contiguous copy cos cumsum dequantize detach
    diagonal div dropout elu embedding empty empty_like eq erf exp expand expand_as feature_dropout fill flatten flip
    floor floor_divide full full_like gather ge gelu glu gt hardsigmoid hardswish hardtanh im2col index index_add
    index_put index_select instance_norm item layer_norm le leaky_relu lift_fresh local_response_norm log log_softmax
    logical_and logical_not logical_or logsumexp lt masked_fill max max_pool1d max_pool2d max_pool3d maximum mean
    meshgrid min minimum mish movedim mul multinomial narrow ne neg new_empty new_full new_ones new_zeros norm normal
    numpy_T one_hot ones ones_like outer pad permute pixel_shuffle pixel_unshuffle pow prelu prod quantize_per_tensor
    rand rand_like randn randn_like reciprocal reflection_pad1d reflection_pad2d relu relu6 remainder repeat
    repeat_interleave replication_pad1d replication_pad2d reshape resolve_conj rms_norm roll rrelu rsqrt rsub scatter
    scatter_add select selu sigmoid sign silu sin size slice softmax softplus softsign sort split split_with_sizes sqrt
    square squeeze stack std sub sum t tanh tensor_split threshold tile to topk transpose tril triu type_as unbind
    unflatten unfold uniform unsafe_chunk unsafe_split unsqueeze upsample_bicubic2d upsample_bilinear2d
    upsample_linear1d upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_trilinear3d var var_mean view
    view_as where zero zeros zeros_like Int ScalarImplicit Float Bool _pack_padded_sequence _pad_packed_sequence
    _weight_norm adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d
    adaptive_max_pool3d real imag""".split()
)
"""What fvcore has no rule for and what needs none: it moves values, is elementwise, a pool or a norm; also in place."""


@dataclass(frozen=True, slots=True)
class Trace:
    """What fvcore counted: MACs by (module path, operator), and operators it skipped that may carry some."""

    params: int
    by_place: Mapping[tuple[str, str], int]
    unsupported: Mapping[str, int]

    @property
    def macs(self) -> int:
        """All of them."""
        return sum(self.by_place.values())


class _Flat(nn.Module):
    """A module as a tracer takes one: tensors in, a tuple of tensors out."""

    def __init__(self, call: Call) -> None:
        super().__init__()
        self.call = call.module
        self._args, self._kwargs = call.args, call.kwargs

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        """The call's own tensors, in the order `tensors_in` gives them -> the tensors it returns."""
        waiting = iter(given)
        args, kwargs = (copies.mapped(v, lambda _: next(waiting)) for v in (tuple(self._args), dict(self._kwargs)))
        return tuple(tensors_in(self.call(*args, **kwargs)))  # type: ignore[misc, arg-type]  # mapped keeps the structure


def trace(call: Call) -> Trace:
    """Return fvcore's count of a call in evaluation mode; raises whatever the tracer does if it cannot trace it."""
    analysis_of, parameter_count = import_fvcore()
    with (
        on_data(call) as ready,
        _recordable(ready.call.module),
        quiet(),
        evaluating(ready.call.module),
        torch.no_grad(),
    ):
        flat = _Flat(ready.call)
        analysis = analysis_of(flat, tuple(tensors_in((ready.call.args, ready.call.kwargs))))
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        analysis.set_op_handle(**HANDLES)
        modules = analysis.by_module_and_operator()
        skipped = analysis.unsupported_ops()
        params = int(parameter_count(ready.call.module)[""])
    unsupported = {op: int(n) for op, n in skipped.items() if not _harmless(op)}
    return Trace(params, dict(_own(modules)), unsupported)


def _harmless(op: str) -> bool:
    """Return whether an operator multiplies nothing: it is listed here, or archcost's tables know it below autograd."""
    name = op.rpartition("::")[2].removesuffix("_")
    return name in NO_MACS or multiplies_nothing(op)


def _own(modules: Mapping[str, Mapping[str, float]]) -> Iterator[tuple[tuple[str, str], int]]:
    """Yield what each module multiplies itself: its count without its parts'."""
    sums = {path: {op: int(n) for op, n in counts.items() if _multiplies(op)} for path, counts in modules.items()}
    rest = {path: dict(counts) for path, counts in sums.items()}
    for path, counts in sums.items():
        parent = path.rpartition(".")[0] if path else None
        while parent is not None and parent not in rest:
            parent = parent.rpartition(".")[0] if parent else None
        if parent is not None:
            for op, macs in counts.items():
                rest[parent][op] = rest[parent].get(op, 0) - macs
    for path, counts in rest.items():
        for op, macs in counts.items():
            if macs:
                yield (path.removeprefix("call").removeprefix("."), op), macs


def _multiplies(op: str) -> bool:
    return op in MAC_NAMES or f"aten::{op}" in HANDLES or op in HANDLES


_PATCHING: Final = RLock()


@contextmanager
def _recordable(module: nn.Module) -> Iterator[None]:
    """Let torch.jit's tracer see all it can of a module of ours.

    Einsum keeps the order it was written in, which the handle reads where no path is recorded; an autograd.Function's
    forward runs in the open, not behind prim::PythonOp; what is kept beside tensors (packed weights) is no state.
    """
    for _, part in copies.parts(module):
        part.__dict__["_save_to_state_dict"] = MethodType(nn.Module._save_to_state_dict, part)
        part.__dict__["get_extra_state"] = MethodType(nn.Module.get_extra_state, part)
    own_apply, enabled = Function.__dict__["apply"], opt_einsum.enabled
    with _PATCHING:
        Function.apply = classmethod(_in_the_open)  # type: ignore[assignment]  # put back below
        opt_einsum.enabled = False
        try:
            yield
        finally:
            Function.apply = own_apply  # type: ignore[method-assign]  # as it was
            opt_einsum.enabled = enabled


def _in_the_open(cls: type[Function], *args: Any, **kwargs: Any) -> Any:
    if cls.setup_context is not Function.setup_context:
        return cls.forward(*args, **kwargs)
    context = FunctionCtx()
    context.needs_input_grad = (False,) * len(args)  # type: ignore[attr-defined]  # the real one has it
    return cls.forward(context, *args, **kwargs)


def import_fvcore() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return FlopCountAnalysis and parameter_count; importing fvcore warns, and loads what nothing else needs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from fvcore.nn import FlopCountAnalysis, parameter_count  # noqa: PLC0415  # inside the filter
    return FlopCountAnalysis, parameter_count
