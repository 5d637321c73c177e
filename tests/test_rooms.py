"""The import graph is the architecture: which room may know which, and how large anything may get."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from rooms import DOORS, FACE, LEGEND, PACKAGE, ROOMS, ROOT, forbidden, imports, privates, room, sources, table

import archcost as package

HEAVY = frozenset({"torch", "numpy", "pandas", "plotly", "optuna"})
# Modules that are imported without torch, and what they may import besides the standard library and archcost.
LIGHT: dict[str, frozenset[str]] = {
    "graph": frozenset(),
    "config": frozenset({"pydantic", "pydantic_core", "yaml"}),
    "models": frozenset({"pydantic", "pydantic_core", "yaml"}),
    "search.domains": frozenset(),
    "search.space": frozenset({"pydantic", "pydantic_core", "yaml"}),
    "search.rules": frozenset({"pydantic", "pydantic_core", "yaml"}),
    "search.templates": frozenset({"pydantic", "pydantic_core", "yaml"}),
    "search.pareto": frozenset(),
    "search.halving": frozenset(),
}
PRINTS = frozenset({"print", "click.echo", "click.secho", "sys.stdout", "sys.stderr"})
# nouns of the field that end like participles, and adjectives of which everybody knows the noun
NOUNS = frozenset("sampling scoring wording timing halving speed published shared stored confirmed copied".split())
PARTICIPLE = re.compile(r"[a-z]{3,}(ing|ed)")
# rooms whose __init__ holds names: in nets they are loaded when asked for, in cli they are the commands
FACES = frozenset({"nets", "cli"})
MANY_ARGUMENTS = frozenset({("profiling.profile", "profile")})  # the public call takes all options

MAX_ENTRIES = {"": 24, "cli": 24}
MAX_ENTRIES_OF_A_FOLDER = 18
MAX_FILE_LINES = 400
MAX_FIRST_LINE = 90
MAX_FUNCTION_LINES = 40  # the docstring not counted
MAX_ARGUMENTS = 6


@cache
def archcost() -> Mapping[str, ast.Module]:
    return sources()


def light(name: str) -> frozenset[str] | None:
    """Return what a light module may import from outside, None if it is not light."""
    return next((allowed for part, allowed in LIGHT.items() if f"{name}.".startswith(f"{part}.")), None)


def outsiders(modules: Mapping[str, ast.Module]) -> list[str]:
    """Return every import of a foreign package that a light module may not have."""
    found = []
    for name in sorted(set(modules) - {FACE}):
        at_top = not room(name) and name != "__main__"
        if (allowed := frozenset() if at_top else light(name)) is None:
            continue
        strange = [i for i in imports(name, modules) if not i.own and i.module not in sys.stdlib_module_names | allowed]
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


def cycle(modules: Mapping[str, ast.Module]) -> list[str]:
    """Return the modules of a cycle of imports, none if there is no cycle."""
    inside = sorted(set(modules) - {FACE})
    known = {name: {i.module for i in imports(name, modules) if i.own} - {name, FACE} for name in inside}
    try:
        TopologicalSorter(known).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []


def crowded(folder: Path) -> dict[str, int]:
    """Return the folders that have more entries than allowed, with their number."""
    found = {}
    for each in (folder, *(path for path in folder.rglob("*") if path.is_dir() and path.name != "__pycache__")):
        name = "" if each == folder else each.relative_to(folder).as_posix()
        count = sum(entry.name != "__pycache__" for entry in each.iterdir())
        if count > MAX_ENTRIES.get(name, MAX_ENTRIES_OF_A_FOLDER):
            found[name] = count
    return found


def participles(names: Mapping[str, object]) -> list[str]:
    """Return the modules and folders that are called by a bare participle; rooms are words of the field."""
    parts = {part for name in names for part in name.split(".")}
    return sorted(part for part in parts - ROOMS.keys() - NOUNS - {"drawing"} if PARTICIPLE.fullmatch(part))


def test_every_folder_is_a_room() -> None:
    """A folder at the top is a room of the table, and a room is a folder."""
    assert {folder.name for folder in PACKAGE.iterdir() if folder.is_dir() and folder.name != "__pycache__"} == {*ROOMS}


def test_imports_between_rooms_are_allowed() -> None:
    """A room imports from the rooms that the table names, through doors where there are any."""
    assert forbidden(archcost()) == []


def test_the_table_of_rooms_has_no_circle() -> None:
    """Rooms import downwards: a room is named after all that it may import; a door is of an import that is allowed."""
    place = {name: number for number, name in enumerate(ROOMS)}
    assert [here for here, below in ROOMS.items() if any(place[each] >= place[here] for each in below)] == []
    assert [pair for pair in DOORS if pair[1] not in ROOMS[pair[0]]] == []


def test_the_table_of_imports_names_every_room() -> None:
    """`make rooms` prints a row and a column for each in 80 columns, a column's heading ending where its numbers do."""
    first, second, *rows = table(archcost()).partition("\n\n")[0].splitlines()
    assert ([*ROOMS], [*ROOMS]) == (
        [row.split()[0] for row in rows],
        sorted(f"{first} {second}".split(), key=[*ROOMS].index),
    )
    ends = [end.end() for head in (first, second) for end in re.finditer(r"\S+", head)]
    numbers = {end.end() for row in rows for end in re.finditer(r"\s\d+|\s\.", row)}
    assert (sorted(ends)[0], True) == (min(numbers), numbers <= {*ends})
    assert [line for line in table(archcost()).splitlines() if len(line) > 80] == []


def test_the_table_of_imports_tells_three_kinds_apart() -> None:
    """A number is what is imported, a dot what may be, an asterisk what is behind a door; the legend follows."""
    texts = {"nets.net": "from archcost.graph.ops import Conv, Pad", "graph.ops": "", "training.fit": ""}
    lines = table({name: ast.parse(text) for name, text in texts.items()}).splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines if line}
    assert (["2", ".", "."], [".", ".", ".", ".", ".*"]) == (rows["nets"], rows["training"])
    assert table({}).endswith("\n".join(LEGEND))


def test_the_table_of_imports_needs_nothing_installed() -> None:
    """`make rooms` works on a fresh clone: a Python without packages prints it."""
    done = subprocess.run([sys.executable, "-I", "-S", ROOT / "tests" / "support" / "rooms.py"], capture_output=True,
                          text=True, check=True)  # fmt: skip
    assert done.stdout.rstrip("\n") == table(archcost())


def test_privates_stay_at_home() -> None:
    """What begins with an underscore is used by its own module alone."""
    assert privates(archcost()) == []


def test_no_cycle() -> None:
    """No module imports itself by a detour, not even inside a function."""
    assert cycle(archcost()) == []


def test_light_rooms_need_little_from_outside() -> None:
    """graph and the modules at the top need the standard library alone, config and models pydantic and PyYAML too."""
    assert outsiders(archcost()) == []


def test_a_folder_is_seen_at_a_glance() -> None:
    """At most 24 entries at the top and in cli, 18 in every other folder."""
    assert crowded(PACKAGE) == {}


def test_modules_are_called_by_nouns() -> None:
    """A file whose name is a bare participle is half of another one's idea."""
    assert participles(archcost()) == []


def test_a_room_says_what_it_holds() -> None:
    """Its __init__ is a docstring, and nothing else if it is no face."""
    silent = [name for name in ROOMS if not ast.get_docstring(archcost()[name])]
    more = [name for name in ROOMS.keys() - FACES if len(archcost()[name].body) > 1]
    assert (silent, more) == ([], [])


def test_a_file_says_what_it_holds() -> None:
    """The first line of its docstring is one line of the tree in ARCHITECTURE.md: at most 90 characters."""
    first = {name: (ast.get_docstring(tree) or "").partition("\n")[0] for name, tree in archcost().items()}
    first.pop("__main__")
    assert {name: line for name, line in first.items() if not 0 < len(line) <= MAX_FIRST_LINE} == {}


def test_no_public_name_is_a_module() -> None:
    """`archcost.profile` is the call whatever was imported before: no module at the top or room has a public name."""
    assert {name.partition(".")[0] for name in archcost()} & {*package.__all__} == set()


def test_faces_import_on_use() -> None:
    """At module level archcost and archcost.nets import the standard library and text alone."""
    for name in (FACE, "nets"):
        statements = [node for node in archcost()[name].body if isinstance(node, (ast.Import, ast.ImportFrom))]
        face = {**archcost(), name: ast.Module(body=list(statements), type_ignores=[])}
        assert [i for i in imports(name, face) if i.module not in {*sys.stdlib_module_names, "version"}] == []


def test_only_the_command_line_prints() -> None:
    """Libraries return values."""
    quiet = {name: tree for name, tree in archcost().items() if room(name) != "cli" and name != "__main__"}
    assert [f"{name} {use}" for name, tree in quiet.items() for use in prints(tree)] == []


def test_files_are_short() -> None:
    """One idea fits into 400 lines."""
    lengths = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in PACKAGE.rglob("*.py")}
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


def test_counting_is_light() -> None:
    """Reading and counting a network for the table loads neither torch nor fvcore."""
    given = ["profile", "resnet-20", "--no-latency", "--no-witness"]
    script = f"from archcost.cli import cli; cli.main({given}, standalone_mode=False)"
    assert loaded_by(script) & (HEAVY | {"fvcore"}) == set()


def test_import_archcost_is_light() -> None:
    """`import archcost` loads nothing heavy, not even pydantic."""
    assert loaded_by("import archcost, archcost.nets") & (HEAVY | {"pydantic", "yaml", "click"}) == set()


def test_light_modules_are_light() -> None:
    """A network is read, built and counted, and a space is made, without torch."""
    names = [name for name in archcost() if light(name) is not None or not room(name)]
    loaded = loaded_by(f"import {', '.join(f'archcost.{name}' for name in names if name not in {FACE, '__main__'})}")
    assert "archcost" in loaded
    assert loaded & HEAVY == set()


def test_reports_need_no_torch() -> None:
    """What a study keeps is read, and its report is gathered, without torch."""
    names = [name for name in archcost() if name.startswith(("study.records", "report"))]
    assert loaded_by(f"import {', '.join(f'archcost.{name}' for name in names)}") & {"torch", "fvcore"} == set()


def test_help_is_light() -> None:
    """`python -m archcost --help` loads neither torch nor pydantic."""
    loaded = loaded_by("import runpy; sys.argv[1:] = ['--help']; runpy.run_module('archcost', run_name='__main__')")
    assert "click" in loaded
    assert loaded & (HEAVY | {"pydantic", "yaml", "fvcore", "jinja2"}) == set()


PLANTED = {
    "upward": ({"graph.ops": "from archcost.nets import net", "nets.net": ""}, ["graph.ops:1 imports nets.net"]),
    "downward": ({"nets.net": "from archcost.graph.ops import Conv", "graph.ops": ""}, []),
    "inside a room": ({"graph.cost": "from archcost.graph import ops", "graph.ops": ""}, []),
    "from the top": ({"units": "from archcost.graph import ops", "graph.ops": ""}, ["units:1 imports graph.ops"]),
    "to the top": ({"graph.ops": "from archcost import units\nimport archcost.errors", "units": "", "errors": ""}, []),
    "relative": ({"graph.ops": "from ..nets import net", "nets": "", "nets.net": ""}, ["graph.ops:1 imports nets.net"]),
    "in a function": ({"graph.ops": "def f():\n    import archcost.nets.net", "nets.net": ""},
                      ["graph.ops:2 imports nets.net"]),
    "for types": ({"graph.ops": "if TYPE_CHECKING:\n    from archcost.nets.net import Net", "nets.net": ""},
                  ["graph.ops:2 imports nets.net"]),
    "a door": ({"training.fit": "from archcost.latency.lock import turn\nfrom archcost.latency.targets import cpu",
                "latency.lock": "", "latency.targets": "", "latency.targets.cpu": ""}, []),
    "beside a door": ({"training.fit": "from archcost.latency.locks import x\nfrom archcost.latency import targets",
                       "latency.locks": "", "latency.targets": ""},
                      ["training.fit:1 imports latency.locks", "training.fit:2 imports latency.targets"]),
    "inside a door": ({"report.page": "from archcost.study.records.front import Front", "study.records.front": ""}, []),
    "the face": ({"__init__": "", "graph.ops": "from archcost import load"}, ["graph.ops:1 imports __init__"]),
}  # fmt: skip


@pytest.mark.parametrize("case", PLANTED)
def test_what_is_forbidden_is_seen(case: str) -> None:
    """A check that finds nothing may be blind: this one finds each way an import can be written."""
    texts, expected = PLANTED[case]
    assert forbidden({name: ast.parse(text) for name, text in texts.items()}) == expected


def test_planted_uses_of_privates_are_seen() -> None:
    """Imported from a room beside, from above, inside a function, or as an attribute; what is public is not."""
    texts = {
        "__init__": "from archcost.version import __version__",
        "graph.ops": "_WORDS = 1",
        "nets.net": "from archcost.graph.ops import _WORDS as words, Conv",
        "nets.steps": "from archcost.graph import ops\ndef f(self):\n    return ops._WORDS, ops.Conv, self._words",
        "version": "def f():\n    from .graph.ops import _WORDS",
    }
    assert privates({name: ast.parse(text) for name, text in texts.items()}) == [
        "nets.net:1 imports graph.ops._WORDS",
        "nets.steps:3 uses ops._WORDS",
        "version:2 imports graph.ops._WORDS",
    ]


def test_planted_offences_are_seen(tmp_path: Path) -> None:
    """So do the checks of foreign packages, printing, cycles, crowds, names, lengths and arguments."""
    assert outsiders({"graph.ops": ast.parse("import json, numpy.linalg")}) == ["graph.ops:1 imports numpy"]
    assert outsiders({"units": ast.parse("import pydantic"), "nets.net": ast.parse("import torch")}) == [
        "units:1 imports pydantic"
    ]
    found = sorted(prints(ast.parse("sys.stderr.write('')\nclick.echo()\nprint()")))
    assert found == ["line 1: sys.stderr", "line 2: click.echo", "line 3: print"]
    circle = {"graph.a": "from archcost.graph import b", "graph.b": "def f():\n    from archcost.graph.a import x"}
    assert set(cycle({name: ast.parse(text) for name, text in circle.items()})) == {"graph.a", "graph.b"}
    for number in range(19):
        (tmp_path / "graph").mkdir(exist_ok=True)
        (tmp_path / "graph" / f"{number}.py").touch()
    assert crowded(tmp_path) == {"graph": 19}
    assert participles({"study.exploring": 1, "study.records.told": 1, "search.planned": 1}) == ["exploring", "planned"]
    long = ast.parse("def f(a, *, b, c=1):\n    '''Doc\n    string'''\n" + "    x = 1\n" * 40)
    assert [(length(f), arguments(f)) for f in functions(long)] == [(41, 3)]
