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

from torch import Tensor, nn
from torch.autograd.function import Function, FunctionCtx
from torch.backends import opt_einsum
from torch.overrides import TorchFunctionMode

from archcost.counting.operators import multiplies_nothing
from archcost.counting.passes import on_data, quiet
from archcost.counting.witnesses.handles import HANDLES
from archcost.nets import copies
from archcost.nets.call import Call
from archcost.nets.calls.arguments import arguments
from archcost.nets.calls.autograd import Autograd, recording
from archcost.nets.calls.contents import tensors_in
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


_PRODUCTS: Final = frozenset(name.rpartition("::")[2] for name in HANDLES) | frozenset(
    """conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d conv_tbc convolution __matmul__
    __rmatmul__ chain_matmul multi_dot multi_head_attention_forward""".split()
)
"""The functions of torch's whose results the tracer shall not drop."""


@dataclass(frozen=True, slots=True)
class Trace:
    """What fvcore counted: MACs by (module path, operator), and operators it skipped that may carry some.

    blind: paths of the modules that ran those themselves.
    """

    params: int
    by_place: Mapping[tuple[str, str], int]
    unsupported: Mapping[str, int]
    blind: frozenset[str] = frozenset()

    @property
    def macs(self) -> int:
        """All of them."""
        return sum(self.by_place.values())


class _Flat(nn.Module):
    """A module as a tracer takes one: tensors in, a tuple of tensors out."""

    def __init__(self, call: Call) -> None:
        super().__init__()
        self.call = call.module
        self.own = call

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The tensors of the call, each once."""
        every = tensors_in((self.own.args, self.own.kwargs))
        return tuple({id(tensor): tensor for tensor in every}.values())

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        """The call's own tensors, in the order of `inputs` -> the tensors it returns, and a mark of each product."""
        memo: dict[int, Any] = {id(part): part for _, part in copies.parts(self.call)}
        memo |= {id(own): new for own, new in zip(self.inputs, given, strict=True)}
        args, kwargs = arguments(self.own.args, self.own.kwargs, lambda tensor: tensor, memo)
        with _Marked() as marked:
            made = tensors_in(self.call(*args, **kwargs))
        return (*made, *marked.marks)


class _Marked(TorchFunctionMode):
    """While it is entered, every product leaves a mark that follows from it: an empty tensor, which takes no memory.

    The tracer drops what leads to no output: what a forward returns in a way that no tensor is found in, keeps for
    later, or has no use for.
    """

    def __init__(self) -> None:
        super().__init__()
        self.marks: list[Tensor] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run a function, and mark what it returns if it multiplies."""
        result = func(*args, **(kwargs or {}))
        if getattr(func, "__name__", "") in _PRODUCTS:
            self.marks += [tensor.new_empty(0) for tensor in tensors_in(result)]
        return result


def trace(call: Call, autograd: Autograd = "off") -> Trace:
    """Return fvcore's count of a call in evaluation mode; raises whatever the tracer does if it cannot trace it."""
    analysis_of, parameter_count = import_fvcore()
    with (
        on_data(call) as ready,
        _recordable(ready.call.module),
        quiet(),
        evaluating(ready.call.module),
        recording(autograd),
    ):
        flat = _Flat(ready.call)
        analysis = analysis_of(flat, flat.inputs)
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        analysis.set_op_handle(**HANDLES)
        modules = analysis.by_module_and_operator()
        skipped = {path: _multiplying(analysis.unsupported_ops(path)) for path in modules}
        params = int(parameter_count(ready.call.module)[""])
    counts = {path: {op: int(n) for op, n in ops.items() if _multiplies(op)} for path, ops in modules.items()}
    return Trace(params, dict(_own(counts)), skipped[""], frozenset(path for (path, _), _ in _own(skipped)))


def _multiplying(skipped: Mapping[str, int]) -> dict[str, int]:
    """Return those of the operators without a count that may carry MACs."""
    return {op: int(n) for op, n in skipped.items() if not _harmless(op)}


def _harmless(op: str) -> bool:
    """Return whether an operator multiplies nothing: it is listed here, or archcost's tables know it below autograd."""
    name = op.rpartition("::")[2].removesuffix("_")
    return name in NO_MACS or multiplies_nothing(op)


def _own(sums: Mapping[str, Mapping[str, int]]) -> Iterator[tuple[tuple[str, str], int]]:
    """Yield what each module counts itself: its count without its parts'."""
    rest = {path: dict(counts) for path, counts in sums.items()}
    for path, counts in sums.items():
        parent = path.rpartition(".")[0] if path else None
        while parent is not None and parent not in rest:
            parent = parent.rpartition(".")[0] if parent else None
        if parent is not None:
            for op, count in counts.items():
                rest[parent][op] = rest[parent].get(op, 0) - count
    for path, counts in rest.items():
        for op, count in counts.items():
            if count:
                yield (path.removeprefix("call").removeprefix("."), op), count


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
