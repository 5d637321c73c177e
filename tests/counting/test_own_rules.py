"""Rules of the user's own count operators that archcost does not know; wrong ones are refused by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import archcost
from archcost.counting.rules import own


@torch.library.custom_op("owntest::scan", mutates_args=())
def scan(x: Tensor, decay: Tensor, steps: int = 3, *, scale: float = 1.0) -> Tensor:
    """x: (T, D), decay: (D,) -> (T, D)."""
    return x * decay


@scan.register_fake
def _(x: Tensor, decay: Tensor, steps: int = 3, *, scale: float = 1.0) -> Tensor:
    return torch.empty_like(x)


class Scans(nn.Module):
    """A linear layer and an operator of one's own behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.decay = nn.Linear(4, 8, bias=False), nn.Parameter(torch.ones(8))

    def forward(self, x: Tensor) -> Tensor:
        """x: (T, 4) -> (T, 8)."""
        return torch.ops.owntest.scan(self.layer(x), self.decay, scale=2.0)


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    """Let no rule outlive its test."""
    yield
    for name in own.registered():
        own.drop(name)


def profiled(module: nn.Module | None = None, x: Tensor | None = None) -> archcost.Profile:
    return archcost.profile(module or Scans(), torch.ones(5, 4) if x is None else x, latency=False)


def work(inputs: tuple[Any, ...], outputs: tuple[Any, ...]) -> archcost.Work:
    """Return what the scan does: a multiply-add a value, and half as many other operations."""
    steps, width = outputs[0].shape
    return archcost.Work(macs=steps * width, elementwise=steps * width // 2, read_bytes=7)


def test_without_a_rule_it_is_uncounted() -> None:
    """An operator that archcost does not know is said, and its MACs are in no count."""
    found = profiled()
    assert (5 * 4 * 8, ["owntest::scan"]) == (found.macs, [op.op for op in found.model.uncounted])


def test_a_rule_counts_an_operator() -> None:
    """MACs, operations and bytes are what it says, bytes that it leaves out those of the tensors."""
    archcost.register_rule("owntest::scan", work)
    found = profiled()
    assert (5 * 4 * 8 + 5 * 8, ()) == (found.macs, found.uncounted)
    row = next(layer for layer in found.layers if layer.op == "owntest::scan")
    assert (40, 20, 7, 4 * 40) == (row.macs, row.elementwise, row.read_bytes, row.written_bytes)


def test_no_witness_knows_it() -> None:
    """`agree` is null, with the operator in the reason; what else is multiplied is still compared."""
    archcost.register_rule("owntest::scan", work)
    found = profiled()
    assert (None, ()) == (found.agree, found.differences)
    assert any("registered rules" in line and "owntest::scan (40 MACs)" in line for line in found.warnings)


def test_a_rule_sees_shapes_and_plain_arguments() -> None:
    """Tensors as frozen shapes, other arguments as they are, in the order of the schema with defaults filled in."""
    seen: list[object] = []

    def asks(inputs: tuple[Any, ...], outputs: tuple[Any, ...]) -> archcost.Work:
        seen.append((inputs, outputs))
        return archcost.Work(macs=0)

    archcost.register_rule("owntest::scan", asks)
    profiled()
    x, decay = archcost.Shape((5, 8), "float32"), archcost.Shape((8,), "float32")
    assert ((x, decay, 3, 2.0), (x,)) == seen[0]
    with pytest.raises(AttributeError):
        x.shape = ()  # type: ignore[misc]  # frozen


def raises(inputs: object, outputs: object) -> archcost.Work:
    raise ZeroDivisionError("no steps")


WRONG: dict[str, tuple[Callable[..., Any], str]] = {
    "raises": (raises, "raised ZeroDivisionError: no steps"),
    "negative": (lambda i, o: archcost.Work(macs=-1), "macs: given -1; allowed: a whole number that is not negative"),
    "fraction": (lambda i, o: archcost.Work(macs=0.5), "macs: given 0.5; allowed: a whole number"),
    "fraction of operations": (lambda i, o: archcost.Work(macs=1, elementwise=1.5), "elementwise: given 1.5"),
    "negative bytes": (lambda i, o: archcost.Work(macs=1, written_bytes=-4), "written_bytes: given -4"),
    "a truth": (lambda i, o: archcost.Work(macs=True), "macs: given True"),
    "a number": (lambda i, o: 12, r"gave 12; allowed: archcost.Work\(macs=...\)"),
    "nothing": (lambda i, o: None, "gave None"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_rule_is_refused_by_name(case: str) -> None:
    """A rule that raises, or gives anything but whole numbers that are not negative, is one error with its operator."""
    rule, message = WRONG[case]
    archcost.register_rule("owntest::scan", rule)
    with pytest.raises(archcost.InputError, match=f"the rule for 'owntest::scan'.*{message}"):
        profiled()


@pytest.mark.parametrize(
    ("name", "has"),
    [
        ("aten::mm", "multiplies"),
        ("aten::relu", "elementwise"),
        ("aten::hardswish", "elementwise"),
        ("aten::embedding", "moves"),
        ("aten::view", "moves"),
    ],
)
def test_a_known_operator_is_not_replaced_by_accident(name: str, has: str) -> None:
    """What has a count already is replaced with replace=True only; the message says what it is."""
    with pytest.raises(archcost.InputError, match=rf"'{name}' has a count of archcost's \({has}\); replace=True"):
        archcost.register_rule(name, work)
    archcost.register_rule(name, work, replace=True)
    with pytest.raises(archcost.InputError, match="has a registered rule; replace=True"):
        archcost.register_rule(name, work)


def test_a_replaced_rule_counts_from_then_on() -> None:
    """What was counted before with archcost's own rule is counted anew, and again after the rule is gone."""
    module, x = nn.Linear(4, 8, bias=False), torch.ones(5, 4)
    assert 160 == profiled(module, x).macs
    archcost.register_rule("aten::mm", lambda inputs, outputs: archcost.Work(macs=1), replace=True)
    found = profiled(module, x)
    assert (1, None) == (found.macs, found.agree)
    own.drop("aten::mm")
    assert (160, True) == (profiled(module, x).macs, profiled(module, x).agree)


@pytest.mark.parametrize("name", ["scan", "a::b::c", "mylib::", "", 7, "mylib::sc an", "mylib::scan.default"])
def test_a_name_is_an_operator_s(name: object) -> None:
    """A name has a namespace and no overload."""
    with pytest.raises(archcost.InputError, match=r"name: given .*; allowed: the name of an operator"):
        archcost.register_rule(name, work)  # type: ignore[arg-type]  # what a user may try


def test_a_rule_is_a_function() -> None:
    """What cannot be called is refused when it is registered."""
    with pytest.raises(archcost.InputError, match="rule: given int; allowed: a function"):
        archcost.register_rule("owntest::scan", 7)  # type: ignore[arg-type]  # what a user may try


def entries(*points: EntryPoint) -> Callable[..., tuple[EntryPoint, ...]]:
    return lambda *, group: tuple(p for p in points if p.group == group)


def test_a_package_brings_its_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry point of archcost.rules counts the operator that it is named after; a registered rule comes before."""
    monkeypatch.setattr(own, "entry_points", entries(EntryPoint("owntest::scan", f"{__name__}:work", "archcost.rules")))
    monkeypatch.setattr(EntryPoint, "load", lambda self: work)
    own._installed.cache_clear()
    try:
        assert work is own.own_rule("owntest::scan")
        archcost.register_rule("owntest::scan", raises)
        assert raises is own.own_rule("owntest::scan")
    finally:
        monkeypatch.undo()
        own._installed.cache_clear()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (("os:path",), "the rule os:path for 'owntest::scan' cannot be called"),
        (("os:no_such",), "cannot be loaded: AttributeError"),
        (("os:getcwd", "os:getpid"), "two packages have a rule for 'owntest::scan'"),
    ],
)
def test_a_package_s_wrong_rule_is_refused(
    values: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be loaded or called, or clashes with another package's, is one error that names it."""
    points = (EntryPoint("owntest::scan", value, "archcost.rules") for value in values)
    monkeypatch.setattr(own, "entry_points", entries(*points))
    own._installed.cache_clear()
    try:
        with pytest.raises(archcost.InputError, match=message):
            own.own_rule("owntest::scan")
    finally:
        monkeypatch.undo()
        own._installed.cache_clear()
