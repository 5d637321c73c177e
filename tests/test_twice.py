"""What stands twice is wrong twice: no long run of equal lines in two places, and one way to each border."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from rooms import PACKAGE, ROOT, imports, sources

LONGEST = 10  # equal lines one behind the other, imports, comments and lone brackets not counted


def telling(text: str) -> list[tuple[int, str]]:
    """Return the lines that say something, stripped, with their numbers: no import, comment or lone bracket."""
    passed: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            passed.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = ((number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if number not in passed)
    return [(number, line) for number, line in lines if line[:1] != "#" and any(map(str.isalnum, line))]


def repeated(texts: Mapping[str, str], longest: int = LONGEST) -> list[str]:
    """Return where more than `longest` telling lines are the same as those of another place, each run once."""
    places: dict[tuple[str, ...], list[tuple[str, int, int]]] = defaultdict(list)
    for name, text in texts.items():
        lines = telling(text)
        for start in range(len(lines) - longest):
            part = lines[start : start + longest + 1]
            places[tuple(line for _, line in part)].append((name, start, part[0][0]))
    found: list[str] = []
    before: set[tuple[tuple[str, int], ...]] = set()
    for same in places.values():
        if len(same) < 2:
            continue
        before.add(tuple((name, start) for name, start, _ in same))
        if tuple((name, start - 1) for name, start, _ in same) not in before:  # the run does not begin here
            found.append(" = ".join(f"{name}:{line}" for name, _, line in same))
    return found


def texts(*folders: Path) -> dict[str, str]:
    """Return the sources below some folders."""
    files = [file for folder in folders for file in sorted(folder.rglob("*.py"))]
    return {file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8") for file in files}


def words(tree: ast.AST) -> Iterator[str]:
    """Yield the names and attributes a module uses."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name):
                yield name


def test_nothing_long_stands_twice() -> None:
    """No run of more than ten equal lines in two places, of the package and of its tests, studies and documents."""
    assert repeated(texts(PACKAGE, *(ROOT / name for name in ("tests", "studies", "docs")))) == []


def test_csv_is_written_in_one_place() -> None:
    """Rows become CSV in archcost/rows.py alone, where no cell begins a formula."""
    modules = sources()
    writers = {name for name in modules if any(each.module == "csv" for each in imports(name, modules) if not each.own)}
    assert ({"rows"}, []) == (writers, [name for name, tree in modules.items() if "to_csv" in words(tree)])


def test_an_error_becomes_a_line_in_one_place() -> None:
    """Nobody but archcost/errors.py joins what an error says into a line."""
    joins = ('" ".join(str(', '" ".join(f"{type(', '" ".join(text.split()')
    joined = [name for name, text in texts(PACKAGE).items() if any(each in text for each in joins)]
    assert joined == ["archcost/errors.py"]


def test_planted_offences_are_seen() -> None:
    """A run is found in two files and in one, however it is indented; imports and lone brackets do not count."""
    run = [f"x{number} = {number}" for number in range(11)]
    deeper = "def f():\n" + "".join(f"    {line}\n\n    # so\n" for line in run)
    assert repeated({"a": "y = 0\n" + "\n".join(run), "b": deeper}) == ["a:2 = b:2"]
    assert repeated({"a": "\n".join([*run, "between = 1", *run])}) == ["a:1 = a:13"]
    assert repeated({"a": "\n".join([*run, "z = 1"]), "b": "\n".join([*run, "z = 1"])}) == ["a:1 = b:1"]
    assert repeated({"a": "\n".join(run[:10]), "b": "\n".join(run[:10])}) == []
    listed = "from a import (\n" + "".join(f"    name_{number},\n" for number in range(20)) + ")\n"
    assert repeated({"a": listed, "b": listed}) == []
    brackets = "x = [[\n" + "]\n" + "]\n"
    assert telling(brackets) == [(1, "x = [[")]
