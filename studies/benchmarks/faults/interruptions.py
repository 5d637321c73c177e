"""Ctrl-C and terminations of a worker: at its start, in the middle, and at its end."""

from __future__ import annotations

import random
import signal
import time
from typing import Final

from ground import Ground, ground, soon, trained
from places import Place
from tally import Tally

_WITHIN_S: Final = 5.0
_CODES: Final = {signal.SIGINT: (130, -2), signal.SIGTERM: (143, -15)}
"""As a program or as a shell says it: before Python listens, the system ends the process by the signal itself."""
_WANTED: Final = 8


def signals(place: Place, times: int, tally: Tally) -> None:
    """Send as many of both signals; what is interrupted goes on in the next turn."""
    left = dict.fromkeys(_CODES, times)
    turn = 0
    while any(left.values()):
        with ground(place.new(), trained(_WANTED)) as here:
            while any(left.values()) and here.counted() < _WANTED:
                number = max(left, key=lambda each: left[each])
                if _one(here, number, turn % 4, tally):
                    left[number] -= 1
                    turn += 1
            here.worker().ended(1200)
            tally.check("total exact", here.counted() == _WANTED, str(here.counted()))
            tally.check("nothing left under way", all(each.ended for each in here.trials()))


def _one(here: Ground, number: signal.Signals, moment: int, tally: Tally) -> bool:
    """Start a worker and send it a signal; return False if it had ended before."""
    left = _WANTED - here.counted()
    worker = here.worker("--trials", str(_WANTED - left + (1 if moment == 3 else left)))
    before = here.counted()
    if moment == 0:
        time.sleep(random.uniform(0.05, 4))
    elif moment == 3:  # it is about to end
        soon(lambda: here.counted() > before or worker.process.poll() is not None, 120, 0.05)
        time.sleep(random.uniform(0, 0.3))
    else:
        soon(lambda: "trial " in worker.said or worker.process.poll() is not None, 120)
        time.sleep(random.uniform(0, 4))
    if worker.process.poll() is not None:
        return False
    seen, family = here.acknowledged(), worker.family()
    worker.send(number)
    code = worker.ended(_WITHIN_S)
    when = ("start", "middle", "middle", "end")[moment]
    if code == 0:
        return False
    name = number.name
    tally.times += 1
    tally.check(f"{name}: its exit code within 5 s", code in _CODES[number], f"{when}: {code} {worker.said[-400:]}")
    quiet = "Traceback" not in worker.said
    tally.check("no traceback", quiet, f"{name}, {when}: {worker.said[-300:]}")
    worker.ended()
    tally.check("no process left, no zombie", worker.gone(family, 60.0), f"{name}, {when}: {family}")
    after = here.acknowledged()
    tally.check("acknowledged trials as they were", all(after.get(key) == each for key, each in seen.items()))
    return True
