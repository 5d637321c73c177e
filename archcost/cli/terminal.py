"""Lines for a terminal: labelled fields, colours, and what is going on, on standard error."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from textwrap import wrap
from typing import Final

import click

from archcost.errors import shorten, visible
from archcost.files import write_whole
from archcost.units import scalar_words

WIDTH: Final = 80
LABEL: Final = 14  # where a line's content begins
_PATIENCE_S = 5  # where standard error is no terminal, what ends sooner is not mentioned


@contextmanager
def progress(what: str) -> Iterator[None]:
    """Say what begins; the line goes when it has ended."""
    ended = threading.Event()
    tell = _overwrite if sys.stderr.isatty() else _mention
    teller = threading.Thread(target=tell, args=(visible(what), ended), daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()


def say(text: str) -> None:
    """Say something on standard error: on a terminal in lines of its width, else as it is, for logs are searched.

    Words stay whole, and so do lines that begin with a space, as commands to copy do.
    """
    columns = _columns()
    lines = text.split("\n")
    click.echo("\n".join(lines if columns is None else _broken(lines, columns)), err=True)


def _broken(lines: Iterable[str], columns: int) -> Iterator[str]:
    for line in lines:
        if len(line) <= columns or line.startswith(" "):
            yield line
        else:
            yield from wrap(line, columns, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _columns() -> int | None:
    """Return how wide the terminal of standard error is, None if it is none."""
    if not sys.stderr.isatty():
        return None
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or WIDTH
    except (OSError, ValueError):  # a terminal that has no size, or a stream without a number
        return WIDTH


def _mention(what: str, ended: threading.Event) -> None:
    if not ended.wait(_PATIENCE_S):
        say(f"{what} ...")


def _overwrite(what: str, ended: threading.Event) -> None:
    start, most = time.monotonic(), (_columns() or WIDTH) - 1
    while True:
        seconds = int(time.monotonic() - start)
        line = f"{what} ..." + (f" {seconds} s" if seconds else "")
        click.echo(f"\r\x1b[K{line[:most]}", nl=False, err=True)
        if ended.wait(1):
            break
    click.echo("\r\x1b[K", nl=False, err=True)


def put(text: str, output: str | None) -> None:
    """Write a text to a file, whole or not at all; if none is named, to standard output, in UTF-8 on every terminal."""
    if output is None:
        click.echo(text.encode("utf-8"), nl=False)
    else:
        write_whole(output, text)


def field(label: str, text: str) -> Iterator[str]:
    """Yield a labelled text, wrapped behind its label."""
    lines = wrap(text, WIDTH - LABEL, break_on_hyphens=False) if len(text) > WIDTH - LABEL else [text]
    for i, line in enumerate(lines):
        yield f"  {label if i == 0 else '':<{LABEL - 2}}{line}"


def wrapped(text: str, indent: int = 0) -> list[str]:
    """Return a text as lines of at most WIDTH characters, the second and those after it indented; words stay whole."""
    return wrap(visible(text), WIDTH, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)


def drawn(name: str, values: Mapping[str, object]) -> Iterator[str]:
    """Yield what was drawn for a network, after its name: 3  width=0.5 blocks=3."""
    if values:
        words = (f"{key}={shorten(scalar_words(value))}" for key, value in values.items())
        yield from wrapped(f"{name:<6} {' '.join(words)}", 7)


def tail(name: str, length: int) -> str:
    """Return a name cut at its beginning: parts of one module differ at the end."""
    return name if len(name) <= length else f"...{name[3 - length :]}"


def paint(text: str, enabled: bool, **style: object) -> str:
    """Return a text in a terminal's colours, where they are wanted."""
    return click.style(text, **style) if enabled else text  # type: ignore[arg-type]  # style's own keywords
