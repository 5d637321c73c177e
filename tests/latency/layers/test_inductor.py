"""Inductor's code in other ways: each kernel has its time, and costs nothing if that is asked for."""

from __future__ import annotations

from types import ModuleType

import pytest

from archcost.errors import TargetError
from archcost.latency.layers.inductor import program

TEXT = """
ran = []

def assert_size_stride(*_):
    ran.append("check")

def cpp_fused_0(value):
    ran.append("cpp")

def convolution(value):
    ran.append("convolution")
    return [value]

class Runner:
    def call(self, args):
        (given,) = args
        assert_size_stride(given)
        # [Provenance debug handles] cpp_fused_0:1
        cpp_fused_0(given)
        # [Provenance debug handles] extern_kernels.convolution:2
        made = convolution(given)
        assert_size_stride(made)
        convolution(made)
        del given
        return (made,)
"""


def module(text: str = TEXT) -> ModuleType:
    """Return a module of this text."""
    made = ModuleType("made")
    exec(text, made.__dict__)  # noqa: S102  (the text above)
    return made


def test_each_way_runs_what_it_is_to() -> None:
    """Kernels run and are marked, checks run in every way, and without kernels what they gave is there still."""
    made, marks = module(), list[object]()
    code = program(made, TEXT, lambda: marks.append("begin"), marks.append)
    assert ("cpp_fused_0:1", "extern_kernels.convolution:2", "convolution:line23") == code.kernels
    whole = ["check", "cpp", "convolution", "check", "convolution"]
    call = made.Runner().call
    expected = {"plain": (whole, []), "timed": (whole, ["begin", 0, 1, 2]), "keeping": (whole, []),
        "idle": (["check", "check"], []), "idle_timed": (["check", "check"], ["begin", 0, 1, 2])}  # fmt: skip
    for way in ("plain", "timed", "keeping", "idle", "idle_timed", "plain"):
        made.ran.clear()
        marks.clear()
        code.to(getattr(code, way))()
        assert ([1],) == call([1])
        assert expected[way] == (made.ran, marks)


@pytest.mark.parametrize(
    "text",
    [
        TEXT.replace("Runner", "Other"),
        TEXT.replace("        cpp_fused_0(given)", "        while cpp_fused_0(given):\n            pass"),
    ],
)
def test_code_of_another_form_is_refused(text: str) -> None:
    """What cannot be told apart is said, not guessed."""
    with pytest.raises(TargetError, match="not attributed"):
        program(module(text), text, lambda: None, lambda _: None)
