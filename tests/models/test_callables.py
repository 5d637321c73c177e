"""A callable with arguments, as it is typed: literals with names are read, all else is refused, nothing evaluated."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archcost.config import document
from archcost.errors import InputError
from archcost.models import callables, load
from archcost.models.code import Argument, Foreign
from archcost.models.load import Reference

INPUT = (Argument(shape=(3, 32, 32)),)


def typed(text: str, *overrides: str) -> Reference:
    """Return the reference to code that a typed text is."""
    found = load.read(text, overrides, INPUT)
    assert isinstance(found, Reference)
    return found


READ = {
    "net:Net": {},
    "net:Net()": {},
    "net:Net(width=0.5, blocks=3)": {"width": 0.5, "blocks": 3},
    "net:Net (a=-1, b=None, c=True)": {"a": -1, "b": None, "c": True},
    "net:Net(act='relu', sides=(1, 2),)": {"act": "relu", "sides": [1, 2]},
    'net:Net(stages=[{"width": 8}, {"width": 16, "more": [[]]}])': {
        "stages": [{"width": 8}, {"width": 16, "more": [[]]}]
    },
    r"net:Net(pattern='\d')": {"pattern": r"\d"},
}


@pytest.mark.parametrize("text", READ)
def test_literals_become_arguments(text: str) -> None:
    """They are the `args` of a file with the same factory; a tuple arrives as a list, as YAML has it."""
    spec = typed(text).spec
    assert ("net:Net", READ[text]) == (spec.factory, spec.args)


REFUSED = {
    "net:Net(0.5)": "gives '0.5' without a name",
    "net:Net(*[1])": "gives '*[1]' without a name",
    "net:Net(**{'a': 1})": "has **",
    "net:Net(width=1, width=2)": "gives width twice",
    "net:Net(width=os.system('ls'))": "gives width what is no literal: 'os.system('ls')'",
    "net:Net(width=half)": "gives width what is no literal: 'half'",
    "net:Net(width=2 ** 9)": "gives width what is no literal: '2 ** 9'",
    "net:Net(width=1j)": "gives width what is no literal: '1j'",
    "net:Net(width=b'1')": "gives width what is no literal: 'b'1''",
    "net:Net(width={1, 2})": "gives width what is no literal: '{1, 2}'",
    "net:Net(width={1: 2})": "gives width what is no literal: '{1: 2}'",
    "net:Net(width={[]: 2})": "gives width what is no literal: '{[]: 2}'",
    "net:Net(width=1e999)": "gives width what is no literal: '1e999'",
    f"net:Net(width={2**53 + 1})": f"gives width what is no literal: '{2**53 + 1}'",
    "net:Net(width='\\ud800')": "gives width what is no literal",
    "net:Net(width=" + "[" * 80 + "]" * 80 + ")": "gives width what is no literal",
    "net:Net(width=" + "[" * 300 + "]" * 300 + ")": "cannot be read",
    "net:Net(width=1": "cannot be read: '(' was never closed",
    "net:Net(width=)": "cannot be read",
    "net:Net(width=1\0)": "cannot be read",
    "net:Net(width=1)(depth=2)": "is not one call",
    "net:Net(width=1) + 1": "is not one call",
    "net:Net(width=1), 2": "is not one call",
    "net:Net(width='" + "a" * 10_000 + "')": "is longer than 10,000 characters",
}


@pytest.mark.parametrize("text", REFUSED, ids=[text[:40].encode("unicode_escape").decode() for text in REFUSED])
def test_what_is_no_literal_with_a_name_is_refused(text: str) -> None:
    """One message says what it is and what is allowed; nothing of it is evaluated."""
    with pytest.raises(InputError) as caught:
        typed(text)
    (line,) = map(str, caught.value.mistakes)
    assert REFUSED[text] in line
    assert "; allowed: package.module:callable(name=value, ...) with numbers, text in quotes, True" in line


def test_names_say_the_arguments() -> None:
    """Two calls of one callable are told apart in tables; what is set afterwards is in the name too."""
    assert "Net(width=0.5)" == typed("net:Net(width=0.5)").name
    assert "Net(width=1.0, act='relu')" == typed("net:Net(width=1.0, act='relu')").name
    assert "Net" == typed("net:Net()").name
    assert "Net(width=2)" == typed("net:Net(width=1)", "args.width=2").name
    assert "Net(width=1, depth=3)" == typed("net:Net(width=1)", "args.depth=3").name
    assert "mine" == typed("net:Net(width=1)", "args.width=2", "name=mine").name
    assert "Net" == typed("net:Net", "args.width=2").name
    assert 200 == len(typed(f"net:Net(text={'a' * 300!r})").name)


def test_a_set_that_is_wrong_has_its_own_place() -> None:
    """Overrides apply to the arguments as to those of a file."""
    with pytest.raises(InputError, match=r"--set args:1:1: args: given 3; allowed: a mapping"):
        typed("net:Net(width=1)", "args=3")
    with pytest.raises(InputError, match=r"--set args.wid th:1:1: args.wid th: given 'wid th'; allowed: a Python name"):
        typed("net:Net(width=1)", "args.wid th=3")


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True).map("_".__add__), PLAIN, max_size=3))
def test_what_is_called_is_read_again(arguments: dict[str, document.Value]) -> None:
    """Any plain arguments survive being written as a call."""
    assert json.dumps(arguments) == json.dumps(callables.arguments_of(callables.called("net:Net", arguments)))


@given(st.text(alphabet="net:N(=,)[]{}'\"1.a* \\\0\ud800", max_size=30))
def test_any_text_is_arguments_or_a_mistake(inside: str) -> None:
    """Whatever is in the parentheses: no other error comes out."""
    try:
        found = callables.arguments_of(f"net:Net({inside}")
    except InputError:
        return
    assert Foreign(family="module", factory="net:Net", input=(1,), args=found).args == found
