"""Slurm, by submitit: each worker is a job of its own.

submitit pickles what a job calls into the folder of the jobs, and reads it there when the job begins: that is its own
CommandFunction with a list of strings, and nothing of ours. What it pickles as a result is not read: a worker's exit
code and log are files of text.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from archcost.errors import InputError, Mistake, one_line, quoted, unknown
from archcost.study.workers.engines import launch
from archcost.study.workers.engines.engine import Job, State, tail_of

if TYPE_CHECKING:
    import submitit

_CLUSTERS: Final = ("slurm", "local")
_MINUTES: Final = 24 * 60  # submitit's own 5 would end every study
_OPTIONS: Final[Mapping[str, tuple[str, Callable[[str], Any]]]] = {
    "time": ("timeout_min", int),
    "cpus_per_task": ("cpus_per_task", int),
    "gpus_per_node": ("gpus_per_node", int),
    "mem_gb": ("mem_gb", float),
    "job_name": ("name", str),
    **{
        name: (f"slurm_{name}", str)
        for name in (
            "partition",
            "account",
            "qos",
            "constraint",
            "gres",
            "nodelist",
            "exclude",
            "dependency",
            "comment",
        )
    },
    "setup": ("slurm_setup", lambda text: [text]),
}
"""What can be asked of Slurm, as submitit calls it, and how it is read; time: minutes; setup: a line of the script."""


@dataclass(frozen=True, slots=True)
class Slurm:
    """Slurm, or submitit's own way to run jobs on this machine; folder: of the jobs, which all machines share."""

    folder: Path
    cluster: str
    parameters: Mapping[str, Any]

    def submit(self, arguments: Sequence[str], environment: Sequence[str], count: int) -> tuple[Job, ...]:
        """Start so many workers, as `Engine` has it."""
        from submitit import AutoExecutor, helpers  # noqa: PLC0415  # an extra: loaded if it is asked for

        jobs: list[Job] = []
        try:
            executor = AutoExecutor(folder=self.folder, cluster=self.cluster)
            executor.update_parameters(**self.parameters)
            for number in range(1, count + 1):
                log, code = self.folder / f"worker-{number}.log", self.folder / f"worker-{number}.exit"
                places = map(str, (log, code, Path.cwd()))
                words = [sys.executable, "-m", launch.MODULE, *places, *environment, "--", *arguments]
                jobs.append(_Job(executor.submit(helpers.CommandFunction(words)), log, code))
        except Exception as error:  # whatever submitit or sbatch have against it
            for each in jobs:
                each.cancel()
            raise InputError(Mistake(f"slurm takes no job: {one_line(error)}")) from error
        return tuple(jobs)

    def close(self) -> None:
        """Nothing is taken."""


@dataclass(frozen=True, slots=True)
class _Job:
    """A job of submitit's; log and code: files that its worker writes."""

    job: submitit.Job[str]
    log: Path
    code: Path

    @property
    def name(self) -> str:
        return str(self.job.job_id)

    def state(self) -> State:
        over = self.job.done()
        if self.code.is_file():
            return "done" if self.code.read_text("ascii").strip() == "0" else "failed"
        return "failed" if over else "open"

    def tail(self) -> str:
        return tail_of(self.log) or tail_of(self.job.paths.stderr) or tail_of(self.job.paths.stdout)

    def cancel(self) -> None:
        self.job.cancel(check=False)


def slurm(options: Mapping[str, str], folder: Path) -> Slurm:
    """Return Slurm with what is asked of it; raises InputError for an option that is not known, or a wrong value."""
    given = dict(options)
    cluster = given.pop("cluster", _CLUSTERS[0])
    if cluster not in _CLUSTERS:
        raise InputError(Mistake(unknown("cluster", cluster, _CLUSTERS), ("--engine-option", "cluster")))
    if cluster == "slurm" and shutil.which("sbatch") is None:
        words = "there is no Slurm here: 'sbatch' is not found; --engine-option cluster=local runs the jobs here"
        raise InputError(Mistake(words, ("--engine",)))
    parameters: dict[str, Any] = {"timeout_min": _MINUTES, "name": "archcost"}
    for name, text in given.items():
        if name not in _OPTIONS:
            raise InputError(Mistake(unknown("option", name, ("cluster", *_OPTIONS)), ("--engine-option",)))
        key, read = _OPTIONS[name]
        try:
            parameters[key] = read(text)
        except ValueError:
            raise InputError(Mistake(f"given {quoted(text)}; allowed: a number", ("--engine-option", name))) from None
    return Slurm(folder, cluster, parameters)
