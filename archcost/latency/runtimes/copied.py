"""A source's own copy: module and inputs at a plan's dtype, on its device, ready to run."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn

from archcost.errors import TargetError, named, one_line
from archcost.latency.runtimes import NOT_TORCH, OnnxFile, Source
from archcost.latency.samples import Plan
from archcost.nets.call import Call
from archcost.nets.copies import mapped
from archcost.nets.dtypes import TORCH
from archcost.nets.restore import evaluating, settings, untouched


@contextmanager
def running(source: Source, plan: Plan) -> Iterator[Call]:
    """Yield a call of the module in evaluation mode without autograd, at plan.dtype on the source's device.

    A copy runs, on copies of the inputs, so that neither a cast nor what forward keeps reaches the caller's. Floating
    point is cast where the source says so, integers stay. Raises TargetError if module or inputs cannot be brought
    there.
    """
    if isinstance(source.network, OnnxFile):
        raise TargetError(NOT_TORCH)
    dtype = TORCH[plan.dtype] if source.cast else None
    device = torch.device(source.device)
    with torch.inference_mode(False):  # that of a network prepared before, with which this one takes turns
        module = _runnable(source.network, dtype, device)
        call = Call(module, *_inputs(source, dtype, device))
    # what a module that runs itself keeps from an inference pass could not be trained afterwards
    ours = module is not source.network
    mode = torch.inference_mode() if ours else torch.no_grad()
    kept = nullcontext() if ours else untouched(module)
    with settings(), kept, evaluating(module), mode:  # entered once, not per call: entering costs microseconds
        yield call


def _runnable(module: nn.Module, dtype: torch.dtype | None, device: torch.device) -> nn.Module:
    try:
        copied = copy.deepcopy(module)
        return copied.to(device) if dtype is None else copied.to(device, dtype)
    except Exception as error:
        # Some modules cannot be copied (torch.nn.utils.weight_norm keeps a computed tensor, others hold a lock).
        # One that needs no cast runs itself, and is put back as it was.
        if _fits(module, dtype, device):
            return module
        raise _refusal("module", dtype, device, error) from error


def _inputs(
    source: Source, dtype: torch.dtype | None, device: torch.device
) -> tuple[tuple[object, ...], dict[str, object]]:
    try:
        args = tuple(_moved(value, dtype, device) for value in source.args)
        return args, {key: _moved(value, dtype, device) for key, value in source.kwargs.items()}
    except Exception as error:
        raise _refusal("input", dtype, device, error) from error


def _refusal(what: str, dtype: torch.dtype | None, device: torch.device, error: Exception) -> TargetError:
    where = "the CPU" if device.type == "cpu" else str(device)
    how = dtype or "its own type"
    return TargetError(f"the {what} cannot be copied to {how} on {where}: {one_line(named(error))}")


def _fits(module: nn.Module, dtype: torch.dtype | None, device: torch.device) -> bool:
    tensors = [*module.parameters(), *module.buffers()]
    here = device.type if device.index is None else device
    return all(
        here in (t.device, t.device.type) and (dtype in (None, t.dtype) or not t.is_floating_point()) for t in tensors
    )


def _moved(value: object, dtype: torch.dtype | None, device: torch.device) -> object:
    """Return a copy with every tensor inside tuples, lists and dicts moved: a state may be nested."""

    def there(tensor: Tensor) -> Tensor:
        cast = dtype if dtype is not None and tensor.is_floating_point() else tensor.dtype
        return tensor.detach().to(device, cast, copy=True)

    return mapped(value, there)
