"""Trials whose processes die: of memory, of a kill, of a segmentation fault."""

from __future__ import annotations

from typing import Final

from ground import ground
from places import Place
from tally import Tally

_TRIALS: Final = 60
_MEMORY, _CRASHES = 20, 5
_CODE: Final = '''
import ctypes
import os
import resource
import signal

import torch
from torch import nn


class Net(nn.Module):
    """Trained as any other, unless its number says how it dies."""

    def __init__(self, number=0, classes=10):
        super().__init__()
        self.number, self.head = number, nn.Linear(64, classes)

    def forward(self, x):
        if self.training and torch.is_grad_enabled():
            if self.number % 3 == 0:
                self.exhausted()
            if self.number % 12 == 1:
                ctypes.string_at(0)
        return self.head(x.flatten(1)) * (1 + self.number / 100)

    def exhausted(self):
        """Take more than there is: by a limit of its own, or as the system's killer ends it."""
        if self.number % 2:
            os.kill(os.getpid(), signal.SIGKILL)
        limit = 1 << 32
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        held = []
        while True:
            held.append(torch.ones(1 << 26))
'''
_STUDY: Final = """
name: deaths
models: [{family: module, factory: 'dies:Net', args: {number: {int: [0, 59]}}}]
data: {name: digits, examples: 200}
objectives: [{error: min}, {macs: min}]
fit: {epochs: 1, rungs: [1]}
search: {trials: 60, sampler: random}
confirm: {members: 0}
"""


def deaths(place: Place, times: int, tally: Tally) -> None:
    """Run a study of 60 trials of which 20 exhaust memory and 5 crash."""
    for _ in range(times):
        with ground(place.new(), _STUDY, dies=_CODE) as here:
            worker = here.worker()
            code = worker.ended(900)
            tally.check("the parent ends with 0", code == 0, f"{code} {worker.said[-500:]}")
            tally.check("no traceback of the parent", "Traceback" not in worker.said, worker.said[-500:])
            for each in here.trials():
                number = int(each.point["0.args.number"])
                if number % 3 == 0:
                    name, holds = "out of memory: failed, with the reason", each.reason is not None and (
                        each.reason.kind in ("killed", "memory"))  # fmt: skip
                elif number % 12 == 1:
                    name, holds = "crashed: failed, with the reason", "segmentation fault" in each.why
                else:
                    name, holds = "the others complete", each.state == "complete"
                tally.check(name, holds, f"{number}: {each.state} {each.why}")
            tally.check("total exact", here.counted() == _TRIALS, str(here.counted()))
            tally.times += _MEMORY + _CRASHES
