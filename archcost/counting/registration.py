"""archcost.register_rule: a rule of the user's own for an operator, in this process."""

from __future__ import annotations

import re
from typing import Any, Final

import torch

from archcost.counting.operators import Decision, decided
from archcost.counting.rules.own import OwnRule, put, registered
from archcost.errors import InputError, Mistake, quoted

_NAME: Final = re.compile(r"[A-Za-z_]\w*::[A-Za-z_]\w*")


def register_rule(name: str, rule: OwnRule, replace: bool = False) -> None:
    """Let `rule` count an operator, named as in its schema: "mylib::scan"; all its overloads have the same rule.

    rule(inputs, outputs) gives an archcost.Work for each call. Raises InputError for what is no name of an operator or
    no rule, and for an operator that has a count already unless `replace` is true.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        words = f"given {quoted(str(name))}; allowed: the name of an operator, as 'mylib::scan'"
        raise InputError(Mistake(words, ("name",)))
    if not callable(rule):
        raise InputError(Mistake(f"given {type(rule).__name__}; allowed: a function of (inputs, outputs)", ("rule",)))
    if not replace and (has := _has(name)):
        raise InputError(Mistake(f"{quoted(name)} {has}; replace=True replaces it", ("name",)))
    put(name, rule)


def _has(name: str) -> str:
    """Return what gives an operator its count already, empty if nothing does."""
    if name in registered():
        return "has a registered rule"
    space, _, own = name.partition("::")
    packet = getattr(getattr(torch.ops, space), own, None)
    overloads: list[Any] = [getattr(packet, o) for o in packet.overloads()] if packet is not None else []
    does = {decided(op) for op in overloads} - {None, Decision.OPEN}
    return f"has a count of archcost's ({', '.join(sorted(str(d) for d in does))})" if does else ""
