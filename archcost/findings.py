"""What a study has found, as JSON holds it: how far it is, its front, and every member with its YAML."""

from __future__ import annotations

from collections import Counter
from typing import Any

from archcost import tables
from archcost.config.writer import to_yaml
from archcost.front import Candidate, Front, bounds
from archcost.stored import Stored, network
from archcost.version import __version__


def status_of(stored: Stored, now: Front) -> dict[str, Any]:
    """Return how far a study is."""
    found = stored.trials()
    return {
        "archcost": __version__,
        "study": stored.name,
        "storage": str(stored.address),
        "objectives": list(stored.labels),
        "states": dict(Counter(each.fate for each in found)),
        "counted": sum(each.ended is not None and each.ended.counts for each in found),
        "reasons": dict(Counter(each.reason for each in found if each.reason).most_common()),
        "repeats": sum(each.ended is not None and each.ended.repeats is not None for each in found),
        "seconds": sum(each.ended.seconds for each in found if each.ended),
        "front": [each.name for each in now.members],
        "hypervolume": now.hypervolume,
        "reference": now.reference,
    }


def front_of(stored: Stored, now: Front) -> dict[str, Any]:
    """Return a front: members best first in the first objective, in base units."""
    return {
        "archcost": __version__,
        "study": stored.name,
        "objectives": list(stored.labels),
        "knee": now.knee,
        "hypervolume": now.hypervolume,
        "reference": now.reference,
        "members": [member_of(stored, each) for each in now.members],
        "left": [member_of(stored, each) for each in now.left],
    }


def member_of(stored: Stored, each: Candidate) -> dict[str, Any]:
    """Return a member of a front in base units; what is not known is None."""
    names = tables.column_names(stored.objectives)
    return {
        "trial": each.name,
        "family": each.trial.begun.family if each.trial.begun else None,
        **tables.known(each, stored.objectives),
        **tables.sure(each, stored.objectives),
        "shared_weights": each.shared,
        "params": each.part.params,
        "macs": each.part.macs,
        "memory_bytes": each.part.memory_bytes,
        "digest": each.part.digest,
        "intervals": dict(zip(names, bounds(each, stored.objectives), strict=False)),
        "point": dict(each.trial.point),
        "yaml": yaml_of(each),
    }


def yaml_of(each: Candidate) -> str:
    """Return a member as the YAML of a network of its own; of a column with `use_columns`."""
    return to_yaml(network(each).spec)
