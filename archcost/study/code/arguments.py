"""Arguments of code in a study's file, held against what that code takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from archcost.config.validation import located
from archcost.data.spec import DataCode
from archcost.errors import Mistake, did_you_mean, one_of, quoted
from archcost.errors import Path as Key
from archcost.search.rules import kind_of
from archcost.study.code.first import OFFERED
from archcost.study.spec import StudySpec
from archcost.study.workers.messages import Described

BY_POSITION: Final = ("network", "data", "context")
"""What training code is given besides its arguments."""


def mistakes(spec: StudySpec, takes: Mapping[tuple[Key, str], Described]) -> Iterator[Mistake]:
    """Yield the arguments in a study's file that its code does not take, and those that it lacks, each with its place.

    takes: what each piece of code takes, by its key and name. Of a template that draws its factory, an argument is a
    mistake if none of them takes it.
    """
    for key, args, offered in _calls(spec):
        found = {name: each for (at, name), each in takes.items() if at == key}
        for mistake in _misfits(args, found, offered) if found else ():
            path = (*key[:-1], "args", *mistake.path) if args or mistake.path else key
            yield located(spec.source, Mistake(mistake.message, path), at_key=True)


def _calls(spec: StudySpec) -> Iterator[tuple[Key, list[str], tuple[str, ...]]]:
    """Yield the key of each piece of code, the arguments it is given, and what it is offered besides."""
    for place, tree in enumerate(spec.templates):
        args = tree.get("args", {}) if isinstance(tree, dict) else None
        if isinstance(args, dict) and kind_of(args) is None:
            yield ("models", place, "factory"), list(args), OFFERED
    if isinstance(spec.study.data, DataCode):
        yield ("data", "code"), list(spec.study.data.args), ()
    yield ("fit", "code"), list(spec.study.fit.args), ()


def _misfits(given: list[str], found: Mapping[str, Described], offered: tuple[str, ...]) -> Iterator[Mistake]:
    names = list(dict.fromkeys(each.name for one in found.values() for each in one.parameters))
    who = one_of(found)
    if not any(each.every for each in found.values()):
        for name in (name for name in given if name not in names):
            yield Mistake(f"no argument of {who}{did_you_mean(name, names)}; allowed: {one_of(names)}", (name,))
    needed = [{each.name for each in one.parameters if each.required} for one in found.values()]
    for name in names:
        if name not in given and name not in offered and all(name in each for each in needed):
            yield Mistake(f"missing {quoted(name)}, which {who} needs; allowed: a value in 'args'")
