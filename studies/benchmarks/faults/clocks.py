"""Clocks that are wrong: of workers, and of a database's server while it runs."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

from ground import PACED, Ground, Worker, ground, soon
from places import Place, listening
from stops import LATE, ends
from tally import Tally

LIBRARIES: Final = [
    *([Path(os.environ["LIBFAKETIME"])] if "LIBFAKETIME" in os.environ else []),
    *sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")),
]
"""Where Debian's package faketime puts it, after what LIBFAKETIME names."""
_TRIALS: Final = 6
_MOVES: Final = ("+1h", "-1h", "+2d", "+0")


def faked(library: Path, clock: str = "") -> dict[str, str]:
    """Return the environment of a process whose clock of the day is moved, and no other; clock: by how much."""
    more = {"FAKETIME": clock} if clock else {}
    return {"LD_PRELOAD": str(library), "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_NO_CACHE": "1", **more}


def clocks(place: Place, times: int, tally: Tally) -> None:
    """Let three workers have clocks an hour apart; then move the clock of a server under three workers."""
    if not LIBRARIES:
        tally.skip("faketime is not installed")
        return
    for _ in range(times):
        with ground(place.new(), PACED.replace("trials: 20", f"trials: {_TRIALS}")) as here:
            team = [here.worker(**(faked(LIBRARIES[0], each) if each else {})) for each in ("", "+1h", "-1h")]
            _checked(here, team, tally, "clocks of workers an hour apart")
        if place.server is not None:
            _server(tally)
        tally.times += 1


def _server(tally: Tally) -> None:
    """Move the clock of a server by an hour both ways, and two days, while three workers are under way."""
    said = Path(f"/tmp/faults-clock-{time.monotonic_ns()}")  # noqa: S108  # read by the server's user
    said.write_text("+0\n")
    said.chmod(0o644)
    try:
        more = {**faked(LIBRARIES[0]), "FAKETIME_TIMESTAMP_FILE": str(said)}
        with (
            listening("127.0.0.1", **more) as place,
            ground(place.new(), PACED.replace("trials: 20", "trials: 9")) as here,
        ):
            assert place.server is not None
            team = [here.worker() for _ in range(3)]
            soon(lambda: len(here.trials()) >= 3, 150)
            for move in _MOVES:
                said.write_text(f"{move}\n")
                (now,) = place.server.sql("SELECT abs(extract(epoch FROM clock_timestamp()))::float")[0]
                if move != "+0":
                    tally.check(
                        "the server's clock moved", abs(now - time.time()) > 3000, f"{move}: {now - time.time()}"
                    )
                time.sleep(8)
            _checked(here, team, tally, "a server's clock that jumps", 9)
    finally:
        said.unlink()


def _checked(here: Ground, team: list[Worker], tally: Tally, name: str, total: int = _TRIALS) -> None:
    ends(here, team, tally, total)
    taken = [each.number for each in here.trials() if each.fate == "interrupted"]
    late = [each.said[-300:] for each in team if any(words in each.said for words in LATE)]
    tally.check(f"{name}: no live trial is taken up", not taken and not late, f"{taken} {late}")
