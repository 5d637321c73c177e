"""Which members of a front are confirmed next, and which are not."""

from __future__ import annotations

from collections.abc import Collection

from archcost.search import pareto
from archcost.study.records.front import Candidate, Front


def following(front: Front, done: Collection[str], most: int) -> Candidate | None:
    """Return the member to confirm next: the best in the first objective, then the one that holds most hypervolume.

    That is without which the front would lose most of it. done: networks, each of which is confirmed in all its ways at
    once. Of members with the same values one stands for the others. None if all members, or `most` of them, are done.
    """
    left = [place for place, each in enumerate(front.members) if each.network not in done]
    if not left or len({each.network for each in front.members} & set(done)) >= most:
        return None
    if front.reference is None or left[0] == 0:
        return front.members[left[0]]
    points = list(dict.fromkeys(each.values for each in front.members))
    lost = dict(zip(points, pareto.contributions(points, front.reference), strict=True))
    lost |= dict.fromkeys([each.values for each in front.members if each.network in done], -1.0)
    return front.members[max(left, key=lambda place: lost[front.members[place].values])]


def outstanding(front: Front, most: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of members that another run confirms, and of those that it does not: they are more than `most`.

    As the front is now: members that leave it when they are confirmed make room for others.
    """
    done = [each.network for each in front.members if each.standing]
    while (each := following(front, done, most)) is not None:
        done.append(each.network)
    left = [each for each in front.members if not each.standing]
    soon, never = ([each.name for each in left if (each.network in done) is holds] for holds in (True, False))
    return tuple(soon), tuple(never)
