"""The callables of a Python file, read from its text: nothing of it is imported or run."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from archcost.config.document import MAX_BYTES

MOST: Final = 8
"""Callables that a message names."""


@dataclass(frozen=True, slots=True)
class Code:
    """A Python file: the module that it is, '' if its name is none, and what can be called in it.

    here: whether it is that module from the current folder, or else from its own.
    """

    module: str
    here: bool
    callables: tuple[str, ...]


def read(file: str) -> Code:
    """Return what a Python file is; callables: none if it is no Python, or too large to look at.

    Classes that say they are modules come first, then other classes and functions that are public.
    """
    inside = Path(os.path.relpath(file)).with_suffix("").parts
    here = all(part.isidentifier() for part in inside)
    module = ".".join(inside) if here else inside[-1] if inside[-1].isidentifier() else ""
    return Code(module, here, tuple(_callables(_tree(Path(file)))))


def _tree(path: Path) -> ast.Module:
    nothing = ast.Module([], [])
    try:
        if not path.is_file() or path.stat().st_size > MAX_BYTES:
            return nothing
        return ast.parse(path.read_bytes())
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        return nothing


def _callables(tree: ast.Module) -> Iterator[str]:
    found = [each for each in tree.body if isinstance(each, ast.ClassDef | ast.FunctionDef)]
    public = [each for each in found if not each.name.startswith("_") and each.name != "main"]
    for each in sorted(public, key=lambda each: not _is_module(each)):
        yield each.name


def _is_module(each: ast.ClassDef | ast.FunctionDef) -> bool:
    """Return whether a class says that it is a torch module: a base of it is called Module, or ends so."""
    return isinstance(each, ast.ClassDef) and any(ast.unparse(base).endswith("Module") for base in each.bases)
