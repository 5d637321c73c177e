"""Writes what is derived and committed: the JSON Schemas, the references of keys and commands, the tree of files.

Run by `make fix`; a test compares the committed files with what this would write. In a page that is partly written by
hand, what is derived is between `<!-- PART -->` and `<!-- end -->`.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from inspect import cleandoc
from pathlib import Path
from textwrap import fill
from typing import Any

import click

from archcost.cli import cli
from archcost.cli.schemas import NAMES, made
from archcost.models.code import FAMILY, Foreign
from archcost.models.families import FAMILIES
from archcost.search.rules import RULES
from archcost.study.spec import Study

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "archcost"
WIDTH = 120
HEAD = """# model.yaml: every key

A file holds one network. It is flat, and `family` says of which family the network is; `archcost example NAME` prints a
file to start from. It is read as YAML 1.2 without tags, anchors, merge keys or duplicate keys, at most 1 MiB, 64 levels
and 50,000 values, integers up to 2^53. A network of more than 200,000 nodes is refused before it is built.
`--set stem.channels=32` overrides a key on the command line. For completion in an editor, run
`archcost schema model > model.schema.json` and begin the file with
`# yaml-language-server: $schema=model.schema.json`.

All mistakes are reported at once, each with its file, line and column:

```
mine.yaml:4:13: depths.1: given 'x'; allowed: an integer
    depths: [3, x, 3]
                ^
mine.yaml:5:1: width: unknown key 'width' (did you mean 'widths'?); allowed: 'block', 'classes', ...
    width: [16, 32, 64]
    ^
```

This page is written by `docs/make.py`: to change it, change the docstring of a key and run `make fix`.
"""


def pages() -> dict[Path, str]:
    """Return every committed file that is derived, wholly or in parts, with its text as it should be."""
    schemas = {PACKAGE / "config" / "schemas" / f"{name}.json": made(name) for name in NAMES}
    parts = {
        ROOT / "docs" / "studies.md": {"rules": _rules(), "keys": _keys()},
        ROOT / "docs" / "commands.md": {"commands": commands(cli, "archcost")},
        ROOT / "ARCHITECTURE.md": {"tree": tree(PACKAGE)},
    }
    filled = {page: with_parts(page.read_text("utf-8"), lines) for page, lines in parts.items()}
    return {**schemas, ROOT / "docs" / "model.md": reference(), **filled}


def with_parts(page: str, parts: Mapping[str, Iterable[str]]) -> str:
    """Return a page with its derived parts made anew and the rest as it is; raises ValueError if one has no marker."""
    for part, lines in parts.items():
        before, begin, rest = page.partition(f"<!-- {part} -->\n")
        _, end, after = rest.partition("<!-- end -->\n")
        if not end:
            raise ValueError(f"no <!-- {part} --> with an <!-- end --> in the page")
        page = "".join([before, begin, *lines, end, after])
    return page


def tree(package: Path) -> Iterator[str]:
    """Yield the files of a package as a folder shows them, each with the first line of its docstring."""
    yield "```\n"
    entries = [*_entries(package, 0)]
    column = max(len(name) for name, _ in entries) + 2
    for name, line in entries:
        yield f"{name:<{column}}{_cut(line, WIDTH - column)}".rstrip() + "\n"
    yield "```\n"


def _entries(folder: Path, depth: int) -> Iterator[tuple[str, str]]:
    """Yield the entries of a folder, its files before its folders; what has no docstring of its own is not listed."""
    inside = sorted(folder.iterdir(), key=lambda path: (path.is_dir(), path.name))
    yield "  " * depth + f"{folder.name}/", _first_line(folder / "__init__.py")
    for path in inside:
        if path.suffix == ".py" and path.name != "__init__.py":
            yield "  " * (depth + 1) + path.name, _first_line(path)
        elif (path / "__init__.py").is_file():
            yield from _entries(path, depth + 1)


def _first_line(module: Path) -> str:
    return (ast.get_docstring(ast.parse(module.read_text("utf-8"))) or "").partition("\n")[0]


def _cut(line: str, width: int) -> str:
    """Return a line, or what there is room for: it up to a colon or semicolon, or else whole words."""
    if len(line) <= width:
        return line
    ends = [place for place in range(width // 2, width) if line[place] in ";:" and line[place + 1] == " "]
    whole = [line[:end] for end in ends if line.count("(", 0, end) == line.count(")", 0, end)]
    return whole[-1] if whole else line[: width - 3].rpartition(" ")[0] + " ..."


class _Listing(click.HelpFormatter):
    """Keeps which commands a group's help lists, under which headings, instead of writing it."""

    def __init__(self) -> None:
        super().__init__()
        self.sections: dict[str, list[str]] = {}
        self._heading = ""

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        self._heading = name
        yield

    def write_dl(self, rows: Iterable[tuple[str, str]], *_: object, **__: object) -> None:
        self.sections.setdefault(self._heading, []).extend(name.strip() for name, _ in rows)


def commands(group: click.Group, path: str, depth: int = 2) -> Iterator[str]:
    """Yield every command of a group, under the headings of its help; last those that the help does not list."""
    context = _context(group, path)
    listing = _Listing()
    group.format_commands(context, listing)
    listed = {name for names in listing.sections.values() for name in names}
    hidden = [name for name in group.list_commands(context) if name not in listed]
    for title, names in {**listing.sections, "Not listed by the help": hidden}.items():
        if names and depth == 2:
            yield f"\n## {title}\n"
        for name in names:
            if (command := group.get_command(context, name)) is not None:
                yield from _command(command, f"{path} {name}")


def _command(command: click.Command, path: str) -> Iterator[str]:
    """Yield a command's usage, help and options, and below it those of its own commands."""
    context = _context(command, path)
    yield f"\n### {path}\n\n```\n{' '.join([path, *command.collect_usage_pieces(context)])}\n```\n"
    for paragraph in cleandoc(command.help or "").split("\n\n"):
        yield "\n" + fill(" ".join(paragraph.split()), WIDTH, break_long_words=False, break_on_hyphens=False) + "\n"
    if rows := [_option(each, context) for each in command.params if isinstance(each, click.Option)]:
        yield "\n| option | default | meaning |\n|---|---|---|\n"
        yield from rows
    if isinstance(command, click.Group):
        yield from commands(command, path, depth=3)


def _context(command: click.Command, path: str) -> click.Context:
    """Return a context with the names of the help option that the command line gives: click keeps the first ones."""
    return click.Context(command, info_name=path, help_option_names=["-h", "--help"])


def _option(option: click.Option, context: click.Context) -> str:
    names, _ = option.get_help_record(context) or (", ".join(option.opts), "")
    known = option.to_info_dict()
    default = "required" if option.required else _typed(known["default"], known["is_flag"])
    bounds = option.get_help_extra(context).get("range", "")
    meaning = " ".join(filter(None, [option.help, f"({bounds})" if bounds else ""]))
    return _row(f"`{names}`", default, meaning)


def _typed(default: object, is_flag: bool) -> str:
    """Return an option's default as it would be typed, nothing if it has none."""
    if is_flag or default is None or default in ((), []) or callable(default):
        return ""
    return ", ".join(f"`{each}`" for each in (default if isinstance(default, (list, tuple)) else [default]))


def _row(*cells: str) -> str:
    return "| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in cells) + " |\n"


def _rules() -> Iterator[str]:
    for name, rule in RULES.items():
        schema = rule.model_json_schema()
        yield f"\n`{name}`: {cleandoc(rule.__doc__ or '')}\n\n"
        yield from _table(schema, schema.get("$defs", {}))
    yield "\n"


def _keys() -> Iterator[str]:
    study = Study.model_json_schema()
    definitions = study["$defs"]
    yield "\n"
    yield from _table(study, definitions)
    for key, inner in _inner(study, definitions):
        yield f"\n### {key}\n\n{inner['description']}\n\n"
        yield from _table(inner, definitions)
        for below, deeper in _inner(inner, definitions):
            yield f"\n`{below}`: {deeper['description']}\n\n"
            yield from _table(deeper, definitions)
    yield "\n"


def reference() -> str:
    """Return the reference: a section per family, a row per key with type, default and meaning."""
    definitions = json.loads(made("model"))["$defs"]
    parts = [HEAD]
    for name, spec in (*FAMILIES.items(), (FAMILY, Foreign)):
        parts.append(f"\n## family: {name}\n\n{cleandoc(spec.__doc__ or '')}\n\n")
        parts += _table(definitions[spec.__name__], definitions)
        for key, inner in _inner(definitions[spec.__name__], definitions):
            parts.append(f"\n`{key}`: {inner['description']}\n\n")
            parts += _table(inner, definitions)
    return "".join(parts)


def _table(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Iterator[str]:
    yield "| key | type | default | meaning |\n|---|---|---|---|\n"
    required = schema.get("required", [])
    for key, value in schema["properties"].items():
        default = "required" if key in required else _default(value.get("default"))
        yield _row(f"`{key}`", _type(value, definitions), default, value.get("description", ""))


def _default(value: object) -> str:
    return "-" if value is None else f"`{json.dumps(value)}`" if not isinstance(value, dict) else "`{}`"


def _inner(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the mappings and lists of mappings a schema holds."""
    for key, value in schema["properties"].items():
        either = (value, *value.get("anyOf", []), *value.get("oneOf", []))
        for place in (inner for way in either for inner in (way, way.get("items", {}))):
            if "$ref" in place:
                yield key, definitions[place["$ref"].rsplit("/", 1)[1]]


def _type(value: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """Return a JSON Schema's type in words."""
    if "$ref" in value:
        keys = definitions[value["$ref"].rsplit("/", 1)[1]]["properties"]
        return "{" + ", ".join(keys) + "}"
    for union in ("anyOf", "oneOf"):
        if union in value:
            kinds = [_type(v, definitions) for v in value[union] if v.get("type") != "null"]
            return " or ".join(dict.fromkeys(kinds))
    if "const" in value or "enum" in value:
        return ", ".join(f"`{word}`" for word in value.get("enum", [value.get("const")]))
    if value.get("type") == "object":
        return "mapping"
    if value.get("type") == "array":
        inner = value.get("items") or value.get("prefixItems", [{}])[0]
        return f"list of {_type(inner, definitions)}"
    return _scalar(value) if "type" in value else "any value"


def _scalar(value: Mapping[str, Any]) -> str:
    names = {"integer": "integer", "number": "number", "boolean": "true or false", "string": "text"}
    bounds = [
        f"{sign} {value[key]}"
        for key, sign in (("minimum", ">="), ("exclusiveMinimum", ">"), ("maximum", "<="), ("exclusiveMaximum", "<"))
        if key in value and abs(value[key]) != 2**53
    ]
    return " ".join([names[value["type"]], *([", ".join(bounds)] if bounds else [])])


if __name__ == "__main__":
    for page, text in pages().items():
        page.write_text(text, encoding="utf-8")
