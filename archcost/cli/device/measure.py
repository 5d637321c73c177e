"""archcost measure -: the far side of ssh, which reads a job and writes its answer."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import IO, TYPE_CHECKING

import click

from archcost.cli.options import debugged, standard_input
from archcost.errors import InputError, Mistake, TargetError, named, one_line, quoted

if TYPE_CHECKING:
    from archcost.latency.samples import Samples
    from archcost.latency.targets import Facts, Target
    from archcost.latency.targets.wire import Answer, AskSamples

_LOOK_S = 0.5
_GRACE_S = 10.0  # for what a terminated process has to tidy up, and for a call of C++ to come back


@click.command(hidden=True)
@click.argument("job", type=click.Choice(["-"]), metavar="-")
@click.option("--attached", is_flag=True, help="End when standard input closes: nobody waits any more.")
@debugged
def measure(job: str, attached: bool) -> None:  # noqa: ARG001 - it only says that standard input is read
    """The far side of ssh: measure the job on the first line of standard input.

    The answer, raw samples or why there are none, is one line of JSON on standard output. The exit code is 0 wherever
    there is an answer, also if it says that the job was not understood.
    """
    from archcost.latency.targets.wire import LARGEST_BYTES, encode_answer  # loads pydantic

    given = standard_input()
    with _alone_on_stdout() as stream, _wanted(stream.fileno(), reads=False):
        text = given.readline(LARGEST_BYTES + 1)
        with _wanted(given.fileno(), reads=True) if attached else nullcontext():
            found = answer(text)
        stream.write(f"{encode_answer(found)}\n".encode())


@contextmanager
def _alone_on_stdout() -> Iterator[IO[bytes]]:
    """Yield standard output; what anybody else prints, C++ included, goes to standard error instead."""
    sys.stdout.flush()
    own = os.dup(1)
    os.dup2(2, 1)
    with os.fdopen(own, "wb") as stream:
        yield stream


@contextmanager
def _wanted(descriptor: int, *, reads: bool) -> Iterator[None]:
    """Terminate this process where its other side goes away inside the context: the device is free for others.

    reads: the end of what `descriptor` reads says so; otherwise that nobody reads what it writes.
    """
    over = threading.Event()
    if hasattr(select, "poll"):
        threading.Thread(target=_watch, args=(descriptor, reads, over), daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _watch(descriptor: int, reads: bool, over: threading.Event) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN if reads else 0)  # errors and hang-ups are always told
    while not over.is_set():
        if poll.poll(_LOOK_S * 1000) and not over.is_set() and not (reads and _goes_on(descriptor)):
            os.kill(os.getpid(), signal.SIGTERM)
            if not over.wait(_GRACE_S):
                os._exit(128 + signal.SIGTERM)
            return


def _goes_on(descriptor: int) -> bool:
    """Return whether there was something to read, which nobody needs, and not the end."""
    try:
        return bool(os.read(descriptor, 4096))
    except OSError:  # a connection that was reset
        return False


def answer(text: bytes) -> Answer:
    """Return the answer to a job's text; an error is an answer as well."""
    from archcost.latency.targets.wire import AskFacts, Described, Failed, Sampled, decode_job

    try:
        job = decode_job(text)
        target, facts = _here(job.target)
        return Described(facts) if isinstance(job, AskFacts) else Sampled(_samples(job, target, facts))
    except InputError as error:
        return Failed("input", "; ".join(map(str, error.mistakes)))
    except TargetError as error:
        return Failed("target", str(error))
    except Exception as error:  # a bug, which the other side tells as one
        return Failed("bug", one_line(named(error)))


def _here(name: str) -> tuple[Target, Facts]:
    """Return a target of this machine; raises InputError for one that would go on to another."""
    from archcost.latency import targets

    target = targets.find(name)
    if not target.local:
        raise InputError(
            Mistake(f"given {quoted(targets.shown_name(name))}; allowed: a target of this machine", ("target",))
        )
    return target, target.describe()


def _samples(job: AskSamples, target: Target, facts: Facts) -> tuple[Samples, ...]:
    """Return the samples of a job; raises InputError or TargetError if it cannot be done here."""
    from archcost.latency import runtimes
    from archcost.latency.measure import Place, measured
    from archcost.machine import available_memory_bytes
    from archcost.nets.net import build
    from archcost.profiling.subjects import of_net, with_layers

    runtimes.check(job.runtime)
    if job.plan.threads > facts.cpus:
        raise InputError(Mistake(f"given {job.plan.threads}; allowed: 1 to {facts.cpus}", ("threads",)))
    nets = [build(graph, available_bytes=available_memory_bytes()) for graph in job.graphs]
    subjects = [of_net(graph, net) for graph, net in zip(job.graphs, nets, strict=True)]
    layers = job.float_layers or (None,) * len(subjects)
    subjects = [with_layers(*each) for each in zip(subjects, layers, strict=True)]
    return measured(subjects, Place(target, facts, facts.why_not), job.runtime, job.plan, nullcontext)
