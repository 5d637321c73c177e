"""What a study has found, as JSON holds it: how far it is, its front, and every member with its YAML."""

from __future__ import annotations

from collections import Counter
from typing import Any

from archcost import __version__, storage, tables
from archcost.front import Candidate, Front
from archcost.objectives import QUANTITIES, Quantity
from archcost.stored import Stored, network
from archcost.writing import to_yaml


def status_of(stored: Stored, now: Front) -> dict[str, Any]:
    """Return how far a study is."""
    found = stored.trials()
    return {
        "archcost": __version__,
        "study": stored.name,
        "storage": storage.shown(stored.url),
        "objectives": list(stored.labels),
        "states": dict(Counter(each.state for each in found)),
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
    }


def member_of(stored: Stored, each: Candidate) -> dict[str, Any]:
    """Return a member of a front in base units; what is not known is None."""
    names = tables.column_names(stored.objectives)
    latencies = each.latencies()
    return {
        "trial": each.name,
        "family": each.trial.begun.family if each.trial.begun else None,
        **dict(zip(names, stored.restored(each.values), strict=True)),
        "test": tested(stored, each),
        "seeds": len(each.confirmed.tests) if each.confirmed else 0,
        "probability": each.standing.probability if each.standing else None,
        "shared_weights": each.shared,
        "stable": all(latency.stable for latency in latencies) if latencies else None,
        "params": each.part.params,
        "macs": each.part.macs,
        "memory_bytes": each.part.memory_bytes,
        "digest": each.part.digest,
        "intervals": {name: list(ends) for name, ends in zip(names, intervals(stored, each), strict=False)},
        "point": dict(each.trial.point),
        "yaml": yaml_of(each),
    }


def learnt(stored: Stored) -> Quantity | None:
    """Return the first objective that training gives: what the test split is scored in."""
    return next((QUANTITIES[name] for name, _ in stored.objectives if QUANTITIES[name].learnt), None)


def tested(stored: Stored, each: Candidate) -> float | None:
    """Return what a network reaches on the test split, the mean over its seeds; None where it was not tested."""
    quantity = learnt(stored)
    tests = each.confirmed.tests if each.confirmed and quantity else ()
    seen = [value for score in tests if quantity and (value := getattr(score, quantity.name)) is not None]
    return sum(seen) / len(seen) if seen else None


def intervals(stored: Stored, each: Candidate) -> tuple[tuple[float, float], ...]:
    """Return the interval of every objective in base units, none at all where the network is not confirmed."""
    bounds = each.standing.intervals if each.standing else ()
    quantities = [QUANTITIES[name] for name, _ in stored.objectives]
    return tuple(
        (quantity.restored(low), quantity.restored(high))
        for quantity, (low, high) in zip(quantities, bounds, strict=False)
    )


def yaml_of(each: Candidate) -> str:
    """Return a member as the YAML of a network of its own; of a column with `use_columns`."""
    return to_yaml(network(each).spec)
