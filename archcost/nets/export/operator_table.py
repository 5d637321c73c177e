"""torch's table of ONNX operators, made once in a process and handed to every export.

It takes as long as a small network's export.

The table is torch's own, asked of torch's own function; each export gets a copy. If torch has another form, exports go
torch's way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from functools import cache
from importlib import import_module
from typing import Any, Final

_HOME: Final = "torch.onnx._internal.exporter._registration"
_CLASS: Final = "ONNXRegistry"
_MAKES: Final = "from_torchlib"


@contextmanager
def kept() -> Iterator[None]:
    """Let torch.onnx take its table of operators from this process's memory, and make it itself afterwards."""
    registry = _registry()
    own = None if registry is None else vars(registry).get(_MAKES)
    if registry is None or not isinstance(own, classmethod):
        yield
        return
    setattr(registry, _MAKES, classmethod(_copied(own.__func__)))
    try:
        yield
    finally:
        setattr(registry, _MAKES, own)


def _registry() -> Any:
    """Return torch's class of tables, None if it has none by this name."""
    try:
        return getattr(import_module(_HOME), _CLASS, None)
    except ImportError:
        return None


@cache
def _copied(makes: Callable[..., Any]) -> Callable[..., Any]:
    """Return what hands out copies of the tables that a function makes, one for each way of asking."""
    made = cache(makes)

    def again(cls: Any, *args: Any, **kwargs: Any) -> Any:
        table = made(cls, *args, **kwargs)
        if not isinstance(functions := getattr(table, "functions", None), dict):
            return makes(cls, *args, **kwargs)
        given = copy(table)  # who exports may add operators to it
        given.functions = {target: list(each) for target, each in functions.items()}
        return given

    return again
