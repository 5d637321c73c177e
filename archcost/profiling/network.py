"""What profiling asks of a counted network, a family's or a module, as one protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from archcost.graph.cost import Cost
from archcost.graph.graph import Graph

if TYPE_CHECKING:
    from archcost.counting.parameters import Weights
    from archcost.counting.witnesses.witness import Uncounted


class Counted(Protocol):
    """A network with its exact counts."""

    @property
    def name(self) -> str:
        """What tables and reports call it."""

    @property
    def family(self) -> str:
        """The family's name in the YAML; `module` of what code made."""

    @property
    def input(self) -> object:
        """What it takes, as JSON holds it."""

    @property
    def steps(self) -> int | None:
        """The length a sequence is counted at, None for an image and for a module."""

    @property
    def digest(self) -> str:
        """The SHA-256 of what it computes."""

    @property
    def cost(self) -> Cost:
        """The counts of one example."""

    @property
    def graph(self) -> Graph | None:
        """Its graph, None of what code made."""

    @property
    def yaml(self) -> str | None:
        """Its spec as YAML, None of what code made."""

    @property
    def weights(self) -> Weights | None:
        """Its parameters by kind (frozen, shared, ...), None of a family's network, where they are of one kind."""

    @property
    def uncounted(self) -> tuple[Uncounted, ...]:
        """Operators without a count."""

    @property
    def coverage(self) -> float:
        """The share of the operators' calls that have a count."""
