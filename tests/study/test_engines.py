"""Engines start workers by their command line alone: what they are handed, how jobs end, and who cancels them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import pytest
import servers
from commands import refused, run

from archcost.errors import InputError
from archcost.study.code.consent import NONE, Consent
from archcost.study.options import Wanted
from archcost.study.records.database.addresses import Address, address
from archcost.study.workers.engines import choice, engine, folder, jobs, launch, passfile
from archcost.study.workers.engines.command import Asked, Command, command
from archcost.study.workers.engines.engine import Job, State
from archcost.study.workers.engines.ray import ray_engine
from archcost.study.workers.engines.slurm import slurm

STUDY = """
models: [{family: bottleneck, block: basic, depths: [1], widths: [{int: [4, 16]}]}]
data: {name: digits, examples: 100}
objectives: [{error: min}, {params: min}]
fit: {epochs: 1}
search: {trials: 4, sampler: random}
confirm: {members: 0}
"""
SECRET = "hunter2:secret\\"
SERVER = "postgresql+psycopg://archer:hunter2%3Asecret%5C@db.example:5433/studies"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A small study's file."""
    path = tmp_path / "tiny.yaml"
    path.write_text(STUDY, "utf-8")
    return path


def commanded(kept: str, storage: str | None = None, *overrides: str) -> Command:
    """Return a worker's command on the study of s.yaml, which is kept there."""
    return command(Asked("s.yaml", overrides, storage), address(kept, Path.cwd()), Wanted(), NONE)


def test_a_worker_gets_the_same_options() -> None:
    """What was typed is handed on; the study's file and a storage's are named from the root on."""
    asked, kept = Asked("s.yaml", ("search.trials=9",), None), Address(Path("/x/s.db"))
    found = command(asked, kept, Wanted(7, 90.0, 2), Consent(allow_code=True, code_changed=True))
    words = ["-m", "archcost", "study", "worker", str(Path.cwd() / "s.yaml"), "--storage", "/x/s.db"]
    more = ["--set", "search.trials=9", "--trials", "7", "--time", "90.000000000s", "--workers", "2"]
    assert (*words, *more, "--allow-code", "--code-changed") == found.arguments
    assert (("ARCHCOST_STORAGE=",), "") == (found.environment, found.line)


@pytest.mark.parametrize("typed", [(SERVER, ()), (None, (f"storage={SERVER}",))], ids=["--storage", "--set"])
def test_a_password_is_in_no_command_line(
    typed: tuple[str | None, tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is taken from the URL, and is a line of a password file, escaped as libpq reads it."""
    monkeypatch.setenv("PGPASSFILE", "/of/another")  # which may lack this one
    found = commanded(SERVER, typed[0], *typed[1])
    assert "hunter2" not in repr(found)
    assert [word for word in found.arguments if "hunter2" in word] == []
    assert ("postgresql+psycopg://archer@db.example:5433/studies", 1) == (found.arguments[-1], len(found.environment))
    assert r"db.example:5433:studies:archer:hunter2\:secret" + "\\\\" == found.line


def test_a_storage_that_the_study_names_is_read_there() -> None:
    """A URL in STUDY, with its password, is not handed on: the worker reads the file."""
    found = commanded(SERVER)
    assert ("worker", str(Path.cwd() / "s.yaml")) == found.arguments[-2:]
    assert "" == found.line


def test_a_password_file_of_the_users_own_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A URL without a password is handed on as it is, with PGPASSFILE for machines that have another environment."""
    monkeypatch.setenv("PGPASSFILE", "/home/archer/pass")
    found = commanded("postgresql://archer@db/studies", "postgresql://archer@db/studies")
    assert ("PGPASSFILE=/home/archer/pass", "") == (found.environment[-1], found.line)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql+pymysql://archer:hunter2@db/studies", "has a password"),
        ("postgresql+asyncpg://archer:hunter2@db/studies", "has a password"),
        ("postgresql://archer@db/studies?password=hunter2", "has a secret in 'password'"),
        ("postgresql://archer:hun%0Ater2@db/studies", "line break"),
    ],
)
def test_another_secret_is_refused(url: str, words: str) -> None:
    """What no password file holds is not handed on, and not shown."""
    with pytest.raises(InputError, match=words) as refusal:
        commanded(url, url)
    assert "hun" not in str(refusal.value)


def test_an_override_with_a_secret_is_refused() -> None:
    """A command line is seen by everybody on a machine."""
    with pytest.raises(InputError, match=r"data\.url: its value has a secret") as refusal:
        commanded("s.db", None, "data.url=https://a:hunter2@b/c")
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("postgresql://:p@/studies", "*:*:studies:*:p"),
        ("postgresql://u:p@[::1]/d", r"\:\:1:*:d:u:p"),
        ("postgresql://u:p@a/d?host=b", "*:*:d:u:p"),
    ],
)
def test_what_a_url_leaves_open_is_open(url: str, line: str) -> None:
    """An asterisk matches anything; hosts of a query are not the URL's."""
    assert line == passfile.handed(Address(None, url)).line


def test_a_password_file_is_private_and_goes(tmp_path: Path) -> None:
    """Its owner alone reads it, in a folder that only the owner enters; an error removes it too."""
    kept = Address(tmp_path / "s.db")
    here = folder.made(kept, "s")
    assert (tmp_path / "s.jobs" / "1", 0o700) == (here, here.stat().st_mode & 0o777)
    assert "2" == folder.made(kept, "s").name
    with suppress(RuntimeError), folder.environment(here, Command((), ("A=b",), "*:*:*:*:p")) as found:
        assert ("A=b", f"PGPASSFILE={here / 'pgpass'}") == found
        assert ("*:*:*:*:p\n", 0o600) == ((here / "pgpass").read_text(), (here / "pgpass").stat().st_mode & 0o777)
        raise RuntimeError
    assert [] == list(here.iterdir())


@dataclass
class _FakeJob:
    """A job that is as its states say, one after the other; the last one stays."""

    name: str
    states: list[State]
    cancelled: int = 0
    stubborn: bool = False

    def state(self) -> State:
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]

    def tail(self) -> str:
        return f"the log of {self.name}\nhttps://a:hunter2@b"

    def cancel(self) -> None:
        self.cancelled += 1
        if not self.stubborn:
            self.states = ["failed"]


@dataclass
class _Fake:
    """An engine in this process: its jobs are given, and what it was handed is kept."""

    given: list[_FakeJob]
    handed: list[tuple[list[str], list[str], int]] = field(default_factory=list)
    closed: int = 0

    def submit(self, arguments: Sequence[str], environment: Sequence[str], count: int) -> tuple[Job, ...]:
        self.handed.append(([*arguments], [*environment], count))
        return tuple(self.given)

    def close(self) -> None:
        self.closed += 1


def test_jobs_are_awaited_to_their_end() -> None:
    """Each end is told once, all are looked at until the last has ended, and those that failed are returned."""
    first, second = _FakeJob("a", ["open", "failed"]), _FakeJob("b", ["open", "open", "done"])
    looks, ended = [], []
    slept: list[float] = []
    failed = jobs.awaited([first, second], lambda: looks.append(1), ended.append, slept.append)
    assert ((first,), [first, second], 3, 2) == (failed, ended, len(looks), len(slept))


def test_jobs_are_cancelled_by_an_interruption() -> None:
    """Ctrl-C cancels what is under way, waits for its end, and closes the engine."""
    over, open_ = _FakeJob("a", ["done"]), _FakeJob("b", ["open"])
    fake, slept = _Fake([over, open_]), []
    with suppress(KeyboardInterrupt), jobs.submitted(fake, ["-m", "x"], ["A=b"], 2, slept.append) as given:
        assert (over, open_) == given
        raise KeyboardInterrupt
    assert (0, 1, 1) == (over.cancelled, open_.cancelled, fake.closed)
    assert [(["-m", "x"], ["A=b"], 2)] == fake.handed


def test_a_job_that_does_not_end_is_left() -> None:
    """Cancelled jobs are waited for, but not without an end."""
    fake, slept = _Fake([_FakeJob("a", ["open"], stubborn=True)]), []
    with jobs.submitted(fake, [], [], 1, slept.append):
        pass
    assert (40.0, 1) == (sum(slept), fake.closed)


def with_fake(monkeypatch: pytest.MonkeyPatch, *given: _FakeJob) -> _Fake:
    """Let every engine be a fake one."""
    fake = _Fake([*given])
    monkeypatch.setattr(choice, "check", lambda name: None)
    monkeypatch.setattr(choice, "engine", lambda name, options, here: fake)
    monkeypatch.setattr(jobs, "_LOOK_S", 0.0)
    return fake


def test_who_submits_trains_nothing(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The study is made before its workers start; a job that failed is shown with its log."""
    fake = with_fake(monkeypatch, _FakeJob("17", ["done"]), _FakeJob("18", ["failed"]))
    monkeypatch.setenv("ARCHCOST_STORAGE", "postgresql://u:hunter2@db/d")  # a worker's: not this process's
    code, out, err = run(capsys, "study", "run", str(file), "--engine", "slurm", "--jobs", "2", "--trials", "3")
    assert "ARCHCOST_STORAGE" not in os.environ  # which an engine may hand on
    assert 0 == code
    assert "The study has no" in out
    assert "job 17\njob 18\n" in err
    assert "job 18 failed; the end of its log:\n  the log of 18\n  https://a:***@b\n" in err
    assert "hunter2" not in err
    assert "2 jobs ended, 1 failed" in err
    ((arguments, environment, count),) = fake.handed
    assert (["-m", "archcost", "study", "worker", str(file)], ["ARCHCOST_STORAGE="], 2) == (
        arguments[:5],
        environment,
        count,
    )
    assert ["--trials", "3"] == arguments[-2:]
    assert "trials       none yet" in run(capsys, "study", "status", str(file))[1]


def test_a_run_whose_jobs_all_failed_exits_3(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was worked on: the engine is the target that failed."""
    with_fake(monkeypatch, _FakeJob("17", ["failed"]))
    code, _, err = run(capsys, "study", "run", str(file), "--engine", "slurm")
    assert (3, True) == (code, "1 job ended, 1 failed" in err)


def test_ctrl_c_cancels_and_exits_130(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an interrupted run: what is kept is said."""

    class Interrupted(_FakeJob):
        def state(self) -> State:
            if not self.cancelled and self.states == ["open"]:
                self.states = ["open", "open"]
                raise KeyboardInterrupt
            return super().state()

    job = Interrupted("17", ["open"])
    fake = with_fake(monkeypatch, job)
    code, _, err = run(capsys, "study", "run", str(file), "--engine", "slurm")
    assert (130, 1, 1) == (code, job.cancelled, fake.closed)
    assert "0 trials kept; run again to go on" in err


def test_a_second_run_is_refused_while_jobs_work(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who submits holds the lock of a run."""
    said = []

    class Looking(_FakeJob):
        def state(self) -> State:
            program = "from archcost.study.records.database import holder, addresses; import sys, pathlib\n"
            program += "print(holder.runs(addresses.address(sys.argv[1], pathlib.Path())))"
            argv = [sys.executable, "-c", program, str(file.with_name("study.db"))]
            said.append(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)
            return "done"

    with_fake(monkeypatch, Looking("17", ["done"]))
    run(capsys, "study", "run", str(file), "--engine", "slurm")
    assert "True\n" == said[0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--jobs", "2"), "--jobs: allowed: beside --engine alone"),
        (("--engine-option", "a=b"), "--engine-option: allowed: beside --engine alone"),
    ],
)
def test_options_of_an_engine_need_one(
    file: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    """They would be ignored otherwise."""
    assert said in refused(capsys, "study", "run", str(file), *words)


@pytest.mark.parametrize(("name", "package"), [("ray", "ray"), ("slurm", "submitit")])
def test_an_engine_that_is_not_installed_says_so(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str, package: str
) -> None:
    """The extra that brings it is named, and no study is made."""
    monkeypatch.setattr(choice, "find_spec", lambda _: None)
    said = refused(capsys, "study", "run", str(file), "--engine", name)
    assert f"the engine {name} needs the package {package}; pip install 'archcost[{name}]'" in said
    assert not file.with_name("study.db").exists()


def test_what_slurm_is_asked_for_is_read(tmp_path: Path) -> None:
    """Options have submitit's names and types; the time has a default that ends no study."""
    asked = {"cluster": "local", "partition": "gpu", "time": "90", "cpus_per_task": "4", "gpus_per_node": "1"}
    expected = {"slurm_partition": "gpu", "timeout_min": 90, "cpus_per_task": 4, "gpus_per_node": 1, "name": "archcost"}
    assert expected == slurm(asked, tmp_path).parameters
    assert 24 * 60 == slurm({"cluster": "local"}, tmp_path).parameters["timeout_min"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"cluster": "local", "partitoin": "x"}, r"unknown option 'partitoin' \(did you mean 'partition'\?\)"),
        ({"cluster": "local", "time": "1h"}, "time: given '1h'; allowed: a number"),
        ({"cluster": "debug"}, "unknown cluster 'debug'"),
        ({}, "there is no Slurm here"),
    ],
)
def test_slurm_refuses_what_it_does_not_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, str], said: str
) -> None:
    """Before anything is submitted."""
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match=said):
        slurm(options, tmp_path)


def test_what_ray_is_asked_for_is_read() -> None:
    """Amounts are numbers, a share of a GPU too; the address is Ray's own word."""
    found = ray_engine({"num_cpus": "2", "num_gpus": "0.25", "address": "auto"})
    assert ("auto", {"num_cpus": 2.0, "num_gpus": 0.25}) == (found.address, found.resources)
    for wrong in ({"num_gpus": "many"}, {"num_cpus": "-1"}, {"num_cpus": "nan"}, {"memory": "1"}):
        with pytest.raises(InputError, match="engine-option"):
            ray_engine(wrong)


def test_options_are_pairs(tmp_path: Path) -> None:
    """KEY=VALUE, neither of them empty."""
    for wrong in ("a", "=b", "a="):
        with pytest.raises(InputError, match="allowed: KEY=VALUE"):
            choice._read((wrong,))


def launched(folder: Path, program: str, *pairs: str) -> tuple[list[str], Path, Path]:
    """Return how a Python program is started as a worker, and where its log and exit code will be."""
    log, code = folder / "log", folder / "exit"
    return (
        [sys.executable, "-m", launch.MODULE, str(log), str(code), str(folder), *pairs, "--", "-c", program],
        log,
        code,
    )


def test_a_worker_leaves_its_log_and_exit_code(tmp_path: Path) -> None:
    """Both are files of text; the environment is the parent's and what is added."""
    argv, log, code = launched(tmp_path, "import os; print(os.environ['A'], flush=True); os._exit(7)", "A=b=c")
    assert 7 == subprocess.run(argv, check=False).returncode
    assert ("b=c\n", "7\n") == (log.read_text(), code.read_text())
    assert "b=c" == engine.tail_of(log)
    assert "" == engine.tail_of(tmp_path / "none")


def test_the_end_of_a_log_is_shown(tmp_path: Path) -> None:
    """Its last lines, of a log of any length and any bytes."""
    log = tmp_path / "log"
    log.write_bytes(b"\xff" * 100_000 + b"\n" + b"".join(b"%d\n" % i for i in range(50)))
    assert [str(i) for i in range(30, 50)] == engine.tail_of(log).splitlines()


SLOW = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
print('ready', flush=True)
time.sleep(120)
"""


def begun(argv: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a worker and return when it is ready."""
    process = subprocess.Popen(argv)
    while not (log.is_file() and "ready" in log.read_text()):
        assert process.poll() is None
        time.sleep(0.05)
    return process


def test_a_machine_without_the_folder_says_so(tmp_path: Path) -> None:
    """A worker would keep weights elsewhere: it does not begin."""
    argv, log, code = launched(tmp_path, "", "A=b")
    argv[argv.index(str(tmp_path))] = str(tmp_path / "elsewhere")
    assert 2 == subprocess.run(argv, check=False).returncode
    assert (f"there is no folder {tmp_path / 'elsewhere'} on this machine\n", "2\n") == (
        log.read_text(),
        code.read_text(),
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR2])
def test_a_cancelled_worker_is_asked_to_end(tmp_path: Path, number: signal.Signals) -> None:
    """By SIGTERM, whatever an engine sends: it gives back what it works on."""
    argv, log, code = launched(tmp_path, SLOW)
    process = begun(argv, log)
    process.send_signal(number)
    assert (143, "143\n") == (process.wait(60), code.read_text())


@pytest.mark.parametrize("whom", ["parent", "launch"])
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process whose parent was killed")
def test_a_worker_does_not_outlive_who_started_it(tmp_path: Path, whom: str) -> None:
    """A process that is killed has no time to end what it has started."""
    argv, log, code = launched(tmp_path, SLOW.replace("'ready'", "'ready', __import__('os').getpid()"))
    outer = "import subprocess, sys; p = subprocess.Popen(sys.argv[1:]); print(p.pid, flush=True); p.wait()"
    with subprocess.Popen([sys.executable, "-c", outer, *argv], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        middle = int(parent.stdout.readline())
        while not (log.is_file() and log.read_text().endswith("\n")):
            time.sleep(0.05)
        worker = int(log.read_text().split()[1])
        os.kill(parent.pid if whom == "parent" else middle, signal.SIGKILL)
    for _ in range(600):
        if not Path(f"/proc/{worker}").exists() and (whom == "launch" or code.is_file()):
            break
        time.sleep(0.1)
    assert (False, whom == "parent") == (Path(f"/proc/{worker}").exists(), code.is_file())


def test_an_empty_variable_names_no_storage(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is how a worker is told that its storage is what STUDY says."""
    monkeypatch.setenv("ARCHCOST_STORAGE", "")
    file.write_text(STUDY + "storage: nowhere/s.db\n", "utf-8")
    assert "there is no such folder" in refused(capsys, "study", "worker", str(file))


def test_a_worker_reads_its_storage_from_the_environment(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """ARCHCOST_STORAGE is what --storage would say; a password in it is not shown."""
    monkeypatch.setenv("ARCHCOST_STORAGE", "postgresql+psycopg://u:hunter2@127.0.0.1:1/d")
    said = refused(capsys, "study", "worker", str(file))
    assert ("127.0.0.1" in said, "hunter2" in said) == (True, False)


ENGINES = [
    pytest.param(
        ("slurm", "--engine-option", "cluster=local"),
        marks=pytest.mark.skipif(find_spec("submitit") is None, reason="submitit is not installed"),
        id="slurm",
    ),
    pytest.param(
        ("ray", "--engine-option", "num_cpus=0.5"),
        marks=pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed"),
        id="ray",
    ),
]


@pytest.mark.parametrize("words", ENGINES)
def test_two_jobs_work_on_one_study(file: Path, words: tuple[str, ...]) -> None:
    """A real engine on this machine: each trial is tried once, by one of two workers, and the front is printed."""
    argv = [sys.executable, "-m", "archcost", "study", "run", str(file), "--jobs", "2", "--workers", "1", "--engine"]
    done = subprocess.run([*argv, *words], capture_output=True, text=True, check=False, timeout=600)
    assert 0 == done.returncode, done.stderr
    assert "2 jobs ended, 0 failed" in done.stderr
    assert "No member is confirmed" in done.stdout
    status = [sys.executable, "-m", "archcost", "study", "status", str(file)]
    assert "4 complete" in subprocess.run(status, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("words", ENGINES)
def test_an_interrupted_engine_leaves_no_worker(file: Path, words: tuple[str, ...]) -> None:
    """Ctrl-C in the process that submits ends the workers that it has started, and exits 130."""
    argv = [sys.executable, "-m", "archcost", "study", "run", str(file), "--trials", "100000", "--engine", *words]
    with subprocess.Popen(
        [*argv, "--workers", "1"], stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as started:
        assert started.stderr is not None
        said = []
        for line in started.stderr:
            said.append(line)
            if "best so far" in line:
                started.send_signal(signal.SIGINT)
                break
        said += started.stderr.readlines()
        assert 130 == started.wait(120), said
    assert [] == [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(file).encode() in _bytes(path)]


@pytest.mark.skipif(find_spec("submitit") is None, reason="submitit is not installed")
def test_a_job_gets_a_password_by_a_file(file: Path) -> None:
    """A real PostgreSQL lets a worker in, and the password is in no file of the jobs, nor in what is printed."""
    with servers.postgresql() as server:
        server.sql("CREATE DATABASE tiny")
        words = ["--engine", "slurm", "--engine-option", "cluster=local", "--trials", "2", "--workers", "1"]
        argv = [sys.executable, "-m", "archcost", "study", "run", str(file), *words, "--storage", server.url("tiny")]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=600, cwd=file.parent)
    assert 0 == done.returncode, done.stderr
    kept = [path for path in (file.parent / "tiny.jobs").rglob("*") if path.is_file()]
    assert {"worker-1.log", "worker-1.exit"} < {path.name for path in kept}
    assert "pgpass" not in {path.name for path in kept}
    secret = servers.SECRET.encode()
    assert [path for path in kept if secret in path.read_bytes()] == []
    assert secret.decode() not in done.stdout + done.stderr


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
