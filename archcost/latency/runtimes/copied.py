"""A source's own copy at a plan's dtype, on its device, ready to run, also many times."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final, TypeAlias

import torch
from torch import Tensor, nn

from archcost.errors import TargetError, named, one_line, one_of
from archcost.graph.dtypes import FLOATING
from archcost.latency.runtimes import OnnxFile, Prepared, Source, module_of
from archcost.latency.samples import Plan
from archcost.machine import available_memory_bytes
from archcost.nets import copies
from archcost.nets.call import Call, crowding, weights_bytes
from archcost.nets.calls.arguments import arguments
from archcost.nets.calls.autograd import recording
from archcost.nets.calls.contents import has_objects, held
from archcost.nets.calls.denormals import share_of_values
from archcost.nets.dtypes import TORCH
from archcost.nets.restore import evaluating, settings, untouched

Again: TypeAlias = Callable[[], Prepared | None]
"""Makes another copy, None if it cannot."""

_EASE: Final = 4  # times a module's bytes that have to be free for a copy
_KEPT_BYTES: Final = 128 * 2**20  # what copies may take that stay only so that the next has other memory
_MOST_KEPT: Final = 8


@contextmanager
def running(source: Source, plan: Plan) -> Iterator[Call]:
    """Yield a call of the module in evaluation mode without autograd, at plan.dtype on the source's device.

    A copy runs, on copies of the arguments, so that neither a cast nor what forward keeps reaches the caller's.
    Floating point is cast where the source says so, integers stay. Raises TargetError if module or arguments cannot be
    brought there.
    """
    if plan.dtype not in TORCH:
        raise TargetError(f"torch runs no {plan.dtype} module; allowed: {one_of(FLOATING)}")
    dtype = TORCH[plan.dtype] if source.cast else None
    with torch.inference_mode(False):  # that of a network prepared before, with which this one takes turns
        module = _runnable(module_of(source), dtype, torch.device(source.device))
        call = _called(module, source, plan)
    # what a module that runs itself keeps from an inference pass could not be trained afterwards
    ours = module is not source.network
    mode = torch.inference_mode() if ours else torch.no_grad()
    kept = nullcontext() if ours else untouched(module)
    with settings(), kept, evaluating(module), mode:  # entered once, not per call: entering costs microseconds
        yield call


def prepared(
    run: Callable[..., object],
    call: Call,
    source: Source,
    plan: Plan,
    again: Again | None = None,
    watched: bool = True,
) -> Prepared:
    """Return what is timed of a call that `run` makes.

    Arguments that hold objects, and those that the first call has changed, are copied before each call. again: as
    `Prepared` has it; watched: whether the values of one more call are looked at. Raises TargetError if a copy of
    arguments would take too much of the free memory.
    """
    if has_objects((call.args, call.kwargs)):
        return _on_fresh(run, call, source, again)
    args, kwargs = call.args, dict(call.kwargs)
    before = held((args, kwargs))

    def same() -> None:
        run(*args, **kwargs)

    def then() -> Prepared:
        if held((args, kwargs)) == before:
            return always._replace(denormal_values=share_of_values(call, on_copies=False) if watched else 0.0)
        anew = _called(call.module, source, plan)
        values = share_of_values(anew, on_copies=True) if watched else 0.0
        return _on_fresh(run, anew, source, again)._replace(denormal_values=values)

    always = Prepared(_recorded(same, source), state=lambda: held(call.module), again=again)
    return always._replace(then=then)


def with_copies(call: Call, source: Source, plan: Plan, *, watched: bool = True) -> Prepared:
    """Return what is timed of a call's module as it is, which also makes copies of itself as it is then.

    There are none on a GPU, of a module that cannot be copied, and where memory is short. watched: as `prepared` has
    it; copies are not.
    """

    def again() -> Prepared | None:
        copied = fresh(call, source, plan)
        return None if copied is None else with_copies(copied, source, plan, watched=False)

    return prepared(call.module, call, source, plan, again, watched)._replace(kept=keeps(call.module))


def keeps(module: nn.Module) -> int:
    """Return how many earlier copies of a module may stay, so that the next has other memory."""
    return min(_MOST_KEPT, _KEPT_BYTES // max(1, weights_bytes(module)))


def fresh(call: Call, source: Source, plan: Plan) -> Call | None:
    """Return a call of a copy of the module as it is now; None where `with_copies` has none."""
    if source.device != "cpu" or call.module is source.network or not _spare(call):
        return None
    try:
        with torch.inference_mode(False):
            copied = _called(copy.deepcopy(call.module), source, plan)
    except Exception:  # what it has kept since it first ran cannot be copied: it goes on as it is
        return None
    return None if copied.module is call.module else copied


def _spare(call: Call) -> bool:
    free = available_memory_bytes()
    return free is None or _EASE * weights_bytes(call.module) + _KEPT_BYTES <= free


def _on_fresh(run: Callable[..., object], call: Call, source: Source, again: Again | None) -> Prepared:
    """Return what is timed of a call whose arguments it changes: a copy is made before it, and not timed."""
    if why := crowding(call, _free_bytes(source.device)):
        raise TargetError(why)
    kept: dict[int, Any] = {id(thing): thing for thing in _own(call.module)}
    given = arguments(call.args, call.kwargs, copies.filled, dict(kept))

    def before() -> None:
        nonlocal given
        given = (), {}  # the copies of the call before need not stay beside the new ones
        given = arguments(call.args, call.kwargs, copies.filled, dict(kept))
        finish(source.device)

    def fresh() -> None:
        args, kwargs = given
        run(*args, **kwargs)

    return Prepared(_recorded(fresh, source), before=before, state=lambda: held(call.module), again=again)


def _recorded(call: Callable[[], None], source: Source) -> Callable[[], None]:
    """Return the call in the mode of autograd that it needs: each time, as the networks that take turns have others."""
    if source.autograd == "off":
        return call

    def recorded() -> None:
        with recording(source.autograd):
            call()

    return recorded


def exported(path: Path, call: Call) -> OnnxFile:
    """Return the ONNX file of a call with the call's tensors, by the names of its inputs.

    Raises TargetError if it has others: an argument may hold what the export makes an input of.
    """
    from archcost.nets.export.quantisation.file import input_names  # loads onnx
    from archcost.nets.export.torch_export import inputs

    names, arrays = input_names(path), [tensor.numpy() for tensor in inputs(call)]
    if len(names) != len(arrays):
        raise TargetError(f"the exported file has {len(names)} inputs, the call {len(arrays)} tensors: one for each")
    return OnnxFile(path, dict(zip(names, arrays, strict=True)))


def finish(device: str) -> None:
    """Wait until a GPU has done what was asked of it; one that is not measured on shall not even be started."""
    if device != "cpu":
        torch.accelerator.synchronize(torch.device(device))


def _free_bytes(device: str) -> int | None:
    return torch.cuda.mem_get_info(device)[0] if device.startswith("cuda") else available_memory_bytes()


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


def _called(module: nn.Module, source: Source, plan: Plan) -> Call:
    """Return a call of the module with copies of the source's arguments, which may hold the module's parts."""
    dtype, device = TORCH[plan.dtype] if source.cast else None, torch.device(source.device)

    def there(tensor: Tensor) -> Tensor:
        cast = dtype if dtype is not None and tensor.is_floating_point() else tensor.dtype
        return tensor.detach().to(device, cast, copy=True).requires_grad_(tensor.requires_grad)

    asked = Call(module_of(source), source.args, source.kwargs)
    if has_objects((asked.args, asked.kwargs)) and (why := crowding(asked, available_memory_bytes())):
        raise TargetError(why)
    memo: dict[int, Any] = dict(zip(map(id, _own(module_of(source))), _own(module), strict=False))
    try:
        return Call(module, *arguments(source.args, source.kwargs, there, memo))
    except Exception as error:
        raise _refusal("input", dtype, device, error) from error


def _own(module: nn.Module) -> Iterator[object]:
    """Yield a module's parts and tensors: what arguments may hold of it is not copied."""
    yield from (part for _, part in copies.parts(module))
    yield from copies.tensors(module)


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
