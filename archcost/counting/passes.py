"""One pass of a module under the count: forward alone, or a training step with its backward.

A copy runs, on meta tensors where it can; where its course depends on values, or an operator knows no meta tensors, a
copy with data. A module that cannot be copied runs itself, and is put back as it was.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from threading import get_ident
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.__future__ import (
    get_overwrite_module_params_on_conversion,
    set_overwrite_module_params_on_conversion,
)

from archcost.counting.attention import fused_attention
from archcost.counting.dispatch import Calls, Counting, elsewhere
from archcost.counting.lifetimes import Lifetimes
from archcost.counting.places import Watch, watched
from archcost.counting.rules.complex_numbers import complex_convolutions
from archcost.counting.rules.loops import Unrolled
from archcost.errors import InputError, Mistake, named, one_line, shorten
from archcost.machine import available_memory_bytes, collector_off
from archcost.nets import copies
from archcost.nets.call import Call, crowding
from archcost.nets.calls.arguments import arguments
from archcost.nets.calls.autograd import Autograd, recording
from archcost.nets.calls.contents import has_objects, tensors_in
from archcost.nets.restore import evaluating, settings, untouched
from archcost.nets.storage import SPARSE

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass did.

    peak_bytes: the most that was alive at once, inputs with it and weights without; used: positions, in the order of
    copies.tensors, of the weights that were read; kept: bytes by name of other tensors of the module's that were read,
    which are in the peak; real_because: why it ran on data and not on meta tensors, empty where it did not; autograd:
    what it needs of it.
    """

    calls: Calls
    peak_bytes: int
    used: frozenset[int]
    kept: Mapping[str, int]
    real_because: str
    autograd: Autograd = "off"


@dataclass(frozen=True, slots=True)
class TrainingPass:
    """What a forward and a backward pass did; saved_bytes: what autograd kept between them, weights and inputs apart.

    peak_bytes: the most alive at once, inputs and gradients with it, weights without.
    """

    forward: Calls
    backward: Calls
    saved_bytes: int
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class _Ready:
    """A call that may be run: `ours` where its module is a copy, `hollow` where all its tensors are on meta."""

    call: Call
    weights: Sequence[Tensor]
    kept: Mapping[str, Tensor]
    ours: bool
    hollow: bool


def forward(call: Call, cast: torch.dtype | None = None) -> Pass:
    """Return what a call does in evaluation mode; raises what the module raises on real tensors.

    It runs without gradients. If that fails with them, as a forward that differentiates does, it runs with them. cast:
    the floating type that weights and inputs are brought to first.
    """
    with torch.inference_mode(False), collector_off():  # what inference mode makes could not be trained
        try:
            return _anywhere(call, cast, "off")
        except Exception as error:  # the module's own: whether it was for want of gradients is seen when it has them
            because = error
        try:
            return _anywhere(call, cast, "on")
        except Exception:  # the first reason is the one to tell
            raise because from None


def _anywhere(call: Call, cast: torch.dtype | None, autograd: Autograd) -> Pass:
    """Return what a call does on meta tensors, or if it cannot run there, on data."""
    try:
        return _forward(_on_meta(call, cast), "", autograd)
    except copies.NeedsData as error:
        because = str(error)
    except Exception as error:  # a copy on meta may fail in any way: the run on data decides
        because = f"on meta: {shorten(one_line(named(error), 200), 160)}"
    with on_data(call, cast) as ready:
        return _forward(ready, because, autograd)


def training(call: Call, cast: torch.dtype | None = None) -> TrainingPass:
    """Return what a training step does, its loss the sum of all outputs; raises what the module raises."""
    if any(tensor.is_nested for tensor in tensors_in((call.args, call.kwargs))):
        raise TypeError("nested tensors: under a dispatch mode torch itself aborts when it trains on them")
    with torch.inference_mode(False), collector_off():
        step = _step(call, cast)
        if not step.forward.entered:
            return step
        with Unrolled():  # torch differentiates a whole loop in a way of its own, which is none of the eager steps
            return _step(call, cast)


def _step(call: Call, cast: torch.dtype | None) -> TrainingPass:
    try:
        return _training(_on_meta(call, cast))
    except Exception:  # noqa: S110  # as above, and the forward pass has told why
        pass
    with on_data(call, cast) as ready:
        return _training(ready)


def under(call: Call, run: Callable[[Call], T], autograd: Autograd = "off") -> T:
    """Return what another counter gives for a copy of the call in evaluation mode: on meta where it can, or on data."""
    try:
        return _under(_on_meta(call, None), run, autograd)
    except Exception:  # noqa: S110  # as above
        pass
    with on_data(call) as ready:
        return _under(ready, run, autograd)


def _under(ready: _Ready, run: Callable[[Call], T], autograd: Autograd) -> T:
    with quiet(fused=False), evaluating(ready.call.module), recording(autograd), ExitStack() as stack:
        if ready.hollow:
            stack.enter_context(torch.device("meta"))
        return run(ready.call)


def settled(call: Call) -> Call:
    """Return a call whose lazy parameters have their shapes: of a copy that has run once, if there are any."""
    if not copies.any_lazy(call.module):
        return call
    with on_data(call) as ready, quiet(), evaluating(ready.call.module), torch.no_grad():
        ready.call.module(*ready.call.args, **ready.call.kwargs)
    return Call(ready.call.module, call.args, call.kwargs)


def _on_meta(call: Call, cast: torch.dtype | None) -> _Ready:
    memo: dict[int, Any] = {}
    module, weights = copies.on_meta(call.module, memo)
    kept = copies.others(call.module, memo)
    ready = _Ready(Call(module, call.args, call.kwargs), weights, kept, ours=True, hollow=True)
    return _changed(ready, copies.hollow, cast, memo)


@contextmanager
def on_data(call: Call, cast: torch.dtype | None = None) -> Iterator[_Ready]:
    """Yield the call on a copy with data, or of the module itself, which is put back as it was.

    Its arguments are copies too: a module may change them. Raises InputError if they hold objects, and a copy of those
    would take too much of the free memory.
    """
    if has_objects((call.args, call.kwargs)) and (why := crowding(call, available_memory_bytes())):
        raise InputError(Mistake(why, ("inputs",)))
    with ExitStack() as stack:
        memo: dict[int, Any] = {}
        try:
            module, ours = copies.real(call.module, memo), True
        except Exception:  # locks, generators, open files: what cannot be copied
            stack.enter_context(untouched(call.module))
            module, ours, memo = call.module, False, {}
        kept = copies.others(call.module, memo)
        ready = _Ready(Call(module, call.args, call.kwargs), list(copies.tensors(module)), kept, ours, hollow=False)
        yield _changed(ready, copies.filled, cast, memo or {id(part): part for _, part in copies.parts(module)})


def _changed(
    ready: _Ready, change: Callable[[Tensor], Tensor], cast: torch.dtype | None, memo: dict[int, Any]
) -> _Ready:
    """Return the call with its inputs changed, and all that is floating of the type it is cast to."""

    def given(tensor: Tensor) -> Tensor:
        made = change(tensor)
        made = made.to(cast) if cast is not None and made.is_floating_point() else made
        if made.requires_grad is tensor.requires_grad and made.is_leaf:
            return made
        return made.detach().requires_grad_(tensor.requires_grad)  # the caller's own wish: a forward may differentiate

    call = ready.call
    changed = Call(call.module, *arguments(call.args, call.kwargs, given, memo))
    if cast is None:
        return replace(ready, call=changed)
    if not ready.ours:
        raise TypeError("a module that cannot be copied is not cast to another type")
    with _replacing(ready.weights):
        call.module.to(cast)
    return replace(ready, call=changed, weights=list(copies.tensors(call.module)))


@contextmanager
def _replacing(weights: Sequence[Tensor]) -> Iterator[None]:
    """Let a cast put new parameters in the place of the old: what it does to sparse ones otherwise, torch refuses."""
    before = get_overwrite_module_params_on_conversion()
    set_overwrite_module_params_on_conversion(before or any(weight.layout in SPARSE for weight in weights))
    try:
        yield
    finally:
        set_overwrite_module_params_on_conversion(before)


def _counting(ready: _Ready) -> Counting:
    kinds = set(map(type, ready.weights)) - {Tensor} | set(map(type, ready.kept.values()))
    kept = {id(tensor): name for name, tensor in ready.kept.items()}
    return Counting(Lifetimes(tensors_in((ready.call.args, ready.call.kwargs))), kinds, kept, hollow=ready.hollow)


def _forward(ready: _Ready, because: str, autograd: Autograd) -> Pass:
    mode, call = _counting(ready), ready.call
    nested = any(tensor.is_nested for tensor in tensors_in((call.args, call.kwargs)))
    with quiet(nested=nested), recording(autograd), _tracked(ready, mode, None, training=False), mode:
        call.module(*call.args, **call.kwargs)
    used = frozenset(i for i, tensor in enumerate(ready.weights) if id(tensor) in mode.used)
    needs: Autograd = "own" if mode.recorded and autograd == "off" else autograd
    return Pass(mode.calls, mode.lifetimes.peak_bytes, used, mode.read, because, needs)


def _training(ready: _Ready) -> TrainingPass:
    mode, nodes, call = _counting(ready), _Nodes(), ready.call
    for parameter in call.module.parameters():
        parameter.grad = None
    with quiet(), torch.enable_grad(), _tracked(ready, mode, nodes, training=True):
        with mode:
            outputs = [t for t in tensors_in(call.module(*call.args, **call.kwargs)) if t.requires_grad]
        nodes.claim(outputs, "")
        ahead, mode.calls = mode.calls, Calls()
        loss = [t.sum().real if t.is_complex() else t.sum() for t in outputs]
        outputs.clear()
        saved_bytes = mode.lifetimes.made_bytes
        mode.place = lambda: mode.path[-1] if len(mode.path) > 1 else nodes.place()
        with mode:
            if loss:
                torch.autograd.backward(loss)
    return TrainingPass(ahead, mode.calls, saved_bytes, mode.lifetimes.peak_bytes)


@contextmanager
def quiet(*, fused: bool = True, nested: bool = False) -> Iterator[None]:
    """Run with torch's settings as a count needs them, and leave them as they were.

    The attention fast path and torch.compile hide operators; a compiler that is not loaded yet has compiled nothing,
    and compiles nothing under a count. fused: attention on meta is one operator, as on a CPU. nested: the call takes
    nested tensors, for which torch's layers have the fast path alone.
    """
    with ExitStack() as stack:
        stack.enter_context(settings())
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")  # the caller's own runs will warn; a count need not
        stack.enter_context(torch.inference_mode(False))
        if "torch._dynamo" in sys.modules:  # loading it takes longer than most counts
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        if fused:
            stack.enter_context(fused_attention())
        stack.enter_context(complex_convolutions())
        torch.default_generator.manual_seed(0)  # torch.manual_seed looks for devices, which takes as long as the count
        torch.backends.mha.set_fastpath_enabled(nested)
        yield


class _Nodes:
    """Which module an autograd node belongs to: a module's are those between its inputs and its outputs."""

    def __init__(self) -> None:
        self.paths: dict[Any, str] = {}

    def claim(self, tensors: Sequence[Tensor], path: str) -> None:
        """Give every node behind the tensors that has no module yet to the module at `path`."""
        waiting = [t.grad_fn for t in tensors if t.grad_fn is not None]
        while waiting:
            node = waiting.pop()
            if node not in self.paths:
                self.paths[node] = path
                waiting += [before for before, _ in node.next_functions if before is not None]

    def place(self) -> str:
        """Return the module of the node that runs now."""
        return self.paths.get(torch._C._current_autograd_node(), "")


@contextmanager
def _tracked(ready: _Ready, mode: Counting, nodes: _Nodes | None, *, training: bool) -> Iterator[None]:
    """Set the training flags, and let the mode know which part runs."""
    parts = copies.parts(ready.call.module)
    before = [(part, part.training) for _, part in parts]
    for _, part in parts:
        part.__dict__["training"] = training
    try:
        with watched(parts, _telling(mode, nodes)):
            yield
    finally:
        for part, flag in before:
            part.__dict__["training"] = flag


def _telling(mode: Counting, nodes: _Nodes | None) -> Watch:
    stack, runs, thread = mode.path, mode.calls.runs, get_ident()

    def run(path: str, inner: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if get_ident() != thread:
            elsewhere(mode.calls, path)
            return inner(*args, **kwargs)
        if nodes is not None:
            nodes.claim(tensors_in((args, kwargs)), stack[-1])
        stack.append(path)
        runs[path] = runs.get(path, 0) + 1
        try:
            result = inner(*args, **kwargs)
        finally:
            stack.pop()
        if nodes is not None:
            nodes.claim(tensors_in(result), path)
        return result

    return run
