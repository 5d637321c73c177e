"""The JSON of a torch.export archive, read within limits: no pickle in it is opened."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from archcost.errors import InputError, Mistake, Place, quoted
from archcost.units import data_size

MOST_BYTES: Final = 2**28
"""The most that a JSON in the archive may have when it is unpacked."""
_MOST_MEMBERS: Final = 200_000
_PROGRAMS: Final = ("serialized_exported_program.json",)  # of torch up to 2.6
_WEIGHTS: Final = "data/weights/model_weights_config.json"


class Archive(NamedTuple):
    """What a torch.export file says in JSON: the program, and where each of its weights is."""

    program: Mapping[str, Any]
    weights: Mapping[str, Any]


def opened(path: Path) -> Archive:
    """Return the JSON of a torch.export file; raises InputError, with the file's name, if it cannot be read."""
    try:
        return _opened(path)
    except InputError as error:
        raise InputError(*(Mistake(m.message, m.path, Place(str(path))) for m in error.mistakes)) from None
    except OSError as error:
        raise InputError(Mistake(error.strerror or str(error), place=Place(str(path)))) from None


def _opened(path: Path) -> Archive:
    if not path.is_file():
        raise InputError("is a directory, where a pt2 file is wanted" if path.is_dir() else "is no regular file")
    if not path.stat().st_size:
        raise InputError("is empty")
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) > _MOST_MEMBERS:
                raise InputError(f"holds {len(members):,} files; allowed: {_MOST_MEMBERS:,}")
            programs = [each for each in members if _is_program(each.filename)]
            if len(programs) != 1:
                words = "no program" if not programs else f"{len(programs)} programs"
                raise InputError(f"is no file that torch.export.save wrote: it holds {words}; allowed: one")
            weights = next((each for each in members if each.filename.endswith(_WEIGHTS)), None)
            program = _read(archive, programs[0])
            return Archive(program, _read(archive, weights) if weights else {})
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        if isinstance(error, RecursionError):
            raise InputError("its JSON is nested too deep") from None
        raise InputError("is no file that torch.export.save wrote, or is cut off") from None


def _is_program(name: str) -> bool:
    folder, _, file = name.rpartition("/")
    return (folder.rpartition("/")[2] == "models" and file.endswith(".json")) or file in _PROGRAMS


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Mapping[str, Any]:
    """Return a JSON of the archive: no more of it is unpacked than the limit, whatever the archive says of its size."""
    with archive.open(member) as file:
        text = file.read(MOST_BYTES + 1)
    if len(text) > MOST_BYTES:
        raise InputError(f"{quoted(member.filename)} in it is larger than {data_size(MOST_BYTES)}")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise InputError(f"{quoted(member.filename)} in it is no JSON, or is nested too deep") from None
    if not isinstance(found, dict):
        raise InputError(f"{quoted(member.filename)} in it is no JSON object")
    return found
