"""The import graph is the architecture: which module may know which, and how long anything may get."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FACE = "__init__"  # archcost/__init__.py: imports anything, but only when it is used

# Lowest floor first. A module imports what stands on a lower floor, or further left on its own.
# A star stands for modules that do not know each other; a name written out beats a star.
FLOORS: dict[int, tuple[str, ...]] = {
    0: ("urls", "errors", "units", "files", "collector", "sheets", "signals", "scratch", "streams"),
    1: ("ops", "graph", "codec", "restrict", "sparse", "liveness", "cost", "training", "account", "recipe",
        "measured", "estimates", "latency", "reasons", "paired", "budget", "domains",
        "objectives", "pareto", "halving", "membership",
        "drawing_boxes", "drawing_lanes", "drawing_grid", "drawing_layout", "drawing"),
    2: ("document", "parts", "families.*", "families", "foreign", "spec", "limits", "examples", "read",
        "writing", "suggesting", "datasets", "dataspec", "fitspec", "domainspec", "space", "templates",
        "studyspec", "schema"),
    3: ("factory", "evaluating", "untouched", "attention", "copies", "operators", "shapes", "lifetimes",
        "dispatching", "passes", "handles", "tracing", "weights", "tabulating", "counting", "engines",
        "layers", "steps", "sequence", "droppath", "initial", "nets", "witness",
        "runtimes", "runtimes.agreement", "runtimes.copied", "runtimes.exported", "runtimes.*",
        "targets", "targets.machine", "targets.sampling", "targets.events", "targets.exclusive", "targets.wire",
        "targets.cpu", "targets.cuda", "targets.*",
        "fetching", "data.moments", "data.splits", "data.pictures", "data.parquet", "data.*", "data",
        "fit.diverged", "fit.memory", "fit.schedules", "fit.images", "fit.readout", "fit.precision", "fit.words",
        "fit.scale", "fit.groups", "fit.material", "fit.losses", "fit.fitting", "fit.scoring", "fit.recalibrating",
        "fit.checkpoints", "fit",
        "trained", "programs", "exporting"),
    4: ("addresses", "snapshot", "storage", "jobs", "handing", "beginning", "trialling", "children", "trials",
        "seen", "untried", "encoding", "surrogate", "warping", "improvement", "learning", "nearby", "spreading",
        "proposing", "searching",
        "confirmed", "front", "stored", "weights_folder", "setting", "probing", "outlook", "foreseeing",
        "studying", "confirming", "tables", "findings", "exploring"),
    5: ("measuring", "given", "profiling", "comparing", "describing",
        "report.blocks", "report.rank", "report.thinned", "report.importance", "report.saved", "report.timing",
        "report.costs", "report.tradeoffs", "report.profile", "report.comparison", "report.study_found",
        "report.study_parallel", "report.study_*", "report.study", "report.figures", "report.page", "report"),
    6: ("cli.options", "cli.opening", "cli.pages", "cli.progress", "cli.rows", "cli.fields", "cli.latencies",
        "cli.table", "cli.forms", "cli.models", "cli.live", "cli.studies", "cli.*", "cli", "__main__"),
}  # fmt: skip
# What the floors below may import besides archcost and the standard library; the floors above are not bound.
OUTSIDE: dict[int, frozenset[str]] = {
    0: frozenset(),
    1: frozenset(),
    2: frozenset({"pydantic", "pydantic_core", "yaml"}),
}

HEAVY = frozenset({"torch", "numpy", "pandas", "plotly", "optuna"})
PRINTS = frozenset({"print", "click.echo", "click.secho", "sys.stdout", "sys.stderr"})
MANY_ARGUMENTS = frozenset({("__init__", "profile"), ("profiling", "profile")})  # the public call takes every option

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 40  # the docstring not counted
MAX_ARGUMENTS = 6


@dataclass(frozen=True, slots=True)
class Imported:
    """One name a module imports: `module` is archcost's own (`families.hornn`) or else a top-level package."""

    module: str
    line: int
    own: bool


def sources(package: Path = ROOT / "archcost") -> dict[str, ast.Module]:
    """Return every module of the package, parsed, under its name without `archcost.`."""
    found = {}
    for file in sorted(package.rglob("*.py")):
        parts = file.relative_to(package).with_suffix("").parts
        name = ".".join(parts if len(parts) == 1 or parts[-1] != "__init__" else parts[:-1])
        found[name] = ast.parse(file.read_text(encoding="utf-8"), str(file))
    return found


@cache
def archcost() -> Mapping[str, ast.Module]:
    return sources()


def imports(name: str, modules: Mapping[str, ast.Module]) -> Iterator[Imported]:
    """Yield what a module imports, wherever it does: inside functions and `if TYPE_CHECKING` included."""
    for node in ast.walk(modules[name]):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield _resolved(alias.name, None, node.lineno, modules)
        elif isinstance(node, ast.ImportFrom):
            origin = _origin(name, node, modules)
            for alias in node.names:
                if (origin, alias.name) != ("archcost", "__version__"):  # text, not code: anybody may name it
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
    return Imported(deeper if deeper in modules else inside or FACE, line, own=True)


def place(name: str) -> tuple[int, int] | None:
    """Return floor and position of a module, None where the table does not know it."""
    if name == FACE:
        return max(FLOORS), -1  # the command line may use the public calls
    entries = [(floor, row.index(entry), entry) for floor, row in FLOORS.items() for entry in row]
    exact = [entry for entry in entries if entry[2] == name]
    starred = [entry for entry in entries if "*" in entry[2] and fnmatchcase(name, entry[2])]
    return next(((floor, position) for floor, position, _ in exact + starred), None)


def upward(modules: Mapping[str, ast.Module]) -> list[str]:
    """Return every import that does not go to a lower floor or leftward on the same one."""
    found = []
    for name in sorted(set(modules) - {FACE}):
        here = place(name)
        for imported in imports(name, modules):
            there = place(imported.module) if imported.own else None
            if here is None or not imported.own or imported.module == name:
                continue
            if there is None or there >= here:
                found.append(f"{name}:{imported.line} imports {imported.module}")
    return found


def outsiders(modules: Mapping[str, ast.Module]) -> list[str]:
    """Return every import of a foreign package that the floor of its module does not allow."""
    found = []
    for name in sorted(set(modules) - {FACE}):
        here = place(name)
        if here is None or here[0] not in OUTSIDE:
            continue
        allowed = sys.stdlib_module_names | OUTSIDE[here[0]]
        strange = [i for i in imports(name, modules) if not i.own and i.module not in allowed]
        found += [f"{name}:{i.line} imports {i.module}" for i in strange]
    return found


def prints(tree: ast.AST) -> Iterator[str]:
    """Yield every use of a name that writes to the terminal."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Attribute, ast.Name)) and ast.unparse(node) in PRINTS:
            yield f"line {node.lineno}: {ast.unparse(node)}"


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield every function and method, nested ones included."""
    return (node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of a function from `def` to its end, without its docstring."""
    total = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is None or first.end_lineno is None:
        return total
    return total - (first.end_lineno - first.lineno + 1)


def arguments(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the number of named arguments, self and cls not counted."""
    named = function.args.posonlyargs + function.args.args + function.args.kwonlyargs
    return len(named) - (bool(named) and named[0].arg in {"self", "cls"})


def test_every_module_has_its_floor() -> None:
    """A new module is put on a floor before it is used."""
    homeless = [name for name in archcost() if place(name) is None]
    assert homeless == [], "add them to FLOORS in tests/test_floors.py"


def test_imports_go_down() -> None:
    """A module imports from lower floors, or further left on its own."""
    assert upward(archcost()) == []


def test_no_cycle() -> None:
    """No module imports itself by a detour, not even inside a function."""
    modules = archcost()
    inside = sorted(set(modules) - {FACE})
    known = {name: {i.module for i in imports(name, modules) if i.own} - {name, FACE} for name in inside}
    try:
        TopologicalSorter(known).prepare()
    except CycleError as error:
        pytest.fail(f"import cycle: {' -> '.join(reversed(error.args[1]))}")


def test_low_floors_need_nothing_from_outside() -> None:
    """Floors 0 and 1 stand on the standard library alone, floor 2 on pydantic and PyYAML besides."""
    assert outsiders(archcost()) == []


def test_face_imports_on_use() -> None:
    """At module level archcost/__init__.py imports the standard library only; its names come when asked for."""
    statements = [node for node in archcost()[FACE].body if isinstance(node, (ast.Import, ast.ImportFrom))]
    face = {FACE: ast.Module(body=list(statements), type_ignores=[])}
    assert [i for i in imports(FACE, face) if i.own or i.module not in sys.stdlib_module_names] == []


def test_only_the_command_line_prints() -> None:
    """Libraries return values."""
    loud = {name for name in archcost() if name.partition(".")[0] in {"cli", "__main__"}}
    uses = [f"{name} {use}" for name, tree in archcost().items() if name not in loud for use in prints(tree)]
    assert uses == []


def test_files_are_short() -> None:
    """One idea fits into 400 lines."""
    lengths = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in (ROOT / "archcost").rglob("*.py")}
    assert {str(file.relative_to(ROOT)): n for file, n in lengths.items() if n > MAX_FILE_LINES} == {}


def test_functions_are_short() -> None:
    """A function fits on a screen: 40 lines, its docstring not counted."""
    found = {f"{name}.{f.name}": length(f) for name, tree in archcost().items() for f in functions(tree)}
    assert {name: lines for name, lines in found.items() if lines > MAX_FUNCTION_LINES} == {}


def test_functions_take_few_arguments() -> None:
    """Six arguments are the most a reader keeps apart, keyword-only ones included; the public `profile` is excepted."""
    found = {(name, f.name): arguments(f) for name, tree in archcost().items() for f in functions(tree)}
    assert {key: n for key, n in found.items() if n > MAX_ARGUMENTS and key not in MANY_ARGUMENTS} == {}


def loaded_by(code: str) -> set[str]:
    """Return the top-level packages a fresh interpreter has loaded after running `code`."""
    script = f"import sys\ntry:\n    {code}\nexcept SystemExit:\n    pass\nprint(*sys.modules, sep=',')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split(",")}


def low(names: Iterable[str]) -> list[str]:
    """Return the modules of floors 0 to 2."""
    return [name for name in names if (home := place(name)) is not None and home[0] in OUTSIDE]


def test_counting_is_light() -> None:
    """Reading and counting a network for the table loads neither torch nor fvcore."""
    arguments = ["profile", "resnet-20", "--no-latency", "--no-witness"]
    script = f"from archcost.cli import cli; cli.main({arguments}, standalone_mode=False)"
    assert loaded_by(script) & (HEAVY | {"fvcore"}) == set()


def test_import_archcost_is_light() -> None:
    """`import archcost` loads nothing heavy, not even pydantic."""
    assert loaded_by("import archcost") & (HEAVY | {"pydantic", "yaml", "click"}) == set()


def test_low_floors_are_light() -> None:
    """A network is read, built and counted without torch."""
    names = ", ".join(f"archcost.{name}" for name in low(archcost()))
    loaded = loaded_by(f"import {names}")
    assert "archcost" in loaded
    assert loaded & HEAVY == set()


def test_help_is_light() -> None:
    """`python -m archcost --help` loads neither torch nor pydantic."""
    loaded = loaded_by("import runpy; sys.argv[1:] = ['--help']; runpy.run_module('archcost', run_name='__main__')")
    assert "click" in loaded
    assert loaded & (HEAVY | {"pydantic", "yaml", "fvcore", "jinja2"}) == set()


CASES = {
    "upward": ({"errors": "from archcost import units", "units": ""}, ["errors:1 imports units"]),
    "leftward": ({"errors": "", "units": "from archcost.errors import quoted"}, []),
    "relative": ({"families": "", "families.nin": "from . import hornn", "families.hornn": ""},
                 ["families.nin:1 imports families.hornn"]),
    "two dots": ({"families": "", "families.nin": "from ..spec import x", "spec": ""}, ["families.nin:1 imports spec"]),
    "package": ({"families": "from .nin import build", "families.nin": "from archcost import parts", "parts": ""}, []),
    "inside": ({"ops": "def f():\n    import archcost.read", "read": ""}, ["ops:2 imports read"]),
    "typing": ({"graph": "if TYPE_CHECKING:\n    from archcost import cost", "cost": ""}, ["graph:2 imports cost"]),
    "face": ({"__init__": "", "read": "from archcost import load, __version__"}, ["read:1 imports __init__"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_upward_imports_are_seen(case: str) -> None:
    """A check that finds nothing may be blind: this one finds each way an import can be written."""
    texts, expected = CASES[case]
    assert upward({name: ast.parse(text) for name, text in texts.items()}) == expected


def test_outsiders_and_prints_are_seen() -> None:
    """So do the checks of foreign packages and of printing."""
    assert outsiders({"ops": ast.parse("import json, numpy.linalg")}) == ["ops:1 imports numpy"]
    found = sorted(prints(ast.parse("sys.stderr.write('')\nclick.echo()\nprint()")))
    assert found == ["line 1: sys.stderr", "line 2: click.echo", "line 3: print"]
