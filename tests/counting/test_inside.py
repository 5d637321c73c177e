"""What a forward may do with its own parts: copy them, differentiate, call them in other ways; all of it is counted."""

from __future__ import annotations

import copy
import pickle
import types
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

import archcost


class Of(nn.Module):
    """Runs a function of itself and the input; it has a part `net`."""

    def __init__(self, call: Callable[..., Any], net: nn.Module | None = None) -> None:
        super().__init__()
        self.call = call
        self.net: Any = nn.Linear(8, 4) if net is None else net

    def forward(self, *x: Any) -> Any:
        """Whatever the function takes and gives."""
        return self.call(self, *x)


def energy() -> nn.Module:
    """Return (B, 8) -> (B, 1): 32 + 4 multiply-accumulates an example."""
    return nn.Sequential(nn.Linear(8, 4), nn.Tanh(), nn.Linear(4, 1))


def smaller(net: Any) -> Any:
    """Return a copy whose weight is another one, half as large: the original's would be seen in the count."""
    made = copy.deepcopy(net)
    made.weight, made.bias = nn.Parameter(torch.zeros(2, 8)), None
    return made


def _shallow(m: Any, x: Tensor) -> Tensor:
    made = copy.copy(m.net)
    made._parameters = {**made._parameters, "weight": nn.Parameter(torch.zeros(2, 8)), "bias": None}
    y: Tensor = made(x)
    return y


def _owned() -> nn.Module:
    """Return a layer whose forward is an attribute of its own, bound to it."""
    made = nn.Linear(8, 4)
    made.forward = types.MethodType(lambda self, x: F.linear(x, self.weight), made)  # type: ignore[method-assign]  # as patches do
    return made


def _twice(net: nn.Module) -> nn.ModuleList:
    return nn.ModuleList([net, net])


class Doubled(nn.Linear):
    """Calls the forward it is made from."""

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, 8) -> (B, 4)."""
        return super().forward(x) * 2


class Same(nn.Linear):
    """Has no forward of its own."""


class Static(nn.Module):
    """Its forward takes no self."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        """x: (B, 8) -> (B, B)."""
        return x @ x.T


def _family(m: Any, x: Tensor) -> Tensor:
    y: Tensor = m.net[0](x) + m.net[1](x) + m.net[2](x)
    return y


COPIES: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "deepcopy": (lambda: Of(lambda m, x: copy.deepcopy(m.net)(x)), 160),
    "deepcopy, changed": (lambda: Of(lambda m, x: smaller(m.net)(x)), 80),
    "deepcopy of several": (lambda: Of(lambda m, x: copy.deepcopy(m.net)(x), energy()), 5 * 36),
    "deepcopy of itself": (lambda: Of(lambda m, x: copy.deepcopy(m).net(x)), 160),
    "deepcopy beside the original": (lambda: Of(lambda m, x: copy.deepcopy(m.net)(x) + m.net(x)), 320),
    "deepcopy of a part with a forward of its own": (lambda: Of(lambda m, x: smaller(m.net)(x), _owned()), 80),
    "copy, changed": (lambda: Of(_shallow), 80),
    "pickle": (lambda: Of(lambda m, x: pickle.loads(pickle.dumps(m.net))(x)), 160),  # noqa: S301  # its own
    "a part twice": (lambda: Of(lambda m, x: m.net[0](x) + m.net[1](x), _twice(nn.Linear(8, 4))), 320),
    "super": (lambda: Of(_family, nn.ModuleList([nn.Linear(8, 4), Doubled(8, 4), Same(8, 4)])), 480),
    "static": (lambda: Of(lambda m, x: m.net(x), Static()), 200),
    "unbound": (lambda: Of(lambda m, x: nn.Linear.forward(m.net, x)), 160),
    "forward itself": (lambda: Of(lambda m, x: m.net.forward(x)), 160),
    "functional call": (
        lambda: Of(lambda m, x: torch.func.functional_call(m.net, dict(m.net.named_parameters()), (x,))),
        160,
    ),
}


@pytest.mark.parametrize("case", COPIES)
@pytest.mark.parametrize("branches", [False, True])
def test_copies_run_as_copies(case: str, branches: bool) -> None:
    """A copy that is made while a module runs has a forward of its own; on meta tensors and on data."""
    make, macs = COPIES[case]
    module, x = make(), torch.ones(5, 8)
    if branches:
        inner = module
        module = Of(lambda m, x: m.net(x) if x.sum() > 0 else x, inner)
    found = archcost.profile(module, x, latency=False)
    assert (macs, ()) == (found.macs, found.differences)


def test_classes_are_what_they_were() -> None:
    """The forward of no class and of no part is exchanged after a count, also after one that failed."""
    module = Of(_family, nn.ModuleList([nn.Linear(8, 4), Doubled(8, 4), Same(8, 4)]))
    kinds = (nn.Linear, Doubled, Same, Of, nn.ModuleList)
    before = [(kind.forward, "forward" in kind.__dict__) for kind in kinds]
    archcost.profile(module, torch.ones(5, 8), latency=False)
    with pytest.raises(archcost.InputError):
        archcost.profile(module, torch.ones(5, 9), latency=False)
    assert before == [(kind.forward, "forward" in kind.__dict__) for kind in kinds]
    assert not any("forward" in part.__dict__ for part in module.modules())


def test_a_part_knows_its_path_in_every_class() -> None:
    """Parts of one class, of one made from it, and one that calls the forward of another have rows of their own."""
    module = Of(_family, nn.ModuleList([nn.Linear(8, 4), Doubled(8, 4), Same(8, 4)]))
    found = archcost.profile(module, torch.ones(5, 8), latency=False)
    assert {f"net.{i}": 160 for i in range(3)} == {layer.name: layer.macs for layer in found.layers if layer.macs}
    assert {1} == {layer.runs for layer in found.layers if layer.macs}


def _forces(m: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    e = m.net(x)
    return e, -torch.autograd.grad(e.sum(), x, create_graph=m.training)[0]


def _enabled(m: Any, x: Tensor) -> Tensor:
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        e = m.net(x).pow(2).sum()
    return torch.autograd.grad(e, x)[0]


def _backward(m: Any, x: Tensor) -> Tensor | None:
    x = x.detach().clone().requires_grad_()
    m.net(x).sum().backward(inputs=[x])
    return x.grad


def _trained(m: Any, x: Tensor) -> Tensor:
    """Two steps on a copy, then its output."""
    net = copy.deepcopy(m.net)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
    with torch.enable_grad():
        for _ in range(2):
            optimiser.zero_grad()
            net(x).square().mean().backward()
            optimiser.step()
    y: Tensor = net(x)
    return y


def _branching(call: Callable[..., Any]) -> Callable[..., Any]:
    return lambda m, x: call(m, x / 2 if x.max() > 100 else x)


GRADIENTS: dict[str, tuple[Callable[..., Any], Callable[[], nn.Module], int]] = {
    "forces": (_forces, energy, 2 * 5 * 36),  # backward, each layer's input gradient
    "forces after a branch on data": (_branching(_forces), energy, 2 * 5 * 36),
    "enabled inside": (_enabled, lambda: nn.Linear(8, 4), 2 * 160),
    "backward": (_backward, lambda: nn.Linear(8, 4), 2 * 160),
    "trained inside": (_trained, lambda: nn.Linear(8, 4), 5 * 160),  # forward and weight gradient, twice, and forward
    "trained after a branch on data": (_branching(_trained), lambda: nn.Linear(8, 4), 5 * 160),
    "checkpointed": (lambda m, x: checkpoint(m.net, x, use_reentrant=False), lambda: nn.Linear(8, 4), 160),
    "by function": (lambda m, x: torch.func.grad(lambda x: m.net(x).sum())(x), lambda: nn.Linear(8, 4), 2 * 160),
}


@pytest.mark.parametrize("case", GRADIENTS)
def test_a_forward_may_differentiate(case: str) -> None:
    """What runs with gradients alone is counted with them, in all engines that can; and measured."""
    call, make, macs = GRADIENTS[case]
    module = Of(call, make())
    x = torch.ones(5, 8, requires_grad="forces" in case)
    found = archcost.profile(module, x, runtime="eager", threads=1, time=0.02)
    assert (macs, ()) == (found.macs, found.differences)
    assert found.witness is not None
    assert macs == found.witness.torch.macs
    assert found.agree is not False
    assert (None, 1) == (x.grad, len(found.samples))
    assert all(parameter.grad is None for parameter in module.parameters())


def test_networks_of_several_needs_take_turns() -> None:
    """One that differentiates, one that enables gradients and one that runs in inference mode, by turns."""
    x = torch.ones(5, 8, requires_grad=True)
    modules = [Of(_forces, energy()), Of(_enabled), Of(lambda m, x: m.net(x)), Of(_forces, energy())]
    found = archcost.compare(*((module, x) for module in modules), threads=1, time=0.02)
    assert [1] * 4 == [len(profile.samples) for profile in found.profiles]


def test_an_error_of_ones_own_is_told_once() -> None:
    """A module that fails with and without gradients raises what it raised without."""
    asked: list[bool] = []

    def failing(m: Any, x: Tensor) -> None:
        asked.append(torch.is_grad_enabled())
        raise ValueError(f"gradients: {asked[-1]}")

    with pytest.raises(archcost.InputError, match="gradients: False"):
        archcost.profile(Of(failing), torch.ones(5, 8), latency=False)
    assert {False, True} == set(asked)
