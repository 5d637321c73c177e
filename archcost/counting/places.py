"""Where a count is: every part's forward says by its path when it begins and ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any, Protocol

from torch import nn


class Watch(Protocol):
    """What is told of every call of a part: it runs the forward and returns its result."""

    def __call__(self, path: str, inner: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run `inner`, the forward of the part at `path`."""
        ...


@contextmanager
def watched(parts: Iterable[tuple[str, nn.Module]], watch: Watch) -> Iterator[None]:
    """Let `watch` run every forward of a module's parts, given with their paths, inside the context.

    The forward of each class is exchanged and not that of each part, in whose attributes a copy that is made while the
    module runs would find it, and run the original. A copy has no path: what it does is its caller's. One count runs at
    a time (counting.attention has the lock). A forward that is an attribute of a part itself is exchanged there.
    """
    paths: dict[int, str] = {}
    kinds: dict[type[nn.Module], Any] = {}
    with ExitStack() as stack:
        for path, part in parts:
            if "forward" in part.__dict__:
                stack.enter_context(_exchanged(part.__dict__, Watched(path, part.__dict__["forward"], watch)))
            else:
                paths[id(part)] = path
                if type(part) not in kinds:
                    kinds[type(part)] = _found(type(part))
        for kind, inner in kinds.items():  # found first: a class may have its forward from another one
            if inner is not nn.Module.forward:
                stack.enter_context(_class_exchanged(kind, inner, paths, watch))
        yield


def _found(kind: type[nn.Module]) -> Any:
    """Return the forward of a class as it is written there, or in the class it is from."""
    return next(base.__dict__["forward"] for base in kind.__mro__ if "forward" in base.__dict__)


@contextmanager
def _class_exchanged(kind: type[nn.Module], inner: Any, paths: Mapping[int, str], watch: Watch) -> Iterator[None]:
    has_get = hasattr(type(inner), "__get__")  # a builtin function is not bound

    @wraps(inner, updated=())
    def forward(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        bound = inner.__get__(self, kind) if has_get else inner
        path = paths.get(id(self))
        if path is None or type(self) is not kind:  # a copy, or called by a class that is made from this one
            return bound(*args, **kwargs)
        return watch(path, bound, args, kwargs)

    own = "forward" in kind.__dict__
    kind.forward = forward  # put back below
    try:
        yield
    finally:
        if own:
            kind.forward = inner
        else:
            del kind.forward


class Watched:
    """A part's own forward that is watched; in a copy it is the copy's own, and not watched."""

    def __init__(self, path: str, inner: Callable[..., Any], watch: Watch) -> None:
        self.path, self.inner, self.watch = path, inner, watch
        self.__wrapped__ = inner  # what asks for the signature sees the forward's own

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run as the forward does."""
        return self.watch(self.path, self.inner, args, kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy, and pickle, what is watched alone: a bound method is bound to the copy then."""
        return _itself, (self.inner,)


def _itself(inner: Callable[..., Any]) -> Callable[..., Any]:
    return inner


@contextmanager
def _exchanged(attributes: dict[str, Any], forward: Watched) -> Iterator[None]:
    attributes["forward"] = forward
    try:
        yield
    finally:
        attributes["forward"] = forward.inner
