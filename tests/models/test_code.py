"""A network that code makes, as text: keys and their mistakes, typed inputs, consent. Nothing here runs any code."""

from __future__ import annotations

import json
import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mistakes import begin, told
from specs import laws

from archcost.cli.schemas import committed
from archcost.config import document, writer
from archcost.config.types import LARGEST, names_code
from archcost.graph.dtypes import DTYPES
from archcost.models import code, load
from archcost.models.code import INTEGERS, Argument, Foreign, parse_input
from archcost.models.load import Reference, validate

HEAD = "family: module\nfactory: net:make\n"  # what follows is line 3

CODE = {
    "net:make": True,
    "torchvision.models:resnet50": True,
    "net:Outer.Inner": True,
    "a.b.c:d.e.f": True,
    "nétz:mäke": True,
    "_:_": True,
    "resnet-50": False,
    "net.yaml": False,
    "net": False,
    "": False,
    ":": False,
    "net:": False,
    ":make": False,
    "a..b:c": False,
    "a:b:c": False,
    "./net:make": False,
    "net.py:make()": False,
    "1net:make": False,
    "net: make": False,
    "net:make\n": False,
    "C:\\net": False,
}


@pytest.mark.parametrize(("text", "expected"), CODE.items(), ids=[repr(text) for text in CODE])
def test_what_names_code(text: str, expected: bool) -> None:
    """Python names with dots, one colon, Python names with dots: nothing else."""
    assert expected == names_code(text)


# ---- keys

MISTAKES: list[tuple[str, list[str]]] = [
    ("family: module\ninput: [3]", ["1:1: factory: missing; this key is required"]),
    ("family: module\nfactory: 5\ninput: [3]", ["2:10: factory: given 5; allowed: text"]),
    ("family: module\nfactory: net.make\ninput: [3]", [
        "2:10: factory: given 'net.make'; allowed: 'package.module:callable', Python names with dots between"]),
    ("family: module\nfactory: 'net:make(3)'\ninput: [3]", ["2:10: factory: given 'net:make(3)'; allowed: "]),
    ("family: module\nfactory: '__import__(\"os\"):x'\ninput: [3]", ["2:10: factory: given '__import__(\"os\"):x'"]),
    (HEAD, ["1:1: inputs: missing; allowed: 'input: [C, H, W]', or 'inputs' for several tensors or other dtypes"]),
    (f"{HEAD}input: ~", ["1:1: inputs: missing; allowed: "]),
    (f"{HEAD}input: [3]\ninputs: [{{shape: [3]}}]", ["4:9: inputs: given beside 'input'; allowed: one of the two"]),
    (f"{HEAD}input: 3", ["3:8: input: given 3; allowed: a list"]),
    (f"{HEAD}input: []", ["3:8: input: given a list of 0; allowed: at least 1 values"]),
    (f"{HEAD}input: [3, 0, x, true, 2.0]", ["3:12: input.1: given 0; allowed: at least 1",
        "3:15: input.2: given 'x'; allowed: an integer", "3:18: input.3: given true; allowed: an integer",
        "3:24: input.4: given 2.0; allowed: an integer"]),
    (f"{HEAD}inputs: []", ["3:9: inputs: given a list of 0; allowed: at least 1 values"]),
    (f"{HEAD}inputs: [3]", ["3:10: inputs.0: given 3; allowed: a mapping of keys to values"]),
    (f"{HEAD}inputs: [{{dtype: int64}}]", ["3:10: inputs.0.shape: missing; this key is required"]),
    (f"{HEAD}inputs: [{{shape: [-1], dtype: int, below: 3}}]", ["3:19: inputs.0.shape.0: given -1; allowed: at least 0",
        "3:31: inputs.0.dtype: given 'int' (did you mean 'int64'?); allowed: 'float32', 'bfloat16', 'float16', "]),
    (f"{HEAD}inputs: [{{shape: [], below: 3}}]", [
        "3:29: inputs.0.below: given 3 with float32; allowed: only with 'int64' or 'int32'"]),
    (f"{HEAD}inputs: [{{shape: [], dtype: bool, below: 2}}]", ["3:42: inputs.0.below: given 2 with bool; allowed: "]),
    (f"{HEAD}inputs: [{{shape: [], dtype: int64, below: 0}}]", ["3:43: inputs.0.below: given 0; allowed: at least 1"]),
    (f"{HEAD}inputs: [{{shape: [], dtype: int32, below: 2147483649}}]", [
        "3:43: inputs.0.below: given 2147483649; allowed: at most 2147483648 with int32"]),
    (f"{HEAD}inputs: [{{shape: [], shap: [3]}}]", [
        "3:22: inputs.0.shap: unknown key 'shap' (did you mean 'shape'?); allowed: 'below', 'dtype', "]),
    (f"{HEAD}inputs: [{{shape: [], name: input ids}}]", [
        "3:28: inputs.0.name: given 'input ids'; allowed: a Python name, letters, digits and _"]),
    (f"{HEAD}inputs: [{{shape: [], name: a}}, {{shape: []}}, {{shape: [], name: a}}]", [
        "3:63: inputs.2.name: given 'a' again; allowed: once"]),
    (f"{HEAD}input: [3]\nargs: 5", ["4:7: args: given 5; allowed: a mapping of keys to values"]),
    (f"{HEAD}input: [3]\nargs: [5]", ["4:7: args: given a list of 1; allowed: a mapping of keys to values"]),
    (f"{HEAD}input: [3]\nargs: {{a b: 1, <c: 2}}", ["4:8: args.a b: given 'a b'; allowed: a Python name",
        "4:16: args.<c: given '<c'; allowed: a Python name"]),
    (f"{HEAD}input: [3]\nargs: {{'[key]': 1}}", ["4:8: args.[key]: given '[key]'; allowed: a Python name"]),
    (f"{HEAD}input: [3]\nclasses: 5", ["4:1: classes: unknown key 'classes' (did you mean 'args.classes'?); "]),
    ("family: module\nfactroy: net:make\nname: ''\ninput: x", ["1:1: factory: missing; this key is required",
        "2:1: factroy: unknown key 'factroy' (did you mean 'factory'?)", "3:7: name: given ''; allowed: text of at",
        "4:8: input: given 'x'; allowed: a list"]),
    ("family: modul", ["1:9: family: unknown family 'modul' (did you mean 'module'?); allowed: 'bottleneck', 'nin', "
        "'rir', 'fractal' or 'hornn'; or 'module', for code that makes one"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), MISTAKES, ids=[text[-40:].replace("\n", " ") for text, _ in MISTAKES])
def test_mistakes(text: str, expected: list[str]) -> None:
    """Each mistake names file, line, column and key, all of them at once, in the order of the text."""
    begin([f"m.yaml:{start}" for start in expected], told(text))


def spec(text: str, *overrides: str) -> Foreign:
    """Return the spec of a text."""
    found = load.interpret(document.load(text, "m.yaml"), overrides, allow_code=True)
    assert isinstance(found, Reference)
    return found.spec


def test_all_keys_are_read() -> None:
    """Every key arrives as it was written, args as plain values of any depth."""
    found = spec(
        f"{HEAD}name: mine\nargs: {{depth: 50, p: 0.5, act: relu, on: true, off: null, widths: [1, {{a: [x]}}]}}\n"
        "inputs: [{shape: [35], dtype: int64, below: 10000}, {shape: [], name: mask, dtype: bool}]"
    )
    assert ("mine", "net:make") == (found.name, found.factory)
    args = {"depth": 50, "p": 0.5, "act": "relu", "on": True, "off": None, "widths": [1, {"a": ["x"]}]}
    assert args == found.args
    tokens, mask = found.arguments
    assert ((35,), "int64", 10000, None) == (tokens.shape, tokens.dtype, tokens.below, tokens.name)
    assert ((), "bool", None, "mask") == (mask.shape, mask.dtype, mask.below, mask.name)


def test_input_is_one_float_tensor() -> None:
    """`input` is short for one float32 tensor, by position; integers without a bound are 0 or 1."""
    assert (Argument(shape=(3, 8, 8)),) == spec(f"{HEAD}input: [3, 8, 8]").arguments
    assert (2, 7) == (Argument(shape=(), dtype="int64").bound, Argument(shape=(), dtype="int32", below=7).bound)


def test_overrides_reach_into_args() -> None:
    """`--set args.depth=50` sets one argument and leaves the others; inputs are reached the same way."""
    text = f"{HEAD}args: {{depth: 18, p: 0.5}}\ninputs: [{{shape: [35], dtype: int64}}]"
    found = spec(text, "args.depth=50", "args.more={a: 1}", "inputs.0.below=9", "inputs.0.shape.0=4")
    assert {"depth": 50, "p": 0.5, "more": {"a": 1}} == found.args
    assert (Argument(shape=(4,), dtype="int64", below=9),) == found.arguments
    assert ["--set inputs.0.below:1:1: inputs.0.below: given 0; allowed: at least 1"] == told(text, "inputs.0.below=0")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1, max_size=3), inner, max_size=3),
    max_leaves=6,
)
IDENTIFIERS = st.sampled_from(["depth", "Ω", "_", "class", "on", "x1"])
INTEGER_INPUTS = st.builds(
    Argument,
    shape=st.lists(st.integers(0, LARGEST), max_size=4).map(tuple),
    dtype=st.sampled_from(sorted(INTEGERS)),
    below=st.none() | st.integers(1, 2**31),
    name=st.none() | IDENTIFIERS,
)
INPUTS = INTEGER_INPUTS | st.builds(
    Argument,
    shape=st.lists(st.integers(0, LARGEST), max_size=4).map(tuple),
    dtype=st.sampled_from([dtype for dtype in DTYPES if dtype not in INTEGERS]),
    name=st.none() | IDENTIFIERS,
)
MANY_INPUTS = st.lists(INPUTS, min_size=1, max_size=3, unique_by=lambda a: a.name or id(a)).map(tuple)
SPECS = st.builds(
    Foreign,
    name=st.none() | st.just("a b"),
    family=st.just("module"),
    factory=st.sampled_from(["net:make", "a.b:C.d"]),
    args=st.dictionaries(IDENTIFIERS, VALUES, max_size=3),
    inputs=MANY_INPUTS,
)


@given(SPECS)
@laws(100)
def test_a_spec_is_written_and_read_again(made: Foreign) -> None:
    """The YAML that is written of a spec reads as the same spec."""
    assert made == validate(document.load(writer.to_yaml(made), "again.yaml"))


# ---- --input

TYPED = {
    "3,224,224": Argument(shape=(3, 224, 224)),
    "7": Argument(shape=(7,)),
    " 3 , 4 ": Argument(shape=(3, 4)),
    "0": Argument(shape=(0,)),
    "128:int64": Argument(shape=(128,), dtype="int64"),
    "128:int64:30000": Argument(shape=(128,), dtype="int64", below=30000),
    "input_ids=128:int64:30000": Argument(shape=(128,), dtype="int64", below=30000, name="input_ids"),
    "mask=:bool": Argument(shape=(), dtype="bool", name="mask"),
    ":float16": Argument(shape=(), dtype="float16"),
}


@pytest.mark.parametrize(("text", "expected"), TYPED.items(), ids=TYPED)
def test_typed_inputs(text: str, expected: Argument) -> None:
    """[name=]sizes[:dtype[:below]]."""
    assert expected == parse_input(text)


REFUSED = {
    "": "given ''; allowed: [name=]sizes[:dtype[:below]], as in 3,224,224 or input_ids=128:int64:30000",
    "x=": "given 'x='; allowed: [name=]sizes",
    "3,": "given '' in '3,'; allowed: an integer",
    "3,x": "given 'x' in '3,x'; allowed: an integer",
    "-3": "given '-3' in '-3'; allowed: an integer",
    "[3, 4]": "given '[3' in '[3, 4]'; allowed: an integer",
    "3x4": "given '3x4' in '3x4'; allowed: an integer",
    "٣": "given '٣' in '٣'; allowed: an integer",
    "9" * 40: "given '9999999999999999999999999999999999999999' in ",
    "9007199254740993": "Input should be less than or equal to 9007199254740992",
    "3:float": "unknown dtype 'float' (did you mean 'float64'?); allowed: 'float32', 'bfloat16', ",
    "3:": "unknown dtype ''; allowed: 'float32'",
    "3:int64:x": "given 'x' in '3:int64:x'; allowed: an integer",
    "3:int64:": "given '' in '3:int64:'; allowed: an integer",
    "3:int64:0": "Input should be greater than or equal to 1",
    "3:int64:5:6": "given '3:int64:5:6'; allowed: [name=]sizes",
    "3:float32:5": "given 5 with float32; allowed: only with 'int64' or 'int32'",
    "3:int32:3000000000": "given 3000000000; allowed: at most 2147483648 with int32",
    "=3": "given ''; allowed: a Python name",
    "a b=3": "given 'a b'; allowed: a Python name",
    "\x1b[2J": "given '\\x1b[2J' in '\\x1b[2J'; allowed: an integer",
}


@pytest.mark.parametrize(("text", "message"), REFUSED.items(), ids=[ascii(text[:20]) for text in REFUSED])
def test_inputs_that_are_refused(text: str, message: str) -> None:
    """What is no input is said to be none, with what is allowed."""
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        parse_input(text)


@given(INPUTS)
@laws(200)
def test_every_argument_can_be_typed(argument: Argument) -> None:
    """What `--input` can say is all there is to say of an argument."""
    parts = [",".join(map(str, argument.shape)), argument.dtype, *([str(argument.below)] if argument.below else [])]
    text = ":".join(parts)
    assert argument == parse_input(text if argument.name is None else f"{argument.name}={text}")


@given(st.text(alphabet="0123,:= xfloat64inmbd[]-\x1b", max_size=20) | st.text(max_size=20))
@laws(300)
def test_any_text_is_an_input_or_a_value_error(text: str) -> None:
    """Nothing that is typed ends otherwise."""
    with suppress(ValueError):
        assert isinstance(parse_input(text), Argument)


# ---- the JSON Schema


def test_editors_know_the_keys() -> None:
    """The schema holds the family, its keys, and that one of input and inputs must be there."""
    schema = json.loads(committed("model"))["$defs"]["Foreign"]
    assert set(Foreign.model_fields) == set(schema["properties"])
    assert ["family", "factory"] == schema["required"]
    assert [{"required": ["input"]}, {"required": ["inputs"]}] == schema["anyOf"]
    assert code.FAMILY == schema["properties"]["family"]["const"]


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("width=0.5", "--set width:1:1: width: unknown key 'width' (did you mean 'args.width'?); allowed: 'args', "),
        ("factry=1", "--set factry:1:1: factry: unknown key 'factry' (did you mean 'factory'?); allowed: 'args', "),
        ("args.width=0.5", None),
    ],
)
def test_an_argument_of_the_call_is_below_args(override: str, expected: str | None) -> None:
    """A key that there is not is taken for an argument, if no key is close to it."""
    text = "family: module\nfactory: a:b\ninput: [3]\n"
    if expected is None:
        found = load.interpret(document.load(text, "m.yaml"), [override], allow_code=True)
        assert isinstance(found, load.Reference)
        assert {"width": 0.5} == found.spec.args
    else:
        (line,) = told(text, override)
        assert expected == line[: len(expected)]
        assert line.endswith("'name', arguments of the call below 'args'")
