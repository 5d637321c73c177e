"""What a torch module is, as a digest: equal ones are one network, in doubt they differ."""

from __future__ import annotations

import copy
import hashlib
import json
import types
from collections.abc import Iterator, Mapping
from typing import Final

import torch
from torch import Tensor, nn

from archcost.nets.call import Call
from archcost.nets.calls.contents import tensors_in
from archcost.nets.restore import settings

_TORCHS: Final = frozenset(vars(nn.Module()))  # what every module has: parameters, hooks, parts, ...
_HOOKS: Final = tuple(name for name in _TORCHS if "hook" in name)
_DEEP: Final = 8  # lists in lists


class _Doubt(Exception):  # noqa: N818  # no error: two modules of this kind are taken for two networks
    """A part has something that cannot be compared."""


def digest(call: Call, operators: object, args: Mapping[str, object]) -> str:
    """Return the digest of a module: types and constants of its parts, their weights, its operators and its outputs.

    operators: what a count saw, as JSON holds it; args: what the code was called with, which tells apart what has
    something that cannot be compared (a function of its own, an object) or does not run twice with the same result.
    The weights are those it was made with, so that two ways to begin are two networks.
    """
    found = hashlib.sha256()
    try:
        for path, part in call.module.named_modules(remove_duplicate=False):
            _add(found, [path, *_described(part)])
        for name, tensor in [*call.module.named_parameters(remove_duplicate=False), *_buffers(call.module)]:
            _add(found, [name, tensor.requires_grad, *_values(tensor)])
        _add(found, operators)
        _add(found, [each for training in (False, True) for each in _outputs(call, training=training)])
    except Exception:  # whatever the module's own code raises here: it is told from all others
        _add(found, ["in doubt", json.dumps(dict(args), sort_keys=True, default=repr)])
    return found.hexdigest()


def _add(found: hashlib._Hash, value: object) -> None:
    found.update(json.dumps(value, sort_keys=True, default=repr).encode() + b"\n")


def _described(part: nn.Module) -> Iterator[object]:
    yield _class(type(part))
    if any(getattr(part, name, None) for name in _HOOKS):
        raise _Doubt
    own = {key: value for key, value in vars(part).items() if key not in _TORCHS or key == "training"}
    yield {key: _plain(value, 0) for key, value in sorted(own.items())}


def _class(kind: type) -> str:
    if "<" in kind.__qualname__:  # made inside a function: what it closes over is not seen
        raise _Doubt
    return f"{kind.__module__}.{kind.__qualname__}"


def _plain(value: object, depth: int) -> object:
    """Return an attribute as JSON holds it; raises _Doubt for what is not a plain value."""
    match value:
        case None | bool() | int() | float() | str():
            return [type(value).__name__, repr(value)]
        case torch.dtype() | torch.device() | torch.Size() | torch.memory_format():
            return str(value)
        case Tensor():
            return _values(value)
        case type():
            return _class(value)
        case types.FunctionType() | types.BuiltinFunctionType() if "<" not in value.__qualname__:
            return f"{value.__module__}.{value.__qualname__}"
        case list() | tuple() | dict() | set() if depth < _DEEP:
            items = value.items() if isinstance(value, dict) else value
            found = [_plain(list(each) if isinstance(value, dict) else each, depth + 1) for each in items]
            return [type(value).__name__, *(sorted(map(repr, found)) if isinstance(value, set) else found)]
        case _:
            raise _Doubt


def _buffers(module: nn.Module) -> list[tuple[str, Tensor]]:
    return list(module.named_buffers(remove_duplicate=False))


def _values(tensor: Tensor) -> list[object]:
    """Return shape, type and a digest of a tensor's values."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    raw = flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""
    return [list(tensor.shape), str(tensor.dtype), hashlib.sha256(raw).hexdigest()]


def _outputs(call: Call, *, training: bool) -> Iterator[object]:
    """Yield what a copy gives for the call's inputs, in a mode; raises what it raises, _Doubt if not twice the same."""
    found = []
    for _ in range(2):
        with settings(), torch.no_grad():
            torch.manual_seed(0)
            module = copy.deepcopy(call.module).train(training)
            found.append([_values(each) for each in tensors_in(module(*call.args, **call.kwargs))])
    if found[0] != found[1]:
        raise _Doubt
    yield from found[0]
