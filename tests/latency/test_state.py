"""A network whose own state changes from call to call has no one latency: it is found out and named."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import pytest
import torch
from measurements import samples
from torch import Tensor, nn

import archcost
from archcost.latency.doubts import Doubt
from archcost.latency.samples import Change
from archcost.latency.summary import summarise
from archcost.nets.calls.contents import held


class Growing(nn.Module):
    """Keeps something of every call, in its own way."""

    def __init__(self, keep: Callable[[Any, Tensor], None]) -> None:
        super().__init__()
        self.keep, self.linear = keep, nn.Linear(4, 4)
        self.register_buffer("rows", torch.zeros(0, 4))
        self.plain = torch.zeros(0, 4)
        self.listed: list[Tensor] = []
        self.deep: dict[str, list[Any]] = {"rows": [{}]}
        self.last: deque[Tensor] = deque(maxlen=3)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, 4) -> (B, 4)."""
        self.keep(self, x)
        y: Tensor = self.linear(x)
        return y


def _buffer(m: Any, x: Tensor) -> None:
    m.rows = torch.cat([m.rows, x])


def _plain(m: Any, x: Tensor) -> None:
    m.plain = torch.cat([m.plain, x])


def _listed(m: Any, x: Tensor) -> None:
    m.listed.append(x)


def _deep(m: Any, x: Tensor) -> None:
    rows = m.deep["rows"][0]
    rows["x"] = torch.cat([rows.get("x", x), x])


def _part(m: Any, x: Tensor) -> None:
    m.linear.kept = torch.cat([getattr(m.linear, "kept", x), x])


@pytest.mark.parametrize("keep", [_buffer, _plain, _listed, _deep, _part])
@pytest.mark.parametrize("runtime", ["eager"])
def test_a_state_that_grows_is_the_reason(keep: Callable[[Any, Tensor], None], runtime: str) -> None:
    """Wherever the tensors are: a buffer, an attribute, a list, deep inside, a part. The module itself is unchanged."""
    module = Growing(keep)
    before = held(module)
    found = archcost.measure(module, torch.ones(1, 4), runtime=runtime, time=0.02, threads=1)
    assert not found.stable
    assert "state_changed" == found.doubts[0].kind
    assert (found.doubts[0].value or 0) > (found.doubts[0].limit or 0)
    assert found.why.startswith("its own state changes between calls: its tensors took ")
    assert before == held(module)


def _once(m: Any, x: Tensor) -> None:
    m.plain = x


def _bounded(m: Any, x: Tensor) -> None:
    m.last.append(x)


def _counted(m: Any, x: Tensor) -> None:
    m.calls += 1


def _nothing(m: Any, x: Tensor) -> None:
    pass


@pytest.mark.parametrize("keep", [_once, _bounded, _counted, _nothing])
def test_a_state_that_stays_as_large_is_no_reason(keep: Callable[[Any, Tensor], None]) -> None:
    """The last input, the last few of them, a number: the network is the same once it has run."""
    found = archcost.measure(Growing(keep), torch.ones(1, 4), time=0.02, threads=1)
    assert "state_changed" not in {doubt.kind for doubt in found.doubts}


SLOWER = [[0.001 * (1 + i / 16)] * 5 for i in range(16)]
STEADY = [[0.001] * 5 for _ in range(16)]


@pytest.mark.parametrize(
    ("bursts", "change", "expected"),
    [
        (SLOWER, Change(100, 200, shapes=True), "state_changed"),
        (STEADY, Change(100, 200, shapes=True), "state_changed"),
        (STEADY, Change(200, 200, shapes=True), "state_changed"),
        (SLOWER, Change(100, 100, shapes=False), "state_drifted"),
        (SLOWER[::-1], Change(100, 100, shapes=False), "state_drifted"),
        (STEADY, Change(100, 100, shapes=False), None),
        (SLOWER, None, None),
        (SLOWER[::2], Change(100, 100, shapes=False), "state_drifted"),
        (SLOWER[:7], Change(100, 100, shapes=False), None),
        (SLOWER[::2] + SLOWER[1::2], Change(100, 100, shapes=False), None),
    ],
)
def test_shapes_or_a_steady_drift_are_a_doubt(
    bursts: list[list[float]], change: Change | None, expected: str | None
) -> None:
    """Other shapes always are; numbers that change are if the time goes with them, and a drift alone is another's."""
    kinds = [doubt.kind for doubt in summarise(samples(bursts, change=change)).doubts]
    assert ([expected] if expected else []) == [kind for kind in kinds if kind.startswith("state")]


def test_the_doubt_has_the_sizes() -> None:
    """Bytes after and before."""
    (doubt,) = summarise(samples(STEADY, change=Change(100, 250, shapes=True))).doubts
    assert Doubt("state_changed", 250, 100) == doubt


def test_a_drift_is_the_quarters_apart() -> None:
    """By hand: the first four bursts' median is 1 + 1.5/16, the last four's 1 + 13.5/16."""
    found = summarise(samples(SLOWER, change=Change(100, 100, shapes=False))).doubts[0]
    assert pytest.approx((1 + 13.5 / 16) / (1 + 1.5 / 16) - 1) == found.value
