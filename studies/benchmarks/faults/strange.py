"""Results that are none: not a number, without end, text, or more of them than there are objectives."""

from __future__ import annotations

from typing import Final

from ground import ground
from places import Place
from tally import Tally

RESULTS: Final = ("0.5", "float('nan')", "float('inf')", "float('-inf')", "'text'", "[0.5, 0.5]", "None", "{}",
                  "torch.tensor(float('nan'))", "torch.ones(2)", "10**400", "0.25")  # fmt: skip
_SOUND: Final = (0, 11)
_NET: Final = f'''
import torch
from torch import nn

RESULTS = [{", ".join(RESULTS)}]


class Net(nn.Module):
    """A linear layer that knows its number."""

    def __init__(self, number=0, classes=10):
        super().__init__()
        self.head = nn.Linear(64, classes)
        self.register_buffer("number", torch.tensor(float(number)))

    def forward(self, x):
        return torch.cat([self.head(x.flatten(1))[:, :9], self.number.expand(len(x), 1)], 1)


def evaluate(predict, split, context):
    """Return the result that a network's number names."""
    return {{"good": RESULTS[int(predict(split[0][:1])[0, 9])]}}
'''
_STUDY: Final = f"""
name: strange
models: [{{family: module, factory: 'strange:Net', args: {{number: {{int: [0, {len(RESULTS) - 1}]}}}}}}]
data: {{name: digits, examples: 200}}
objectives: [{{metric: good, goal: max}}, {{params: min}}]
fit: {{epochs: 1, rungs: [1], evaluate: 'strange:evaluate'}}
search: {{trials: {len(RESULTS)}, sampler: random}}
confirm: {{members: 0}}
"""


def strange(place: Place, times: int, tally: Tally) -> None:
    """Let each of the results be that of a trial, as often as asked."""
    for _ in range(times):
        with ground(place.new(), _STUDY, strange=_NET) as here:
            worker = here.worker()
            code = worker.ended(280)
            tally.check("the worker ends with 0", code == 0, f"{code} {worker.said[-500:]}")
            held = here.stored()
            assert held is not None
            front = {each.trial.number for each in held.front().members}
            for each in held.trials():
                if "0.args.number" not in each.point or not each.counts:
                    continue
                number = int(each.point["0.args.number"])
                sound = number in _SOUND
                holds = (each.state == "complete") == sound and (sound or each.number not in front)
                name = "sound results complete" if sound else "strange ones fail, and are on no front"
                tally.check(name, holds, f"{RESULTS[number]}: {each.state} {each.values} {each.why}")
            tally.check("a front of sound ones", front)
        tally.times += len(RESULTS)
