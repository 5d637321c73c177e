"""Workers are killed at random moments and started again."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Final

from forks import Fork, trials_of_forks
from ground import Ground, Worker, ground, soon, trained
from places import Place
from tally import Tally

from archcost.study.records.trials import Trial

TEAM: Final = 4
_MORE: Final = 6  # trials of a study, beside as many as there are kills


def kills(place: Place, times: int, tally: Tally) -> None:
    """Kill one of four workers at a random moment, as often as asked, in studies of 10 kills each."""
    while tally.times < times:
        wanted = min(10, times - tally.times)
        with _study(place, wanted) as here:
            _round(here, [here.worker() for _ in range(TEAM)], wanted, tally)


def many(place: Place, times: int, tally: Tally) -> None:
    """Kill workers that start at once, since they are forked, so that more of the kills come in mid-trial."""
    while tally.times < times:
        wanted = min(25, times - tally.times)
        with _study(place, wanted) as here:
            _round(here, [here.fork() for _ in range(TEAM)], wanted, tally)


def _study(place: Place, wanted: int) -> AbstractContextManager[Ground]:
    return ground(place.new(), trained(wanted + _MORE))


def _round(here: Ground, team: list[Worker], wanted: int, tally: Tally) -> None:
    seen: list[dict[int, Trial]] = []
    forks = isinstance(team[0].process, Fork)
    for _ in range(wanted):
        time.sleep(random.uniform(0, 5 if forks else 10))
        working = [place for place, each in enumerate(team) if each.process.poll() is None]
        if not working:
            break
        place = random.choice(working)
        tally.times += 1
        seen.append(here.acknowledged())
        family = team[place].kill()
        gone = soon(lambda: trials_of_forks() < TEAM, 60) if forks else team[place].gone(family, 60)
        tally.check("no process of it left", gone, f"after 60 s: {family}")
        kept(here, seen[-1], tally)
        team[place] = here.fork() if forks else here.worker()
    codes = [each.ended(1200) for each in team]
    tally.check("workers end with 0", codes == [0] * TEAM, f"{codes} {[each.said[-400:] for each in team]}")
    whole(here, seen, tally, wanted + _MORE)
    (here.fork() if forks else here.worker()).ended(1200)  # removes what the killed ones have left
    tally.check("no folder left", not here.left_over, str(here.left_over))


def kept(here: Ground, before: Mapping[int, Trial], tally: Tally) -> None:
    """Check that what was acknowledged once is as it was."""
    after = here.acknowledged()
    lost = [number for number, each in before.items() if after.get(number) != each]
    tally.check("acknowledged trials as they were", not lost, f"trials {lost}")


def whole(here: Ground, seen: Sequence[Mapping[int, Trial]], tally: Tally, total: int) -> None:
    """Check a study that has ended: what was acknowledged is as it was, and as many count as were asked for."""
    for before in seen:
        kept(here, before, tally)
    running = [each.number for each in here.trials() if each.state in ("running", "waiting")]
    tally.check("nothing left under way", not running, f"trials {running}")
    tally.check("total exact", here.counted() == total, f"{here.counted()} of {total}")
