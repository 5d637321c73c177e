"""torch.compile as a runtime: its first call is timed apart, the others compile nothing, and nothing is left behind."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from archcost.errors import TargetError
from archcost.latency import runtimes
from archcost.latency.runtimes import Source
from archcost.latency.runtimes import compile as compiled
from archcost.latency.samples import Plan

WHY = compiled.why_not()
needs_compiler = pytest.mark.skipif(bool(WHY), reason=WHY)


class Scaled(nn.Module):
    """One product: the least there is to compiled."""

    def forward(self, x: Tensor) -> Tensor:
        """Return x, scaled."""
        return x * 3 + 1


@needs_compiler
def test_the_first_call_is_timed_and_the_only_one_that_compiles() -> None:
    """first_s is the time of the first call; calls after it find everything compiled."""
    ticks = iter([10.0, 13.5])
    with compiled.prepare(Source(Scaled(), (torch.ones(2),)), Plan(), clock=lambda: next(ticks)) as prepared:
        assert 3.5 == prepared.first_s
        with torch.compiler.set_stance("fail_on_recompile"):
            prepared.call()
            prepared.call()


@needs_compiler
def test_each_network_is_compiled_as_if_it_were_the_first() -> None:
    """What shares a forward with networks before it, at other dtypes, is neither refused nor run as they were."""
    with torch._dynamo.config.patch(recompile_limit=1):
        for dtype in ("float32", "bfloat16", "float16"):
            with compiled.prepare(Source(Scaled(), (torch.ones(2),)), Plan(dtype=dtype)) as prepared:
                prepared.call()


@needs_compiler
def test_users_compiled_functions_still_run() -> None:
    """Forgetting what was compiled costs the caller's own functions time, not their result."""
    own = torch.compile(Scaled(), backend="eager")
    assert [4.0, 4.0] == own(torch.ones(2)).tolist()
    with compiled.prepare(Source(Scaled(), (torch.ones(2),)), Plan()) as prepared:
        prepared.call()
    assert [4.0, 4.0] == own(torch.ones(2)).tolist()


@needs_compiler
def test_compilation_that_is_switched_off_gives_no_latency() -> None:
    """Where torch.compile does nothing the eager module would be measured under its name: refused."""
    source = Source(Scaled(), (torch.ones(2),))
    with torch._dynamo.config.patch(disable=True), pytest.raises(TargetError, match=r"torch\.compile"):
        compiled.prepare(source, Plan()).__enter__()
    with torch.compiler.set_stance("force_eager"), pytest.raises(TargetError, match=r"torch\.compile"):
        compiled.prepare(source, Plan()).__enter__()


def test_no_compiler_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a C++ compiler the reason says which one is looked for, and how to name another."""
    monkeypatch.setenv("CXX", "no-such-compiler")
    reason = runtimes.find("compile").why_not()
    assert "needs a C++ compiler and 'no-such-compiler' is not here: install it, or name one in CXX" in reason
    with pytest.raises(TargetError) as caught:
        compiled.prepare(Source(Scaled(), (torch.ones(2),)), Plan()).__enter__()
    assert reason == str(caught.value)


def test_no_python_headers_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Python.h nothing can be compiled for Python: said before it is tried."""
    monkeypatch.setenv("CXX", "true")
    monkeypatch.setattr(compiled.sys, "platform", "linux")
    monkeypatch.setattr(compiled.sysconfig, "get_path", lambda _: "/no/such/folder")
    assert "/no/such/folder/Python.h: install Python's headers" in compiled.why_not()
