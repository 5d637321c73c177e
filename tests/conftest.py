"""Settings of all tests."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from planted_peaks import peaks

from archcost.latency import targets
from archcost.latency.roofline import stock
from archcost.latency.roofline.kept import Kept, keep
from archcost.latency.targets import cuda
from archcost.latency.targets.device import this_conditions

# no deadline: the machine may be busy; derandomised: a run that was green stays green until the code changes
settings.register_profile("archcost", deadline=None, derandomize=True)
settings.load_profile("archcost")

# one thread: on a busy machine two that wait for each other take several times as long
torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _locks(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Give every process of tests locks of its own: they measure and train beside each other, and none waits."""
    os.environ["XDG_RUNTIME_DIR"] = str(tmp_path_factory.mktemp("locks"))


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Give every process of tests a cache of its own, with peaks of this processor that nobody has to measure."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    facts = targets.find("cpu").describe()
    for threads in range(1, facts.cpus + 1):
        of = stock.key_of(facts, threads, this_conditions())
        keep(Kept(of, peaks(threads=threads), datetime.now(UTC)))


@pytest.fixture
def short_path() -> Iterator[Path]:
    """Give a folder of few letters: sockets in the one for temporary files have names of at most some 100."""
    folder = Path(tempfile.mkdtemp(prefix=""))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def _heeded() -> None:
    """Let what a test starts hear of Ctrl-C, as it does not in a shell's background or after a command ended here."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what is marked `gpu` if there is none, and say why; `make test-gpu` runs it alone."""
    if item.get_closest_marker("gpu") and (why := cuda.why_not(0)):
        pytest.skip(why)
