"""Clocks that are wrong: of workers, and of a database's server while it runs."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ground import Ground, Worker, ground, paced, soon
from places import Place, listening
from stops import LATE, ends
from tally import Tally

_HOUR_S: Final = 3600
_MOVES_S: Final = (_HOUR_S, -_HOUR_S, 48 * _HOUR_S, 0)
_TRIALS: Final = 6


@dataclass(frozen=True)
class Clocks:
    """A library that moves the clock of the day of who loads it; libfaketime 0.9.10 breaks short sleeps of Python."""

    folder: Path

    def moved(self, name: str, by_s: int) -> dict[str, str]:
        """Return the environment of a process whose clock is moved; under a name it can be moved again."""
        file = self.folder / name
        file.write_text(f"{by_s}\n", "ascii")
        file.chmod(0o644)
        return {"LD_PRELOAD": str(self.folder / "clock.so"), "CLOCK_MOVED": str(file)}


@contextmanager
def _made() -> Iterator[Clocks | None]:
    """Yield that library, None where there is no compiler."""
    with tempfile.TemporaryDirectory(prefix="faults-clock-") as name:
        folder, compiler = Path(name), shutil.which("cc")
        folder.chmod(0o755)  # a server's user reads there
        words = ["-shared", "-fPIC", "-O1", "-o", str(folder / "clock.so"), str(Path(__file__).with_name("clock.c"))]
        made = compiler and not subprocess.run([compiler, *words], check=False).returncode  # noqa: S603
        yield Clocks(folder) if made else None


def clocks(place: Place, times: int, tally: Tally) -> None:
    """Let three workers have clocks an hour apart; then move the clock of a server under three workers."""
    with _made() as library:
        if library is None:
            tally.skip("no C compiler, which makes the library that moves a clock")
            return
        for _ in range(times):
            with ground(place.new(), paced(_TRIALS)) as here:
                moves = {f"worker{by_s}": by_s for by_s in (0, _HOUR_S, -_HOUR_S)}
                team = [here.worker(**library.moved(name, by_s)) for name, by_s in moves.items()]
                _checked(here, team, tally, "clocks of workers an hour apart")
            if place.server is not None:
                _server(library, tally)
            tally.times += 1


def _server(library: Clocks, tally: Tally) -> None:
    """Move the clock of a server by an hour both ways, and two days, while three workers are under way."""
    with (
        listening("127.0.0.1", **library.moved("server", 0)) as place,
        ground(place.new(), paced(9)) as here,
    ):
        assert place.server is not None
        team = [here.worker() for _ in range(3)]
        soon(lambda: len(here.trials()) >= 3, 150)
        for by_s in _MOVES_S:
            library.moved("server", by_s)
            ((now,),) = place.server.sql("SELECT extract(epoch FROM clock_timestamp())::float")
            apart = now - time.time()
            tally.check("the server's clock moved", abs(apart - by_s) < 60, f"{by_s}: {apart}")
            time.sleep(8)
        _checked(here, team, tally, "a server's clock that jumps", 9)


def _checked(here: Ground, team: list[Worker], tally: Tally, name: str, total: int = _TRIALS) -> None:
    ends(here, team, tally, total)
    taken = [each.number for each in here.trials() if each.fate == "interrupted"]
    late = [each.said[-300:] for each in team if any(words in each.said for words in LATE)]
    tally.check(f"{name}: no live trial is taken up", not taken and not late, f"{taken} {late}")
