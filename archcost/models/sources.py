"""What a file is that is given for a network or a study and is neither, and what takes it."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, TypeAlias

from archcost.config.document import Document
from archcost.config.types import names_code
from archcost.errors import InputError, Mistake, Place, one_of, quoted, shorten, visible
from archcost.models import published, python_files

Kind: TypeAlias = Literal["network", "study", "budget", "profile"]
"""What a YAML or JSON text says that it is: by its keys alone, it may be wrong all the same."""

_CODE: Final = "the code that makes the network, package.module:callable with --input, or its YAML file"
_FILES: Final[Mapping[str, str]] = {
    ".py": "Python code",
    ".db": "the storage of a study",
    ".onnx": "an ONNX file, a network that was exported",
    ".pt2": "a program that torch.export wrote",
    ".pt": "a file that torch.save wrote: weights, or a pickled module, which is not opened as it can run code",
    ".pth": "a file that torch.save wrote: weights, or a pickled module, which is not opened as it can run code",
    ".ckpt": "a checkpoint: weights, without the network",
    ".safetensors": "a file of weights, without the network",
}
_PYTHON: Final = re.compile(r"(?P<file>.+\.py):(?P<name>.*)")
_SQLITE: Final = b"SQLite format 3\0"
_LIMITS: Final = frozenset({"params", "macs", "memory", "weights", "latency"})


def refuse(source: str) -> None:
    """Raise InputError if what is typed for a network is a file of another kind, by its name."""
    python = _PYTHON.fullmatch(source)
    file = python["file"] if python and not os.path.lexists(source) else source
    match ending := _ending(file):
        case "":
            return
        case ".py":
            words = _python(file, python["name"] if python else "")
        case ".db":
            words = f"{_command('study front', file)} shows its networks"
        case _:
            words = f"allowed: {_CODE}"
    raise InputError(Mistake(f"{quoted(file)} is {_FILES[ending]}; {words}"))


def refuse_for_study(source: str) -> None:
    """Raise InputError if what is typed for a study is a network, or a file of another kind, by its name."""
    ending, is_code = _ending(source), names_code(source)
    if ending:
        what = _FILES[ending]
        words = f"; {_command('study front', source)} shows its networks" if ending == ".db" else ""
    elif not os.path.lexists(source) and is_code:
        what, words = "code that makes a network", f"; {_command('study new', source)} writes a first study of it"
    elif not os.path.lexists(source) and source in published.names():
        what, words = "a network that ships", f"; {_command('profile', source)} takes it"
    else:
        return
    raise InputError(Mistake(f"{quoted(source)} is {what}; allowed: the YAML file of a study{words}"))


def _ending(file: str) -> str:
    """Return the ending of a file that can be told by it, of a storage by its first bytes too; '' of all others."""
    ending = Path(file).suffix.lower()
    known = ending in _FILES and Path(file).is_file() and (ending != ".db" or _is_sqlite(file))
    return ending if known else ""


def _is_sqlite(file: str) -> bool:
    try:
        with Path(file).open("rb") as opened:
            return opened.read(len(_SQLITE)) == _SQLITE
    except OSError:
        return False


def _python(file: str, named: str) -> str:
    """Return what to write for a network whose code is in a file; named: what is typed after its name and a colon."""
    code = python_files.read(file)
    if not code.module:
        return (
            "allowed: package.module:callable with --input, for which the file needs a Python name: letters, digits, _"
        )
    names = [named] if named in code.callables else code.callables[: python_files.MOST]
    left = len(code.callables) - len(names) if len(names) > 1 else 0
    typed = one_of(visible(shorten(f"{code.module}:{name}")) for name in names or ["CALLABLE"])
    where = "" if code.here else ", in the folder of the file"
    return f"allowed: {typed}{f' (and {left} more)' if left else ''} with --input, as in --input 3,224,224{where}"


def kind(tree: object) -> Kind | None:
    """Return what a text says that it is, None if it says nothing of the kind."""
    match tree:
        case {"models": _, "archcost": _} | {"model": _, "archcost": _}:
            return "profile"
        case {"models": _}:
            return "study"
        case {"family": _}:
            return "network"
        case dict() if tree and tree.keys() <= _LIMITS:
            return "budget"
        case _:
            return None


def refuse_text(document: Document, wanted: Literal["network", "study"]) -> None:
    """Raise InputError, at its place, if a text says that it is something else than what is wanted."""
    file, found = document.file, kind(document.tree)
    match found:
        case "study" if wanted == "network":
            other = _command("export", file, " --trial N --to yaml")
            words = f"{_command('study run', file)} runs it, {other} takes a network of it"
            raise _refused(document, f"a study, where a network is wanted; {words}", "models")
        case "network" if wanted == "study":
            words = f"{_command('profile', file)} takes it, 'models' of a study lists such networks as templates"
            raise _refused(document, f"a network, where a study is wanted; {words}", "family")
        case "profile":
            words = f"what 'archcost profile --json' or 'compare --json' printed, where a {wanted} is wanted"
            raise _refused(document, f"{words}; {_command('report', file, ' -o report.html')} takes it", "archcost")
        case "budget":
            raise _refused(document, f"a budget, where a {wanted} is wanted; '--budget' of 'archcost check' takes it")
        case _:
            return


def _refused(document: Document, words: str, key: str = "") -> InputError:
    place = document.place((key,), key=True) if key else document.place(())
    return InputError(Mistake(words, place=place if place.line else Place(document.file)))


def _command(name: str, file: str, rest: str = "") -> str:
    """Return a command to type, in quotes; what was read from standard input has no file's name."""
    typed = "FILE" if file.startswith(("<", "-")) else shlex.quote(file)
    return f"'archcost {name} {visible(shorten(typed, 200))}{rest}'"
