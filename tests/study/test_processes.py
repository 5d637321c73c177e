"""Child processes: whatever ends one is told as that job's end, and nothing else ends with it."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import archcost
from archcost import scratch
from archcost.data import load, shared
from archcost.data.spec import DataSpec
from archcost.files import placed
from archcost.graph import codec
from archcost.latency.samples import Plan
from archcost.study.records.reasons import Reason
from archcost.study.workers import messages, processes
from archcost.study.workers.failures import reason_of
from archcost.study.workers.messages import Done, Event, Failed, Measured, Reached, Trained
from archcost.study.workers.processes import ON, STOP, Child
from archcost.study.workers.tasks import Measure, OfGraph, Setup, Train

FAKE = Setup("fake", "eager", Plan(time_s=0.1))


@pytest.fixture
def job(tmp_path: Path) -> Train:
    """A job on the digits that takes long if nobody ends it."""
    shared.write(load.load(DataSpec(name="digits"), folder=tmp_path), tmp_path / "data.pt")
    model = archcost.load("resnet-20", ["input=[1, 8, 8]", "depths=[1]", "widths=[4]"])
    graph = dict(codec.encode(model.graph))
    fit = {"epochs": 400, "rungs": [1, 400]}
    return Train(OfGraph(graph), str(tmp_path / "data.pt"), "", fit, 0, (FAKE,), False, "", 1)


def told(child: Child, patience_s: float = 120.0) -> Iterator[Event]:
    """Yield what one child tells until it has ended."""
    try:
        while True:
            for _, event in processes.events([child], 1.0, patience_s):
                yield event
                if isinstance(event, Done | Failed):
                    return
    finally:
        child.end()


def test_a_job_is_done_from_rung_to_rung(job: Train, tmp_path: Path) -> None:
    """It measures, waits, trains, waits at each rung, and writes its weights."""
    short = replace(job, fit={"epochs": 2, "rungs": [1, 2]}, weights=str(tmp_path / "w.pt"))
    child = processes.start(processes.server(), short)
    names = []
    for event in told(child):
        names.append(type(event))
        if isinstance(event, Measured | Reached):
            child.reply(ON)
    assert [Measured, Trained, Reached, Trained, Reached, Done] == names
    assert (tmp_path / "w.pt").is_file()


def test_a_job_stops_where_it_is_told_to(job: Train) -> None:
    """After the first rung, without another epoch."""
    child = processes.start(processes.server(), job)
    names = []
    for event in told(child):
        names.append(type(event))
        if isinstance(event, Measured | Reached):
            child.reply(ON if isinstance(event, Measured) else STOP)
    assert [Measured, Trained, Reached, Done] == names


TRAINED = """
import sys
from importlib import import_module
from pathlib import Path
from archcost.study.workers import messages, processes
for name in processes.LOADED:
    import_module(name)
before = set(sys.modules)
job = messages.decode_job(Path(sys.argv[1]).read_bytes())
import_module(processes.LOADED[0]).run(job, lambda _: None, lambda: True)
print(len(set(sys.modules) - before))
"""


def test_a_child_finds_in_memory_what_a_training_needs(job: Train, tmp_path: Path) -> None:
    """It loads few modules of its own: what an optimiser of torch loads is some 800, and takes a second."""
    (tmp_path / "job.json").write_bytes(messages.encode(replace(job, fit={"epochs": 1, "rungs": [1]})))
    command = [sys.executable, "-c", TRAINED, str(tmp_path / "job.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 50


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (signal.SIGKILL, "killed by signal 9: by the system if memory ran short, or by somebody"),
        (signal.SIGSEGV, "crashed: segmentation fault (signal 11)"),
        (signal.SIGABRT, "crashed: aborted (signal 6)"),
    ],
)
def test_a_child_that_dies_is_told(job: Train, number: int, reason: str) -> None:
    """Whatever kills it while it waits for a reply."""
    child = processes.start(processes.server(), job)
    events = told(child)
    assert isinstance(next(events), Measured)
    os.kill(child.process.pid or 0, number)
    (last,) = events
    assert isinstance(last, Failed)
    assert Reason("killed" if number == signal.SIGKILL else "bug", reason) == last.reason


def test_a_child_that_hangs_is_ended(job: Train) -> None:
    """Stopped, it says nothing for longer than its parent has patience; the key that allows more is named."""
    child = processes.start(processes.server(), job)
    first: list[tuple[Child, Event]] = []
    while not first:
        first = list(processes.events([child], 1.0, 120.0))
    assert isinstance(first[0][1], Measured)
    os.kill(child.process.pid or 0, signal.SIGSTOP)
    reason = "hung: no progress for 0.5 s, killed; 'search.patience' allows more"
    assert [Failed(Reason("silent", reason))] == list(told(child, 0.5))


def test_what_cannot_be_measured_is_a_reason() -> None:
    """An unknown target is the user's mistake, a runtime that fails is the target's."""
    graph = dict(codec.encode(archcost.load("resnet-20").graph))
    (last,) = told(processes.start(processes.server(), Measure((OfGraph(graph),), replace(FAKE, target="abacus"))))
    assert isinstance(last, Failed)
    assert ("input", True) == (last.reason.kind, "unknown target 'abacus'" in last.reason.text)


PARENT = """
import sys, time
from pathlib import Path
from archcost.study.workers import messages, processes
if __name__ == "__main__":
    child = processes.start(processes.server(), messages.decode_job(Path(sys.argv[1]).read_bytes()))
    next(iter(processes.events([child], 60, 60)))
    print(child.process.pid, flush=True)
    time.sleep(600)
"""


def test_children_end_with_their_parent(job: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A parent that is killed leaves nothing running, and no folder that the next one does not remove."""
    (tmp_path / "job.json").write_bytes(messages.encode(job))
    (tmp_path / "parent.py").write_text(PARENT, "utf-8")
    command = [sys.executable, str(tmp_path / "parent.py"), str(tmp_path / "job.json")]
    with tempfile.TemporaryDirectory() as temporary:  # the name of a test's own is too long for sockets in it
        there = {**os.environ, "TMPDIR": temporary}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=there) as parent:
            assert parent.stdout is not None
            pid = int(parent.stdout.readline())
            parent.kill()
        for _ in range(600):
            if not _runs(pid):
                break
            time.sleep(0.1)
        assert not _runs(pid)
        monkeypatch.setattr(tempfile, "tempdir", temporary)
        scratch.sweep()
        assert not [*Path(temporary).glob("pymp-*"), *Path(temporary).glob("archcost-*-*")]


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_a_full_disk_is_no_bug_of_a_trial(tmp_path: Path) -> None:
    """What cannot be written for want of space has a kind of its own: the study ends, the trial does not count."""
    with pytest.raises(archcost.InputError) as refused, placed(tmp_path / "0.pt"):
        raise OSError(errno.ENOSPC, "No space left on device")
    found = reason_of(refused.value)
    assert ("space", True) == (found.kind, "No space left on device" in found.text)


def test_a_child_makes_no_lock_between_processes() -> None:
    """One that is killed would leave its semaphore, of which Python warns at the end of the study's own process."""
    script = (
        "import sys, threading, tqdm\n"
        "from archcost.study.workers import processes\n"
        "processes._leave_no_lock()\n"
        "sys.exit(not isinstance(tqdm.tqdm.get_lock(), type(threading.RLock())))\n"
    )
    assert 0 == subprocess.run([sys.executable, "-c", script], check=False).returncode  # a script of our own
