"""What an engine is: it starts workers by their command line, and says how each is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, Protocol, TypeAlias

Name: TypeAlias = Literal["ray", "slurm"]
State: TypeAlias = Literal["open", "done", "failed"]
"""Open is a job that waits for its turn, or runs; failed is one whose worker exited with another code than 0."""
TAIL: Final = 20
"""How many lines of a log are shown, the last ones."""
_LONGEST: Final = 64 * 1024  # bytes read from the end of a log


class Job(Protocol):
    """One worker that an engine was given; name: by which the engine knows it."""

    @property
    def name(self) -> str:
        """What the engine calls it."""

    def state(self) -> State:
        """Return how it is now."""

    def tail(self) -> str:
        """Return the last lines of its log."""

    def cancel(self) -> None:
        """Ask for its end, whether it has begun or not; it is over when `state` says so."""


class Engine(Protocol):
    """What starts workers."""

    def submit(self, arguments: Sequence[str], environment: Sequence[str], count: int) -> tuple[Job, ...]:
        """Start so many workers: Python, with these arguments, and NAME=VALUE more in the environment.

        Nothing of ours but these strings goes to an engine. Raises InputError for what the engine refuses.
        """

    def close(self) -> None:
        """Give back what the engine itself has taken, after the end of all its jobs."""


def tail_of(log: Path) -> str:
    """Return the last lines of a log's file, '' if there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _LONGEST))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-TAIL:])
