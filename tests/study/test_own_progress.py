"""Networks and training of the user's own go on from what was saved last, if code, network and files are the same."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import datasets_small as small
import killed_jobs
import pytest
import torch
from killed_jobs import after, kept_always, reached, resumed
from plans import specified

from archcost.data import shared
from archcost.study import jobs
from archcost.study.plan import settle
from archcost.study.records import open_trainings
from archcost.study.workers.messages import Done, Event, Failed, Imported, Measured, Reached, Trained
from archcost.study.workers.tasks import Code, Train

NETWORK: Final = """
from torch import nn


class Small(nn.Sequential):
    def __init__(self, width=4, classes=3):
        layers = nn.Conv2d(1, width, 3), nn.BatchNorm2d(width), nn.ReLU(), nn.Flatten(), nn.Linear(width * 36, classes)
        super().__init__(*layers)


class Odd(Small):
    def get_extra_state(self):
        return {1, 2}

    def set_extra_state(self, state):
        pass
"""
TRAINING: Final = """
import torch
from torch.nn import functional


def fit(network, data, context, saves=True, ends=9):
    inputs, targets = data.train
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.01)
    if (state := context.load()) is not None:
        network.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
        assert state["epoch"] == context.start
    for epoch in range(context.start, min(context.epochs, ends)):
        network.train()
        order = torch.randperm(len(targets), generator=torch.Generator().manual_seed(epoch))
        for places in order.split(30):
            with context.turn():
                loss = functional.cross_entropy(network(inputs[places]), targets[places])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
        if saves:
            state = {"network": network.state_dict(), "optimiser": optimiser.state_dict(), "epoch": epoch + 1}
            context.save(state if saves is True else {"function": print})
        yield {"loss": loss}
"""


@pytest.fixture(autouse=True)
def _every_epoch() -> Iterator[None]:
    before = set(sys.modules)
    with kept_always():
        yield
    for name in set(sys.modules) - before:
        if name.startswith("own_"):
            del sys.modules[name]


def made(folder: Path, factory: str = "Small", **fit: Any) -> Train:
    """Return the job of training a module of one's own for 5 epochs with rungs after 2 and 5."""
    folder.mkdir(exist_ok=True)
    (folder / "own_network.py").write_text(NETWORK, "utf-8")
    (folder / "own_training.py").write_text(TRAINING, "utf-8")
    dataset = small.images(120)
    shared.write(dataset, folder / jobs.DATA)
    spec = specified(
        models=[{"family": "module", "factory": f"own_network:{factory}", "args": {"width": {"int": [4, 5]}}}],
        objectives=[{"error": "min"}, {"latency": "min", "target": "fake", "threads": 1, "time": 0.05}],
        fit={"epochs": 5, "rungs": [2, 5], **(fit or {"batch": 30, "precision": "float32"})},
    )
    plan = settle(spec, dataset, Code(str(folder)))
    chosen = plan.model(plan.spec.space.tree(next(iter(plan.spec.space.grid()))))
    keep = open_trainings.place(folder, "mine", plan.identity(chosen))
    return replace(jobs.train(plan, chosen, folder, 1), weights=str(folder / "0.pt"), keep=keep)


def told(job: Train, until: Callable[[Event], bool] = lambda _: False) -> list[Event]:
    """Return what a job tells that has not imported its code; until: what it does not live to see after that."""
    for name in ("own_network", "own_training"):
        sys.modules.pop(name, None)
    return killed_jobs.told(job, until)


OWN: Final = {"code": "own_training:fit"}
Whole = tuple[dict[str, Any], list[Event], dict[str, torch.Tensor]]


@pytest.fixture(scope="module", params=[{}, OWN], ids=["built-in", "own"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """A training that is never interrupted: its keys, what it tells, and the weights that it ends with."""
    folder = tmp_path_factory.mktemp("whole")
    with kept_always():
        events = told(made(folder, **request.param))
    return request.param, events, torch.load(folder / "0.pt", weights_only=True)["weights"]


@pytest.mark.parametrize("epoch", [1, 2, 3, 5])
def test_a_module_goes_on_as_if_never_interrupted(tmp_path: Path, whole: Whole, epoch: int) -> None:
    """In built-in and own training, at a rung and at the last epoch too: equal to the bit, and measured once."""
    fit, events, expected = whole
    job = made(tmp_path, **fit)
    first, second = told(job, after(epoch)), told(job)
    assert ([], [(epoch, "")]) == (resumed(first), resumed(second))
    assert Done() == events[-1] == second[-1]
    assert [each for each in first if isinstance(each, Measured)] == [
        each for each in second if isinstance(each, Measured)
    ]
    assert reached(events) == reached(first + second)
    found = torch.load(tmp_path / "0.pt", weights_only=True)["weights"]
    assert all(torch.equal(value, found[name]) for name, value in expected.items())


def test_code_that_saves_nothing_begins_again_and_says_so(tmp_path: Path) -> None:
    """What was measured is not measured again."""
    job = made(tmp_path, **OWN, args={"saves": False})
    first, second = told(job, after(3)), told(job)
    note = "a training begins again: its checkpoint holds nothing that its code saved in 3 epochs"
    assert [(0, note)] == resumed(second)
    assert [each for each in first if isinstance(each, Measured)] == [
        each for each in second if isinstance(each, Measured)
    ]
    assert [1, 2, 3, 4, 5] == [each.epoch for each in second if isinstance(each, Trained)]


def test_code_that_ends_early_ends_early_again(tmp_path: Path) -> None:
    """It is scored with the weights that it ended with."""
    job = made(tmp_path, **OWN, args={"ends": 3})
    whole = told(replace(job, keep=None))
    told(job, after(3))
    second = told(job)
    assert [(3, "")] == resumed(second)
    assert [each for each in whole if isinstance(each, Reached)][-1:] == [
        each for each in second if isinstance(each, Reached)
    ]


def test_what_cannot_be_saved_ends_the_trial(tmp_path: Path) -> None:
    """With where it is."""
    last = told(made(tmp_path, **OWN, args={"saves": 2}))[-1]
    assert isinstance(last, Failed)
    assert "the state['function'] is of type 'builtin_function_or_method'" in last.reason.text


def test_a_module_that_keeps_more_than_tensors_is_not_kept_and_says_so(tmp_path: Path) -> None:
    """It trains to its end all the same."""
    events = told(made(tmp_path, "Odd"))
    ((_, note),) = resumed(events)
    assert note.startswith(
        "this training is not kept: the state['training']['weights']['_extra_state'] is of type 'set'"
    )
    assert Done() == events[-1]
    assert [] == list(tmp_path.glob("*.checkpoint"))


@pytest.mark.parametrize("file", ["own_network.py", "own_training.py"])
def test_other_code_begins_again(tmp_path: Path, file: str) -> None:
    """A file that has changed since, whether or not it changes what is trained."""
    job = made(tmp_path, **OWN)
    assert any(isinstance(each, Imported) for each in told(job, after(3)))
    text = (tmp_path / file).read_text("utf-8")
    (tmp_path / file).write_text(f"{text}\n# changed\n", "utf-8")
    events = told(job)
    assert [(0, "a training begins again: its checkpoint is of other code")] == resumed(events)
    assert Done() == events[-1]
