"""Ray: each worker is a task that starts a process, and returns its exit code and log.

Ray pickles the function of the task, which is why it is made here of the standard library alone: it is given strings,
and returns a number and a string.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from archcost.errors import InputError, Mistake, one_line, quoted, unknown
from archcost.study.workers.engines import launch
from archcost.study.workers.engines.engine import TAIL, Job, State

_AMOUNTS: Final[Mapping[str, str]] = {"num_cpus": "CPU", "num_gpus": "GPU"}  # and what Ray says there is
_OPTIONS: Final = ("address", *_AMOUNTS)


def task() -> Callable[[str, list[str], int], list[Any]]:
    """Return what runs a worker on whatever machine Ray has chosen; all that it needs is inside it.

    It takes the module that starts a worker, what that is called with after the files, and how many lines of the log
    to return.
    """

    def worker(module: str, called: list[str], lines: int) -> list[Any]:
        import os  # noqa: PLC0415  # on the other machine
        import subprocess  # noqa: PLC0415
        import sys  # noqa: PLC0415
        import tempfile  # noqa: PLC0415
        from pathlib import Path  # noqa: PLC0415

        with tempfile.TemporaryDirectory(prefix="archcost-ray-") as name:
            log, code = Path(name, "log"), Path(name, "exit")
            words = [sys.executable, "-m", module, str(log), str(code), *called]
            own = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}  # Ray's: CPUs of a task
            process = subprocess.Popen(words, env=own)  # noqa: S603
            try:
                found = process.wait()
            finally:  # also if the task is cancelled, which comes as KeyboardInterrupt
                process.terminate()
                process.wait()
            text = log.read_text("utf-8", "replace") if log.is_file() else ""
            return [found, "\n".join(text.splitlines()[-lines:])]

    return worker


@dataclass(frozen=True, slots=True)
class Ray:
    """Ray on this machine, or the cluster at an address; resources: that each worker takes, as Ray calls them."""

    address: str | None
    resources: Mapping[str, float]

    def submit(self, arguments: Sequence[str], environment: Sequence[str], count: int) -> tuple[Job, ...]:
        """Start so many workers, as `Engine` has it."""
        if self.address is None:
            _close_off()
        import ray  # noqa: PLC0415  # an extra: loaded if it is asked for

        try:
            _begin(self.address)
            remote = ray.remote(max_retries=0, **self.resources)(task())
            has = ray.cluster_resources()
        except Exception as error:  # of any kind, from what Ray starts or connects to
            raise InputError(Mistake(f"Ray does not start: {one_line(error)}", ("--engine",))) from error
        if self.address is None:  # a cluster may grow
            self._refuse_more(has)
        words = (launch.MODULE, [str(Path.cwd()), *environment, "--", *arguments], TAIL)
        return tuple(_Job(f"ray-{number}", remote.remote(*words)) for number in range(1, count + 1))

    def _refuse_more(self, has: Mapping[str, float]) -> None:
        """Raise InputError if a worker needs more than there is: it would wait without an end."""
        for name, kind in _AMOUNTS.items():
            if (wanted := self.resources.get(name, 0)) > (there := has.get(kind, 0)):
                words = f"given {wanted:g}; allowed: at most {there:g}, which Ray finds on this machine"
                raise InputError(Mistake(words, ("--engine-option", name)))

    def close(self) -> None:
        """End the Ray of this machine, or leave the cluster."""
        import ray  # noqa: PLC0415

        ray.shutdown()


def _close_off() -> None:
    """Let nobody else use the Ray of this machine, whose ports the network reaches, and nothing be sent to anybody.

    Ray reads this from the environment when it is loaded; whoever has no token is refused.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    if "RAY_AUTH_TOKEN_PATH" not in os.environ:
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def _begin(address: str | None) -> None:
    import ray  # noqa: PLC0415

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error", "configure_logging": True}
    if address is not None:
        ray.init(address=address, **quiet)
        return
    ray.init(address="local", include_dashboard=False, **quiet)


@dataclass(slots=True)
class _Job:
    """A task of Ray's; reference: by which its result is asked for."""

    name: str
    reference: Any
    _ended: tuple[State, str] | None = field(default=None, init=False)

    def state(self) -> State:
        return self._seen()[0]

    def tail(self) -> str:
        return self._seen()[1]

    def cancel(self) -> None:
        import ray  # noqa: PLC0415

        with suppress(Exception):  # it has ended meanwhile
            ray.cancel(self.reference)

    def _seen(self) -> tuple[State, str]:
        if self._ended is None:
            self._ended = _result(self.reference)
        return self._ended or ("open", "")


def _result(reference: Any) -> tuple[State, str] | None:  # noqa: ANN401 - an ObjectRef: Ray may not be there
    """Return how a task has ended, None if it has not."""
    import ray  # noqa: PLC0415

    if not ray.wait([reference], timeout=0)[0]:
        return None
    try:
        code, text = ray.get(reference)
    except Exception as error:
        return "failed", one_line(error)
    return ("failed" if code else "done"), str(text)


def ray_engine(options: Mapping[str, str]) -> Ray:
    """Return Ray with what is asked of it; raises InputError for an option that is not known, or a wrong value."""
    resources: dict[str, float] = {}
    for name, text in options.items():
        if name not in _OPTIONS:
            raise InputError(Mistake(unknown("option", name, _OPTIONS), ("--engine-option",)))
        if name in _AMOUNTS:
            resources[name] = _amount(name, text)
    return Ray(options.get("address"), resources)


def _amount(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e6:
        raise InputError(Mistake(f"given {quoted(text)}; allowed: a number from 0 on", ("--engine-option", name)))
    return value
