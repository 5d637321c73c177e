"""Code that makes a module is run as it is, and whatever goes wrong in it is one error with the code's own below."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from specs import laws
from torch import nn

from archcost.errors import InputError
from archcost.graph.dtypes import DTYPES
from archcost.models.code import Argument, Foreign
from archcost.nets import factory

NUMBERS = count()
Write = Callable[[str], str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a module of code under a name that no other test has; return the name."""

    def written(text: str) -> str:
        name = f"made_by_test_{next(NUMBERS)}"
        (tmp_path / f"{name}.py").write_text(text, "utf-8")
        return name

    return written


def spec(code: str, args: dict[str, Any] | None = None, *inputs: Argument) -> Foreign:
    """Return the spec of a factory."""
    return Foreign(family="module", factory=code, args=args or {}, inputs=inputs or (Argument(shape=(3,)),))


NET = """
from torch import nn

class Net(nn.Module):
    def __init__(self, width, *, depth=1, widths=()):
        super().__init__()
        self.width, self.depth, self.widths = width, depth, widths
        self.linear = nn.Linear(3, width)

    class Inner(nn.Module):
        pass

def make(width=4):
    return Net(width)

def spoil(widths):
    widths.append(9)
    return Net(4, widths=widths)

ready = Net(5)
number = 7

def untold(**kwargs):
    return Net(**kwargs)
"""


@pytest.mark.parametrize(
    ("attribute", "args", "width"),
    [
        ("make", {}, 4),
        ("make", {"width": 6}, 6),
        ("Net", {"width": 6, "depth": 3}, 6),
        ("ready", {}, 5),
        ("untold", {"width": 2}, 2),
    ],
)
def test_functions_classes_and_modules_make_a_module(
    write: Write, tmp_path: Path, attribute: str, args: dict[str, Any], width: int
) -> None:
    """A function or class is called with args, a module that is there is taken as it is; its mode is left."""
    module = factory.made(spec(f"{write(NET)}:{attribute}", args), folder=tmp_path)
    assert (width, True) == (module.width, module.training)


def test_names_with_dots_are_followed(write: Write, tmp_path: Path) -> None:
    """Packages on the left of the colon, attributes of attributes on its right."""
    assert "Inner" == type(factory.made(spec(f"{write(NET)}:Net.Inner"), folder=tmp_path)).__name__
    assert isinstance(factory.made(spec("torch.nn:Identity")), nn.Identity)
    assert isinstance(factory.made(spec("torch:nn.modules.linear.Identity")), nn.Identity)


def test_weights_follow_the_seed_and_nothing_else(write: Write, tmp_path: Path) -> None:
    """One seed gives the same weights at any time, another gives others; torch's random state stays as it was."""
    made = spec(f"{write(NET)}:make")
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = factory.made(made, seed=1, folder=tmp_path).linear.weight
    assert torch.equal(before, torch.random.get_rng_state())
    torch.rand(3)
    with torch.inference_mode():  # whatever mode the caller is in, the weights can be trained
        again = factory.made(made, seed=1, folder=tmp_path).linear.weight
    assert torch.equal(first, again)
    assert not again.is_inference()
    assert not torch.equal(first, factory.made(made, seed=2, folder=tmp_path).linear.weight)


def test_args_are_the_codes_to_change(write: Write, tmp_path: Path) -> None:
    """What the code does to its arguments reaches no spec."""
    made = spec(f"{write(NET)}:spoil", {"widths": [1]})
    assert [1, 9] == factory.made(made, folder=tmp_path).widths
    assert {"widths": [1]} == made.args


def test_the_folder_is_looked_in_for_a_while(write: Write, tmp_path: Path) -> None:
    """The folder is first on sys.path while code is imported and called, and gone afterwards, also after an error."""
    path, where = list(sys.path), "import sys\nfrom torch import nn\nfound = sys.path[0]\n"
    name = write(f"{where}def make():\n    net = nn.Identity()\n    net.found = found, sys.path[0]\n    return net")
    assert (str(tmp_path),) * 2 == factory.made(spec(f"{name}:make"), folder=tmp_path).found
    assert path == sys.path
    with pytest.raises(InputError, match="oh"):
        factory.made(spec(f"{write('raise ValueError(chr(111) + chr(104))')}:make"), folder=tmp_path)
    assert path == sys.path
    with pytest.raises(InputError, match="there is no module"):  # without a folder nothing else is looked in
        factory.made(spec(f"{write(NET)}:make"))


def test_code_that_changes_the_path_keeps_its_changes(write: Write, tmp_path: Path) -> None:
    """Only what was put there is taken away; code that took it away itself is no error."""
    before = list(sys.path)
    try:
        kept = write("import sys\nfrom torch import nn\nsys.path.append('/kept')\nsys.path.remove(sys.path[0])")
        with pytest.raises(InputError, match="has nothing called 'make'"):
            factory.made(spec(f"{kept}:make"), folder=tmp_path)
        assert [*before, "/kept"] == sys.path
    finally:
        sys.path[:] = before


# ---- what goes wrong

DEEP = "def make():\n    outer()\n\ndef outer():\n    import torch\n    torch.zeros(2) @ torch.zeros(3)\n"
LONG = "def make():\n    raise ValueError(chr(10).join(f'line {i}' for i in range(50)))"
HIDDEN = "def make():\n    raise ValueError('\\x1b[2J\\u202e' + 'x' * 10**6)"
SHY = "class Shy(Exception):\n    def __str__(self):\n        raise RuntimeError\ndef make():\n    raise Shy"
NO_EXIT = "class Odd(BaseException): pass\ndef make():\n    raise Odd('neither')"
LAZY = "def __getattr__(name):\n    raise OSError('the disk is gone')"

# name: (the code, what is called, args, the lines of the message; FILE stands for the code's file, NAME for its module)
WRONG: dict[str, tuple[str, str, dict[str, Any], list[str]]] = {
    "other letters": (NET, "net", {}, ["'NAME' has nothing called 'net' (did you mean 'Net'?)"]),
    "a missing attribute": (NET, "mke", {}, ["'NAME' has nothing called 'mke' (did you mean 'make'?)"]),
    "a missing attribute of another": (NET, "Net.Iner", {}, [
        "'NAME:Net' has nothing called 'Iner' (did you mean 'Inner'?)"]),
    "an attribute that raises": (LAZY, "make", {}, [
        "looking up 'NAME:make' failed", "    OSError: the disk is gone", "    at FILE:2, in __getattr__"]),
    "a number": (NET, "number", {}, [
        "'NAME:number' is an object of type 'int'; allowed: a function or class that makes a torch.nn.Module, or "]),
    "a module of code": ("import math", "math", {}, ["'NAME:math' is a file of code; allowed: a function or class that "
        "makes a torch.nn.Module, or such a module"]),
    "an argument that is missing": (NET, "Net", {}, [
        "args.width: missing; 'NAME:Net' needs it; allowed: a value in 'args', as --set args.width=... gives it"]),
    "a wrong and a missing argument": (NET, "Net", {"widht": 3}, [
        "args.width: missing; 'NAME:Net' needs it; allowed: a value in 'args', as --set args.width=... gives it",
        "args.widht: 'NAME:Net' takes no such argument (did you mean 'width'?); allowed: 'width', 'depth' or "]),
    "an argument by position": ("def make(a, /): pass", "make", {}, [
        "'NAME:make' takes 'a' by position only, which 'args' cannot give"]),
    "an argument that only the call finds wrong": (NET, "untold", {"colour": 2}, ["'NAME:untold' failed",
        "    TypeError: Net.__init__() got an unexpected keyword argument 'colour'", "    at FILE:24, in untold"]),
    "arguments for a module that is there": (NET, "ready", {"width": 3}, [
        "args: 'NAME:ready' is a module already, and takes no arguments"]),
    "no module": ("def make(): return [3]", "make", {}, [
        "'NAME:make' returned an object of type 'list'; allowed: a torch.nn.Module"]),
    "nothing": ("def make(): pass", "make", {}, ["'NAME:make' returned None; allowed: a torch.nn.Module"]),
    "a class and no module": ("from torch import nn\ndef make(): return nn.ReLU", "make", {}, [
        "'NAME:make' returned an object of type 'type'; allowed: a torch.nn.Module"]),
    "an error in the import": ("x = 1\nraise ValueError('too early')", "make", {}, [
        "importing 'NAME' failed", "    ValueError: too early", "    at FILE:2"]),
    "an error in the call": ("def make():\n    raise ValueError('too late')", "make", {}, [
        "'NAME:make' failed", "    ValueError: too late", "    at FILE:2, in make"]),
    "an error without words": ("def make():\n    assert False", "make", {}, [
        "'NAME:make' failed", "    AssertionError", "    at FILE:2, in make"]),
    "an error of a key": ("def make():\n    return {}['x']", "make", {}, [
        "'NAME:make' failed", "    KeyError: 'x'", "    at FILE:2, in make"]),
    "an error in torch": (DEEP, "make", {}, ["'NAME:make' failed",
        "    RuntimeError: inconsistent tensor size, expected tensor [2] and src [3] to", "    at FILE:6, in outer"]),
    "an error of many lines": (LONG, "make", {}, ["'NAME:make' failed", "    ValueError: line 0",
        *(f"    line {i}" for i in range(1, 7)), "    ...", "    at FILE:2, in make"]),
    "an error that acts on terminals": (HIDDEN, "make", {}, ["'NAME:make' failed",
        f"    ValueError: \\x1b[2J\\u202e{'x' * 180}...", "    at FILE:2, in make"]),
    "an error that cannot be told": (SHY, "make", {}, [
        "'NAME:make' failed", "    Shy: (its text cannot be shown)", "    at FILE:5, in make"]),
    "a syntax error": ("def make(:\n    pass", "make", {}, [
        "importing 'NAME' failed", "    SyntaxError: invalid syntax (NAME.py, line 1)", "    at FILE:1"]),
    "a missing dependency": ("import not_installed_here.at_all", "make", {}, ["importing 'NAME' failed",
        "    ModuleNotFoundError: No module named 'not_installed_here'", "    at FILE:1"]),
    "a missing name of a dependency": ("from torch import nought", "make", {}, ["importing 'NAME' failed",
        f"    ImportError: cannot import name 'nought' from 'torch' ({torch.__file__})", "    at FILE:1"]),
    "an exit": ("import sys\ndef make():\n    sys.exit(0)", "make", {}, [
        "'NAME:make' failed", "    SystemExit: 0", "    at FILE:3, in make"]),
    "an exit in the import": ("raise SystemExit", "make", {}, [
        "importing 'NAME' failed", "    SystemExit", "    at FILE:1"]),
    "an exit without code of its own": ("from sys import exit", "exit", {}, ["'NAME:exit' failed", "    SystemExit"]),
    "what is no Exception": (NO_EXIT, "make", {}, ["'NAME:make' failed", "    Odd: neither", "    at FILE:3, in make"]),
    "a call without end": ("def make(): return make()", "make", {}, ["'NAME:make' failed",
        "    RecursionError: maximum recursion depth exceeded", "    at FILE:1, in make"]),
    "more memory than there is": ("import torch\ndef make():\n    return torch.empty(2**50)", "make", {}, [
        "'NAME:make' failed", "    RuntimeError: ", "    at FILE:3, in make"]),
}  # fmt: skip


@pytest.mark.parametrize(("code", "attribute", "args", "expected"), WRONG.values(), ids=WRONG)
def test_what_goes_wrong_is_one_error(
    write: Write, tmp_path: Path, code: str, attribute: str, args: dict[str, Any], expected: list[str]
) -> None:
    """Exit code 2, what failed, and below it the code's own error with the place where it was raised."""
    name = write(code)
    with pytest.raises(InputError) as caught:
        factory.made(spec(f"{name}:{attribute}", args), folder=tmp_path)
    lines = str(caught.value).splitlines()
    expected = [line.replace("NAME", name).replace("FILE", str(tmp_path / f"{name}.py")) for line in expected]
    assert expected == [line[: len(start)] for start, line in zip(expected, lines, strict=False)]
    assert (len(expected), 2) == (len(lines), caught.value.exit_code)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("no_such_module_at_all:make", "there is no module 'no_such_module_at_all'; allowed: one that is installed"),
        ("torch.nnn:make", "there is no module 'torch.nnn' (did you mean 'nn'?); allowed: "),
        ("toch.nn:Identity", "there is no module 'toch.nn' (did you mean 'torch'?); allowed: "),
        ("math.inner:make", "there is no module 'math.inner'; allowed: "),
        ("os:system", "args.command: missing; 'os:system' needs it; allowed: "),
        ("builtins:dict", "'builtins:dict' returned an object of type 'dict'; allowed: a torch.nn.Module"),
        ("math:pi", "'math:pi' is an object of type 'float'; allowed: "),
    ],
)
def test_code_that_is_installed(code: str, expected: str) -> None:
    """What is no model, or is not there, is one line."""
    with pytest.raises(InputError) as caught:
        factory.made(spec(code))
    assert expected == str(caught.value)[: len(expected)]
    assert 1 == len(str(caught.value).splitlines())


def test_interrupting_is_no_error_of_the_code(write: Write, tmp_path: Path) -> None:
    """Ctrl-C while the code runs ends archcost."""
    name = write("def make():\n    raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        factory.made(spec(f"{name}:make"), folder=tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_a_signal_that_ends_archcost_is_no_error_of_the_code(tmp_path: Path) -> None:
    """SIGTERM while the code runs ends with 143, as everywhere: the exit is ours, not the code's."""
    (tmp_path / "net.py").write_text(
        "import os, signal, time\ndef make():\n    os.kill(os.getpid(), signal.SIGTERM)\n    time.sleep(60)"
    )
    script = (
        "from pathlib import Path; from archcost import cli\n"
        "from archcost.models import code; from archcost.nets import factory\n"
        "made = code.Foreign(family='module', factory='net:make', input=(3,))\n"
        "cli.cli.main = lambda *_, **__: factory.made(made, folder=Path.cwd())\n"
        "cli.main([])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, cwd=tmp_path, timeout=60, check=False)
    assert (143, b"") == (done.returncode, done.stderr)


def test_own_error_serves_any_failure() -> None:
    """The error of a forward is told the same way: where the model raised, not where torch or archcost did."""

    class Narrow(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x @ torch.zeros(4, 4)

    try:
        Narrow()(torch.zeros(2, 3))
    except RuntimeError as error:
        what, own, place = str(factory.own_error("Narrow cannot run", error)).splitlines()
    assert "Narrow cannot run" == what
    assert "    RuntimeError: mat1 and mat2 shapes cannot be multiplied (2x3 and 4x4)" == own
    assert place.startswith(f"    at {__file__}:")
    assert place.endswith(".Narrow.forward")


# ---- inputs

SHAPES = st.lists(st.integers(0, 4), max_size=3).map(tuple)
LISTS = st.lists(
    st.builds(Argument, shape=SHAPES, dtype=st.sampled_from(DTYPES), name=st.none() | st.sampled_from("abc")),
    min_size=1,
    max_size=4,
    unique_by=lambda a: a.name or id(a),
)


@given(LISTS, st.integers(1, 3), st.integers(0, 2**40))
@laws(100)
def test_inputs_have_shape_dtype_and_name(inputs: list[Argument], batch: int, seed: int) -> None:
    """Each tensor is (batch, *shape) of its dtype; those without a name in order, the others by name; seeds repeat."""
    made = spec("net:make", None, *inputs)
    given_, named = factory.arguments(made, batch, seed=seed)
    hollow, hollow_named = factory.arguments(made, batch, device="meta")
    again, again_named = factory.arguments(made, batch, seed=seed)
    assert [(batch, *a.shape) for a in inputs if a.name is None] == [tuple(x.shape) for x in given_]
    assert {a.name: (batch, *a.shape) for a in inputs if a.name} == {name: tuple(x.shape) for name, x in named.items()}
    for x, empty, same in zip(
        (*given_, *named.values()),
        (*hollow, *hollow_named.values()),
        (*again, *again_named.values()),
        strict=True,
    ):
        assert (x.shape, x.dtype, True) == (empty.shape, empty.dtype, empty.is_meta)
        assert torch.equal(x, same)
    dtypes = [f"torch.{a.dtype}" for a in sorted(inputs, key=lambda a: a.name is not None)]
    assert dtypes == [str(x.dtype) for x in (*given_, *named.values())]


def test_values_are_drawn_as_the_spec_says() -> None:
    """Floats normal, integers evenly below the bound, 0 or 1 without one, truth values even; global seeds untouched."""
    before = torch.random.get_rng_state(), random.getstate()
    made = spec(
        "net:make",
        None,
        Argument(shape=(10_000,)),
        Argument(shape=(10_000,), dtype="int64", below=7),
        Argument(shape=(10_000,), dtype="int32"),
        Argument(shape=(10_000,), dtype="bool"),
        Argument(shape=(9,), dtype="int32", below=2**31),
        Argument(shape=(9,), dtype="int64", below=2**53),
    )
    normal, tokens, bits, truths, most, more = factory.arguments(made, 1)[0]
    assert abs(float(normal.mean())) < 0.05
    assert 0.95 < float(normal.std()) < 1.05
    assert (list(range(7)), [0, 1]) == (tokens.unique().tolist(), bits.unique().tolist())
    assert 0.45 < float(truths.float().mean()) < 0.55
    assert 0 <= int(most.min()) <= int(more.max())
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert before[1] == random.getstate()


def test_half_precision_is_the_same_values_rounded() -> None:
    """A network is given the same at float32 and at half precision."""
    single, half, brain = (
        factory.arguments(spec("net:make", None, Argument(shape=(99,), dtype=dtype)), 2)[0][0]
        for dtype in ("float32", "float16", "bfloat16")
    )
    assert torch.equal(single.half(), half)
    assert torch.equal(single.bfloat16(), brain)


@pytest.mark.parametrize(
    ("shape", "device", "expected"),
    [
        ((2**50,), "cpu", "torch cannot make the inputs at batch 2\n    RuntimeError: "),
        ((2**53, 2**53), "cpu", "torch cannot make the inputs at batch 2\n    "),
        ((2**53, 2**53), "meta", "torch cannot make the inputs at batch 2\n    "),
    ],
)
def test_inputs_that_cannot_be_made_are_one_error(shape: tuple[int, ...], device: str, expected: str) -> None:
    """What torch refuses is an error of the input, not a bug of ours."""
    with pytest.raises(InputError) as caught:
        factory.arguments(spec("net:make", None, Argument(shape=shape)), 2, device=device)
    assert expected == str(caught.value)[: len(expected)]


def test_inputs_too_large_for_the_memory_are_refused_before_they_are_made() -> None:
    """The bytes are known before: 2 x 3 floats and 2 x 5 integers of 8 bytes are 104 bytes."""
    made = spec("net:make", None, Argument(shape=(3,)), Argument(shape=(5,), dtype="int64"))
    message = "inputs too large to make: batch 2 needs 104 B of memory, 103 B are free"
    with pytest.raises(InputError, match=message):
        factory.arguments(made, 2, available_bytes=103)
    assert 2 == len(factory.arguments(made, 2, available_bytes=104)[0])
    assert 2 == len(factory.arguments(made, 2, device="meta", available_bytes=0)[0])
