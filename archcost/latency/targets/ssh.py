"""The ssh target: another machine's processor; graphs go there, raw samples come back."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import AddressValueError, IPv6Address
from typing import IO, Final, NamedTuple

from archcost.errors import InputError, Mistake, TargetError, quoted, shorten, visible
from archcost.graph.graph import Graph
from archcost.latency.runtimes import Runtime, Source
from archcost.latency.samples import Plan, Samples
from archcost.latency.targets import Facts, Target, shown_name
from archcost.latency.targets.wire import (
    LARGEST_BYTES,
    Answer,
    AskFacts,
    AskSamples,
    Described,
    Failed,
    Job,
    Sampled,
    decode_answer,
    encode_job,
)
from archcost.units import data_size, duration

# No text that ssh could take for an option or a shell for more than a word.
_WORD: Final = r"[A-Za-z0-9._][A-Za-z0-9._-]*"
_ADDRESS: Final = re.compile(
    rf"ssh://(?:(?P<user>{_WORD})@)?(?:(?P<host>{_WORD})|\[(?P<ipv6>[0-9A-Fa-f:.]+)\])(?::(?P<port>[0-9]{{1,5}}))?"
)
_FORM: Final = "ssh://[USER@]HOST[:PORT], an IPv6 address in brackets, no password"

# BatchMode: no password is asked for; RemoteCommand, ControlMaster: of the user's configuration for this host, they
# would run something else, or leave a process that keeps the pipes open.
_OPTIONS: Final = (
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    "ConnectTimeout=10",
    "ServerAliveInterval=15",
    "ServerAliveCountMax=3",
    "ClearAllForwardings=yes",
    "ControlMaster=no",
    "RemoteCommand=none",
)
_FAR: Final = ("archcost", "measure", "--attached", "-")

_FACTS_S: Final = 120.0  # to connect and to start Python on a slow machine
_PREPARING_S: Final = 600.0  # for each network: built, compiled; and once more to wait for another measurement
_KEPT_BYTES: Final = 4096  # of standard error
_LEAVE_S: Final = 2.0  # for pipes to be read to their end once ssh has gone

_LOST: Final = re.compile(
    r"Connection to \S+ closed by remote host|client_loop: |Timeout, server |Read from remote host"
)


@dataclass(frozen=True, slots=True)
class Address:
    """Where to connect; port None: what ssh's configuration says, as for the user."""

    host: str
    user: str | None = None
    port: int | None = None


class Ended(NamedTuple):
    """What a program left: its exit code, standard output and the end of standard error; late: it was stopped."""

    code: int
    out: bytes
    err: str
    late: bool = False


def target(name: str) -> Target:
    """Return the target of an address; raises InputError for what is none."""
    address = parse(name)
    asked = partial(describe, name, address), partial(measure, name=name, address=address)
    return Target(name, "", *asked, local=False, deploys=True)


def parse(name: str) -> Address:
    """Return the address that a target's name holds; raises InputError for what ssh must not be given."""
    found = _ADDRESS.fullmatch(name)
    if not found or (found["ipv6"] and not _is_ipv6(found["ipv6"])):
        raise InputError(Mistake(f"given {quoted(shown_name(name))}; allowed: {_FORM}", ("target",)))
    port = int(found["port"]) if found["port"] else None
    if port is not None and not 1 <= port <= 65535:
        raise InputError(Mistake(f"given port {port} in {quoted(shown_name(name))}; allowed: 1 to 65535", ("target",)))
    return Address(found["host"] or found["ipv6"], found["user"], port)


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return True


def describe(name: str, address: Address) -> Facts:
    """Return what the other machine says of its processor; raises TargetError if it cannot be asked."""
    match _asked(address, AskFacts(), _FACTS_S):
        case Described(facts):
            return replace(facts, target=name)
        case _:
            raise TargetError(f"{address.host}: the answer does not describe it")


def measure(
    sources: Sequence[Source], runtime: Runtime, plan: Plan, *, name: str, address: Address
) -> tuple[Samples, ...]:
    """Return raw seconds of the sources there; raises TargetError if one cannot travel, or the other side fails."""
    graphs = tuple(_graph(source, name) for source in sources)
    most_s = _PREPARING_S + len(graphs) * (2 * plan.time_s + _PREPARING_S)
    layers = tuple(None if each.float_layers is None else tuple(sorted(each.float_layers)) for each in sources)
    match _asked(address, AskSamples(runtime.name, plan, graphs, float_layers=layers), most_s):
        case Sampled(samples) if [each.plan for each in samples] == [plan] * len(graphs):
            return tuple(replace(each, origin=replace(each.origin, target=name)) for each in samples)
        case _:
            raise TargetError(f"{address.host}: the answer is not these measurements")


def _graph(source: Source, name: str) -> Graph:
    if source.graph is None:
        raise TargetError(
            f"a torch module cannot travel to {name}: only a network of a family is sent, as its graph; "
            "run archcost on that machine to measure this one"
        )
    return source.graph


def _asked(address: Address, job: Job, most_s: float) -> Answer:
    """Return the answer of the other side; raises TargetError with its own words if there is none."""
    ended = run(command(address), f"{encode_job(job)}\n".encode(), most_s)
    if why := _failure(ended, address, most_s):
        raise TargetError(f"{address.host}: {why}")
    try:
        answer = decode_answer(ended.out)
    except TargetError as error:
        raise TargetError(f"{address.host}: {error}") from None
    if isinstance(answer, Failed):
        before = "internal error there: " if answer.kind == "bug" else ""
        raise TargetError(f"{address.host}: {before}{shorten(answer.message, 1000)}")
    return answer


def command(address: Address) -> list[str]:
    """Return what runs the other side: neither a terminal, an agent, a display nor a port is passed on."""
    options = [part for option in _OPTIONS for part in ("-o", option)]
    return ["ssh", *options, "-T", "-a", "-x", *_connection(address), "--", address.host, *_FAR]


def _connection(address: Address) -> list[str]:
    port = [] if address.port is None else ["-p", str(address.port)]
    user = [] if address.user is None else ["-l", address.user]
    return [*port, *user]


def run(command: Sequence[str], given: bytes, most_s: float) -> Ended:
    """Run a program with `given` on standard input; it is killed where it takes or writes too much, or on Ctrl-C.

    Its standard input stays open until it has ended: that closes where this process dies, however it does.
    Raises TargetError if there is no such program.
    """
    process = _started(command)
    assert process.stdin and process.stdout and process.stderr  # noqa: PT018 - all three are pipes
    late, over, kept = threading.Event(), threading.Event(), bytearray()
    threads = [
        threading.Thread(target=_write, args=(process.stdin, given, over), daemon=True),
        threading.Thread(target=_keep, args=(process.stderr, kept), daemon=True),
    ]
    timer = threading.Timer(min(most_s, threading.TIMEOUT_MAX), _stop, (process, late))
    timer.daemon = True
    try:
        for thread in (timer, *threads):
            thread.start()
        out = process.stdout.read(LARGEST_BYTES + 1)
        if len(out) <= LARGEST_BYTES:
            process.wait()
    finally:
        timer.cancel()
        process.kill()
        process.wait()
        process.stdout.close()
        over.set()
        for thread in threads:
            thread.join(_LEAVE_S)
    return Ended(process.returncode, out, bytes(kept).decode("utf-8", "replace"), late.is_set())


def _started(command: Sequence[str]) -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE
    try:
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)  # noqa: S603 - a list, and no shell
    except OSError as error:
        raise TargetError(f"cannot run {command[0]}: {visible(error.strerror or str(error))}") from None


def _stop(process: subprocess.Popen[bytes], late: threading.Event) -> None:
    late.set()
    process.kill()


def _write(stream: IO[bytes], given: bytes, over: threading.Event) -> None:
    with suppress(OSError), stream:  # it may end without having read
        stream.write(given)
        stream.flush()
        over.wait()


def _keep(stream: IO[bytes], kept: bytearray) -> None:
    with stream:
        while part := stream.read1(_KEPT_BYTES):  # type: ignore[attr-defined]  # a pipe's reader has it
            kept += part
            del kept[:-_KEPT_BYTES]


def _failure(ended: Ended, address: Address, most_s: float) -> str:
    """Return why there is no answer, in words, '' if there is one."""
    last = _last(ended.err)
    by_hand = " ".join(["ssh", *_connection(address), address.host])
    if ended.late:
        return f"no answer within {duration(most_s)}{last}"
    if len(ended.out) > LARGEST_BYTES:
        return f"oversized answer: more than {data_size(LARGEST_BYTES)}"
    match ended.code:
        case 0:
            return "" if ended.out else f"connection lost: it ended without an answer{last}"
        case 255 if not ended.err.strip() or _LOST.search(ended.err):
            return f"connection lost, or archcost was killed there{last}"
        case 255:
            hint = f"'{by_hand} true' has to work without a question: its host key known, your key accepted"
            return f"cannot connect{last}; {hint}"
        case 127:
            hint = f"'{by_hand} archcost --version' has to find it, on the PATH that commands over ssh get"
            return f"archcost is not there{last}; {hint}"
        case 2:
            return f"archcost there does not know the command{last}; both have to be the same version"
        case code:
            return f"archcost ended with exit code {code}{last}"


def _last(err: str) -> str:
    """Return the last line of standard error as it stands behind a message, nothing if there is none."""
    lines = [line for line in err.splitlines() if line.strip()]
    return f": {visible(shorten(lines[-1].strip(), 300))}" if lines else ""
