"""Workers are stopped for longer than their leases last, and go on."""

from __future__ import annotations

import signal
import time
from typing import Final

from ground import Ground, Worker, ground, paced, soon
from places import Place
from tally import Tally

from archcost.study.records.trials import Trial

_STOPPED_S: Final = 45.0
_SOON_S: Final = 60.0
LATE: Final = ("was taken up by another process", "came too late and is dropped")
"""What a process says of work that is another one's by now."""


def stops(place: Place, times: int, tally: Tally) -> None:
    """Stop one of two workers for 45 s, by turns alone and with its children."""
    for _ in range(times):
        with ground(place.new(), paced(6, 20)) as here:
            _one(here, tally, all_of_it=tally.times % 2 == 1)
        tally.times += 1


def under_way(here: Ground, worker: Worker) -> Trial | None:
    """Return the trial that a worker says it has under way and that has a checkpoint, None if there is none."""
    said = [line for line in worker.said.splitlines() if line.startswith("trial ")]
    number = int(said[-1].split()[1].rstrip(":")) if said else -1
    kept = here.checkpoints()
    return next((each for each in here.trials()
                 if each.number == number and each.state == "running" and each.training in kept), None)  # fmt: skip


def _one(here: Ground, tally: Tally, *, all_of_it: bool) -> None:
    stopped = here.worker()
    if not tally.check("a trial began", soon(lambda: under_way(here, stopped), 90), stopped.said[-400:]):
        return
    other = here.worker()
    soon(lambda: under_way(here, other), 90)
    trial = under_way(here, stopped)
    while trial is None and stopped.process.poll() is None:
        trial = under_way(here, stopped)
    assert trial is not None
    stopped.send(signal.SIGSTOP, all_of_it=all_of_it)
    since = time.monotonic()
    taken = soon(lambda: here.trials()[trial.number].fate == "interrupted", _SOON_S)
    tally.check("taken up within a minute", taken, str(here.trials()[trial.number]))
    time.sleep(max(0.0, since + _STOPPED_S - time.monotonic()))
    soon(lambda: owner(here, trial), 30)
    stopped.send(signal.SIGCONT, all_of_it=True)
    kept(here, trial, tally)
    ends(here, [stopped, other], tally, 6)
    said = any(words in stopped.said for words in LATE)
    tally.check("the late result is dropped, and logged", said, stopped.said[-600:])


def owner(here: Ground, trial: Trial) -> Trial | None:
    """Return the trial that now trains what another one did, None if there is none, or it has no checkpoint."""
    held = [each for each in here.trials() if each.state == "running" and each.training == trial.training]
    return held[0] if held and held[0].number != trial.number and trial.training in here.checkpoints() else None


def kept(here: Ground, trial: Trial, tally: Tally) -> None:
    """Check that the checkpoint of who took a trial up stays while that one runs."""
    if (now := owner(here, trial)) is None:
        return
    for _ in range(10):
        there = trial.training in here.checkpoints()
        if here.trials()[now.number].state != "running":
            return
        if not there:
            break
        time.sleep(0.5)
    tally.check("the new owner's checkpoint stays", there, f"trial {now.number}")


def ends(here: Ground, team: list[Worker], tally: Tally, total: int) -> None:
    """Check that workers end well, and a study with them."""
    codes = [each.ended(300) for each in team]
    tally.check("workers end with 0", codes == [0] * len(team), f"{codes} {[each.said[-400:] for each in team]}")
    tally.check("total exact", here.counted() == total, f"{here.counted()} of {total}")
    running = [each.number for each in here.trials() if each.state in ("running", "waiting")]
    tally.check("nothing left under way", not running, f"trials {running}")
