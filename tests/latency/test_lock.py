"""A device belongs to one measurement at a time, and to no trainer meanwhile: shown with processes told to go on.

They write into one log what they enter and leave, each line while they are inside; the log's order is what is asserted.
"""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import indent
from threading import Event, Thread, Timer
from typing import TypeAlias

import pytest

from archcost.errors import TargetError, quoted
from archcost.latency.lock import folder, held, turn

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the processes are stopped by signals, and forked")
Context: TypeAlias = Callable[[str], AbstractContextManager[None]]  # held or turn

ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
WAY_OUT = "set XDG_RUNTIME_DIR to a folder of yours"
GRACE_S = 0.15  # what must not happen gets this long to happen; that it did not is read off the log

PRELUDE = """
import os, pathlib, sys, time
from contextlib import contextmanager
from archcost.latency.lock import held, turn

log = os.open(os.environ["LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

def write(word):
    os.write(log, f"{sys.argv[1]} {word}\\n".encode())

def say(word):
    write(word)
    print(word, flush=True)

def told():
    sys.stdin.readline()

@contextmanager
def waiting(holder):
    say(f"waits for {holder}")
    yield

@contextmanager
def training(trainer):
    say(f"waits for the turn of {trainer}")
    yield
"""
MEASURE = """
with held("cpu", waiting):
    say("in")
    told()
    write("out")
"""
MEASURE_AND_SAY = MEASURE.replace("waiting)", "waiting, training)")
TRAIN = """
with turn("cpu"):
    say("in")
    told()
    write("out")
"""
MEASURE_TWICE = """
for _ in range(2):
    with held("cpu"):
        write("in")
        time.sleep(0.02)
        write("out")
"""
TRAIN_UNTIL = """
going = True
while going:
    going = not pathlib.Path(sys.argv[2]).exists()
    with turn("cpu"):
        write("in")
        time.sleep(0.002)
        write("out")
"""
MEASURE_IN_A_TURN = """
with turn("cpu"):
    say("in")
    told()
    with held("cpu"):
        say("alone")
    say("again")
    told()
    write("out")
"""
LEAVE_AS_A_CHILD = """
with CONTEXT("cpu"):
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        say("in")
        told()
        write("out")
if not child:
    os._exit(0)
"""


@dataclass(frozen=True)
class Stage:
    """Processes that share a folder of locks and a log; whatever still runs at the end is killed."""

    path: Path
    processes: list[tuple[subprocess.Popen[str], Timer]] = field(default_factory=list)

    @property
    def mark(self) -> Path:
        """The file that says that a measurement has the device."""
        return self.path / "archcost" / "cpu.held"

    def start(self, *arguments: str, code: str) -> subprocess.Popen[str]:
        """Start `code` under a name; a process that hangs is killed, and says '' to whoever listens."""
        environment = os.environ | {"XDG_RUNTIME_DIR": str(self.path), "LOG": str(self.path / "log")}
        process = subprocess.Popen(
            [sys.executable, "-c", PRELUDE + code, *arguments],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        timer = Timer(60, process.kill)
        timer.start()
        self.processes.append((process, timer))
        return process

    def log(self) -> list[str]:
        """What the processes wrote, oldest first: a name and a word."""
        return (self.path / "log").read_text().splitlines()

    def turns(self) -> list[str]:
        """The names of the files of turns."""
        return sorted(file.name for file in self.mark.parent.glob("cpu.turn-*"))

    def marked(self) -> None:
        """Wait until a measurement has the device, or waits only for turns to end."""
        for _ in range(6000):
            if self.mark.exists():
                break
            time.sleep(0.01)
        time.sleep(GRACE_S)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    for process, timer in stage.processes:
        timer.cancel()
        process.kill()
        process.communicate()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let this process keep its locks in a folder of the test."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path / "archcost"


def heard(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def ended(*processes: subprocess.Popen[str]) -> list[int]:
    return [process.wait() for process in processes]


def broken(log: list[str]) -> list[str]:
    """Return the lines of a log that enter where they must not: measurers (m...) alone, trainers with trainers."""
    found, inside = [], set[str]()
    for line in log:
        name, word = line.split()
        if word == "in":
            if inside and (name[0] == "m" or any(other[0] == "m" for other in inside)):
                found.append(line)
            inside.add(name)
        elif word == "out":
            inside.remove(name)
    return found


def test_never_two_measurements_and_no_turn_meanwhile(stage: Stage) -> None:
    """Of measurers and trainers that compete, every measurement is alone and every trainer gets on after the last."""
    stop = stage.path / "stop"
    trainers = [stage.start(f"t{i}", str(stop), code=TRAIN_UNTIL) for i in range(3)]
    measurers = [stage.start(f"m{i}", code=MEASURE_TWICE) for i in range(3)]
    assert [0, 0, 0] == ended(*measurers)
    stop.touch()
    assert [0, 0, 0] == ended(*trainers)
    log = stage.log()
    assert [] == broken(log)
    assert 6 == sum(line[0] == "m" and line.endswith("in") for line in log)
    last = max(i for i, line in enumerate(log) if line[0] == "m")
    assert {"t0", "t1", "t2"} == {line.split()[0] for line in log[last:] if line[0] == "t"}


def test_a_broken_log_is_seen() -> None:
    """A check that finds nothing may be blind: this one finds a second measurement, and a turn in one."""
    assert ["m1 in"] == broken(["m0 in", "m1 in", "m1 out", "m0 out"])
    assert ["t0 in"] == broken(["m0 in", "t0 in", "t0 out", "m0 out"])
    assert ["m0 in"] == broken(["t0 in", "m0 in", "m0 out", "t0 out"])
    assert [] == broken(["t0 in", "t1 in", "t0 out", "t1 out", "m0 in", "m0 out"])


def test_a_measurer_waits_for_the_one_before(stage: Stage) -> None:
    """The second enters `waiting` while it queues, the first does not."""
    first = stage.start("m0", code=MEASURE)
    assert "in" == heard(first)
    second = stage.start("m1", code=MEASURE)
    assert f"waits for {first.pid}" == heard(second)
    tell(first)
    tell(second)
    assert [0, 0] == ended(first, second)
    assert ["m0 in", f"m1 waits for {first.pid}", "m0 out", "m1 in", "m1 out"] == stage.log()


@pytest.mark.parametrize("left", ["", "many words", "-1", "9" * 40, None])
def test_a_holder_that_does_not_say_who_it_is_is_waited_for(stage: Stage, left: str | None) -> None:
    """If the mark is not there, not yet written or holds anything else, nobody is named."""
    first = stage.start("m0", code=MEASURE)
    assert "in" == heard(first)
    stage.mark.unlink()
    if left is not None:
        stage.mark.write_text(left)
    assert "waits for None" == heard(stage.start("m1", code=MEASURE))


def test_devices_are_apart(stage: Stage) -> None:
    """Neither a turn nor a measurement on one device touches another's, those too whose names begin alike."""
    trainer = stage.start("t0", code=TRAIN.replace("cpu", "cpu-0"))
    assert "in" == heard(trainer)
    measurer = stage.start("m0", code=MEASURE)
    assert "in" == heard(measurer)
    tell(trainer)
    assert [0] == ended(trainer)
    other = stage.start("m1", code=MEASURE.replace("cpu", "cpu-0"))
    assert "in" == heard(other)


def test_a_killed_holder_lets_the_next_in(stage: Stage) -> None:
    """The lock is the system's: it goes with its holder, also by kill -9; what it leaves behind is none."""
    first = stage.start("m0", code=MEASURE)
    assert "in" == heard(first)
    second = stage.start("m1", code=MEASURE)
    assert f"waits for {first.pid}" == heard(second)
    first.kill()
    assert "in" == heard(second)
    second.kill()
    assert [-signal.SIGKILL, -signal.SIGKILL] == ended(first, second)
    assert stage.mark.exists()
    trainer = stage.start("t0", code=TRAIN)
    assert "in" == heard(trainer)
    assert not stage.mark.exists()


@pytest.mark.parametrize("start", ["os.fork() or time.sleep(60)", "subprocess.Popen(['sleep', '60'])"])
def test_a_child_does_not_keep_the_lock(stage: Stage, start: str) -> None:
    """A child that was forked or started while the device was held does not hold it after its parent's death."""
    child = f"import subprocess\nchild = {start}\nsay(getattr(child, 'pid', child))\ntold()"
    first = stage.start("m0", code=f"with held('cpu'):\n{indent(child, '    ')}")
    number = int(heard(first))
    try:
        second = stage.start("m1", code=MEASURE)
        assert f"waits for {first.pid}" == heard(second)
        first.kill()
        assert "in" == heard(second)
        os.kill(number, 0)  # is still there
    finally:
        os.kill(number, signal.SIGKILL)


@pytest.mark.parametrize("context", ["held", "turn"])
def test_a_child_that_leaves_does_not_let_others_in(stage: Stage, context: str) -> None:
    """A forked child that leaves the context is not its parent: the measurement, or the turn, goes on."""
    parent = stage.start("m0", code=LEAVE_AS_A_CHILD.replace("CONTEXT", context))
    assert "in" == heard(parent)
    other = stage.start("m1", code=MEASURE)
    if context == "held":
        assert f"waits for {parent.pid}" == heard(other)
    stage.marked()
    tell(parent)
    tell(other)
    assert [0, 0] == ended(parent, other)
    log = [line for line in stage.log() if not line.startswith("m1 waits")]
    assert ["m0 in", "m0 out", "m1 in", "m1 out"] == log


def test_a_child_does_not_prolong_a_turn(stage: Stage) -> None:
    """A worker that was forked in a turn outlives it, and the device is free all the same."""
    trainer = stage.start("t0", code="with turn('cpu'):\n    child = os.fork() or time.sleep(60)\nsay(child)\ntold()")
    child = int(heard(trainer))
    try:
        measurer = stage.start("m0", code=MEASURE)
        assert "in" == heard(measurer)
        os.kill(child, 0)  # is still there
    finally:
        os.kill(child, signal.SIGKILL)


def test_an_interrupted_wait_holds_nothing(stage: Stage) -> None:
    """Ctrl-C ends a measurer that queues, and one that waits for a turn; the next in line gets the device."""
    trainer = stage.start("t0", code=TRAIN)
    assert "in" == heard(trainer)
    code = f"try:{indent(MEASURE, '    ')}except KeyboardInterrupt:\n    say('interrupted')\ntold()"
    first = stage.start("m0", code=code)
    stage.marked()
    second = stage.start("m1", code=code)
    assert f"waits for {first.pid}" == heard(second)
    for process in (second, first):
        process.send_signal(signal.SIGINT)
        assert "interrupted" == heard(process)
    assert not stage.mark.exists()
    third = stage.start("m2", code=MEASURE)
    tell(trainer)
    assert "in" == heard(third)


def test_a_turn_under_way_delays_a_measurer_and_no_new_one_begins(stage: Stage) -> None:
    """A measurer waits for the turn's end; a turn that begins after it waits for the measurement's."""
    trainer = stage.start("t0", code=TRAIN)
    assert "in" == heard(trainer)
    measurer = stage.start("m0", code=MEASURE)
    stage.marked()
    late = stage.start("t1", code="say('asks')" + TRAIN)
    assert "asks" == heard(late)
    time.sleep(GRACE_S)
    tell(trainer)
    assert "in" == heard(measurer)
    time.sleep(GRACE_S)
    assert [] == stage.turns(), "a trainer that waits disturbs the measurement with no more than a look"
    for process in (measurer, late):
        tell(process)
    assert [0, 0, 0] == ended(trainer, measurer, late)
    assert ["t0 in", "t1 asks", "t0 out", "m0 in", "m0 out", "t1 in", "t1 out"] == stage.log()


def test_a_turn_that_lasts_is_said_with_its_process(stage: Stage) -> None:
    """One whose process is stopped, after a second; when it goes on, the measurement begins."""
    trainer = stage.start("t0", code=TRAIN)
    assert "in" == heard(trainer)
    os.kill(trainer.pid, signal.SIGSTOP)
    tell(trainer)
    measurer = stage.start("m0", code=MEASURE_AND_SAY)
    assert f"waits for the turn of {trainer.pid}" == heard(measurer)
    os.kill(trainer.pid, signal.SIGCONT)
    assert "in" == heard(measurer)
    tell(measurer)
    assert [0, 0] == ended(trainer, measurer)
    assert ["t0 in", f"m0 waits for the turn of {trainer.pid}", "t0 out", "m0 in", "m0 out"] == stage.log()


def test_turns_overlap(stage: Stage) -> None:
    """Trainers do not exclude one another."""
    first, second = stage.start("t0", code=TRAIN), stage.start("t1", code=TRAIN)
    assert ["in", "in"] == [heard(first), heard(second)]
    assert 2 == len(stage.turns())


def test_a_killed_trainer_does_not_block(stage: Stage) -> None:
    """A measurement passes the turn of a trainer that was killed in it, and removes its file."""
    trainer = stage.start("t0", code=TRAIN)
    assert "in" == heard(trainer)
    trainer.kill()
    assert [-signal.SIGKILL] == ended(trainer)
    assert [f"cpu.turn-{trainer.pid}-{trainer.pid}"] == stage.turns()
    measurer = stage.start("m0", code=MEASURE)
    assert "in" == heard(measurer)
    assert [] == stage.turns()


def test_a_trainer_may_measure_while_another_measurer_waits_for_it(stage: Stage) -> None:
    """A trainer that measures inside its turn lets those before it go first, and is in its turn again afterwards."""
    trainer = stage.start("t0", code=MEASURE_IN_A_TURN)
    assert "in" == heard(trainer)
    first = stage.start("m0", code=MEASURE)
    stage.marked()
    tell(trainer)
    assert "in" == heard(first)
    tell(first)
    assert ["alone", "again"] == [heard(trainer), heard(trainer)]
    second = stage.start("m1", code=MEASURE)
    stage.marked()
    tell(trainer)
    assert "in" == heard(second)
    assert ["t0 in", "m0 in", "m0 out", "t0 alone", "t0 again", "t0 out", "m1 in"] == stage.log()


def test_threads_queue(here: Path) -> None:
    """Two threads of one process do not share the device, neither two measurements nor a measurement and a turn."""
    log: list[str] = []
    holders: list[int | None] = []
    queued = Event()

    @contextmanager
    def waiting(holder: int | None) -> Iterator[None]:
        holders.append(holder)
        queued.set()
        yield

    def measure() -> None:
        with held("cpu", waiting):
            log.append("second")

    def train() -> None:
        with turn("cpu"):
            log.append("turn")

    threads = [Thread(target=measure), Thread(target=train)]
    with held("cpu"):
        for thread in threads:
            thread.start()
        assert queued.wait(60)
        time.sleep(GRACE_S)
        log.append("first")
    for thread in threads:
        thread.join()
    assert ("first", {"second", "turn"}) == (log[0], set(log[1:]))
    assert holders[0] in (os.getpid(), None)  # None if the turn was just looking


NESTS = [(held, held), (held, turn), (turn, held), (turn, turn)]


@pytest.mark.parametrize(("outer", "inner"), NESTS, ids=[f"{a.__name__}-{b.__name__}" for a, b in NESTS])
def test_nested_contexts_pass(here: Path, outer: Context, inner: Context) -> None:
    """A thread that has the device, or is in its turn, passes again, as deep as it goes, and leaves nothing held."""
    with outer("cpu"):
        for _ in range(2):
            with inner("cpu"), outer("cpu"), inner("cpu"):
                pass
        assert (outer is held) == (here / "cpu.held").exists()
    with held("cpu"):
        assert ["cpu.held", "cpu.lock"] == sorted(file.name for file in here.iterdir())
    assert ["cpu.lock"] == [file.name for file in here.iterdir()]


def test_a_free_device_is_not_waited_for(here: Path) -> None:
    """`waiting` is entered only if somebody else has the device."""

    def waiting(_: int | None) -> AbstractContextManager[None]:
        raise AssertionError

    for _ in range(2):
        with held("cpu", waiting), held("cpu", waiting):
            pass


@pytest.mark.parametrize("context", [held, turn])
def test_errors_of_the_body_pass_unchanged(here: Path, context: Context) -> None:
    """What goes wrong inside is not a matter of the lock, and the device is free afterwards."""
    with pytest.raises(BrokenPipeError), context("cpu"):
        raise BrokenPipeError
    with held("cpu"), pytest.raises(AssertionError), context("../cpu"):
        pass


def test_errors_of_waiting_pass_unchanged(stage: Stage, here: Path) -> None:
    """If the message that one waits cannot be written, that is not a matter of the lock either."""
    measurer = stage.start("m0", code=MEASURE)
    assert "in" == heard(measurer)

    @contextmanager
    def waiting(_: int | None) -> Iterator[None]:
        raise BrokenPipeError
        yield

    with pytest.raises(BrokenPipeError), held("cpu", waiting):
        pass


def test_the_folder_is_the_users_own(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in the runtime directory, or among the temporary files if there is none; nobody else may look in."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    fallback = tmp_path / f"archcost-{os.getuid()}"
    assert here == folder() == folder()
    (tmp_path / "file").touch()
    for value in ("", "relative", str(tmp_path / "missing"), str(tmp_path / "file"), str(tmp_path / "file" / "in")):
        monkeypatch.setenv("XDG_RUNTIME_DIR", value)
        assert fallback == folder()
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert fallback == folder()
    assert [0o700, 0o700] == [stat.S_IMODE(path.stat().st_mode) for path in (here, fallback)]


@pytest.mark.skipif(not ROOT, reason="only root gives files away")
def test_another_users_folders_are_not_used(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user's runtime directory is passed over, and another user's folder among the temporary files refused."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    os.chown(tmp_path, 65534, 65534)
    path = folder()
    assert tmp_path / "archcost-0" == path
    os.chown(path, 65534, 65534)
    assert refused(folder) == f"cannot keep locks in {quoted(str(path))}: it belongs to another user; {WAY_OUT}"


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(TargetError) as caught:
        call()
    return str(caught.value)


def opened(path: Path, mode: int) -> None:
    path.mkdir()
    path.chmod(mode)


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a link": (lambda path: path.symlink_to(path.parent), "it is not a folder"),
    "a file": (Path.touch, "it is not a folder"),
    "writable by others": (lambda path: opened(path, 0o702), "others may write to it"),
    "writable by a group": (lambda path: opened(path, 0o720), "others may write to it"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_folder_that_others_may_have_made_is_refused(here: Path, case: str) -> None:
    """Locks are kept where only this user can remove them, or not at all; the message says what to do."""
    make, why = HOSTILE[case]
    make(here)
    expected = f"cannot keep locks in {quoted(str(here))}: {why}; {WAY_OUT}"
    for context in (held, turn):
        assert expected == refused(context("cpu").__enter__)


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system says, and where, is in the message."""
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    path = quoted(str(tmp_path / "missing" / f"archcost-{os.getuid()}"))
    assert f"cannot make a folder of locks {path}: No such file or directory; {WAY_OUT}" == refused(folder)


@pytest.mark.skipif(ROOT, reason="root may write everywhere")
def test_a_read_only_parent_is_said(here: Path, tmp_path: Path) -> None:
    """A runtime directory of this user that may not be written to is an error, not a reason to lock elsewhere."""
    tmp_path.chmod(0o500)
    try:
        assert f"cannot make a folder of locks {quoted(str(here))}: Permission denied; {WAY_OUT}" == refused(folder)
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize(("context", "file"), [(held, "lock"), (held, "turn-1-1"), (turn, "turn-{0}-{0}")])
def test_a_lock_that_cannot_be_taken_is_said(here: Path, context: Context, file: str) -> None:
    """A failing system call becomes one line with device, folder and way out; the device is free afterwards."""
    obstacle = here / f"cpu.{file.format(os.getpid())}"
    here.mkdir(mode=0o700)
    obstacle.mkdir()
    expected = f"cannot lock device 'cpu' in {quoted(str(here))}: Is a directory; {WAY_OUT}"
    assert expected == refused(context("cpu").__enter__)
    obstacle.rmdir()
    with held("cpu"):
        assert (here / "cpu.held").exists()
