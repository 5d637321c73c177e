"""A job that was interrupted goes on from its last epoch: the same weights to the bit, the same scores and samples."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import datasets_small as small
import pytest
import torch
from killed_jobs import Killed, after, kept_always, measured, told
from plans import FRACTAL, drawn, planned

from archcost import files
from archcost.data import shared
from archcost.data.splits import Dataset
from archcost.study import jobs
from archcost.study.records import open_trainings
from archcost.study.workers import job as working
from archcost.study.workers import progress, trial
from archcost.study.workers.messages import Done, Event, Failed, Measured, Reached, Resumed, Scored, Trained
from archcost.study.workers.tasks import Train
from archcost.training import checkpoints
from archcost.training.header import Checkpoint, header

NORMS: Final = {"family": "bottleneck", "depths": [1], "widths": [8]}
WORDS: Final = {"family": "hornn", "hidden": 12, "order": 2}
CPU: Final = torch.device("cpu")


@pytest.fixture(autouse=True)
def _every_epoch() -> Iterator[None]:
    with kept_always():
        yield


def made(folder: Path, dataset: Dataset, model: dict[str, Any], **changes: Any) -> Train:
    """Return the job of training a network for 5 epochs with rungs after 2 and 5; its weights are kept too."""
    folder.mkdir(exist_ok=True)
    shared.write(dataset, folder / jobs.DATA)
    learnt, data = ("perplexity", {"name": "text", "path": "x"}) if dataset.kind == "text" else ("error", None)
    ways = [{"latency": "min", "target": "fake", "threads": 1, "time": 0.05}]
    fit = {"epochs": 5, "rungs": [2, 5], "batch": 16, "precision": "float32", **changes}
    keys = {"models": [model], "objectives": [{learnt: "min"}, *ways], "fit": fit}
    plan = planned(dataset, **keys, **({"data": data} if data else {}))
    chosen = drawn(plan)
    keep = open_trainings.place(folder, "mine", plan.identity(chosen))
    return replace(jobs.train(plan, chosen, folder, 1), weights=str(folder / "0.pt"), keep=keep)


@pytest.fixture
def job(tmp_path: Path) -> Train:
    """The job of a network with norms."""
    return made(tmp_path, small.images(120), NORMS)


def place_of(job: Train) -> Checkpoint:
    """Return where a job's training is kept."""
    assert job.keep is not None
    return job.keep


def scores(events: list[Event]) -> list[Event]:
    """Return what rungs, columns and epochs gave, without their seconds."""
    every = (replace(each, seconds=0.0, kept=False) if isinstance(each, Trained) else each for each in events)
    return [each for each in every if isinstance(each, Trained | Reached | Scored)]


@pytest.mark.parametrize(
    ("data", "model"), [(small.images, NORMS), (small.images, FRACTAL), (small.text, WORDS)],
    ids=["norms", "columns", "text"],
)  # fmt: skip
@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_an_interrupted_job_ends_as_if_never_interrupted(
    data: Callable[[], Dataset], model: dict[str, Any], optimiser: str, tmp_path: Path
) -> None:
    """At some epochs, at rungs too: weights, losses and scores are equal to the bit, samples are those from before."""
    keys = {"optimiser": optimiser, "lr": 0.01}
    whole = told(made(tmp_path / "whole", data(), model, **keys))
    job = made(tmp_path / "parts", data(), model, **keys)
    chance = random.Random(f"{optimiser}{model}")
    first, second = sorted(chance.sample(range(1, 5), 2))
    begun = [told(job, after(first)), told(job, after(second)), told(job)]
    assert [[first], [second]] == [
        [each.epoch for each in events if isinstance(each, Resumed) and not each.note] for events in begun[1:]
    ]
    assert measured(begun[0]) == measured(begun[1]) == measured(begun[2]) != []
    assert Done() == begun[-1][-1] == whole[-1]
    again = {repr(each) for events in begun for each in scores(events)}
    assert {repr(each) for each in scores(whole)} == again
    expected, found = (torch.load(tmp_path / name / "0.pt", weights_only=True) for name in ("whole", "parts"))
    assert expected["weights"].keys() == found["weights"].keys()
    assert all(torch.equal(value, found["weights"][name]) for name, value in expected["weights"].items())


def test_what_was_measured_is_kept_before_the_first_epoch(job: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is interrupted in the first epoch measures no more, and begins with the first epoch."""
    with monkeypatch.context() as patch:
        patch.setattr(trial.fit, "epochs", lambda *_, **__: iter(()))
        first = told(job, lambda event: isinstance(event, Done))
    said = header(Path(place_of(job).path))
    assert said is not None
    assert 0 == said.epochs
    second = told(job)
    assert first[0] == second[0]
    assert [0] == [each.epoch for each in second if isinstance(each, Resumed)]
    assert [1, 2, 3, 4, 5] == [each.epoch for each in second if isinstance(each, Trained)]


def test_what_is_predicted_is_not_measured_and_training_goes_on_all_the_same(job: Train) -> None:
    """Once it is no longer predicted, it is measured, and the training is kept."""
    predicted = replace(job, predicted=(0,))
    assert [] == measured(told(predicted, after(2)))
    events = told(job, after(3))
    assert [2] == [each.epoch for each in events if isinstance(each, Resumed)]
    assert len(job.ways) == len(measured(events))


def test_other_ways_are_measured_anew(job: Train) -> None:
    """The training goes on all the same."""
    told(job, after(2))
    way = replace(job.ways[0], plan=replace(job.ways[0].plan, time_s=0.04))
    events = told(replace(job, ways=(way,)))
    (found,) = (each for each in events if isinstance(each, Measured))
    assert 0.04 == found.samples[0].plan.time_s
    assert [2] == [each.epoch for each in events if isinstance(each, Resumed)]


def test_seconds_of_all_processes_are_added(job: Train) -> None:
    """What a checkpoint says is never less than what the one before said."""
    spent = []
    for epoch in (1, 3):
        told(job, after(epoch))
        said = header(Path(place_of(job).path))
        assert said is not None
        spent.append(said.seconds)
    assert 0 < spent[0] < spent[1]
    assert [spent[1]] == [each.seconds for each in told(job) if isinstance(each, Resumed)]


def cut(path: Path) -> None:
    """Leave half of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flipped(path: Path) -> None:
    """Change one bit of a weight, which torch alone would not see."""
    weights = torch.load(path, weights_only=True)["state"]["training"]["weights"]
    held = bytearray(path.read_bytes())
    held[held.index(next(iter(weights.values())).numpy().tobytes())] ^= 1
    path.write_bytes(held)
    assert torch.load(path, weights_only=True)


def pickled(path: Path) -> None:
    """Put code in its place."""
    torch.save({"archcost": print}, path)


def linked(path: Path) -> None:
    """Put a link to it in its place."""
    path.rename(path.with_suffix(".moved"))
    path.symlink_to(path.with_suffix(".moved"))


def piped(path: Path) -> None:
    """Put a pipe in its place, which gives nothing for ever."""
    path.unlink()
    os.mkfifo(path)


def foldered(path: Path) -> None:
    """Put a folder in its place."""
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [cut, flipped, pickled, linked, piped, foldered])
def test_a_damaged_checkpoint_is_ignored_with_a_note(job: Train, damage: Callable[[Path], None]) -> None:
    """The training begins again and ends; what nobody is known to have written is left where it is."""
    path, whole = Path(place_of(job).path), told(replace(job, keep=None))
    told(job, after(3))
    damage(path)
    kind, said = path.lstat().st_mode, header(path)
    events = told(job)
    (note,) = (each for each in events if isinstance(each, Resumed))
    assert (0, True) == (note.epoch, note.note.startswith("a training begins again: cannot read '")), note
    assert scores(whole) == scores(events)
    assert Done() == events[-1]
    assert (said is not None) == ("is not kept while" not in note.note)
    assert said is not None or kind == path.lstat().st_mode


def held(job: Train) -> dict[str, Any]:
    """Return what a job's checkpoint holds."""
    return checkpoints.read(place_of(job), CPU)[1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: state["same"].update(network="x"), "its checkpoint is of other code"),
        (lambda state: state["same"].update(files={"x.py": "1"}), "its checkpoint is of other code"),
        (lambda state: state["training"]["weights"].popitem(), "the weights of another network"),
        (lambda state: state["training"].update(weights=[1]), "the weights of another network"),
        (lambda state: state["training"].update(optimiser={99: {}}), "the state of another optimiser"),
        (lambda state: state["training"]["optimiser"][0].update(exp_avg=torch.zeros(1)), "another optimiser"),
        (lambda state: state["training"]["optimiser"][0].clear(), "the state of another optimiser"),
        (lambda state: state.update(training=0), "holds no training"),
        (lambda state: state.update(measured=["{}"]), "holds no samples"),
        (lambda state: state.update(measured=[]), "the samples of other networks"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_ignored_with_a_note(
    job: Train, change: Callable[[dict[str, Any]], object], words: str
) -> None:
    """Whole, with all marks, and yet of something else: never half used, never fatal, and written over."""
    job = replace(job, fit={**job.fit, "optimiser": "adamw", "lr": 0.01})
    whole = told(replace(job, keep=None))
    told(job, after(3))
    state = held(job)
    change(state)
    checkpoints.write(place_of(job), 3, 1.0, state)
    events = told(job)
    (note,) = (each for each in events if isinstance(each, Resumed))
    assert (0, True) == (note.epoch, words in note.note), note
    assert scores(whole) == scores(events)
    assert held(job)["training"].keys() == {"weights", "optimiser"}


def test_a_checkpoint_of_another_study_or_training_is_not_used(job: Train) -> None:
    """Another study's is left as it is; of the own study's one it is said that it is another training's."""
    mine = place_of(job)
    told(job, after(3))
    other = replace(job, keep=replace(mine, study="another"))
    before = Path(mine.path).read_bytes()
    (note,) = (each for each in told(other) if isinstance(each, Resumed))
    assert "holds the training of another network, fit or data set" in note.note
    assert before == Path(mine.path).read_bytes()
    (note,) = (each for each in told(replace(job, keep=replace(mine, training="x"))) if isinstance(each, Resumed))
    assert (0, False) == (note.epoch, "is not kept" in note.note)


def test_another_fit_has_another_place(tmp_path: Path) -> None:
    """Its network begins at its first epoch, without a note."""
    one, other = (made(tmp_path, small.images(120), NORMS, lr=rate) for rate in (0.1, 0.2))
    told(one, after(2))
    assert place_of(one).path != place_of(other).path
    assert [] == [each for each in told(other) if isinstance(each, Resumed)]


def test_a_kill_while_a_checkpoint_is_written_leaves_the_one_before(
    job: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was half-written is another file, which the study's next run removes."""
    told(job, after(2))
    folder = Path(place_of(job).path).parent
    save = torch.save

    def killed(value: object, file: Any) -> None:
        file.write(memoryview(b"PK half of it"))
        raise Killed

    monkeypatch.setattr(checkpoints.torch, "save", killed)
    monkeypatch.setattr(files.Path, "unlink", lambda *_, **__: None)  # a process that is killed removes nothing
    with pytest.raises(Killed):
        working.run(job, lambda _: None, lambda: True)
    monkeypatch.undo()
    assert save is torch.save
    assert 1 == len(list(folder.glob(".*.part")))
    open_trainings.tidy(folder)
    assert [] == list(folder.glob(".*.part"))
    assert [2] == [each.epoch for each in told(job) if isinstance(each, Resumed)]


def test_a_full_disk_ends_the_run(job: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with all that a study writes: the reason is the space, and the checkpoint before is there."""
    told(job, after(2))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoints.torch, "save", full)
    last = told(job)[-1]
    assert isinstance(last, Failed)
    assert ("space", True) == (last.reason.kind, "the checkpoint of a training" in last.reason.text)
    monkeypatch.undo()
    assert [2] == [each.epoch for each in told(job) if isinstance(each, Resumed)]


def test_a_folder_that_is_gone_is_told(job: Train) -> None:
    """As one of the files of the run."""
    assert job.keep is not None
    gone = replace(job, keep=replace(job.keep, path=str(Path(job.keep.path).parent / "gone" / "x.checkpoint")))
    last = told(gone)[-1]
    assert isinstance(last, Failed)
    assert "files" == last.reason.kind


def test_short_epochs_share_a_checkpoint(job: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is written if what would be lost is worth it: after some seconds, and a multiple of what writing takes."""
    now = [0.0]
    monkeypatch.setattr(progress, "_APART_S", 5.0)
    monkeypatch.setattr(progress, "_DEAR", 50)
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    kept, written = progress.progress_of(replace(job, ways=()), 1, ""), []
    kept.since = kept.written = 0.0
    for now[0] in (1.0, 4.9, 5.0, 9.9, 10.0):
        if kept.keep(1, dict, print):
            written.append(now[0])
    assert [5.0, 10.0] == written
    kept.cost_s = 0.2
    now[0] = 19.9
    assert not kept.keep(1, dict, print)
    now[0] = 20.0
    assert kept.keep(1, dict, print)
