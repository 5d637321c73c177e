"""The table of families: the five that ship, and those of installed packages.

Packages add theirs as entry points.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Final

from archcost.errors import InputError, Mistake
from archcost.models.families.bottleneck import Bottleneck
from archcost.models.families.fractal import Fractal
from archcost.models.families.hornn import HORNN
from archcost.models.families.nin import NiN
from archcost.models.families.parts import Network
from archcost.models.families.rir import RiR

FAMILIES: Final[dict[str, type[Network]]] = {
    "bottleneck": Bottleneck,
    "nin": NiN,
    "rir": RiR,
    "fractal": Fractal,
    "hornn": HORNN,
}
GROUP: Final = "archcost.families"


def families() -> dict[str, type[Network]]:
    """Return all families by name; raises InputError if an entry point takes a name twice or is no family."""
    known = dict(FAMILIES)
    for point in entry_points(group=GROUP):
        if point.name in known:
            raise InputError(Mistake(f"two families are named '{point.name}'; one comes from {point.value}"))
        family = point.load()
        if not (isinstance(family, type) and issubclass(family, Network)):
            raise InputError(
                Mistake(f"the entry point {point.value} names no class of archcost.models.families.parts.Network")
            )
        known[point.name] = family
    return known
