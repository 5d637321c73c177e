"""What a forward sets of the process is what it was after a profile: threads, modes, flags, random states and more."""

from __future__ import annotations

import gc
import logging
import os
import random
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import archcost
from archcost.nets.restore import settings


def _denormals() -> bool:
    return sys.float_info.min / float("2") > 0


def _drawn() -> object:
    return np.random.get_state()[1].tolist()  # type: ignore[index]  # a tuple


SET: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
    "threads": (torch.get_num_threads, lambda: torch.set_num_threads(torch.get_num_threads() + 1)),
    "gradients": (torch.is_grad_enabled, lambda: torch.set_grad_enabled(not torch.is_grad_enabled())),
    "default type": (torch.get_default_dtype, lambda: torch.set_default_dtype(torch.float64)),
    "default device": (torch.get_default_device, lambda: torch.set_default_device("meta")),
    "deterministic": (
        torch.are_deterministic_algorithms_enabled,
        lambda: torch.use_deterministic_algorithms(True, warn_only=True),
    ),
    "anomalies": (torch.is_anomaly_enabled, lambda: torch.autograd.set_detect_anomaly(True)),
    "warn always": (torch.is_warn_always_enabled, lambda: torch.set_warn_always(True)),
    "autocast": (lambda: torch.is_autocast_enabled("cpu"), lambda: torch.set_autocast_enabled("cpu", True)),
    "autocast's type": (
        lambda: torch.get_autocast_dtype("cpu"),
        lambda: torch.set_autocast_dtype("cpu", torch.float16),
    ),
    "matmul precision": (
        torch.get_float32_matmul_precision,
        lambda: torch.set_float32_matmul_precision("medium"),
    ),
    "newer matmul precision": (
        lambda: torch.backends.mkldnn.matmul.fp32_precision,
        lambda: setattr(torch.backends.mkldnn.matmul, "fp32_precision", "bf16"),
    ),
    "cudnn benchmark": (
        lambda: torch.backends.cudnn.benchmark,
        lambda: torch._C._set_cudnn_benchmark(True),
    ),
    "mkldnn": (torch._C._get_mkldnn_enabled, lambda: torch._C._set_mkldnn_enabled(False)),
    "attention": (torch.backends.cuda.flash_sdp_enabled, lambda: torch.backends.cuda.enable_flash_sdp(False)),
    "fast path": (
        torch.backends.mha.get_fastpath_enabled,
        lambda: torch.backends.mha.set_fastpath_enabled(False),
    ),
    "denormals": (_denormals, lambda: torch.set_flush_denormal(True)),
    "printing": (lambda: str(torch.tensor(1 / 3)), lambda: torch.set_printoptions(precision=9)),
    "torch's seed": (lambda: torch.get_rng_state().tolist(), lambda: torch.manual_seed(7)),
    "python's seed": (random.getstate, lambda: random.seed(7)),
    "numpy's seed": (_drawn, lambda: np.random.seed(7)),
    "numpy's errors": (np.geterr, lambda: np.seterr(all="raise")),
    "environment": (os.environ.copy, lambda: os.environ.update(ARCHCOST_TEST="1", HOME="/nowhere")),
    "a variable less": (os.environ.copy, lambda: os.environ.pop("PATH", None)),
    "folder": (Path.cwd, lambda: os.chdir("/")),
    "warnings": (lambda: list(warnings.filters), lambda: warnings.simplefilter("error")),
    "recursion": (sys.getrecursionlimit, lambda: sys.setrecursionlimit(sys.getrecursionlimit() + 100)),
    "collector": (gc.isenabled, gc.disable),
    "logging": (lambda: logging.root.manager.disable, lambda: logging.disable(logging.CRITICAL)),
}


class Setting(nn.Module):
    """Sets something of the process in every forward, and may fail then."""

    def __init__(self, change: Callable[[], object], *, fails: bool = False) -> None:
        super().__init__()
        self.change, self.fails, self.linear = change, fails, nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, 3) -> (B, 3)."""
        self.change()
        if self.fails:
            raise RuntimeError("after it was set")
        y: Tensor = self.linear(x)
        return y


@pytest.fixture(autouse=True)
def _no_mode() -> Iterator[None]:
    """Take away the mode that torch leaves if the processor is set by its name: some kernels refuse it."""
    yield
    torch.set_default_device(None)


@pytest.mark.parametrize("case", SET)
def test_what_is_set_inside_is_put_back(case: str) -> None:
    """The context puts back each of the settings, also after an error; the table's change is one."""
    read, change = SET[case]
    before = read()

    def changed() -> None:
        change()
        assert before != read()
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"), settings():
        changed()
    assert before == read()


@pytest.mark.parametrize("case", SET)
@pytest.mark.parametrize("fails", [False, True])
def test_a_forward_that_sets_leaves_no_trace(case: str, fails: bool) -> None:
    """A profile with counts, witnesses and a latency puts all of it back, whether or not the network can run then."""
    read, change = SET[case]
    module, x = Setting(change, fails=fails), torch.ones(2, 3)
    before = read()
    with suppress(archcost.ArchcostError):  # a default device of meta, or its own failure
        archcost.profile(module, x, target="fake", threads=1)
    assert before == read()


def test_threads_set_inside_a_measurement_are_put_back() -> None:
    """On the processor too, whose own number of threads is put back around it."""
    before = torch.get_num_threads()
    module: Any = Setting(lambda: torch.set_num_threads(3 if before != 3 else 4))
    archcost.measure(module, torch.ones(2, 3), time=0.01, threads=1)
    assert before == torch.get_num_threads()
