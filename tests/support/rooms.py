"""The rooms of archcost: who may import whom, where there is a door only, and how the imports are found.

This is the one table of rooms. A room or a door is added here alone, with its reason in docs/decisions.md.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = ROOT / "archcost"
FACE: Final = "__init__"  # archcost/__init__.py: imports anything, but only when it is used

ROOMS: Final[dict[str, tuple[str, ...]]] = {
    "graph": (),
    "config": (),
    "models": ("graph", "config"),
    "search": ("config",),
    "data": ("config",),
    "nets": ("graph", "config", "models"),
    "counting": ("graph", "models", "nets"),
    "latency": ("graph", "search", "nets"),
    "training": ("graph", "config", "data", "nets", "latency"),
    "profiling": ("graph", "config", "models", "nets", "counting", "latency"),
    "study": (
        "graph", "config", "models", "search", "data", "nets", "counting", "latency", "training", "profiling",
    ),
    "report": ("graph", "config", "models", "search", "latency", "profiling", "study"),
    "cli": ("graph", "config", "models", "search", "data", "nets", "counting", "latency", "training", "profiling",
            "study", "report"),
}  # fmt: skip
"""Which rooms a room may import. The modules at the top of archcost/ may be imported by all, and import each other."""

DOORS: Final[dict[tuple[str, str], frozenset[str]]] = {
    ("training", "latency"): frozenset({"lock", "targets.cpu"}),
    ("latency", "search"): frozenset({"gaussian_process"}),
    ("study", "counting"): frozenset({"module"}),
    ("study", "profiling"): frozenset({"budget"}),
    ("report", "study"): frozenset({"objectives", "records"}),
}
"""Where a room may import a part of another one alone: these modules, and what is inside them."""


@dataclass(frozen=True, slots=True)
class Imported:
    """One name a module imports: `module` is archcost's own (`graph.ops`) or else a top-level package.

    `name` is what is taken of archcost's module, empty if it is the module itself.
    """

    module: str
    line: int
    own: bool
    name: str = ""


def sources(package: Path = PACKAGE) -> dict[str, ast.Module]:
    """Return every module of the package, parsed, under its name without `archcost.`."""
    found = {}
    for file in sorted(package.rglob("*.py")):
        parts = file.relative_to(package).with_suffix("").parts
        name = ".".join(parts if len(parts) == 1 or parts[-1] != "__init__" else parts[:-1])
        found[name] = ast.parse(file.read_text(encoding="utf-8"), str(file))
    return found


def imports(name: str, modules: Mapping[str, ast.Module]) -> Iterator[Imported]:
    """Yield what a module imports, wherever it does: inside functions and `if TYPE_CHECKING` included."""
    for node in ast.walk(modules[name]):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield _resolved(alias.name, None, node.lineno, modules)
        elif isinstance(node, ast.ImportFrom):
            origin = _origin(name, node, modules)
            for alias in node.names:
                yield _resolved(origin, alias.name, node.lineno, modules)


def _origin(name: str, node: ast.ImportFrom, modules: Mapping[str, ast.Module]) -> str:
    if not node.level:
        return node.module or ""
    is_package = name == FACE or any(other.startswith(f"{name}.") for other in modules)
    path = ["archcost", *([] if name == FACE else name.split("."))]
    path = path[: len(path) - node.level + is_package]
    return ".".join([*path, *filter(None, [node.module])])


def _resolved(origin: str, attribute: str | None, line: int, modules: Mapping[str, ast.Module]) -> Imported:
    package, _, inside = origin.partition(".")
    if package != "archcost":
        return Imported(package, line, own=False)
    deeper = ".".join(filter(None, [inside, attribute]))
    if deeper in modules:
        return Imported(deeper, line, own=True)
    return Imported(inside or FACE, line, own=True, name=attribute or "")


def room(name: str) -> str:
    """Return the room of a module, '' for a module at the top."""
    first = name.partition(".")[0]
    return first if first in ROOMS else ""


def forbidden(modules: Mapping[str, ast.Module]) -> list[str]:
    """Return every import between rooms that neither the table of rooms nor a door allows."""
    found = []
    for name in sorted(set(modules) - {FACE, "__main__"}):
        here = room(name)
        for each in imports(name, modules):
            there = room(each.module)
            if not each.own or not (there or each.module == FACE) or (here == there and there):
                continue
            if each.module == FACE or there not in ROOMS.get(here, ()) or not _through(here, each.module):
                found.append(f"{name}:{each.line} imports {each.module}")
    return found


def _through(here: str, module: str) -> bool:
    """Return whether a module is behind an open door, or there is no door in the way."""
    there, _, inside = module.partition(".")
    if (doors := DOORS.get((here, there))) is None:
        return True
    return any(inside == door or inside.startswith(f"{door}.") for door in doors)


def privates(modules: Mapping[str, ast.Module]) -> list[str]:
    """Return every use of a private name of another module: imported, or as an attribute of the module."""
    found = []
    for name, tree in sorted(modules.items()):
        own = [each for each in imports(name, modules) if each.own]
        found += [f"{name}:{each.line} imports {each.module}.{each.name}" for each in own if _is_private(each.name)]
        others = {each.module.rpartition(".")[2] for each in own if not each.name}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and _is_private(node.attr) and ast.unparse(node.value) in others:
                found.append(f"{name}:{node.lineno} uses {ast.unparse(node)}")
    return found


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def edges(modules: Mapping[str, ast.Module]) -> Counter[tuple[str, str]]:
    """Return how many imports go from each room into each other one."""
    pairs = ((room(name), room(each.module)) for name in modules for each in imports(name, modules) if each.own)
    return Counter((here, there) for here, there in pairs if here and there and here != there)


_LABEL: Final = 10  # columns of the name of a row
_CELL: Final = 5  # of a number; a heading takes two of them, on one of two lines
LEGEND: Final = (
    "A row imports from a column; the number is how many names. Blank: not allowed.",
    ".  allowed, not used     *  from a few modules of that room alone (DOORS)",
)


def table(modules: Mapping[str, ast.Module]) -> str:
    """Return the imports between rooms as a table in 80 columns, with what its signs mean below."""
    found, rooms = edges(modules), list(ROOMS)
    lines = [" " * (_LABEL - _CELL), " " * _LABEL]
    for number, name in enumerate(rooms):
        lines[number % 2] += f"{name:>{2 * _CELL - 1}} "
    for here in rooms:
        cells = (_cell(found[here, there], here, there) for there in rooms)
        lines.append(f"{here:<{_LABEL}}" + "".join(f"{cell:>{_CELL}}" for cell in cells))
    return "\n".join(line.rstrip() for line in (*lines, "", *LEGEND))


def _cell(count: int, here: str, there: str) -> str:
    if there not in ROOMS[here]:
        return f"{count or ''} "
    return f"{count or '.'}{'*' if (here, there) in DOORS else ' '}"


if __name__ == "__main__":
    print(table(sources()))  # noqa: T201  # `make rooms`
