"""From the STUDY that is typed to what its storage holds, without torch."""

from __future__ import annotations

import gc
import shlex
from dataclasses import replace
from typing import Final

from archcost.cli.terminal import say
from archcost.errors import quoted
from archcost.study.records.database import holder
from archcost.study.records.database.addresses import is_url, shown
from archcost.study.records.source import address_named, is_readable
from archcost.study.records.stored import Stored, find
from archcost.study.spec import load_study

_NEW_OBJECTS: Final = 50_000
"""After so many Python looks for cycles among objects, not after 700: the trials of a large study are none."""


def opened(file: str, where: str | None) -> Stored:
    """Return the study that a file's storage holds; a .db file, or a URL of no YAML, is the storage itself.

    How it was read is said on standard error if that is not as usual.
    """
    gc.set_threshold(_NEW_OBJECTS, *gc.get_threshold()[1:])
    typed = [shown(each) if is_url(each) else each for each in (file, *(["--storage", where] if where else []))]
    stored = replace(find(address_named(file, where)), typed=shlex.join(typed))
    if stored.note:
        say(f"note: {stored.note}")
    if changed := _differing(file, stored):
        words = f"the study that is stored is not the one in {quoted(file)}, which says otherwise of"
        say(f"note: {words} {', '.join(map(quoted, changed))}")
    return stored


def opened_with_run(file: str, where: str | None) -> tuple[Stored, bool | None]:
    """Return the study as `opened` does, and whether a process runs it, None if that cannot be told.

    It is asked before and after the study is read: a run may end meanwhile.
    """
    kept = address_named(file, where)
    before = holder.runs(kept)
    stored = opened(file, where)
    return stored, bool(stored.workers) or before or holder.runs(kept)


def confirmable(file: str) -> int:
    """Return how many members of its front the study in a file confirms; of a storage, which does not say, 0."""
    return load_study(file).study.confirm.members if is_readable(file) else 0


def _differing(file: str, stored: Stored) -> list[str]:
    """Return the keys of a study's file that say something else than the study that is stored; of a storage none."""
    if not is_readable(file):
        return []
    return stored.changed(load_study(file).fixed)
