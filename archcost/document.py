"""A strict YAML border: text becomes a tree of plain values, and every key and value keeps its place."""

from __future__ import annotations

import codecs
import math
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn, TypeAlias, final

import yaml  # type: ignore[import-untyped]  # PyYAML ships no types; all that leaves this file is typed

from archcost.errors import InputError, Mistake, Path, Place, quoted, shorten

Value: TypeAlias = None | bool | int | float | str | list["Value"] | dict[str, "Value"]

MAX_BYTES = 2**20
MAX_DEPTH = 64
MAX_VALUES = 50_000
MAX_INTEGER = 2**53  # beyond it a float, and so JSON in a browser, skips integers
MAX_MISTAKES = 20

# YAML 1.2, 10.3.2 'Tag Resolution' of the core schema; what matches nothing here is text.
_WORDS: Mapping[str, bool | None] = {"": None, "~": None} | {
    spelling: value
    for word, value in (("null", None), ("true", True), ("false", False))
    for spelling in (word, word.capitalize(), word.upper())
}
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")

# All but c-printable of YAML 1.2 (5.1). Refused too: U+0085, U+2028 and U+2029, which end a line for PyYAML but not for YAML 1.2
# nor in an editor (a comment could hide a key behind one), and U+FEFF, which PyYAML gives no column.
_REFUSED = re.compile("[^\t\n\r -~\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_LINE_BREAK = re.compile("\r\n|\r|\n")
_SURROGATE = re.compile("[\ud800-\udfff]")
_INDEX = re.compile("[0-9]{1,6}")
_FOREIGN_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_PLAIN_WORDS = (
    ("'<stream end>'", "the end of the text"),
    ("end of stream", "end of the text"),
    ("<block end>", "the end of the block (is the indentation right?)"),
    ("'<block mapping start>'", "a mapping"),
    ("'<block sequence start>'", "a list"),
    ("'<scalar>'", "a value"),
    (
        "mapping values are not allowed here",
        "a ':' is not allowed here (is the indentation right? quote text with ': ')",
    ),
)


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML text as plain values, with the places of every value and of every mapping key by path."""

    file: str
    tree: Value
    values: Mapping[Path, Place] = field(repr=False)
    keys: Mapping[Path, Place] = field(repr=False)

    def place(self, path: Path, *, key: bool = False) -> Place:
        """Return where the value at `path` (or its key) stands; what is missing stands where its nearest ancestor does."""
        if key and path in self.keys:
            return self.keys[path]
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, Place(self.file))


def read_file(path: str | os.PathLike[str]) -> Document:
    """Read one YAML file of at most 1 MiB; every failure, also of the disk, is an InputError."""
    file = os.fspath(path)
    try:
        if not stat.S_ISREG(os.stat(file).st_mode):  # asked before opening: to open a FIFO would wait for its writer
            raise InputError(Mistake("not a regular file", place=Place(file)))
        with open(file, "rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(Mistake(f"cannot be read: {error.strerror}", place=Place(file))) from error
    except ValueError as error:  # open() on a name with a NUL or a lone surrogate
        raise InputError(Mistake(f"cannot be read: {error}", place=Place(file))) from error
    return read_bytes(data, file)


def read_bytes(data: bytes, file: str) -> Document:
    """Read UTF-8, with or without a byte order mark; InputError names the first byte that is not."""
    for mark, encoding in _FOREIGN_MARKS:
        if data.startswith(mark):
            raise InputError(Mistake(f"the text is {encoding}; save it as UTF-8", place=Place(file, 1, 1)))
    body = data.removeprefix(codecs.BOM_UTF8)
    if len(body) > MAX_BYTES:
        raise InputError(Mistake("larger than 1 MiB", place=Place(file)))
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        latin = quoted(body[error.start : error.start + 1].decode("latin-1"))
        message = f"byte 0x{body[error.start]:02X} (in Latin-1 {latin}) is not UTF-8; save the text as UTF-8"
        place = _place_of(body.decode("utf-8", "replace"), len(body[: error.start].decode("utf-8")), file)
        raise InputError(Mistake(message, place=place)) from error
    return load(text, file)


def load(text: str, file: str) -> Document:
    """Read one YAML 1.2 document of plain values; InputError holds up to 20 mistakes."""
    document = _read(text, file, ())
    if document.tree is None:
        raise InputError(Mistake("the file is empty", place=Place(file)))
    return document


def override(document: Document, assignment: str) -> Document:
    """Return the document with `a.0.b=VALUE` set, VALUE in YAML; digits index lists, missing mappings are created.

    Mistakes and places in the value name the file `--set a.0.b`.
    """
    key, equals, text = assignment.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts) or len(parts) > MAX_DEPTH or _REFUSED.search(key):
        allowed = f"allowed: key=value, with key a dotted path of at most {MAX_DEPTH} names, such as layers.0.widths=[192, 160]"
        raise InputError(Mistake(f"{quoted(assignment)} sets nothing; {allowed}", place=Place("--set")))
    label = f"--set {shorten(key.strip(), 200)}"
    path = _locate(document.tree, parts, label)
    new = _read(text, label, path)
    start = Place(label, 1, 1, _LINE_BREAK.split(text)[0])
    made = {path[:n]: start for n in range(1, len(path) + 1) if n == len(path) or path[:n] not in document.values}
    values = {p: place for p, place in document.values.items() if p[: len(path)] != path}
    keys = {p: place for p, place in document.keys.items() if p[: len(path)] != path}
    tree = _replaced(document.tree, path, new.tree)
    return Document(document.file, tree, values | made | new.values, keys | made | new.keys)


def _locate(tree: Value, parts: Sequence[str], label: str) -> Path:
    path: Path = ()
    for part in parts:
        match tree:
            case list():
                index = int(part) if _INDEX.fullmatch(part) else len(tree)
                if index >= len(tree):
                    allowed = f"0 to {len(tree) - 1}" if tree else "nothing, the list is empty"
                    raise InputError(
                        Mistake(f"{quoted(part)} is no index of this list; allowed: {allowed}", path, Place(label))
                    )
                path, tree = (*path, index), tree[index]
            case dict() | None:  # a null is taken for a mapping that is not there yet
                path, tree = (*path, part), (tree or {}).get(part)
            case _:
                raise InputError(
                    Mistake(f"holds {quoted(str(tree))}, which has no {quoted(part)} inside", path, Place(label))
                )
    return path


def _replaced(tree: Value, path: Path, value: Value) -> Value:
    if not path:
        return value
    head, rest = path[0], path[1:]
    if isinstance(tree, list) and isinstance(head, int):
        return [*tree[:head], _replaced(tree[head], rest, value), *tree[head + 1 :]]
    branch = tree if isinstance(tree, dict) else {}
    return {**branch, str(head): _replaced(branch.get(str(head)), rest, value)}


def _place_of(text: str, offset: int, file: str) -> Place:
    before = _LINE_BREAK.split(text[:offset])
    line = _LINE_BREAK.split(text)[len(before) - 1]
    return Place(file, len(before), len(before[-1]) + 1, line)


def _read(text: str, file: str, at: Path) -> Document:
    if len(text) > MAX_BYTES:
        raise InputError(Mistake("larger than 1 MiB", place=Place(file)))
    if refused := _REFUSED.search(text):
        message = (
            f"character U+{ord(refused[0]):04X} is not allowed in YAML; in double quotes an escape can stand for it"
        )
        raise InputError(Mistake(message, place=_place_of(text, refused.start(), file)))
    builder = _Builder(file, _LINE_BREAK.split(text), at)
    try:
        for event in _events(text, builder):
            builder.take(event)
    except InputError as error:
        raise InputError(*builder.mistakes, *error.mistakes) from error.__cause__
    if builder.mistakes:
        raise InputError(*builder.mistakes)
    return Document(file, builder.tree, builder.values, builder.keys)


def _events(text: str, builder: _Builder) -> Iterator[yaml.Event]:
    """Yield PyYAML's events; the pure-Python loader, because the C one crashes on deep nesting."""
    loader = yaml.SafeLoader(text)
    try:
        while loader.check_event():
            yield loader.get_event()
    except yaml.MarkedYAMLError as error:
        raise InputError(Mistake(_explain(error, builder), place=builder.place(error.problem_mark))) from error
    except (ValueError, OverflowError) as error:
        # The two that PyYAML 6.0 leaks: chr() of an escape beyond \U0010FFFF, int() of the digits of '%YAML 1.111...'.
        message = "an escape or a number here is out of range"
        raise InputError(Mistake(message, place=builder.place(loader.get_mark()))) from error


def _explain(error: yaml.MarkedYAMLError, builder: _Builder) -> str:
    place = builder.place(error.problem_mark)
    if place.text[place.column - 1 : place.column] == "\t" and "cannot start any token" in error.problem:
        return "a tab is not allowed here; indent and separate with spaces"
    problem = str(error.problem)
    for yaml_word, word in _PLAIN_WORDS:
        problem = problem.replace(yaml_word, word)
    mark = error.context_mark
    return problem + (f", {error.context} that starts at {mark.line + 1}:{mark.column + 1}" if mark else "")


@final
@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not come; `key` waits for its value."""

    path: Path
    items: list[Value] | dict[str, Value]
    key: str | None = None


@final
@dataclass(slots=True)
class _Builder:
    """What the events seen so far have made; an explicit stack, so that no nesting becomes recursion."""

    file: str
    lines: Sequence[str]
    at: Path
    tree: Value = None
    values: dict[Path, Place] = field(default_factory=dict)
    keys: dict[Path, Place] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)
    stack: list[_Open] = field(default_factory=list)
    documents: int = 0

    def place(self, mark: yaml.Mark) -> Place:
        return Place(self.file, mark.line + 1, mark.column + 1, self.lines[mark.line])

    def refuse(self, message: str, place: Place, path: Path | None = None) -> None:
        """Note a mistake after which reading can go on."""
        self.mistakes.append(Mistake(message, self.next_path() if path is None else path, place))
        if len(self.mistakes) == MAX_MISTAKES:
            raise InputError  # without a mistake of its own: `_read` adds those noted

    def stop(self, message: str, place: Place) -> NoReturn:
        raise InputError(Mistake(message, place=place))

    ...
