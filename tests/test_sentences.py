"""What archcost decides on is a value: no sentence is split, matched or compared to find out what it means."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest
from rooms import sources

SENTENCES = frozenset("why reason reasons doubt doubts warning warnings message sentence note notes".split())
"""Names of what is told to people."""
TAKES_APART = frozenset(
    "split rsplit splitlines partition rpartition startswith endswith removeprefix removesuffix find index".split()
)
MATCHES = frozenset("match fullmatch search findall finditer sub subn".split())
BORDERS = frozenset({"report.json_before", "study.records.reasons"})
"""Where sentences of archcost 0.1.0 are read, which kept nothing else."""


def named(node: ast.expr) -> str:
    """Return the last name of an expression: 'why' of `latency.why`, '' of one without."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def literal(node: ast.expr) -> bool:
    """Return whether an expression is a text, or the name of a constant."""
    return (isinstance(node, ast.Constant) and isinstance(node.value, str)) or named(node).strip("_").isupper()


def joint(node: ast.expr) -> bool:
    """Return whether an expression is a text that ends as a sentence's first part does."""
    return isinstance(node, ast.Constant) and str(node.value).endswith((": ", "; "))


def offences(tree: ast.AST) -> Iterator[str]:
    """Yield where a sentence is taken apart, matched, or compared with another; '' is nothing to compare with."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=value, attr=method), args=args):
                of_text = method in TAKES_APART and (named(value) in SENTENCES or any(map(joint, args)))
                if of_text or (method in MATCHES and any(named(each) in SENTENCES for each in args)):
                    yield f"line {node.lineno}: {ast.unparse(node)}"
            case ast.Compare(left=left, ops=[ast.In() | ast.NotIn()], comparators=[right]):
                if named(right) in SENTENCES | {"line"} and literal(left):
                    yield f"line {node.lineno}: {ast.unparse(node)}"
            case ast.Compare(left=left, comparators=[right]):
                if any(named(a) in SENTENCES and literal(b) for a, b in ((left, right), (right, left))):
                    yield f"line {node.lineno}: {ast.unparse(node)}"
            case _:
                pass


def test_no_sentence_is_read() -> None:
    """But where those of 0.1.0 become values."""
    found = {name: list(offences(tree)) for name, tree in sources().items()}
    assert {} == {name: each for name, each in found.items() if each and name not in BORDERS}
    assert set(BORDERS) <= set(found)


@pytest.mark.parametrize(
    "code",
    [
        "latency.why.split('; ')",
        "text.split('; ')",
        "trial.reason.startswith(word)",
        "line.startswith('target: ')",
        "head, _, rest = words.partition(': ')",
        "[line for line in found.warnings if NOT_STABLE not in line]",
        "'not stable' in why",
        "self.reason == INTERRUPTED",
        "if why == 'the time is over': pass",
        "re.sub('[0-9]+', '#', reason)",
        "_NUMBER.sub('0', doubt)",
    ],
)
def test_a_planted_offence_is_found(code: str) -> None:
    """The patterns that were there once, each found."""
    assert 1 == len(list(offences(ast.parse(code))))


@pytest.mark.parametrize(
    "code",
    [
        "'; '.join(reasons)",
        "reason.kind == 'interrupted'",
        "if why: print(why)",
        "doubt.kind in groups",
        "name.partition(':')",
        "reason is None",
        "option.startswith('--html=')",
        "shorten(why, 60)",
    ],
)
def test_what_asks_no_sentence_is_no_offence(code: str) -> None:
    """Kinds, names and texts that are only shown."""
    assert [] == list(offences(ast.parse(code)))
