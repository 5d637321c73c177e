"""archcost: what a network costs, where, and how long it takes on the target device.

`load` reads, checks and counts a network; `profile` adds witnesses and latencies. Importing archcost loads neither
torch nor pydantic: what needs them is loaded with the first name that does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from archcost.version import __version__ as __version__

if TYPE_CHECKING:
    from archcost.errors import ArchcostError, InputError, Mistake, TargetError
    from archcost.graph.cost import Cost, count
    from archcost.graph.graph import Graph
    from archcost.latency.summary import Latency
    from archcost.models.load import Model, load
    from archcost.profiling.profile import profile
    from archcost.profiling.result import Profile
    from archcost.study.study import Study

_HOMES = {
    "ArchcostError": "errors",
    "Cost": "graph.cost",
    "Graph": "graph.graph",
    "InputError": "errors",
    "Latency": "latency.summary",
    "Mistake": "errors",
    "Model": "models.load",
    "Profile": "profiling.result",
    "Study": "study.study",
    "TargetError": "errors",
    "count": "graph.cost",
    "load": "models.load",
    "profile": "profiling.profile",
}

__all__ = [
    "ArchcostError",
    "Cost",
    "Graph",
    "InputError",
    "Latency",
    "Mistake",
    "Model",
    "Profile",
    "Study",
    "TargetError",
    "count",
    "load",
    "profile",
]


def __getattr__(name: str) -> object:
    """Return a public name from the module it lives in (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'archcost' has no attribute {name!r}")
    return getattr(import_module(f"archcost.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
