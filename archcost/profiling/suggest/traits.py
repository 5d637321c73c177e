"""What a layer is beside its counts: kernel, channels, groups, or a step of several."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from archcost.graph.graph import Graph, recurrent
from archcost.graph.ops import Conv

if TYPE_CHECKING:
    from torch import nn


class Trait(NamedTuple):
    """What is known of a layer; kernel, channels and groups of a convolution, 0 of another one."""

    kernel: int = 0
    seen: int = 0
    made: int = 0
    groups: int = 0
    stepped: bool = False

    @property
    def depthwise(self) -> bool:
        """Whether each channel is convolved alone."""
        return self.groups > 1 and self.groups == self.seen

    @property
    def pointwise(self) -> bool:
        """Whether it is a product at each place, of all channels."""
        return self.kernel == 1 and self.groups == 1


def of_graph(graph: Graph) -> Mapping[str, Trait]:
    """Return the traits of a graph's convolutions, and of what runs step by step, by name."""
    found: dict[str, Trait] = {}
    cycle = recurrent(graph)
    for place, node in enumerate(graph.nodes):
        if isinstance(node.op, Conv):
            seen = graph.nodes[node.inputs[0]].shape[0]
            found[node.name] = Trait(node.op.kernel, seen, node.op.out, node.op.groups)
        elif place in cycle:
            found[node.name] = Trait(stepped=True)
    return found


def of_module(module: nn.Module) -> Mapping[str, Trait]:
    """Return the traits of torch's own convolutions and recurrent layers in a module, by path."""
    return dict(_of_parts(module))


def _of_parts(module: nn.Module) -> Iterator[tuple[str, Trait]]:
    from torch.nn import RNNBase, RNNCellBase
    from torch.nn.modules.conv import _ConvNd

    for path, part in module.named_modules():
        name = path or type(module).__name__
        if isinstance(part, _ConvNd):
            yield name, Trait(max(part.kernel_size), part.in_channels, part.out_channels, part.groups)
        elif isinstance(part, RNNBase | RNNCellBase):
            yield name, Trait(stepped=True)
