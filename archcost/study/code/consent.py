"""Consent to run the code that a study names: which it is, and where it is looked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from archcost.config.document import Value
from archcost.config.types import names_code
from archcost.config.validation import located
from archcost.data.spec import DataCode
from archcost.errors import InputError, Mistake, quoted
from archcost.errors import Path as Key
from archcost.models.code import FAMILY
from archcost.study.code import neighbours
from archcost.study.spec import StudySpec
from archcost.study.workers.tasks import Code


@dataclass(frozen=True, slots=True)
class Consent:
    """What a user agrees to: that the code a study names runs, and that it is other code than the study began with."""

    allow_code: bool = False
    code_changed: bool = False


NONE: Final = Consent()


def named(spec: StudySpec) -> Iterator[tuple[Key, str]]:
    """Yield the code that a study names, with the key that names it."""
    for place, tree in enumerate(spec.templates):
        if isinstance(tree, dict) and tree.get("family") == FAMILY:
            for text in _texts(tree.get("factory")):
                yield ("models", place, "factory"), text
    study = spec.study
    if isinstance(study.data, DataCode):
        yield ("data", "code"), study.data.code
    for key in ("code", "evaluate"):
        if text := getattr(study.fit, key):
            yield ("fit", key), text


def _texts(value: Value) -> Iterator[str]:
    """Yield the code in a value, which may be a domain."""
    match value:
        case str() if names_code(value):
            yield value
        case list():
            for each in value:
                yield from _texts(each)
        case dict():
            yield from _texts(list(value.values()))
        case _:
            pass


def consented(spec: StudySpec, *, allow_code: bool) -> Code | None:
    """Return where the code of a study is looked for, None if it names none; raises InputError without consent."""
    found = list(named(spec))
    if found and not allow_code:
        words = "is code; code named in a file runs only with --allow-code (Python: allow_code=True)"
        mistakes = (located(spec.source, Mistake(f"{quoted(text)} {words}", key), at_key=True) for key, text in found)
        raise InputError(*mistakes)
    if not found:
        return None
    folder = neighbours.code(spec.url) if spec.url else Path(spec.source.file).parent
    return Code(str(folder.resolve()))
