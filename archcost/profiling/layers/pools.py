"""Layers of two networks that share few names, pooled by stage and operator."""

from __future__ import annotations

from typing import Final

from archcost.graph.cost import cut
from archcost.profiling.compare import Against, grouped
from archcost.profiling.layers.sums import RUNTIMES_OWN

MOST: Final = 24
"""Layers that only one of two networks has, up to which each is listed by itself; and pools, up to which by stage."""


def pooled(pair: Against) -> Against | None:
    """Return a pair with the layers that only one network has pooled, None if they are few.

    A pool is of one stage, the first part of names, and of one operator; of one operator alone if those are too many.
    What both have under one name stays as it is.
    """
    alone = (*pair.only_first, *pair.only_other)
    if len(alone) <= MOST:
        return None
    ops = {each.name: each.op or "(no operator)" for each in alone}
    pools = {name: f"{cut(name, 1)}: {op}" for name, op in ops.items()}
    if len(set(pools.values())) > MOST:
        pools = ops
    both = {each.name for each in pair.layers}
    return grouped(pair, lambda name: name if name in both else pools.get(name, RUNTIMES_OWN))
