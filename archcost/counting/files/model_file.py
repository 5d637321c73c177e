"""A model file that was counted: what Model is for a family's network, Module for a module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from archcost.graph.account import Account
from archcost.graph.cost import Cost

if TYPE_CHECKING:
    from archcost.counting.parameters import Weights
    from archcost.counting.witnesses.witness import Uncounted


@dataclass(frozen=True)
class ModelFile:
    """A model file with its counts.

    family: its kind; input: what it takes, as JSON holds it; dtype: the floating type of most of its weights; weights:
    its parameters by kind, None of a file that does not tell kinds apart; notes: what a reader of the counts has to
    know.
    """

    name: str
    family: str
    input: object
    cost: Cost
    digest: str
    dtype: str
    accounts: tuple[Account, ...]
    weights: Weights | None = None
    uncounted: tuple[Uncounted, ...] = ()
    coverage: float = 1.0
    notes: tuple[str, ...] = ()

    steps: ClassVar[None] = None
    graph: ClassVar[None] = None  # its nodes are not the operators of one
    yaml: ClassVar[None] = None
