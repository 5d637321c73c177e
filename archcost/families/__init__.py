"""The table of families: the five that ship, and those that installed packages add as entry points."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Final

from archcost.errors import InputError, Mistake
from archcost.families.bottleneck import Bottleneck
from archcost.families.fractal import Fractal
from archcost.families.hornn import HORNN
from archcost.families.nin import NiN
from archcost.families.rir import RiR
from archcost.parts import Network

FAMILIES: Final[dict[str, type[Network]]] = {
    "bottleneck": Bottleneck,
    "nin": NiN,
    "rir": RiR,
    "fractal": Fractal,
    "hornn": HORNN,
}
GROUP: Final = "archcost.families"


def families() -> dict[str, type[Network]]:
    """Return all families by name; raises InputError where an entry point takes a name twice or is no family."""
    known = dict(FAMILIES)
    for point in entry_points(group=GROUP):
        if point.name in known:
            raise InputError(Mistake(f"two families are named '{point.name}'; one comes from {point.value}"))
        family = point.load()
        if not (isinstance(family, type) and issubclass(family, Network)):
            raise InputError(
                Mistake(f"the entry point {point.value} is no family: not a class of archcost.parts.Network")
            )
        known[point.name] = family
    return known
