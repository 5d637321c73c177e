"""What could save time: changes by turns with the network, and what its layers' times say."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from archcost.errors import InputError, Mistake, TargetError
from archcost.latency.layers.times import LayerTimes
from archcost.latency.measure import Place, Progress, Request, Subject, measured
from archcost.latency.prediction.predictor import Prediction
from archcost.latency.samples import Plan
from archcost.models.files import Network
from archcost.models.load import Model
from archcost.profiling.compare import Timed, timed
from archcost.profiling.profile import profiled
from archcost.profiling.result import SCHEMA, Profile
from archcost.profiling.suggest.changes import Suggestion, changed, suggestions
from archcost.profiling.suggest.findings import Finding, findings
from archcost.profiling.suggest.forecast import Forecast, forecast, numbered
from archcost.profiling.suggest.one_way import one_way
from archcost.profiling.suggest.traits import Trait, of_graph, of_module
from archcost.version import __version__

if TYPE_CHECKING:
    from archcost.profiling.modules import Given

NO_PROMISE: Final = "What is above the roof is the most that could be saved: measure a change before you keep it."


@dataclass(frozen=True, slots=True)
class Found:
    """What a network's layers say: its profile, their times, and the operators that are far below their roof."""

    profile: Profile
    times: LayerTimes
    findings: tuple[Finding, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """What limits it, in words."""
        return self.profile.warnings

    def to_dict(self, top: int | None = None) -> dict[str, object]:
        """Return it as JSON holds it; top: the most kinds of operators."""
        model, profile = self.profile.model, self.profile
        return {
            "archcost": __version__,
            "schema": SCHEMA,
            "warnings": list(self.warnings),
            "note": NO_PROMISE,
            "model": {"name": model.name, "family": model.family, "digest": model.digest},
            "batch": profile.batch,
            "dtype": profile.dtype,
            "params": profile.params,
            "macs": profile.macs,
            "peak_memory_bytes": profile.peak_memory_bytes,
            "found": len(self.findings),
            "findings": [{"number": n, **each.to_dict()} for n, each in enumerate(self.findings[:top], 1)],
            "layer_times": self.times.to_dict(),
        }


def found(source: Network | Given, request: Request, progress: Progress = nullcontext) -> Found:
    """Return which operators take much time far below their roof, in the one way that is asked for.

    Raises TargetError if the network cannot be measured there, or its layers cannot be told apart.
    """
    profile = profiled(source, replace(request, witness=False, layer_times=True), progress)
    if not profile.layer_times:
        raise TargetError("\n".join(map(str, profile.failures)) or "its layers were not timed")
    (times,) = profile.layer_times
    return Found(profile, times, findings(times, _traits(profile)))


def _traits(profile: Profile) -> Mapping[str, Trait]:
    if graph := profile.model.graph:
        return of_graph(graph)
    call_at = getattr(profile.model, "call_at", None)  # of a module; a file has none
    return of_module(call_at(1).module) if call_at else {}


@dataclass(frozen=True, slots=True)
class Suggestions:
    """What could save time: of a network of a family its changes, of another one the operators far below their roof.

    changes: those that save most time first, as far as it was measured, else as it is predicted, else by MACs;
    latencies: of each by turns with the network, None if it was not measured; predictions: of each, None if the way is
    not calibrated; times: of layers, None of a family; failures: what was not measured.
    """

    changes: tuple[Suggestion, ...] = ()
    latencies: tuple[Timed | None, ...] = ()
    predictions: tuple[Prediction | None, ...] = ()
    findings: tuple[Finding, ...] = ()
    times: LayerTimes | None = None
    failures: tuple[str, ...] = ()


def suggested(source: Network | Given, request: Request, top: int, progress: Progress = nullcontext) -> Suggestions:
    """Return at most `top` suggestions; raises InputError for several ways, and for code without latencies."""
    one = one_way(request)
    if not isinstance(source, Model):
        if not request.latency:
            raise InputError(Mistake("what is not of a family is measured; allowed: with latencies", ("latency",)))
        told = found(source, request, progress)
        return Suggestions(findings=told.findings[:top], times=told.times)
    changes = suggestions(source, batch=one.plan.batch, dtype=one.plan.dtype)
    if not (changes and one.place):
        nothing = (None,) * len(changes[:top])
        return Suggestions(changes[:top], nothing, nothing)
    ahead = forecast(source, numbered(changes), one.place, one.runtime, one.plan)
    shown = ahead.best(numbered(changes), top)
    pairs, failures = by_turns(_subject(source), shown, one.place, one.runtime, one.plan, progress)
    return _ordered(by_time(shown, pairs), pairs, ahead, failures)


def _ordered(
    order: Mapping[int, Suggestion], pairs: Mapping[int, Timed], told: Forecast, failures: tuple[str, ...]
) -> Suggestions:
    latencies = tuple(pairs.get(number) for number in order)
    predictions = tuple(told.changes.get(number) for number in order)
    return Suggestions(tuple(order.values()), latencies, predictions, failures=failures)


def by_turns(
    original: Subject, shown: Mapping[int, Suggestion], place: Place, runtime: str, plan: Plan, progress: Progress
) -> tuple[dict[int, Timed], tuple[str, ...]]:
    """Return each change measured by turns with the original, all in the plan's time, and what could not be."""
    pairs: dict[int, Timed] = {}
    failures = []
    shared = replace(plan, time_s=plan.time_s / (2 * len(shown)))
    for i, (number, suggestion) in enumerate(shown.items(), 1):
        with progress(f"measuring {suggestion.change.title}, {i} of {len(shown)}"):
            try:
                both = [original, _subject(changed(suggestion))]
                pairs[number] = timed(*measured(both, place, runtime, shared, nullcontext))
            except TargetError as error:
                failures.append(f"change {number}: {error}")
    return pairs, tuple(failures)


def _subject(model: Model) -> Subject:
    from archcost.profiling import subjects

    return subjects.of_net(model.graph, subjects.built(model, nullcontext))


def by_time(shown: Mapping[int, Suggestion], pairs: Mapping[int, Timed]) -> dict[int, Suggestion]:
    """Return changes in the order of the time that they save, where that can be told.

    First those that are faster, the most time saved first, then those without a detectable difference or a
    measurement as they were, those that are slower at last.
    """

    def order(number: int) -> float:
        pair = pairs.get(number)
        return pair.medians_s[1] - pair.medians_s[0] if pair and pair.differ else 0.0

    return {number: shown[number] for number in sorted(shown, key=order)}
