"""Errors a user can act on: what was given, where it is, and what is allowed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import ClassVar, TypeAlias

from archcost.urls import shown

Path: TypeAlias = tuple[str | int, ...]

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})  # controls, bidirectional and zero-width formats, line separators
_BELOW = re.compile(r"^(\S.*?):?\n {4}")  # a first line, and the break before what is indented below it
_CARET_WIDTH = 160  # a longer source line is cut around the caret


def visible(text: str) -> str:
    """Return `text` with control, bidirectional and other invisible characters as escapes (`\\x1b`, `\\u202e`)."""
    if text.isprintable():  # most are: nothing of _HIDDEN is
        return text
    return "".join(_escape(c) if unicodedata.category(c) in _HIDDEN else c for c in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def shorten(text: str, length: int = 60) -> str:
    """Return `text` cut to `length` characters, the cut marked with three dots."""
    return text if len(text) <= length else text[: length - 3] + "..."


def one_line(words: object, length: int = 400) -> str:
    """Return what an error says, or other words, as one line of visible characters, cut to `length`.

    What stands indented below a first line is what came of it: a colon is put between.
    """
    text = _BELOW.sub(r"\1: ", str(words), count=1)
    return visible(shorten(" ".join(text.split()), length))


def named(error: BaseException) -> str:
    """Return the type of an error and what it says: 'ValueError: no such layer'; of one without words the type."""
    words = said(error)
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def said(error: BaseException) -> str:
    """Return what an error says."""
    try:
        return str(error)
    except Exception:  # the error of someone's module, whose own text may be what fails
        return "(its text cannot be shown)"


def quoted(text: str) -> str:
    """Return `text` as messages show it: short, visible, between single quotes, a URL without its password."""
    return f"'{visible(shorten(shown(text)))}'"


def did_you_mean(given: str, allowed: Iterable[str]) -> str:
    """Return ` (did you mean 'x'?)` for the allowed word closest to `given`, or nothing if none is close.

    Small and capital letters count as equal; among words that differ in them alone, the first is meant.
    """
    words = {word.lower(): word for word in reversed(list(allowed))}
    close = get_close_matches(given.lower(), words, n=1)
    return f" (did you mean '{words[close[0]]}'?)" if close else ""


def one_of(words: Iterable[str]) -> str:
    """Return the words as a quoted list: 'a', 'b' or 'c'."""
    names = [f"'{word}'" for word in words]
    return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]])) if names else "nothing"


def unknown(what: str, given: str, allowed: Iterable[str]) -> str:
    """Return the message for a name that is not in a closed list."""
    names = list(allowed)
    return f"unknown {what} {quoted(given)}{did_you_mean(given, names)}; allowed: {one_of(names)}"


def dotted(path: Path) -> str:
    """Return a key path as users type it: layers.0.widths."""
    return ".".join(str(part) for part in path)


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a text the user wrote; lines and columns start at 1, `text` is the source line."""

    file: str
    line: int = 0
    column: int = 0
    text: str = ""

    def __str__(self) -> str:
        return visible(shown(self.file)) + (f":{self.line}:{self.column}" if self.line else "")

    def caret(self) -> str:
        """Return the source line with a caret under the column, indented; empty if the line is not known."""
        if not self.text.strip():
            return ""
        text = shown(self.text)
        column = _moved(self.column, self.text, text)
        start = max(0, column - _CARET_WIDTH // 2)
        before = visible(text[start : column - 1])
        return f"\n    {visible(text[start : start + _CARET_WIDTH])}\n    {' ' * len(before)}^"


def _moved(column: int, before: str, after: str) -> int:
    """Return the column of a text from which passwords were taken: one in a password is where that begins."""
    if before == after:
        return column
    same = next((i for i, (old, new) in enumerate(zip(before, after, strict=False)) if old != new), len(after))
    return column if column <= same + 1 else max(same + 1, column + len(after) - len(before))


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong in what the user gave: where, at which key, and what is allowed instead."""

    message: str
    path: Path = ()
    place: Place | None = None

    def __str__(self) -> str:
        key = visible(shorten(shown(dotted(self.path)), 200))
        parts = [str(self.place) if self.place else "", key, visible(self.message)]
        return ": ".join(part for part in parts if part) + (self.place.caret() if self.place else "")

    def at(self, place: Place) -> Mistake:
        """Return the same mistake at `place`."""
        return replace(self, place=place)


class ArchcostError(Exception):
    """The parent of all errors archcost raises on purpose; 70 is our own bug."""

    exit_code: ClassVar[int] = 70


class InputError(ArchcostError):
    """What the user gave is wrong or was refused; `mistakes` holds every one that was found."""

    exit_code: ClassVar[int] = 2

    def __init__(self, *mistakes: Mistake | str) -> None:
        self.mistakes: Sequence[Mistake] = tuple(Mistake(m) if isinstance(m, str) else m for m in mistakes)
        super().__init__("\n".join(str(mistake) for mistake in self.mistakes))


class TargetError(ArchcostError):
    """A target or a runtime could not do the measurement it was asked for."""

    exit_code: ClassVar[int] = 3
