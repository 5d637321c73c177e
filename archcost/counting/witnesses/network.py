"""The witnesses of a network from a graph: fvcore traces a real pass, torch counts on meta.

If they do not equal the graph's own counts something is wrong, and the nodes that differ are named.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import starmap
from typing import Final

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from archcost.counting import passes
from archcost.counting.dispatch import macs
from archcost.counting.witnesses.fvcore import import_fvcore
from archcost.counting.witnesses.witness import Engine, Uncounted, Witness
from archcost.graph.account import Account, Trained
from archcost.graph.cost import Cost
from archcost.graph.dtypes import INT8, unquantised
from archcost.graph.graph import Graph
from archcost.nets.call import Call
from archcost.nets.dtypes import TORCH
from archcost.nets.net import Net, example, on_meta
from archcost.nets.restore import evaluating

# fvcore's names of what carries MACs; its total adds norms (2 or 5 an element) and adaptive pools, kept apart here
_MACS: Final = frozenset({"conv", "linear", "addmm", "matmul", "bmm", "einsum"})
# what fvcore has no rule for and what needs none: it moves values, or is elementwise or a pool, and multiplies nothing
_NO_MACS: Final = frozenset(
    """abs add add_ avg_pool2d bernoulli_ cat chunk clamp clone constant_pad_nd copy_ detach div div_ dropout dropout_
    embedding exp expand feature_dropout flatten gather index index_select max max_pool2d maximum mean min mul mul_
    narrow neg ones pad permute relu relu_ repeat_interleave reshape rsub select sigmoid sigmoid_ slice split squeeze
    stack sub sub_ sum tanh tanh_ transpose unbind unsqueeze view zeros zeros_like""".split()
)


def witness(graph: Graph, net: Net, cost: Cost) -> Witness:
    """Return both witnesses' counts of a network, and where they differ from its cost; `net`, the graph built, stays.

    In the differences every node that was counted otherwise is named.
    """
    params = _fvcore_params(net)
    by_fvcore, unsupported = _fvcore(graph, net)
    by_torch = _torch(graph)
    told = [f"params: {cost.params} counted, fvcore sees {params}"] if params != cost.params else []
    told += [*_against(cost, "fvcore", by_fvcore), *_against(cost, "torch", by_torch)]
    told += [f"{op}: fvcore has no count for it ({times} times)" for op, times in unsupported.items()]
    fvcore = Engine(sum(by_fvcore.values()), unsupported=unsupported)
    unknown = tuple(starmap(Uncounted, unsupported.items()))
    return Witness(params, fvcore, Engine(sum(by_torch.values())), tuple(told), unknown)


def _against(cost: Cost, who: str, by_node: Mapping[str, int]) -> Iterator[str]:
    """Yield in words what a witness counted otherwise than the graph, node by node."""
    expected = {row.name: row.macs for row in cost.rows if row.macs}
    for name in dict.fromkeys([*expected, *by_node]):
        if expected.get(name, 0) != by_node.get(name, 0):
            where = name or "outside any node"
            yield f"{where}: {expected.get(name, 0)} MACs counted, {who} sees {by_node.get(name, 0)}"


def trained(graph: Graph, net: Net, account: Account) -> tuple[Trained, str]:
    """Return a training step with the bytes autograd keeps, as torch runs it, and how its MACs differ from the graph's.

    A batch norm over one value a channel refuses a batch of 1: the bytes are then not known.
    """
    expected = account.training
    assert expected is not None  # a graph's account always has one
    unseen = account.trained
    call = Call(net, (example(graph, account.batch),))
    floating = unquantised(account.dtype)
    cast = None if floating == "float32" else TORCH[floating]
    try:
        step = passes.training(call, cast)
    except ValueError:
        return unseen, ""
    found = (macs(step.forward), macs(step.backward))
    counted = (expected.forward_macs * account.batch, expected.backward_macs * account.batch)
    kept = replace(expected, saved_bytes=step.saved_bytes, peak_bytes=account.weights_bytes + step.peak_bytes)
    seen = unseen._replace(step=expected if account.dtype == INT8 else kept)  # nothing is trained in 8 bits
    if found == counted:
        return seen, ""
    return seen, f"training: {counted} MACs forward and backward counted, torch runs {found}"


def _fvcore_params(net: Net) -> int:
    parameter_count = import_fvcore()[1]
    return int(parameter_count(net)[""])


def _fvcore(graph: Graph, net: Net) -> tuple[dict[str, int], dict[str, int]]:
    """Return fvcore's MACs by node, and the operators it skipped that may carry MACs."""
    analysis = import_fvcore()[0](net, example(graph))
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    with evaluating(net), torch.no_grad(), warnings.catch_warnings():
        # the tracer warns of every Python number it takes from a shape: the count is for this shape, as it should be
        warnings.simplefilter("ignore")
        modules = analysis.by_module_and_operator()
        skipped = analysis.unsupported_ops()
    macs = {
        node: int(sum(value for op, value in modules.get(path, {}).items() if op in _MACS))
        for path, node in _paths(net).items()
    }
    whole = int(sum(value for op, value in modules[""].items() if op in _MACS))
    unsupported = {op: int(n) for op, n in skipped.items() if op.removeprefix("aten::") not in _NO_MACS}
    return _with_rest(macs, whole), unsupported


def _torch(graph: Graph) -> dict[str, int]:
    """Return torch's MACs by node, counted on a network without memory; it counts two operations a MAC."""
    net = on_meta(graph)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(example(graph, device="meta"))
    counts = counter.get_flop_counts()
    macs = {node: sum(counts.get(f"Net.{path}", {}).values()) // 2 for path, node in _paths(net).items()}
    return _with_rest(macs, counter.get_total_flops() // 2)


def _paths(net: nn.Module) -> dict[str, str]:
    """Return each layer's node name by its path in the module."""
    return {path: path.removeprefix("layers.") for path, part in net.named_modules() if not any(part.children())}


def _with_rest(by_node: dict[str, int], whole: int) -> dict[str, int]:
    """Return the counts that are not 0, with what belongs to no node under the empty name."""
    rest = whole - sum(by_node.values())
    return {name: macs for name, macs in [*by_node.items(), ("", rest)] if macs}
