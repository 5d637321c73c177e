"""Networks in processes of their own: one runs at a time, their answers are exact, and none outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from archcost.errors import TargetError
from archcost.latency import runtimes, targets
from archcost.latency.apart.parent import Child, started
from archcost.latency.runtimes import Source
from archcost.latency.samples import Plan
from archcost.latency.targets.cpu import pinned

EAGER = runtimes.find("eager")
RUNTIME = "onnxruntime"
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
PLAN = Plan(time_s=0.3)
PARENT = """
import time
from archcost.latency import runtimes
from archcost.latency.apart.parent import Child, started
with started(2, runtimes.find("eager")) as children:
    for child in children:
        child.end()
    print(*(child.process.pid for child in children), flush=True)
    time.sleep(600)
"""


def linear(width: int) -> Source:
    """Return a network that takes about as long as it is wide."""
    return Source(nn.Sequential(nn.Linear(8, width), nn.ReLU(), nn.Linear(width, 8)), (torch.ones(1, 8),))


def state(pid: int) -> str:
    """Return the letter that Linux gives a process's state, '' if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def waited_for(pid: int, letters: str) -> str:
    """Return a process's state as soon as it is one of these, or after ten seconds."""
    for _ in range(1000):
        if (now := state(pid)) in letters.split("|"):
            return now
        time.sleep(0.01)
    return state(pid)


def test_one_network_runs_in_two_processes() -> None:
    """Its bursts come from both in turn, each of a session of its own; times are the child's."""
    (found,) = targets.find("cpu").measure([linear(64)], runtimes.find(RUNTIME), PLAN)
    processes = [burst.process for burst in found.bursts]
    assert [place % 2 for place in range(len(processes))] == processes
    assert len(found.bursts) == len({(burst.process, burst.copy) for burst in found.bursts})
    assert all(burst.calibration_s and sum(burst.samples_s) < burst.wall_s for burst in found.bursts)


def test_networks_that_take_turns_have_a_process_each() -> None:
    """They have bursts of the same rounds, and the wider one takes longer in all of them together."""
    found = targets.find("cpu").measure([linear(8), linear(200_000)], runtimes.find(RUNTIME), PLAN)
    assert [{0}, {0}] == [{burst.process for burst in each.bursts} for each in found]
    assert len(found[0].bursts) == len(found[1].bursts)
    assert sorted(found[0].samples_s)[len(found[0].samples_s) // 2] < min(found[1].samples_s)


def test_a_file_that_does_not_open_is_the_child_s_reason(tmp_path: Path) -> None:
    """What the runtime says of it is what the user is told."""
    (tmp_path / "net.onnx").write_bytes(b"no network")
    with started(1, runtimes.find(RUNTIME)) as (child,):
        child.end()
        np.savez(tmp_path / "none.npz")
        asked = {"runtime": RUNTIME, "path": str(tmp_path / "net.onnx"), "names": [], "process": 0, "plan": {}}
        with pytest.raises(TargetError, match=r"it cannot run this network: .*net\.onnx"):
            child.ask({"ask": "open", **asked, "arrays": str(tmp_path / "none.npz")})


@LINUX
def test_who_is_not_asked_is_stopped() -> None:
    """A child whose answer was read is stopped, whatever its threads were doing, and goes on when it is asked."""
    with started(1, EAGER) as (child,):
        child.end()
        assert "T" == waited_for(child.process.pid, "T")
        assert {} == child.ask({"ask": "import", "runtime": "eager"})
        assert "T" == waited_for(child.process.pid, "T")


def test_a_child_that_dies_is_told_of() -> None:
    """How it ended is the reason, with the last line that it wrote."""
    with started(2, EAGER) as (killed, wrong):
        for child in (killed, wrong):
            child.end()
        killed.process.kill()
        with pytest.raises(TargetError, match="the process that runs this network was killed by signal 9"):
            killed.ask({"ask": "import", "runtime": "eager"})
        wrong.process.stdin.write("no JSON\n")  # type: ignore[union-attr]  # it is a pipe
        with pytest.raises(TargetError, match=r"ended by itself with code 1: json\.decoder\.JSONDecodeError"):
            wrong.ask({"ask": "import", "runtime": "eager"})


def test_a_child_that_hangs_is_killed() -> None:
    """Who does not answer in time is ended, and the reason says so."""
    with started(1, EAGER) as (child,):
        with pytest.raises(TargetError, match="hung: no answer within 0 s, killed"):
            child.end(0.0)
        assert -signal.SIGKILL == child.process.wait(10)


def test_an_interrupt_ends_the_children() -> None:
    """Ctrl-C in the parent, whatever it does at that moment, leaves none behind."""
    seen: list[Child] = []

    def interrupted() -> None:
        with started(2, EAGER) as children:
            seen.extend(children)
            children[0].end()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [-signal.SIGKILL] * 2 == [child.process.returncode for child in seen]


@LINUX
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_no_child_outlives_its_parent(sent: signal.Signals) -> None:
    """Also children that are stopped end when their parent is killed."""
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        children = [int(pid) for pid in parent.stdout.readline().split()]
        assert ["T", "T"] == [waited_for(pid, "T") for pid in children]
        parent.send_signal(sent)
    assert all(waited_for(pid, "|Z") in ("", "Z") for pid in children)
    assert 2 == len(children)


@LINUX
def test_a_child_keeps_to_the_cpus_of_its_parent() -> None:
    """What a target's name pins holds in the processes that run its networks."""
    first = min(os.sched_getaffinity(0))
    with pinned(frozenset({first})), started(1, EAGER) as (child,):
        child.end()
        assert {first} == os.sched_getaffinity(child.process.pid)
