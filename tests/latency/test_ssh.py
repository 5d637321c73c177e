"""The ssh target against a real sshd on 127.0.0.1, with keys made here; skipped without Debian's openssh-server."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from calibrated import calibrated
from click.testing import CliRunner
from torch import nn

from archcost import load, machine
from archcost.cli import cli
from archcost.cli.device.measure import answer
from archcost.errors import InputError, TargetError
from archcost.latency import runtimes, targets
from archcost.latency.bursts import Burst
from archcost.latency.prediction import predictor
from archcost.latency.runtimes import Source
from archcost.latency.samples import Conditions, Origin, Plan, Samples
from archcost.latency.targets import device, ssh
from archcost.latency.targets.wire import (
    AskFacts,
    AskSamples,
    Described,
    Failed,
    Sampled,
    decode_answer,
    decode_job,
    encode_answer,
    encode_job,
)
from archcost.nets.net import build, example
from archcost.study.records.database.addresses import address
from archcost.study.records.stored import find
from archcost.version import __version__

EAGER = runtimes.find("eager")
PLAN = Plan(time_s=0.2)
GRAPH = load("resnet-20", ["depths=[1, 1, 1]"]).graph
SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
SSH = shutil.which("ssh")
REAL = os.path.dirname(sys.executable)  # noqa: PTH120 - the archcost of this environment is beside its Python
USER = pwd.getpwuid(os.getuid()).pw_name
WAIT_S = 60.0  # for what takes milliseconds: only a test that fails waits so long


@dataclass(frozen=True, slots=True)
class Far:
    """A machine that answers: the name of its target, its port, the folder of its keys."""

    name: str
    port: int
    folder: Path


Start = Callable[..., Far]


def source(batch: int = 1) -> Source:
    """Return a tiny residual network, ready to travel."""
    return Source(build(GRAPH), (example(GRAPH, batch),), graph=GRAPH)


def until(what: Callable[[], bool]) -> None:
    """Wait until something holds."""
    end = time.monotonic() + WAIT_S
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def key(path: Path) -> str:
    """Make a key without a passphrase; return its public half."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path.with_suffix(".pub").read_text()


def free_port() -> int:
    with socket.socket() as given:
        given.bind(("127.0.0.1", 0))
        port: int = given.getsockname()[1]
        return port


def greets(port: int) -> bool:
    """Return whether a server of ssh listens."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        return connection.recv(4) == b"SSH-"
    return False


@pytest.fixture
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Give what starts an sshd whose commands find archcost in a folder; `ssh` here knows its key and has one."""
    if not SSHD or not SSH:
        pytest.skip("needs ssh and sshd: Debian's openssh-client and openssh-server")
    servers: list[subprocess.Popen[bytes]] = []

    def start(path: str = REAL, *, known: bool = True, accepted: bool = True) -> Far:
        port = free_port()
        public = key(tmp_path / "key")
        host = " ".join(key(tmp_path / "host").split()[:2])
        (tmp_path / "accepted").write_text(public if accepted else "")
        (tmp_path / "known").write_text(f"[127.0.0.1]:{port} {host}\n" if known else "")
        _client(tmp_path, monkeypatch)
        servers.append(_server(tmp_path, port, path))
        return Far(f"ssh://{USER}@127.0.0.1:{port}", port, tmp_path)

    yield start
    for server in servers:
        server.terminate()
        server.wait()


def _client(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a program named ssh first on PATH: the system's, with a configuration of the test's own."""
    settings = folder / "ssh_config"
    settings.write_text(
        f"IdentityFile {folder / 'key'}\nIdentitiesOnly yes\nIdentityAgent none\n"
        f"UserKnownHostsFile {folder / 'known'}\nGlobalKnownHostsFile none\n"
    )
    script(folder / "bin" / "ssh", f'exec {SSH} -F "{settings}" "$@"')
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")


def _server(folder: Path, port: int, path: str) -> subprocess.Popen[bytes]:
    """Start an sshd of this user's, or skip the test where it does not come up."""
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # Debian's service makes it, and nobody else
    settings = folder / "sshd_config"
    settings.write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {folder / 'host'}\nPidFile {folder / 'pid'}\n"
        f"AuthorizedKeysFile {folder / 'accepted'}\nStrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\n"
        f"PasswordAuthentication no\nKbdInteractiveAuthentication no\nSetEnv PATH={path}:/usr/bin:/bin\n"
    )
    log = folder / "sshd.log"
    assert SSHD
    server = subprocess.Popen([SSHD, "-D", "-f", settings, "-E", log])
    until(lambda: greets(port) or server.poll() is not None)
    if server.poll() is not None:
        pytest.skip(f"sshd does not come up: {log.read_text()[-300:]}")
    return server


def script(path: Path, *lines: str) -> Path:
    """Write a program of the shell's; return its folder."""
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    return path.parent


def test_facts_come_through(far: Start) -> None:
    """The other machine, here this one, says what it is; the facts have the target's own name."""
    found = far()
    facts = targets.find(found.name).describe()
    assert (found.name, True, device.this_device()) == (facts.target, facts.here, facts.device)
    assert machine.physical_cores() == facts.threads


def test_samples_come_back_in_order(far: Start) -> None:
    """Networks that take turns there give raw samples under the name of the ssh target, one for each network."""
    found = far()
    target = targets.find(found.name)
    one, other = target.measure([source(), source()], EAGER, PLAN)
    assert not target.local
    assert len(one.bursts) == len(other.bursts) > 0
    for samples in (one, other):
        assert (found.name, "eager", PLAN) == (samples.origin.target, samples.origin.runtime, samples.plan)
        assert device.this_device().fingerprint == samples.origin.device.fingerprint


def test_networks_keep_their_places(far: Start, tmp_path: Path) -> None:
    """Graphs go in the order of the sources, and the samples that come are theirs in the same order."""
    sent, canned = tmp_path / "job", tmp_path / "answer"
    origin = Origin("cpu", "eager", device.this_device(), Conditions(), ())
    given = [Samples(origin, PLAN, first_s, (), (Burst((1.0,), 1.0),)) for first_s in (3.0, 1.0, 2.0)]
    canned.write_text(encode_answer(Sampled(tuple(given))))
    fake = script(tmp_path / "far" / "archcost", f"head -n 1 > {sent}; cat {canned}")
    other = load("resnet-20", ["depths=[1, 1, 2]"]).graph
    longer = Source(build(other), (example(other),), graph=other)
    found = targets.find(far(str(fake)).name).measure([source(), longer, source()], EAGER, PLAN)
    assert [3.0, 1.0, 2.0] == [each.first_s for each in found]
    job = decode_job(sent.read_bytes())
    assert isinstance(job, AskSamples)
    assert (GRAPH, other, GRAPH) == job.graphs


def test_the_far_side_measures_what_the_job_names() -> None:
    """A target of that machine's gives the samples it gives at home; one that leads on to a third is refused."""
    job = AskSamples("eager", PLAN, (GRAPH, GRAPH), "fake")
    samples = targets.find("fake").measure([source(), source()], EAGER, PLAN)
    assert Sampled(samples) == answer(encode_job(job).encode())
    onward = answer(encode_job(replace(job, target="ssh://third")).encode())
    assert Failed("input", "target: given 'ssh://third'; allowed: a target of this machine") == onward


def test_bad_jobs_have_answers() -> None:
    """What is no job, or of a runtime nobody knows, is answered and not raised."""
    no_job = answer(b"")
    assert Failed("input", "not JSON: nothing at all") == no_job
    unknown = answer(encode_job(AskSamples("eagre", PLAN, (GRAPH,), "fake")).encode())
    assert isinstance(unknown, Failed)
    assert unknown.message.startswith("unknown runtime 'eagre' (did you mean 'eager'?)")


def refused(name: str, plan: Plan = PLAN) -> str:
    """Return why a measurement fails."""
    with pytest.raises(TargetError) as error:
        targets.find(name).measure([source()], EAGER, plan)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_errors_of_the_other_side_are_told(far: Start) -> None:
    """What the other machine cannot do is told in its own words, behind its name."""
    found = far()
    assert refused(found.name, Plan(threads=10**6)).startswith("127.0.0.1: threads: given 1000000; allowed: 1 to ")
    assert " of memory, " in refused(found.name, Plan(batch=10**9))


def test_an_unknown_host_is_refused(far: Start) -> None:
    """A host whose key is not known is not asked anything, and its key is not taken."""
    found = far(known=False)
    with pytest.raises(TargetError, match=r"^127\.0\.0\.1: cannot connect: Host key verification failed\.; 'ssh "):
        targets.find(found.name).describe()
    assert (found.folder / "known").read_text() == ""


def test_a_wrong_key_is_refused(far: Start) -> None:
    """Where the key is not accepted nobody is asked for a password."""
    assert "127.0.0.1: cannot connect" in (why := refused(far(accepted=False).name))
    assert "Permission denied (publickey)" in why


def test_no_server_is_an_error(far: Start) -> None:
    """A port where nobody listens is told in ssh's words."""
    far()
    assert "cannot connect: ssh: connect to host 127.0.0.1 port" in refused(f"ssh://127.0.0.1:{free_port()}")


def test_no_ssh_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the system's ssh nothing can be reached."""
    monkeypatch.setenv("PATH", "")
    assert refused("ssh://127.0.0.1") == "cannot run ssh: No such file or directory"


def test_archcost_may_be_missing(far: Start, tmp_path: Path) -> None:
    """A machine without archcost says so, with how to see what is wrong."""
    found = far(str(tmp_path))
    why = refused(found.name)
    assert why.startswith("127.0.0.1: archcost is not there: ")
    assert f"'ssh -p {found.port} -l {USER} 127.0.0.1 archcost --version'" in why


OURS = f'{{"archcost": "{__version__}", "answer":'
STRANGE = {
    "another version": (
        """echo '{"archcost": "9.9", "answer": {}}'""",
        f"archcost 9.9 there and {__version__} here; both have to be the same version",
    ),
    "oversized": ("exec yes", "oversized answer: more than 64.0 MB"),
    "lost": ("kill -9 $PPID; sleep 1", "connection lost, or archcost was killed there: Connection to 127.0.0.1 closed"),
    "killed": ("kill -9 $$", "connection lost, or archcost was killed there"),
    "silent": ("head -n 1 > /dev/null", "connection lost: it ended without an answer"),
    "truncated": ("""printf '{"archcost": "'""", "not JSON: '{\"archcost\": \"'"),
    "garbage": (r"printf 'Welcome\033[2J!'", "not JSON: 'Welcome\\x1b[2J!'"),
    "older": ("""echo "Error: No such option '--attached'." >&2; exit 2""",
              "archcost there does not know the command: Error: No such option '--attached'.; both have to be"),
    "broken": ("""echo "ModuleNotFoundError: No module named 'torch'" >&2; exit 1""",
               "archcost ended with exit code 1: ModuleNotFoundError: No module named 'torch'"),
    "other job": (f"""echo '{OURS} {{"answer": "samples", "samples": []}}}}'""",
                  "the answer is not these measurements"),
    "bug": (f"""echo '{OURS} {{"answer": "error", "kind": "bug", "message": "E: x"}}}}'""",
            "internal error there: E: x"),
}  # fmt: skip


@pytest.mark.parametrize("case", STRANGE)
def test_strange_answers_are_told(far: Start, tmp_path: Path, case: str) -> None:
    """A lost connection, another version, an oversized answer and garbage are errors in words of their own."""
    line, words = STRANGE[case]
    assert words in refused(far(str(script(tmp_path / "far" / "archcost", line))).name)


def test_a_graph_travels_as_json(far: Start, tmp_path: Path) -> None:
    """What arrives is one line of JSON and no pickle, and more may come: the command is `measure --attached -`."""
    where = tmp_path / "job"
    fake = script(tmp_path / "far" / "archcost", f'echo "$@" > {where}.line; head -n 1 > {where}')
    refused(far(str(fake)).name)
    job = json.loads(where.read_text("ascii"))
    assert (job["archcost"], job["job"]["ask"]) == (__version__, "samples")
    assert Path(f"{where}.line").read_text() == "measure --attached -\n"
    assert where.read_bytes().endswith(b"}\n")


LONG = f"{encode_job(AskSamples('eager', Plan(batch=64, time_s=600, precision=1e-9), (GRAPH,)))}\n".encode()
FACTS = f"{encode_job(AskFacts('fake'))}\n".encode()
FAR = [sys.executable, "-m", "archcost", "measure"]
NEAR = """
import sys
from archcost.latency.targets import ssh
ssh.run(sys.argv[2:], open(sys.argv[1], "rb").read(), 600.0)
"""


def noting(place: Path, program: str) -> str:
    """Return what a shell does to become a program whose number stands in a file."""
    return f'echo $$ > {place}.new; mv {place}.new {place}; exec {program} "$@"'


def gone(place: Path) -> bool:
    """Return whether the process whose number stands in a file has ended."""
    return not Path(f"/proc/{place.read_text().strip()}").exists()


def test_a_device_is_free_when_nobody_waits(far: Start, tmp_path: Path) -> None:
    """If the connection ends, the measurement on the other side ends too, long before its time."""
    pid = tmp_path / "far.pid"
    fake = script(tmp_path / "far" / "archcost", noting(pid, f"{REAL}/archcost"))
    address = ssh.parse(far(str(fake)).name)
    with subprocess.Popen(ssh.command(address), stdin=subprocess.PIPE) as connection:
        assert connection.stdin
        connection.stdin.write(LONG)
        connection.stdin.flush()
        until(pid.exists)
        time.sleep(1)  # it reads, loads and measures; whenever it is met, it has to end
        connection.kill()
    until(lambda: gone(pid))


def test_a_killed_near_side_leaves_neither_ssh_nor_a_measurement(far: Start, tmp_path: Path) -> None:
    """After SIGKILL of whoever asked, its ssh and what measures on the other side end by themselves."""
    pid, sent = tmp_path / "far.pid", tmp_path / "sent"
    sent.write_bytes(LONG)
    address = ssh.parse(far(str(script(tmp_path / "far" / "archcost", noting(pid, f"{REAL}/archcost")))).name)
    script(tmp_path / "bin" / "ssh", noting(tmp_path / "ssh.pid", f'{SSH} -F "{tmp_path / "ssh_config"}"'))
    with subprocess.Popen([sys.executable, "-c", NEAR, sent, *ssh.command(address)]) as near:
        until(pid.exists)
        time.sleep(1)
        assert not gone(pid)
        near.kill()
    until(lambda: gone(pid) and gone(tmp_path / "ssh.pid"))


@pytest.mark.skipif(os.name != "posix", reason="there is no poll")
@pytest.mark.parametrize("wait_s", [0.0, 3.0])
def test_the_far_side_ends_with_its_standard_input(wait_s: float) -> None:
    """Over a plain pipe too: where it closes before the answer is there, the measurement is terminated."""
    with subprocess.Popen([*FAR, "--attached", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        process.stdin.write(LONG)
        process.stdin.flush()
        time.sleep(wait_s)  # it loads, or measures
        assert process.poll() is None
        out, _ = process.communicate(timeout=WAIT_S)
    assert (143, b"") == (process.returncode, out)


STUCK = """
import importlib, signal, time
measure = importlib.import_module("archcost.cli.device.measure")
measure._GRACE_S = 0.1
signal.signal(signal.SIGTERM, signal.SIG_IGN)
with measure._wanted(0, reads=True):
    time.sleep(600)
"""


@pytest.mark.skipif(os.name != "posix", reason="there is no poll")
def test_the_far_side_ends_though_it_cannot_tidy_up() -> None:
    """If a termination does not come through, as in a long call of C++, the process ends without it."""
    done = subprocess.run([sys.executable, "-c", STUCK], input=b"", timeout=WAIT_S, check=False)
    assert 143 == done.returncode


def test_a_job_in_a_file_has_an_answer(tmp_path: Path) -> None:
    """Without --attached the end of standard input says nothing: a file or a pipe that is at its end is answered."""
    (tmp_path / "job").write_bytes(FACTS)
    with (tmp_path / "job").open("rb") as file:
        done = subprocess.run([*FAR, "-"], stdin=file, capture_output=True, check=True)
    piped = subprocess.run([*FAR, "-"], input=FACTS.rstrip(), capture_output=True, check=True)
    assert done.stdout == piped.stdout
    assert isinstance(decode_answer(done.stdout), Described)


def test_an_answer_does_not_wait_for_the_end_of_its_input() -> None:
    """A job is one line; what comes behind it, and that nothing closes, is nothing to wait for."""
    with subprocess.Popen([*FAR, "--attached", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(FACTS + b"more\n")
        process.stdin.flush()
        assert isinstance(decode_answer(process.stdout.read()), Described)
        assert 0 == process.wait(WAIT_S)


def test_a_module_does_not_travel() -> None:
    """A torch module is refused before anything is started: only a network's graph is sent."""
    module = Source(nn.Linear(2, 2), (torch.ones(1, 2),))
    with pytest.raises(TargetError, match=r"^a torch module cannot travel to ssh://nowhere: ") as error:
        targets.find("ssh://nowhere").measure([source(), module], EAGER, PLAN)
    assert error.value.exit_code == 3


HOSTILE = [
    "ssh", "ssh:", "ssh://", "ssh://-h", "ssh://-oProxyCommand=x", "ssh://@host", "ssh://-l@host", "ssh://a b",
    "ssh://x;y", "ssh://$(x)", "ssh://`x`", "ssh://x\n", "ssh://x/y", "ssh://x?y", "ssh://u:p@host", "ssh://a@b@c",
    "ssh://hôst", "ssh://[::1", "ssh://::1", "ssh://[]", "ssh://[-1]", "ssh://[1.2.3.4]", "ssh://[::g]", "ssh://[::1]x",
    "ssh://host:", "ssh://host:0", "ssh://host:99999", "ssh://host:-1", "ssh://host:٢٢", "ssh://host:22:22",
    "ssh://%h", "SSH://host", "ssh:host", "ssh:/host",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_start_nothing(name: str) -> None:
    """A name that ssh or a shell could take for more than a host is an error of what was given."""
    with pytest.raises(InputError) as error:
        targets.find(name)
    assert error.value.exit_code == 2


ADDRESSES = {
    "ssh://host": ("host",),
    "ssh://me@host": ("-l", "me", "--", "host"),
    "ssh://host:2222": ("-p", "2222", "--", "host"),
    "ssh://me.x-y@a-b.example_1.org:22": ("-p", "22", "-l", "me.x-y", "--", "a-b.example_1.org"),
    "ssh://[fe80::1]:22": ("-p", "22", "--", "fe80::1"),
    "ssh://me@[::1]": ("-l", "me", "--", "::1"),
}


@pytest.mark.parametrize("name", ADDRESSES)
def test_addresses_become_arguments(name: str) -> None:
    """User and port stand behind options, the host behind `--`, then what runs there."""
    expected = [*ADDRESSES[name], "archcost", "measure", "--attached", "-"]
    assert expected == ssh.command(ssh.parse(name))[-len(expected) :]


def test_a_program_that_takes_too_long_is_killed() -> None:
    """At the end of its time a program is killed, and what it left says so."""
    ended = ssh.run(["sleep", "600"], b"x" * 2**20, 0.1)
    assert (-signal.SIGKILL, b"", True) == (ended.code, ended.out, ended.late)


def test_streams_do_not_wait_for_each_other() -> None:
    """A program may answer and complain at length before it reads."""
    program = (
        "head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2; echo >&2; echo end >&2; head -c 3000000 | wc -c"
    )
    ended = ssh.run(["sh", "-c", program], b"x" * 3_000_000, WAIT_S)
    assert (0, b"\n", "end\n") == (ended.code, ended.out[-1:], ended.err[-4:])
    assert b"3000000" in ended.out


def test_interrupted_ssh_is_killed(tmp_path: Path) -> None:
    """Ctrl-C ends the program that was started."""
    pid = tmp_path / "pid"

    def interrupt() -> None:
        until(pid.exists)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        ssh.run(["sh", "-c", f"echo $$ > {pid}.new; mv {pid}.new {pid}; exec sleep 600"], b"", WAIT_S)
    assert not Path(f"/proc/{pid.read_text().strip()}").exists()


STUDY = """
models: [{family: bottleneck, block: basic, depths: [1], widths: [{choice: [4, 16, 24]}]}]
data: {name: digits, examples: 100}
objectives: [{error: min}, {latency: min, target: "%s", threads: 1, time: 0.05, predict: true}]
fit: {epochs: 1}
search: {trials: 3, sampler: grid}
confirm: {members: 0}
"""


def test_a_calibrated_machine_is_asked_for_the_front_alone(
    far: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It measures one network before the search, to see that it can, and afterwards those that may be on the front."""
    asked = tmp_path / "asked"
    log = f'job=$(head -n 1); echo "$job" >> {asked}; echo "$job" | {REAL}/archcost measure -'
    found = far(str(script(tmp_path / "far" / "archcost", log)))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(predictor, "_OUTSIDE", 1.0)  # so few operators were measured that few networks are inside
    monkeypatch.setattr(predictor, "_UNKNOWN", 1.0)
    calibrated(tmp_path / "cache", target=found.name, ticks=4)
    asked.unlink()
    (tmp_path / "study.yaml").write_text(STUDY % found.name, "utf-8")
    run = CliRunner().invoke(cli, ["study", "run", str(tmp_path / "study.yaml")])
    assert run.exit_code == 0, run.output
    stored = find(address(str(tmp_path / "study.db"), tmp_path))
    assert [0, 0, 0] == [len(part.samples) for each in stored.trials() if each.ended for part in each.ended.parts]
    jobs = [decode_job(line) for line in asked.read_bytes().splitlines()]
    probed, *measured = [len(job.graphs) for job in jobs if isinstance(job, AskSamples)]
    assert probed == 1
    assert 0 < sum(measured) == len({each.part.digest for each in stored.candidates()})
