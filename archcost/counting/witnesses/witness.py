"""What two independent counters found, and the differences from archcost's own count.

fvcore traces a run on real tensors, torch's FlopCounterMode counts below autograd.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class Uncounted(NamedTuple):
    """An operator without a rule: its multiply-accumulates, if it has any, are in no count."""

    op: str
    calls: int


@dataclass(frozen=True, slots=True)
class Engine:
    """What one engine counted for one example; `macs` is None if it could not, and `why` says why.

    why: '' if it could count, None of a graph's network, which both always can. unsupported: operators that may carry
    MACs and that it has no count for, with fvcore their calls, with torch the MACs of ours.
    """

    macs: int | None
    why: str | None = None
    unsupported: Mapping[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, object]:
        """Return the count as JSON holds it."""
        return {"macs": self.macs} if self.why is None else {"macs": self.macs, "why": self.why}


@dataclass(frozen=True, slots=True)
class Witness:
    """What both engines counted for one example.

    params: the parameters that fvcore sees, None if it could not count. differences: where a witness counts otherwise,
    in words. uncounted: operators that a network ran and that its graph, which has a count for all its own, lacks.
    own: operators that the user's own rules count, and their MACs: no witness knows them. unknown: operators of a
    module that nobody has a count for: neither archcost nor a witness.
    """

    params: int | None
    fvcore: Engine
    torch: Engine
    differences: tuple[str, ...]
    uncounted: tuple[Uncounted, ...] = ()
    own: Mapping[str, int] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()

    @property
    def agree(self) -> bool | None:
        """Whether both count the same.

        None if fvcore could not count at all, rules of the user's own count something, or something has no count at
        all, and neither objects to the rest.
        """
        if self.differences:
            return False
        return None if self.fvcore.macs is None or self.own or self.unknown else True

    @property
    def notes(self) -> tuple[str, ...]:
        """What the witnesses could not do, in words."""
        blind = ", ".join(f"{op} ({macs} MACs)" for op, macs in self.torch.unsupported.items())
        own = ", ".join(f"{op} ({macs} MACs)" for op, macs in self.own.items())
        told = (
            f"counted by registered rules, which no witness checks: {own}" if own else "",
            f"fvcore could not count this call: {self.fvcore.why}" if self.fvcore.why else "",
            f"torch's counter could not run: {self.torch.why}" if self.torch.why else "",
            f"torch's counter has no formula for {blind}" if blind else "",
        )
        return tuple(filter(None, told))

    def to_dict(self) -> dict[str, object]:
        """Return the counts as JSON holds them."""
        macs, *why = self.fvcore.to_dict().items()
        fvcore = dict([("params", self.params), macs, ("unsupported", dict(self.fvcore.unsupported)), *why])
        return {"fvcore": fvcore, "torch": self.torch.to_dict()}
