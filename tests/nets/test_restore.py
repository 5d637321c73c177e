"""Counting and profiling leave a module, and torch's settings, as they were: also when something raises."""

from __future__ import annotations

import copy
import random
import threading
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import archcost
from archcost.errors import InputError
from archcost.nets import copies
from archcost.nets.restore import untouched


class Noisy(nn.Module):
    """A module that changes all it can while it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)
        self.dropout = nn.Dropout(0.5)
        self.linear = nn.Linear(4, 4)
        self.frozen = nn.Parameter(torch.ones(4), requires_grad=False)
        self.register_buffer("calls", torch.zeros(()))
        self.seen: list[int] = []
        self.last = 0

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, 4) -> (B, 4)."""
        self.calls += 1
        self.last = len(x)
        self.seen.append(len(x))
        self.extra = torch.rand(2)
        random.random()
        np.random.rand()  # the old global state is what may be left behind
        return self.linear(self.dropout(self.norm(x))) * self.frozen


class Failing(Noisy):
    """The same, and then it raises."""

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, 4), and no result."""
        super().forward(x)
        raise ValueError("no more")


class Locked(Noisy):
    """The same, and it cannot be copied."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()


class LockedFailing(Failing):
    """Cannot be copied, and raises."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()


def state(module: nn.Module) -> list[object]:
    """Return all that may not change, of every part."""
    found: list[object] = []
    for name, part in module.named_modules():
        found.append((name, part.training, sorted(key for key in part.__dict__ if key != "lock")))
        hooks = [getattr(part, key) for key in sorted(part.__dict__) if "hooks" in key]
        found.append([list(hook) for hook in hooks])
        found.append(list(part._forward_hooks.values()))
        found.append({key: v for key, v in part.__dict__.items() if isinstance(v, int | float | str)})
    for tensor in [*module.parameters(), *module.buffers()]:
        found.append((id(tensor), tensor.requires_grad, tensor._version if tensor.requires_grad else 0))
        found.append(tensor.detach().clone().tolist())
        found.append(None if tensor.grad is None else (id(tensor.grad), tensor.grad.tolist()))
    return found


def settings() -> list[object]:
    """Return all of torch's, Python's and numpy's settings that may not change."""
    return [
        torch.get_rng_state().tolist(),
        random.getstate(),
        np.random.get_state()[1].tolist(),  # type: ignore[index]  # the old state is a tuple
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.backends.mha.get_fastpath_enabled(),
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.get_num_threads(),
        torch.backends.opt_einsum.enabled,
        nn.functional.scaled_dot_product_attention,
        torch.autograd.Function.__dict__["apply"],
        torch.is_autocast_enabled("cpu"),
    ]


def prepared(module: nn.Module) -> nn.Module:
    """Return a module in a state that is not the usual one: mixed flags, a hook, gradients."""
    module.train()
    module.norm.eval()  # type: ignore[union-attr]  # a part
    module.linear.register_forward_hook(lambda *_: None)  # type: ignore[union-attr]  # a part
    module(torch.randn(3, 4)).sum().backward() if not isinstance(module, Failing) else None
    return module


KINDS = {"plain": Noisy, "failing": Failing, "locked": Locked, "locked, failing": LockedFailing}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("latency", [False, True])
def test_profiling_leaves_a_module_as_it_was(kind: str, latency: bool) -> None:
    """Flags, hooks, buffers, statistics, gradients, attributes and settings are what they were, also after an error."""
    module = prepared(KINDS[kind]())
    before, around = state(module), settings()
    if isinstance(module, Failing):
        with pytest.raises(InputError, match="no more"):
            archcost.profile(module, torch.randn(3, 4), target="fake", threads=1, latency=latency)
        around[0] = torch.get_rng_state().tolist()  # the input above was drawn
    else:
        x = torch.randn(3, 4)
        around[0] = torch.get_rng_state().tolist()
        archcost.profile(module, x, target="fake", threads=1, latency=latency)
    assert before == state(module)
    assert around == settings()


def test_lists_of_a_copied_module_are_not_shared() -> None:
    """What a forward appends to a list of its own is appended to the copy's."""
    module = Noisy()
    archcost.profile(module, torch.randn(3, 4), latency=False)
    assert [] == module.seen


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, lambda: torch.device("meta")])
def test_the_caller_s_modes_do_not_matter(mode: Callable[[], object]) -> None:
    """Inside no_grad, inference mode or another default device the counts are the same, training with them."""
    module, x = Noisy(), torch.randn(3, 4)
    expected = archcost.profile(module, x, latency=False)
    with mode():  # type: ignore[attr-defined]  # a context
        found = archcost.profile(module, x, latency=False)
    assert expected.account.memory() == found.account.memory()
    assert expected.layers == found.layers
    assert expected.agree is found.agree is True


def test_the_module_still_trains_afterwards() -> None:
    """Nothing of the weights has become an inference tensor, and inputs are not written into."""
    module, x = Noisy(), torch.randn(3, 4)
    kept = x.clone()
    archcost.profile(module, x, target="fake", threads=1)
    module(x).sum().backward()
    assert torch.equal(kept, x)
    assert module.linear.weight.grad is not None


class Overwriting(nn.Module):
    """Writes into its input."""

    def forward(self, x: Tensor) -> Tensor:
        """x: any, changed in place."""
        if x.sum() > -1e9:  # cannot run on meta
            x.add_(1)
        return x * 2


def test_inputs_are_not_written_into() -> None:
    """Also where the count has to run on data."""
    x = torch.ones(2, 2)
    archcost.profile(Overwriting(), x, latency=False)
    assert [[1, 1], [1, 1]] == x.tolist()


def test_untouched_puts_everything_back() -> None:
    """Attributes set, removed or replaced, parts swapped, buffers written, gradients set: all undone."""
    module = prepared(Noisy())
    before = state(module)

    def change() -> None:
        module.linear = nn.Linear(4, 4)
        module.register_buffer("more", torch.ones(1))
        del module._buffers["calls"]
        module.norm.running_mean.fill_(9)  # type: ignore[union-attr, operator]  # a buffer of a part
        module.anything = 1
        module.eval()
        module.frozen.grad = torch.ones(4)
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"), untouched(module):
        change()
    assert before == state(module)


CASES: dict[str, Callable[[], nn.Module]] = {
    "convolution": lambda: nn.Conv2d(3, 4, 3),
    "lstm": lambda: nn.LSTM(3, 4, 2),
    "encoder": lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2),
    "weight norm": lambda: nn.utils.weight_norm(nn.Linear(3, 4)),
    "spectral norm": lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(3, 4)),
    "noisy": Noisy,
}


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("copied", ["meta", "real"])
def test_a_copy_is_deep(case: str, copied: str) -> None:
    """A copy has the original's structure and state, and shares no tensor, no part and no container with it."""
    module = CASES[case]()
    made = copies.on_meta(module)[0] if copied == "meta" else copies.real(module)
    assert [(n, type(p)) for n, p in module.named_modules()] == [(n, type(p)) for n, p in made.named_modules()]
    ours, theirs = dict(module.state_dict()), dict(made.state_dict())
    assert {k: (v.shape, v.dtype) for k, v in ours.items()} == {k: (v.shape, v.dtype) for k, v in theirs.items()}
    assert all(tensor.is_meta for tensor in theirs.values()) is (copied == "meta")
    shared = {id(p) for p in module.modules()} & {id(p) for p in made.modules()}
    tensors = {id(t) for t in copies.tensors(module)} & {id(t) for t in copies.tensors(made)}
    dictionaries = {id(p._parameters) for p in module.modules()} & {id(p._parameters) for p in made.modules()}
    assert (set(), set(), set()) == (shared, tensors, dictionaries)


def test_a_copy_keeps_what_is_shared_shared() -> None:
    """A part under two names, a parameter of two parts and a list that two parts hold stay one."""
    a, b = nn.Linear(2, 2), nn.Linear(2, 2)
    b.weight = a.weight
    both: list[int] = []
    a.kept = b.kept = both  # type: ignore[assignment]  # any attribute
    made = copies.on_meta(nn.ModuleList([a, b, a]))[0]
    assert made[0] is made[2]  # type: ignore[index]  # a ModuleList
    assert made[0].weight is made[1].weight  # type: ignore[index]  # as above
    assert made[0].kept is made[1].kept  # type: ignore[index]  # as above
    assert made[0].kept is not both  # type: ignore[index]  # as above


class Own(nn.Linear):
    """Has a say in how it is copied."""

    def __deepcopy__(self, memo: dict[int, object]) -> Own:
        made = Own(2, 2)
        made.told = True  # type: ignore[assignment]  # any attribute
        return made


def test_a_module_may_copy_itself() -> None:
    """A class with a __deepcopy__ of its own is copied by it, also deep inside."""
    assert copies.real(nn.Sequential(Own(2, 2)))[0].told is True  # type: ignore[index]  # a Sequential
    assert copy.deepcopy(Own(2, 2)).told is True  # type: ignore[comparison-overlap]  # any attribute
