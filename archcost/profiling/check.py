"""Whether a network keeps to a budget: counted, measured if need be, and judged."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from archcost.latency.measure import Progress, Request
from archcost.models.files import Network
from archcost.profiling.budget import Budget, Facts, Memory, Verdict, judge
from archcost.profiling.profile import profiled
from archcost.profiling.result import SCHEMA, Profile
from archcost.version import __version__

if TYPE_CHECKING:
    from archcost.profiling.modules import Given


@dataclass(frozen=True, slots=True)
class Check:
    """A network that was held to a budget: its profile, and a verdict on each limit in each setting."""

    profile: Profile
    verdicts: tuple[Verdict, ...]

    @property
    def ok(self) -> bool:
        """Whether no limit is exceeded; one that cannot be judged does not count, as for the command's exit code."""
        return self.holds is not False

    @property
    def holds(self) -> bool | None:
        """False if a limit is exceeded, None if one cannot be judged, else True."""
        states = {verdict.holds for verdict in self.verdicts}
        return False if False in states else None if None in states else True

    def to_dict(self) -> dict[str, object]:
        """Return everything as JSON holds it (schema 1)."""
        found, model = self.profile, self.profile.model
        return {
            "archcost": __version__,
            "schema": SCHEMA,
            "warnings": [*found.warnings, *map(str, found.failures)],
            "model": {"name": model.name, "family": model.family, "digest": model.digest},
            "holds": self.holds,
            "verdicts": [verdict.to_dict() for verdict in self.verdicts],
            "latencies": [latency.to_dict() for latency in found.latencies],
        }


def checked(source: Network | Given, budget: Budget, request: Request, progress: Progress = nullcontext) -> Check:
    """Return whether a network keeps to a budget; latency is measured only if the budget limits it."""
    asked = replace(request, witness=False, latency=request.latency and budget.latency_s is not None)
    found = profiled(source, asked, progress)
    return Check(found, judge(budget, _facts(found)))


def _facts(found: Profile) -> Facts:
    """Return what a budget is judged by: memory at every batch and dtype asked for, not only the first."""
    return Facts(
        params=found.params,
        macs=found.macs,
        memory=tuple(Memory(a.batch, a.dtype, a.peak_bytes, a.weights_bytes) for a in found.accounts),
        latencies=found.latencies,
        uncounted=tuple(str(operator["op"]) for operator in found.uncounted),
        failures=tuple(map(str, found.failures)),
    )
