"""A database's server is started anew, or cuts connections, while workers are under way."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import sqlalchemy
from ground import ground, paced, soon
from kills import whole
from places import Place
from stops import ends
from support import Server
from tally import Tally

_TRIALS: Final = 9
_CUT: Final = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname LIKE 'study%%'"
)


def _cut(server: Server) -> None:
    with suppress(sqlalchemy.exc.SQLAlchemyError):  # its own may be among them
        server.sql(_CUT)


FAULTS: Final[dict[str, Callable[[Server], object]]] = {
    "restart -m fast": lambda server: server.restart("fast"),
    "restart -m immediate": lambda server: server.restart("immediate"),
    "connections cut": _cut,
}


def restarts(place: Place, times: int, tally: Tally) -> None:
    """Do each fault as often as asked, three times in each study of three workers."""
    assert place.server is not None
    for turn in range(times):
        with ground(place.new(), paced(_TRIALS)) as here:
            team = [here.worker("--debug") for _ in range(3)]
            tally.check("workers began", soon(lambda: len(here.trials()) >= 3, 150), team[0].said[-400:])
            seen = []
            for name in random.sample([*FAULTS], 3):
                time.sleep(random.uniform(1, 6))
                seen.append(here.acknowledged())
                FAULTS[name](place.server)
                time.sleep(3)
                dead = [each.said[-400:] for each in team if each.process.poll() not in (None, 0)]
                tally.check(f"{name}: workers go on", not dead, f"turn {turn}: {dead}")
            ends(here, team, tally, _TRIALS)
            whole(here, seen, tally, _TRIALS)
        tally.times += 3
