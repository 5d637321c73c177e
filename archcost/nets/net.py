"""A graph as a torch module, compiled once.

Forward looks nothing up and lets every value go at its last use.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor, nn

from archcost.errors import InputError
from archcost.graph.columns import columns, only
from archcost.graph.cost import count, peak_bytes
from archcost.graph.dtypes import BYTES
from archcost.graph.graph import Graph
from archcost.graph.liveness import scheduled
from archcost.graph.ops import Input, Recall
from archcost.graph.recipe import Recipe
from archcost.machine import shortage
from archcost.nets.drop_path import DropPath
from archcost.nets.initialisation import initialise
from archcost.nets.layers import Call, layer
from archcost.nets.recurrence import Recurrence
from archcost.nets.steps import Mark, compiled, execute, execute_marked, idle
from archcost.units import data_size

PLAIN: Final = Recipe("he")


class Net(nn.Module):
    """A network that runs its graph.

    Images: (B, C, H, W) -> (B, K). Sequences: (B, T) tokens or (B, T, F) -> (B, T, K) or (B, K), any T. `recipe` says
    how weights begin and which paths are dropped while training. `layers`, another Net's, shares its weights by name;
    `alone`: their batch norms use the statistics of columns that run alone.
    """

    def __init__(
        self, graph: Graph, recipe: Recipe = PLAIN, *, layers: Mapping[str, Call] | None = None, alone: bool = False
    ) -> None:
        super().__init__()
        self.graph, self.recipe = graph, recipe
        self._keeps_alone = _trains_alone(graph, recipe)
        if layers is None:
            self.calls: Mapping[str, Call] = _made(graph, alone=self._keeps_alone)
        else:
            self.calls = {node.name: layers[node.name] for node in graph.nodes if node.name in layers}
        self.layers = _tree(self.calls)
        self.alone = alone
        schedule = scheduled(graph.nodes)
        recurs = any(isinstance(node.op, Recall) for node in graph.nodes)
        self._recurrence = Recurrence(graph, schedule, self.calls) if recurs else None
        self._steps = () if recurs else compiled(schedule, self.calls, alone=alone)
        drops = (recipe.drop_local > 0 or recipe.drop_global > 0) and len(columns(graph)) > 1
        self._drops = DropPath(graph, schedule, self.calls, recipe) if drops else None

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, H, W) -> (B, K); (B, T) or (B, T, F) -> (B, T, K), or (B, K) for a readout at the last step."""
        if self._recurrence is not None:
            return self._recurrence(x, None)[0]
        if self._drops is not None and self.training:
            return self._drops(x)
        return execute(self._steps, [x, *[None] * (len(self.graph.nodes) - 1)])

    def marked(self, x: Tensor, mark: Mark) -> Tensor:
        """Return what forward does, nothing dropped; `mark` is told of every node when it has run."""
        if self._recurrence is not None:
            return self._recurrence(x, None, mark)[0]
        return execute_marked(self._steps, [x, *[None] * (len(self.graph.nodes) - 1)], mark)

    def idle(self) -> Net:
        """Return this network with nodes that cost nothing: its schedule runs, and each gives back its first input."""
        other = copy.copy(self)
        other._steps = idle(self._steps)
        other._recurrence = None if self._recurrence is None else self._recurrence.idle()
        other._drops = None
        return other

    def run(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return output and state behind the last step, (B, N, H) newest first; given back, a sequence goes on."""
        if self._recurrence is None:
            raise TypeError("only a recurrent network carries a state")
        return self._recurrence(x, state)

    def state(self, batch: int) -> Tensor:
        """Return the state before a sequence begins, (B, N, H): zeros, in the weights' type."""
        if self._recurrence is None:
            raise TypeError("only a recurrent network carries a state")
        like = next(self.parameters())
        shape = (batch, self._recurrence.depth, *self._recurrence.shape)
        return torch.zeros(shape, dtype=like.dtype, device=like.device)

    def restricted(self, graph: Graph, *, alone: bool = False) -> Net:
        """Return a network that runs `graph`, a restriction of this one's, with this one's weights.

        The layers are this one's: `eval()` or `train()` on the part changes them here too.

        `alone`: with the batch-norm statistics of columns that run alone, where this network keeps them.
        """
        alone = alone and self._keeps_alone
        part = Net(graph, Recipe(self.recipe.init), layers=self.calls, alone=alone)
        part._keeps_alone = self._keeps_alone
        return part.train(self.training)

    def column(self, column: int) -> Net:
        """Return one column (1 = shallowest) as a network with this one's weights."""
        return self.restricted(only(self.graph, [column]), alone=True)


class Stepping(nn.Module):
    """A recurrent network as a function of input and state: what runs once for each token of a stream."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """x: (B, 1) or (B, 1, F), state: (B, N, H) newest first -> output, state behind the step."""
        return self.net.run(x, state)


def _trains_alone(graph: Graph, recipe: Recipe) -> bool:
    """Return whether columns also run alone in training; a single column always does, with nothing dropped."""
    return recipe.drop_global > 0 and len(columns(graph)) > 1


def _made(graph: Graph, alone: bool) -> dict[str, Call]:
    """Return every node's layer without values: initialise sets them."""
    with torch.device("meta"):
        return {
            node.name: layer(node.op, [graph.nodes[i].shape for i in node.inputs], alone=alone)
            for node in graph.nodes
            if not isinstance(node.op, Input | Recall)
        }


def _tree(calls: Mapping[str, Call]) -> nn.Module:
    """Return a module that holds the layers under the parts of their names, so that state keys are node names."""
    root = nn.Module()
    for name, call in calls.items():
        if isinstance(call, nn.Module):
            *parents, leaf = name.split(".")
            place = root
            for parent in parents:
                if parent not in place._modules:
                    place.add_module(parent, nn.Module())
                place = place.get_submodule(parent)
            place.add_module(leaf, call)
    return root


def build(graph: Graph, recipe: Recipe = PLAIN, *, seed: int = 0, available_bytes: int | None = None) -> Net:
    """Return an initialised network on the CPU, in evaluation mode; torch's random state stays as it was.

    Raises InputError if weights and the largest live set do not fit `available_bytes`.
    """
    if short := shortage(peak_bytes(graph, 1, BYTES["float32"]), available_bytes):
        weights = data_size(count(graph).weights_bytes(BYTES["float32"]))
        raise InputError(f"too large to build: {weights} of weights; {short}")
    # a caller's inference mode would make weights that no later training may use
    with torch.inference_mode(False), torch.random.fork_rng(devices=[]):
        net = Net(graph, recipe).to_empty(device="cpu")
        torch.manual_seed(seed)
        initialise(graph, dict(net.calls), recipe.init)
    return net.eval()


def on_meta(graph: Graph) -> Net:
    """Return the network without memory for its weights: it can be traced for shapes, not run."""
    return Net(graph).eval()


def example(graph: Graph, batch: int = 1, *, seed: int = 0, device: str = "cpu") -> Tensor:
    """Return a seeded input: normal values, or uniform tokens; (B, ...) or (B, T, ...) for sequences."""
    op = graph.nodes[0].op
    assert isinstance(op, Input)  # a Graph begins with its input
    shape = (batch, *(() if graph.steps is None else (graph.steps,)), *op.shape)
    if device == "meta":
        return torch.empty(shape, dtype=torch.float32 if op.below is None else torch.int64, device="meta")
    generator = torch.Generator().manual_seed(seed)
    if op.below is not None:
        return torch.randint(min(op.below, 2**62), shape, generator=generator).to(device)
    return torch.randn(shape, generator=generator).to(device)
