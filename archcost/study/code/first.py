"""A first study of a factory, from its signature: a domain for each argument with a size."""

from __future__ import annotations

import ast
import json
import random
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

from archcost.data.known import PLACED
from archcost.data.spec import SEQUENCES, TEXTS
from archcost.errors import InputError, Mistake, did_you_mean, one_of, quoted
from archcost.study.spec import StudySpec
from archcost.study.workers.messages import Parameter

OFFERED: Final = ("classes", "input")
"""Arguments that a study gives by itself, from its data."""
_STEP: Final = 8  # channels are quickest in multiples of it
_WIDE: Final = 16
_HINTED: Final = {"int": "{int: [1, 4]}", "float": "{float: [0.1, 1.0]}", "bool": "{choice: [false, true]}"}


def study(factory: str, data: str, path: str | None, parameters: Iterable[Parameter], given: Mapping[str, str]) -> str:
    """Return the YAML of a first study of a factory; given: arguments as YAML, in place of what would be guessed.

    Raises InputError for arguments without a default of which nothing can be guessed.
    """
    args = list(_arguments(factory, list(parameters), given))
    head = f"# A first study of {factory}: each domain is a guess around the default. Change them as you like."
    where = f", path: {json.dumps(path)}" if path is not None else ""
    named = f"code: {json.dumps(data)}" if ":" in data else f"name: {data}{where}"
    learnt = "perplexity" if data in TEXTS else "error"
    lines = [
        head,
        "# archcost study run THIS_FILE --dry-run --allow-code  says how large the space is, and how long it takes.",
        "models:",
        "  - family: module",
        f"    factory: {json.dumps(factory)}",
        *(["    args:", *args] if args else []),
        f"data: {{{named}}}",
        f"objectives: [{{{learnt}: min}}, {{latency: min, threads: 1}}]",
        "fit: {epochs: 9, rungs: [1, 3, 9]}  # or training of your own: {code: mytrain:fit, epochs: 9}",
        "search: {trials: 40}",
        "confirm: {seeds: 3, members: 8}",
    ]
    return "\n".join(lines) + "\n"


def once(spec: StudySpec, parameters: Iterable[Parameter], given: Collection[str], offers: Mapping[str, object]
         ) -> dict[str, object] | None:  # fmt: skip
    """Return what a factory is called with to see that it works: its defaults, and one point of all else.

    None if it needs something that is not known here. given: arguments that were typed; offers: what the data give.
    """
    _, tree = spec.space.tree(spec.space.sample(random.Random(0)))
    drawn = tree.get("args") if isinstance(tree, dict) else None
    args = dict(drawn) if isinstance(drawn, dict) else {}
    needed = [each.name for each in parameters if each.required]
    if any(name not in args and name not in offers for name in needed):
        return None
    return {name: value for name, value in args.items() if name in given or name in needed}


def refuse_unplaced(data: str, path: str | None) -> None:
    """Raise InputError for data that need a path and have none."""
    if data in PLACED and path is None:
        raise InputError(Mistake(f"{quoted(data)} needs --path, {PLACED[data]}"))
    if data not in (*PLACED, *TEXTS, *SEQUENCES) and path is not None:
        raise InputError(Mistake(f"--path goes with {', '.join(PLACED)} only: {quoted(data)} is found by its name"))


def _arguments(factory: str, parameters: list[Parameter], given: Mapping[str, str]) -> Iterator[str]:
    names = [each.name for each in parameters]
    if strange := [name for name in given if name not in names]:
        words = (f"{quoted(factory)} takes no {quoted(name)}{did_you_mean(name, names)}" for name in strange)
        raise InputError(*(Mistake(f"{each}; allowed: {one_of(names)}", ("--set",)) for each in words))
    lacking = []
    for each in parameters:
        if each.name in given:
            yield f"      {each.name}: {given[each.name]}"
        elif each.name not in OFFERED and (line := _line(each)):
            yield f"      {each.name}: {line}"
        elif each.required and each.name not in OFFERED:
            lacking.append(each.name)
    if lacking:
        names = [f"--set {name}=VALUE" for name in lacking]
        message = f"{quoted(factory)} needs {', '.join(lacking)}, of which its signature gives neither default nor type"
        raise InputError(Mistake(f"{message}; allowed: {', '.join(names)}, a value or a domain"))


def _line(each: Parameter) -> str:
    """Return a parameter's value or domain with its default, '' if it is left to the factory."""
    if options := _options(each.hint):
        return f"{{choice: {json.dumps(options)}}}" + _default(each)
    if each.required:
        return next((domain for hint, domain in _HINTED.items() if each.hint.split("|")[0].strip() == hint), "")
    if not each.default:
        return ""
    value = json.loads(each.default)
    domain = _domain(each.name, value)
    if domain is None:
        return "" if value is None else value if isinstance(value, str) and value.isidentifier() else json.dumps(value)
    return domain + _default(each)


def _default(each: Parameter) -> str:
    return f"  # default {each.default}" if each.default else ""


def _options(hint: str) -> list[object]:
    """Return the values that Literal[...] allows, none of another hint."""
    name, bracket, rest = hint.partition("[")
    if not bracket or name.rpartition(".")[2] != "Literal":
        return []
    try:
        found = ast.literal_eval(f"[{rest}")
    except (SyntaxError, ValueError):
        return []
    return found if all(isinstance(value, str | int | float) for value in found) else []


def _domain(name: str, value: object) -> str | None:
    """Return a domain around the default of a parameter, None if it has no size; an odd kernel stays odd."""
    match value:
        case bool():
            return "{choice: [false, true]}"
        case int() if "kernel" in name and value >= 3 and value % 2:
            return f"{{int: [{value - 2}, {value + 2}], step: 2}}"
        case int() if value >= _WIDE and value % _STEP == 0:
            return f"{{int: [{max(_STEP, value // 2 // _STEP * _STEP)}, {2 * value}], step: {_STEP}}}"
        case int() if value >= 1:
            return f"{{int: [{max(1, value // 2)}, {2 * value}]}}"
        case float() if 0 < value < 1:
            return f"{{float: [{value / 2:g}, {min(2 * value, (1 + value) / 2):g}]}}"
        case float() if value >= 1:
            return f"{{choice: [{value / 2}, {value}, {2 * value}]}}"
        case list() if value and all(isinstance(each, int) and each > 1 for each in value):
            return f"{{scale: {json.dumps(value)}, by: {{choice: [0.5, 1, 2]}}}}"
        case _:
            return None
