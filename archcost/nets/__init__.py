"""Torch modules: built from a graph, or made by your own code and run safely.

Names are loaded when asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from archcost.nets.net import Net, build, example

__all__ = ["Net", "build", "example"]


def __getattr__(name: str) -> object:
    """Return a public name from the module it lives in (PEP 562)."""
    if name not in __all__:
        from archcost.errors import did_you_mean  # noqa: PLC0415  # only where something is wrong

        raise AttributeError(f"module 'archcost.nets' has no attribute {name!r}{did_you_mean(name, __all__)}")
    from archcost.nets import net  # noqa: PLC0415  # loads torch

    return getattr(net, name)


def __dir__() -> list[str]:
    """Return what is meant to be used, so that nothing else is suggested for a name that is misspelt."""
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])
