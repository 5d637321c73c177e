"""Inductor's code, which calls kernels: as it is, with the clock read, with nothing to do."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final, NamedTuple

from archcost.errors import TargetError

_HANDLE: Final = re.compile(r"# \[Provenance debug handles\] (\S+)$")
_BEGIN, _MARK, _KEEP, _KEPT, _NOTHING = (f"_archcost_{name}" for name in ("begin", "mark", "keep", "kept", "nothing"))
_FREE: Final = frozenset(
    "assert_size_stride assert_alignment empty_strided_cpu reinterpret_tensor alloc_from_pool args.clear".split()
)
"""What is called beside kernels: memory for the next one, and checks."""


class Program(NamedTuple):
    """A function of Python's that calls kernels, their names in order, and its code in five ways.

    keeping: also keeps what kernels give.
    """

    function: Any
    kernels: tuple[str, ...]
    plain: CodeType
    timed: CodeType
    keeping: CodeType
    idle: CodeType
    idle_timed: CodeType

    def to(self, code: CodeType) -> Callable[[], None]:
        """Return what lets the function run in another way: it is replaced inside, as who calls it holds it."""

        def replace() -> None:
            self.function.__code__ = code

        return replace


def program(module: ModuleType, text: str, begin: Callable[[], None], mark: Callable[[int], None]) -> Program:
    """Return the ways of a module of inductor's, whose source is text; the clock is read by begin and, behind each
    kernel, by mark, given its place.

    Raises TargetError if it is not of the form that is known.
    """
    function = getattr(getattr(module, "Runner", None), "call", None)
    found = [each for each in ast.walk(ast.parse(text)) if isinstance(each, ast.FunctionDef) and each.name == "call"]
    if not isinstance(function, FunctionType) or len(found) != 1:
        raise TargetError("not attributed: the code that inductor writes is not of the known form")
    body = found[0].body
    names = list(_names(body, text.splitlines()))
    kept: dict[int, Any] = {}

    def keep(place: int, value: Any) -> Any:
        kept[place] = value
        return value

    module.__dict__.update({_BEGIN: begin, _MARK: mark, _KEEP: keep, _KEPT: kept, _NOTHING: _nothing})

    def written(of_kernel: Callable[[int, ast.stmt], ast.stmt], timed: bool) -> CodeType:
        return _code(found[0], _body(body, names, of_kernel, timed))

    return Program(
        function,
        tuple(filter(None, names)),
        function.__code__,
        written(_same, True),
        written(_keeping, False),
        written(_idle, False),
        written(_idle, True),
    )


def _nothing(*_: object, **__: object) -> None:
    """Do nothing."""


def _names(body: Sequence[ast.stmt], lines: Sequence[str]) -> Iterator[str]:
    """Yield the name of the kernel that each statement calls, '' if it calls none."""
    before = body[0].lineno - 1
    for statement in body:
        assert statement.end_lineno is not None  # as ast.parse gives it
        handles = [told[1] for line in lines[before : statement.end_lineno] if (told := _HANDLE.search(line))]
        calls = [ast.unparse(each.func) for each in ast.walk(statement) if isinstance(each, ast.Call)]
        other = next((call for call in calls if call not in _FREE), "")
        yield handles[-1] if handles else other and f"{other}:line{statement.lineno}"
        before = statement.end_lineno


def _body(
    body: Sequence[ast.stmt], names: Sequence[str], of_kernel: Callable[[int, ast.stmt], ast.stmt], timed: bool
) -> list[ast.stmt]:
    found = [_statement(f"{_BEGIN}()")] if timed else []
    place = 0
    for statement, name in zip(body, names, strict=True):
        if not name:
            found.append(statement)
            continue
        found.append(of_kernel(place, deepcopy(statement)))
        if timed:
            found.append(_statement(f"{_MARK}({place})"))
        place += 1
    return found


def _same(_: int, statement: ast.stmt) -> ast.stmt:
    return statement


def _keeping(place: int, statement: ast.stmt) -> ast.stmt:
    """Return a statement that keeps what its kernel gives."""
    if isinstance(statement, ast.Assign):
        kept = [ast.Constant(place), statement.value]
        statement.value = ast.Call(ast.Name(_KEEP, ast.Load()), kept, [])
    return statement


def _idle(place: int, statement: ast.stmt) -> ast.stmt:
    """Return a statement that calls nothing with the same arguments, or gives what was kept."""
    match statement:
        case ast.Expr(value=ast.Call() as call):
            call.func = ast.Name(_NOTHING, ast.Load())
        case ast.Assign(value=ast.Call()):
            statement.value = _expression(f"{_KEPT}[{place}]")
        case _:
            raise TargetError(f"not attributed: inductor calls a kernel by {type(statement).__name__.lower()}")
    return statement


def _statement(text: str) -> ast.stmt:
    return ast.parse(text).body[0]


def _expression(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def _code(function: ast.FunctionDef, body: list[ast.stmt]) -> CodeType:
    """Return the code of a function with another body; its globals are those of whoever has the code."""
    changed = deepcopy(function)
    changed.body = body
    made: dict[str, Any] = {}
    exec(compile(ast.fix_missing_locations(ast.Module([changed], [])), "<inductor>", "exec"), made)  # noqa: S102
    code = made[function.name].__code__
    assert isinstance(code, CodeType)  # of a function of Python's
    return code
