"""What is going on, on standard error: one line that a terminal overwrites; elsewhere one line where it takes long."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from archcost.errors import visible

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


def _mention(what: str, ended: threading.Event) -> None:
    if not ended.wait(_PATIENCE_S):
        click.echo(f"{what} ...", err=True)


def _overwrite(what: str, ended: threading.Event) -> None:
    start = time.monotonic()
    while True:
        seconds = int(time.monotonic() - start)
        line = f"{what} ..." + (f" {seconds} s" if seconds else "")
        click.echo(f"\r\x1b[K{line[:79]}", nl=False, err=True)
        if ended.wait(1):
            break
    click.echo("\r\x1b[K", nl=False, err=True)
