"""Strictly read YAML: a tree of plain values, with the place of every key and value."""

from __future__ import annotations

import codecs
import math
import os
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias, final

import yaml

from archcost.errors import InputError, Mistake, Path, Place, quoted, shorten

Value: TypeAlias = None | bool | int | float | str | list["Value"] | dict[str, "Value"]

MAX_BYTES: Final = 2**20
MAX_DEPTH: Final = 64
MAX_VALUES: Final = 50_000
MAX_MISTAKES: Final = 20
MAX_INTEGER: Final = 2**53  # beyond it a float64, and so many a JSON reader, skips integers

# The core schema of YAML 1.2 (10.3.2); a plain scalar that matches nothing here is text.
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True} | {"false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")

# What YAML 1.2 (5.1) calls unprintable; U+0085, U+2028, U+2029, which end a line for PyYAML but not in YAML 1.2 nor in
# editors (a comment could hide a key behind one); U+FEFF, to which PyYAML gives no column.
_REFUSED = re.compile("[^\t\n\r -~\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_LINE_BREAK = re.compile("\r\n|\r|\n")
_INDEX = re.compile("[0-9]{1,6}")
_FOREIGN = re.compile(b"(\xff\xfe\0\0|\0\0\xfe\xff)|\xff\xfe|\xfe\xff")  # the byte order marks of UTF-32, of UTF-16


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML text as plain values, with the places of every value and of every mapping key by path."""

    file: str
    tree: Value
    values: dict[Path, Place] = field(repr=False)
    keys: dict[Path, Place] = field(repr=False)

    def place(self, path: Path, *, key: bool = False) -> Place:
        """Return where the value (or its key) at `path` stands; what is missing, where its nearest ancestor does."""
        if key and path in self.keys:
            return self.keys[path]
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, Place(self.file))


def read_file(path: str | os.PathLike[str]) -> Document:
    """Read a YAML file of at most 1 MiB; raises InputError also for what the disk refuses."""
    source, file = pathlib.Path(path), os.fspath(path)
    try:
        if source.exists() and not source.is_file():  # asked before opening: opening a FIFO waits for its writer
            raise InputError(Mistake("is not a regular file", place=Place(file)))
        with source.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL or half a surrogate pair in the name
        why = error.strerror if isinstance(error, OSError) else error
        raise InputError(Mistake(f"cannot be read: {why}", place=Place(file))) from error
    return read_bytes(data, file)


def read_bytes(data: bytes, file: str) -> Document:
    """Read UTF-8 with or without a byte order mark; raises InputError, for other encodings at the first wrong byte."""
    if mark := _FOREIGN.match(data):
        raise InputError(Mistake(f"UTF-{32 if mark[1] else 16} is not read; save as UTF-8", place=Place(file, 1, 1)))
    if len(data) > MAX_BYTES:
        raise InputError(Mistake("is larger than 1 MiB", place=Place(file)))
    return load(data.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape"), file)


def load(text: str, file: str) -> Document:
    """Read one YAML 1.2 document of plain values; raises InputError with up to 20 mistakes."""
    document = _read(text, file, ())
    if document.tree is None:
        raise InputError(Mistake("the file is empty", place=Place(file)))
    return document


def override(document: Document, assignment: str) -> Document:
    """Return the document with `a.0.b=VALUE` set, VALUE in YAML; digits index lists, missing mappings are created.

    Places in the value, and so its mistakes, name the file `--set a.0.b`.
    """
    key, equals, text = assignment.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts) or len(parts) > MAX_DEPTH or _REFUSED.search(key):
        allowed = "allowed: key=value, the key up to 64 names with dots between, as in layers.0.widths=[192, 160]"
        raise InputError(Mistake(f"{quoted(assignment)} is not an assignment; {allowed}", place=Place("--set")))
    start = Place(f"--set {shorten(key.strip(), 200)}", 1, 1, _LINE_BREAK.split(text)[0])
    path = _locate(document.tree, parts, Place(start.file))
    new = _read(text, start.file, path)
    prefixes = [path[:end] for end in range(1, len(path) + 1)]
    made = {prefix: start for prefix in prefixes if prefix == path or prefix not in document.values}
    values, keys = (_outside(places, path) for places in (document.values, document.keys))
    tree = _replaced(document.tree, path, new.tree)
    return Document(document.file, tree, values | made | new.values, keys | made | new.keys)


def replace(document: Document, key: str, value: Value, place: Place, *, instead_of: str) -> Document:
    """Return the document of a mapping with `key` set to `value`, all of it at one place, and `instead_of` gone."""
    assert isinstance(document.tree, dict)  # our own bug: only a mapping has keys
    tree = {old: kept for old, kept in document.tree.items() if old not in (key, instead_of)} | {key: value}
    values, keys = (_outside(_outside(places, (key,)), (instead_of,)) for places in (document.values, document.keys))
    new = dict.fromkeys(_paths(value, (key,)), place)
    return Document(document.file, tree, values | new, keys | new)


def _outside(places: Mapping[Path, Place], path: Path) -> dict[Path, Place]:
    return {other: place for other, place in places.items() if other[: len(path)] != path}


def _paths(value: Value, path: Path) -> Iterator[Path]:
    yield path
    items = enumerate(value) if isinstance(value, list) else value.items() if isinstance(value, dict) else ()
    for key, below in items:
        yield from _paths(below, (*path, key))


def _locate(tree: Value, parts: Sequence[str], place: Place) -> Path:
    path: Path = ()
    for part in parts:
        if isinstance(tree, list):
            index = int(part) if _INDEX.fullmatch(part) else len(tree)
            if index >= len(tree):
                allowed = f"0 to {len(tree) - 1}" if tree else "none, the list is empty"
                raise InputError(
                    Mistake(f"{quoted(part)} is not an index of this list; allowed: {allowed}", path, place)
                )
            path, tree = (*path, index), tree[index]
        elif isinstance(tree, dict) or tree is None:  # null: a mapping that is not there yet
            path, tree = (*path, part), (tree or {}).get(part)
        else:
            raise InputError(Mistake(f"is {quoted(str(tree))}, with nothing called {quoted(part)} in it", path, place))
    return path


def _replaced(tree: Value, path: Path, value: Value) -> Value:
    if not path:
        return value
    head, rest = path[0], path[1:]
    if isinstance(tree, list) and isinstance(head, int):
        return [*tree[:head], _replaced(tree[head], rest, value), *tree[head + 1 :]]
    branch = tree if isinstance(tree, dict) else {}
    return {**branch, str(head): _replaced(branch.get(str(head)), rest, value)}


def _read(text: str, file: str, at: Path) -> Document:
    if len(text) > MAX_BYTES:
        raise InputError(Mistake("is larger than 1 MiB", place=Place(file)))
    builder = _Builder(file, _LINE_BREAK.split(text), at)
    try:
        for event in _events(text, builder):
            builder.take(event)
    except InputError as last:
        builder.mistakes.extend(last.mistakes)
    if builder.mistakes:
        raise InputError(*builder.mistakes)
    return Document(file, builder.tree, builder.values, builder.keys)


def _events(text: str, builder: _Builder) -> Iterator[yaml.Event]:
    if refused := _REFUSED.search(text):
        before = _LINE_BREAK.split(text[: refused.start()])
        raise InputError(Mistake(_unprintable(refused[0]), place=builder.place(len(before) - 1, len(before[-1]))))
    loader = yaml.SafeLoader(text)  # the pure-Python one: the C loader crashes on deep nesting
    try:
        while loader.check_event():
            yield loader.get_event()  # type: ignore[no-untyped-call]  # forgotten by the stubs
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        assert mark is not None
        place = builder.place(mark.line, mark.column)
        raise InputError(Mistake(_explain(error, place), place=place)) from error
    except (ValueError, OverflowError) as error:
        # All that PyYAML leaked in 2 million hostile texts: chr() of "\UFFFFFFFF", int() of 5,000 digits in '%YAML 1.'
        place = builder.place(loader.line, loader.column)
        raise InputError(Mistake("a number here is out of range", place=place)) from error


def _unprintable(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was no UTF-8, escaped by the decoder
        byte = bytes([code - 0xDC00])
        return f"byte 0x{byte.hex()} is not UTF-8 ({quoted(byte.decode('latin-1'))} in Latin-1); save as UTF-8"
    return f"character U+{code:04X} is not allowed; double-quoted text can hold it as an escape"


def _explain(error: yaml.MarkedYAMLError, place: Place) -> str:
    problem = re.sub("'?<([a-z ]+)>'?", r"\1", str(error.problem))
    problem = problem.replace("stream", "text").replace(r"'\x00'", "text end")
    if "cannot start any token" in problem:
        tab = place.text[place.column - 1 : place.column] == "\t"
        return "a tab is not allowed here; indent with spaces" if tab else f"{problem}; quotes make it text"
    if "block end" in problem or "not allowed here" in problem:
        problem += " (is the indentation right?)"
    start = error.context_mark
    return problem + (f", {error.context} that starts at {start.line + 1}:{start.column + 1}" if start else "")


@final
@dataclass(slots=True)
class _Builder:  # what the events so far have made; the stack is explicit, so that nesting never becomes recursion
    file: str
    lines: Sequence[str]
    at: Path
    tree: Value = None
    values: dict[Path, Place] = field(default_factory=dict)
    keys: dict[Path, Place] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)
    stack: list[tuple[Path, list[Value] | dict[str, Value] | None]] = field(default_factory=list)  # None: after a key

    def place(self, line: int, column: int) -> Place:
        return Place(self.file, line + 1, column + 1, self.lines[line])

    def refuse(self, message: str, place: Place) -> None:  # after this mistake reading goes on
        self.mistakes.append(Mistake(message, place=place))
        if len(self.mistakes) == MAX_MISTAKES:
            raise InputError

    def take(self, event: yaml.Event) -> None:
        assert event.start_mark is not None
        place = self.place(event.start_mark.line, event.start_mark.column)
        if (anchor := getattr(event, "anchor", None)) is not None:
            self.refuse(f"{quoted(anchor)} is an anchor or alias, which are not allowed; write the value out", place)
        if (tag := getattr(event, "tag", None)) is not None:
            self.refuse(f"tag {quoted(tag)} is not allowed; leave it out (quotes make text)", place)
        match event:
            case yaml.DocumentStartEvent() if self.values:
                raise InputError(Mistake("a second document starts here; only one is allowed", place=place))
            case yaml.DocumentStartEvent() if place.text.startswith("%"):
                self.refuse("directives such as %YAML and %TAG are not allowed; leave them out", place)
            case yaml.AliasEvent():
                self.scalar(f"*{event.anchor}", place, plain=False)
            case yaml.ScalarEvent():
                self.scalar(event.value, place, plain=event.style is None)
            case yaml.CollectionStartEvent():
                self.open([] if isinstance(event, yaml.SequenceStartEvent) else {}, place)
            case yaml.CollectionEndEvent():
                self.stack.pop()
            case _:
                pass  # the start and the end of the stream, the end of the document

    def awaits_key(self) -> bool:
        return bool(self.stack) and isinstance(self.stack[-1][1], dict)

    def scalar(self, text: str, place: Place, *, plain: bool) -> None:
        try:  # JSON writes a character beyond U+FFFF as the escapes of a surrogate pair
            text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
        except UnicodeDecodeError:
            self.refuse("half a surrogate pair is not a character", place)
        if self.awaits_key():
            self.name(text, place, plain=plain)
        elif isinstance(value := _plain(text) if plain else text, Mistake):
            self.refuse(value.message, place)
            self.put(None, place)
        else:
            self.put(value, place)

    def name(self, key: str, place: Place, *, plain: bool) -> None:
        path = (*self.stack[-1][0], key)
        if not key or (plain and key in _NULLS):
            self.refuse("a key must be text that is not empty", place)
        elif plain and key == "<<":
            self.refuse("merge keys (<<) are not allowed; write the keys out", place)
        elif first := self.keys.get(path):
            self.refuse(f"duplicate key {quoted(key)}; the first is at {first.line}:{first.column}", place)
        self.keys.setdefault(path, place)
        self.stack.append((path, None))

    def open(self, items: list[Value] | dict[str, Value], place: Place) -> None:
        if self.awaits_key():
            self.refuse("a key must be text, not a list or a mapping", place)
            self.stack.append(((*self.stack[-1][0], "?"), None))  # this key of no name waits below for its value
            path = self.stack[-1][0]
        else:
            path = self.put(items, place)
        if len(path) >= MAX_DEPTH:
            raise InputError(Mistake(f"nested deeper than {MAX_DEPTH} levels", place=place))
        self.stack.append((path, items))

    def put(self, value: Value, place: Place) -> Path:
        if len(self.values) == MAX_VALUES:
            raise InputError(Mistake(f"more than {MAX_VALUES:,} values are not allowed", place=place))
        path, items = self.stack[-1] if self.stack else (self.at, None)
        if isinstance(items, list):
            path = (*path, len(items))
            items.append(value)
        elif self.stack:
            self.stack.pop()
            parent = self.stack[-1][1]
            assert isinstance(parent, dict)
            parent[str(path[-1])] = value
        else:
            self.tree = value
        self.values[path] = place
        return path


def _plain(text: str) -> Value | Mistake:
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        digits = text.lstrip("+-0ox") or "0"  # int() refuses more than 4,300 digits: look at the length first
        size = int(digits, {"0o": 8, "0x": 16}.get(text[:2], 10)) if len(digits) <= 18 else MAX_INTEGER + 1
        if size > MAX_INTEGER:
            return Mistake(f"{quoted(text)} is too large; integers lie between -2^53 and 2^53")
        return -size if text.startswith("-") else size
    if _NOT_FINITE.fullmatch(text) or (_FLOAT.fullmatch(text) and math.isinf(float(text))):
        return Mistake(f"{quoted(text)} is not allowed; numbers must be finite")
    return float(text) if _FLOAT.fullmatch(text) else text
