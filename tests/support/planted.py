"""A command line with something planted in it: what happens when a function is called for the n-th time."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Sequence
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from forked import Forked

from archcost import cli

_SCRIPT = """
import importlib, os, shutil, sys
module, name, when, nth, what = sys.argv[1:6]
owner = importlib.import_module(module)
*inside, name = name.split(".")
for part in inside:
    owner = getattr(owner, part)
real, calls = getattr(owner, name), []

def planted(*args, **kwargs):
    calls.append(None)
    if when == "before" and len(calls) == int(nth):
        exec(what)
    done = real(*args, **kwargs)
    if when == "after" and len(calls) == int(nth):
        exec(what)
    return done

setattr(owner, name, planted)
from archcost import cli
if __name__ == "__main__":
    cli.main(sys.argv[6:])
"""
STUDY = """
models: [{family: bottleneck, block: basic, depths: [1], widths: [{int: [4, 12]}]}]
data: {name: digits, examples: 100}
objectives: [{error: min}, {latency: min, target: fake, threads: 1, time: 0.05}]
fit: {epochs: 2, rungs: [1, 2]}
search: {trials: 3, sampler: random}
confirm: {seeds: 1, members: 1}
"""
RUN = ("study", "run", "study.yaml", "--workers", "2")


def begun(folder: Path, study: str = STUDY) -> None:
    """Write a study."""
    (folder / "study.yaml").write_text(study, "utf-8")


def planted(
    folder: Path, where: tuple[str, str, str], nth: int, what: str, command: Sequence[str] = RUN, also: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a command in which `what` is executed before or after the n-th call; where: module, function, when.

    also: a module that the children of its study have in memory too.
    """
    with Forked(_SCRIPT, [*where, str(nth), what, *command], folder, also=also) as process:
        return process.ended()


def again(folder: Path, command: Sequence[str] = RUN) -> subprocess.CompletedProcess[str]:
    """Run a command with nothing planted: in this process, which has loaded what a study needs already."""
    out, err = io.StringIO(), io.StringIO()
    with chdir(folder), redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
        cli.main(command)
    assert isinstance(end.value.code, int)
    return subprocess.CompletedProcess(command, end.value.code, out.getvalue(), err.getvalue())
