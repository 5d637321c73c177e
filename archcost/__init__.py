"""archcost: what a network costs, where, and how long it takes on the target device.

`load` reads, checks and counts a network; `profile` adds witnesses and latencies. Importing archcost loads neither
torch nor pydantic: what needs them is loaded with the first name that does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from archcost.version import __version__ as __version__

if TYPE_CHECKING:
    from archcost.counting.registration import register_rule
    from archcost.counting.rules.own import Shape, Work
    from archcost.errors import ArchcostError, InputError, Mistake, TargetError
    from archcost.graph.cost import Cost, count
    from archcost.graph.graph import Graph
    from archcost.latency.prediction.predictor import Prediction
    from archcost.latency.summary import Latency
    from archcost.models.load import Model, load
    from archcost.profiling.budget import Budget
    from archcost.profiling.calls import check, compare, measure, suggest
    from archcost.profiling.check import Check
    from archcost.profiling.compare import Comparison
    from archcost.profiling.prediction.predict import predict
    from archcost.profiling.profile import profile
    from archcost.profiling.result import Profile
    from archcost.search.optuna_studies.pareto_sampler import ParetoSampler
    from archcost.study.release.load import load_trained
    from archcost.study.study import Study

_HOMES = {
    "ArchcostError": "errors",
    "Budget": "profiling.budget",
    "Check": "profiling.check",
    "Comparison": "profiling.compare",
    "Cost": "graph.cost",
    "Graph": "graph.graph",
    "InputError": "errors",
    "Latency": "latency.summary",
    "Mistake": "errors",
    "Model": "models.load",
    "ParetoSampler": "search.optuna_studies.pareto_sampler",
    "Prediction": "latency.prediction.predictor",
    "Profile": "profiling.result",
    "Study": "study.study",
    "Shape": "counting.rules.own",
    "TargetError": "errors",
    "Work": "counting.rules.own",
    "check": "profiling.calls",
    "compare": "profiling.calls",
    "count": "graph.cost",
    "load": "models.load",
    "measure": "profiling.calls",
    "load_trained": "study.release.load",
    "predict": "profiling.prediction.predict",
    "profile": "profiling.profile",
    "register_rule": "counting.registration",
    "suggest": "profiling.calls",
}

__all__ = [
    "ArchcostError",
    "Budget",
    "Check",
    "Comparison",
    "Cost",
    "Graph",
    "InputError",
    "Latency",
    "Mistake",
    "Model",
    "ParetoSampler",
    "Prediction",
    "Profile",
    "Shape",
    "Study",
    "TargetError",
    "Work",
    "check",
    "compare",
    "count",
    "load",
    "load_trained",
    "measure",
    "predict",
    "profile",
    "register_rule",
    "suggest",
]


def __getattr__(name: str) -> object:
    """Return a public name from the module it lives in (PEP 562), or the room of torch modules."""
    if name == "nets":
        return import_module("archcost.nets")  # light: its names are loaded when asked for
    if name not in _HOMES:
        from archcost.errors import did_you_mean  # only where something is wrong

        raise AttributeError(f"module 'archcost' has no attribute {name!r}{did_you_mean(name, [*__all__, 'nets'])}")
    return getattr(import_module(f"archcost.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """Return what is meant to be used, so that nothing else is suggested for a name that is misspelt."""
    return sorted([*__all__, "nets", *(name for name in globals() if name.startswith("__"))])
