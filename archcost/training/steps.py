"""What steps a network's parameters: one of torch's optimisers, or Muon beside one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import Parameter

Group: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Matrix:
    """A kernel (O, C, ...) and the matrix (O, C * ...) over the same memory, which Muon steps.

    Whether the columns are a kernel's channels or its places first is the same to Muon.
    """

    kernel: Tensor
    rows: Parameter
    wide: bool
    """Whether the channels of a place lie together (channels_last)."""

    @classmethod
    def of(cls, kernel: Tensor) -> Self | None:
        """Return a kernel as a matrix, None if it does not lie in memory as one."""
        wide = kernel.dim() == 4 and kernel.is_contiguous(memory_format=torch.channels_last)
        if not wide and not kernel.is_contiguous():
            return None
        return cls(kernel, Parameter(_rows(kernel.detach(), wide=wide)), wide)

    def hand_over(self) -> None:
        """Give the matrix the kernel's gradient, or none."""
        if self.kernel.data_ptr() != self.rows.data_ptr():
            raise RuntimeError("a kernel was moved in memory while it was trained, where Muon does not follow it")
        gradient = self.kernel.grad
        self.rows.grad = None if gradient is None else _rows(gradient, wide=self.wide)


def _rows(kernel: Tensor, *, wide: bool) -> Tensor:
    return (kernel.permute(0, 2, 3, 1) if wide else kernel).reshape(len(kernel), -1)


def matrices(net: nn.Module) -> tuple[Matrix, ...]:
    """Return the trained kernels of a network's convolutions as matrices, each once.

    Those of several groups are left out: each group is a matrix of its own, of a depthwise one a mere row.
    """
    kinds = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
    trained = {id(each) for each in net.parameters() if each.requires_grad}
    convolutions = (part for part in net.modules() if isinstance(part, kinds) and part.groups == 1)
    weights = (dict(part.named_parameters(recurse=False)).get("weight") for part in convolutions)  # not what makes one
    kernels = {id(each): each for each in weights if id(each) in trained}
    return tuple(matrix for each in kernels.values() if each is not None and (matrix := Matrix.of(each)) is not None)


@dataclass(frozen=True, slots=True)
class Steps:
    """All that steps the parameters of a training; the matrices are the parameters of one of them, Muon."""

    optimisers: Sequence[torch.optim.Optimizer]
    matrices: Sequence[Matrix] = ()

    @property
    def groups(self) -> tuple[Group, ...]:
        """The groups of parameters, whose learning rate may be set."""
        return tuple(group for each in self.optimisers for group in each.param_groups)

    def drop_gradients(self) -> None:
        """Leave every parameter without a gradient; what is not used until the next step then stays as it is."""
        for optimiser in self.optimisers:
            optimiser.zero_grad(set_to_none=True)
        for each in self.matrices:
            each.kernel.grad = None

    def step(self) -> None:
        """Change the parameters that have a gradient."""
        for each in self.matrices:
            each.hand_over()
        for optimiser in self.optimisers:
            optimiser.step()

    def state(self) -> dict[int, dict[str, Any]]:
        """Return what is kept of each parameter, by its place among all groups' parameters."""
        kept: dict[int, dict[str, Any]] = {}
        for first, each in self._placed():
            kept |= {first + place: dict(values) for place, values in each.state_dict()["state"].items()}
        return kept

    def fits(self, held: Mapping[Any, Any]) -> bool:
        """Return whether what is held is what `state` returns: of each parameter all that is kept of it, or nothing."""
        of = [(_KEPT[type(each).__name__], value) for each in self.optimisers for value in _parameters(each)]
        for place, kept in held.items():
            if type(place) is not int or not 0 <= place < len(of) or not isinstance(kept, dict):
                return False
            names, parameter = of[place]
            if kept.keys() != names:
                return False
            if not all(alike(value, parameter if name != "step" else torch.zeros(())) for name, value in kept.items()):
                return False
        return True

    def give(self, held: Mapping[int, Mapping[str, Any]]) -> None:
        """Take up what `state` returned; the groups stay this training's own: their rates and decays follow its fit."""
        for first, each in self._placed():
            own = range(first, first + sum(1 for _ in _parameters(each)))
            state = {place - first: held[place] for place in own if place in held}
            each.load_state_dict({**each.state_dict(), "state": state})

    def _placed(self) -> Iterator[tuple[int, torch.optim.Optimizer]]:
        first = 0
        for each in self.optimisers:
            yield first, each
            first += sum(1 for _ in _parameters(each))


_KEPT = {"SGD": {"momentum_buffer"}, "Muon": {"momentum_buffer"}, "AdamW": {"step", "exp_avg", "exp_avg_sq"}}
"""What each of torch's optimisers keeps of a parameter."""


def _parameters(optimiser: torch.optim.Optimizer) -> Iterator[Tensor]:
    return (each for group in optimiser.param_groups for each in group["params"])


def alike(value: object, other: Tensor) -> bool:
    """Return whether a value is a tensor of another's shape and type."""
    return isinstance(value, Tensor) and (value.shape, value.dtype) == (other.shape, other.dtype)
