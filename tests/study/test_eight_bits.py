"""Networks of studies in 8 bits: run, scored, confirmed and taken out as one file; on digits and the fake target."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
import torch
from commands import run
from datasets_small import images, text
from plans import drawn, planned
from planted import again
from torch import nn

import archcost
from archcost.data import shared
from archcost.data.splits import Dataset
from archcost.errors import InputError, TargetError
from archcost.models.load import Model
from archcost.nets.net import build
from archcost.study import jobs
from archcost.study.plan import StudyPlan
from archcost.study.records.database.addresses import address
from archcost.study.records.stored import Stored, find
from archcost.study.workers.in_8_bits import eight_bits
from archcost.study.workers.job import run as run_job
from archcost.study.workers.messages import Done, Event, Failed, Measured, Quantised
from archcost.study.workers.tasks import Train
from archcost.training.context import Context

STUDY = """
models:
  - {family: fractal, columns: 2, widths: {scale: [8], by: {choice: [1, 2]}}, drop_path: {global: 0.5}}
data: {name: digits, examples: 300}
objectives:
  - error: min
  - {latency: min, target: fake, threads: 1, time: 0.1, ways: [{runtime: eager}, {runtime: onnxruntime, dtype: int8}]}
fit: {epochs: 1}
search: {trials: 2, sampler: grid}
confirm: {seeds: 2, members: 1}
"""


PLAIN = {"family": "bottleneck", "block": "basic", "depths": [1], "widths": [8]}
WAYS = [{"runtime": "eager"}, {"runtime": "onnxruntime", "dtype": "int8"}]
OBJECTIVES = [{"error": "min"}, {"latency": "min", "target": "fake", "threads": 1, "time": 0.1, "ways": WAYS}]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A study of two ways, run to its end once."""
    path = tmp_path_factory.mktemp("ways") / "study.yaml"
    path.write_text(STUDY, "utf-8")
    ended = again(path.parent, ("study", "run", str(path)))
    assert 0 == ended.returncode, ended.stderr
    return str(path)


def stored(file: str) -> Stored:
    """Return what a study's file has stored."""
    return find(address(str(Path(file).parent / "study.db"), Path.cwd()))


def test_networks_and_columns_have_a_point_for_each_way(done: str) -> None:
    """With a score of its own in 8 bits, and the same latency for all ways only where it is so measured."""
    held = stored(done)
    found = {each.name: each for each in held.candidates()}
    names = [f"{trial}{column}{way}" for trial in (0, 1) for column in ("", "/1", "/2") for way in ("", "@int8")]
    assert sorted(names) == sorted(found)
    for each in found.values():
        assert each.part.score is not None
        assert (1, each.way.dtype) == (len(each.part.samples), each.part.samples[0].plan.dtype)
    assert () == held.absent()


def test_a_seed_is_scored_in_every_way(done: str) -> None:
    """On validation and test split, and the network is confirmed in all its ways at once."""
    sure = [each for each in stored(done).candidates() if each.standing]
    assert sorted({None, "int8"}, key=str) == sorted({each.way.name for each in sure}, key=str)
    for each in sure:
        assert each.confirmed is not None
        assert ((1, 2), 2, 2) == (each.confirmed.seeds, len(each.confirmed.scores), len(each.confirmed.tests))


def test_a_file_is_the_one_that_was_scored(capsys: pytest.CaptureFixture[str], done: str, tmp_path: Path) -> None:
    """Quantised again, it reaches what was recorded, in a bundle with the preprocessing inside too."""
    name = next(each.name for each in stored(done).candidates() if each.standing and each.way.quantised)
    code, out, err = run(capsys, "export", done, "--trial", name, "--to", "onnx", "-o", str(tmp_path / "net.onnx"))
    assert (0, True, True) == (code, "int8 weights" in out or "int7 weights" in out, "recorded" in out), err
    folder = tmp_path / "bundle"
    code, _, err = run(capsys, "export", done, "--trial", name, "--bundle", str(folder))
    assert 0 == code, err
    meta = json.loads((folder / "meta.json").read_text("utf-8"))
    assert {"name": "int8", "runtime": "onnxruntime", "dtype": "int8"} == meta["way"]
    assert meta["recorded"] == {split: meta[split] for split in ("validation", "test")}
    with pytest.raises(InputError, match="8 bits"):
        archcost.load_trained(folder)
    assert "load_trained" not in (folder / "card.md").read_text("utf-8")


def test_a_bundle_of_8_bits_predicts(capsys: pytest.CaptureFixture[str], done: str, tmp_path: Path) -> None:
    """Its script runs model.onnx without archcost."""
    folder, image = tmp_path / "bundle", tmp_path / "one.png"
    assert 0 == run(capsys, "export", done, "--trial", "0@int8", "--bundle", str(folder))[0]
    from PIL import Image

    Image.new("L", (8, 8), 128).save(image)
    ended = subprocess.run([sys.executable, folder / "predict.py", image], capture_output=True, text=True, check=False)
    assert (0, True) == (ended.returncode, str(image) in ended.stdout), ended.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--to", "pt2", "-o", "net.pt2"], "runs in 8 bits, as an ONNX file; allowed: --to onnx"),
        (["--to", "onnx", "-o", "net.onnx", "--dtype", "int8"], "allowed: --trial 12@int8"),
    ],
)
def test_what_holds_no_8_bits_is_refused(
    capsys: pytest.CaptureFixture[str], done: str, arguments: list[str], words: str
) -> None:
    """With what is allowed in its place."""
    code, _, err = run(capsys, "export", done, "--trial", "0@int8", *arguments)
    assert (2, True) == (code, words in err), err


def test_a_storage_alone_cannot_quantise(capsys: pytest.CaptureFixture[str], done: str, tmp_path: Path) -> None:
    """It does not say where the examples are that ranges are taken from."""
    where = str(Path(done).parent / "study.db")
    code, _, err = run(capsys, "export", where, "--trial", "0@int8", "--to", "onnx", "-o", str(tmp_path / "net.onnx"))
    assert (2, True) == (code, "allowed: the study's file" in err), err


def test_a_network_of_8_bits_is_no_module(done: str) -> None:
    """Its float32 weights are those of the name without the way."""
    with pytest.raises(InputError, match="allowed: '0'"):
        archcost.load_trained(done, "0@int8")
    assert isinstance(archcost.load_trained(done, "0"), torch.nn.Module)


def test_what_is_printed_names_the_ways(capsys: pytest.CaptureFixture[str], done: str, tmp_path: Path) -> None:
    """In 80 columns: the front, the state, the table, the choice and the report."""
    for command in (("study", "front", done), ("study", "status", done), ("choose", done)):
        code, out, _ = run(capsys, *command)
        assert (0, []) == (code, [line for line in out.splitlines() if len(line) > 80 and "export" not in line])
    assert "@int8: onnxruntime int8; without such a name: eager float32" in run(capsys, "study", "front", done)[1]
    found = json.loads(run(capsys, "choose", done, "--json")[1])
    assert found["take"].endswith("@int8") is (found["way"] == "int8")
    state = json.loads(run(capsys, "study", "status", done, "--json")[1])
    assert ([None, "int8"], {}) == ([each["way"] for each in state["ways"]], state["absent"])
    code, _, err = run(capsys, "report", done, "-o", str(tmp_path / "report.html"))
    assert 0 == code, err
    page = (tmp_path / "report.html").read_text("utf-8")
    assert ["Hypervolume by way" in page, "onnxruntime int8" in page] == [True, True]


def test_examples_are_drawn_by_the_seed() -> None:
    """At most 512 of the training split, normalised and unchanged; another seed draws others."""
    dataset = images()
    first, same, other = (eight_bits.drawn(dataset, seed) for seed in (0, 0, 1))
    assert (True, False) == (torch.equal(first, same), torch.equal(first, other))
    assert (min(512, len(dataset.train)), torch.float32) == (len(first), first.dtype)


def test_a_text_has_no_file_of_8_bits() -> None:
    """A file carries no state from one window to the next."""
    with pytest.raises(TargetError, match="state"):
        eight_bits.drawn(text(), 0)


def job_of(plan: StudyPlan, folder: Path) -> Train:
    """Return the job of a study's first network, its data written."""
    shared.write(images(), folder / jobs.DATA)
    return jobs.train(plan, drawn(plan), folder, 1)


def told(job: Train) -> list[Event]:
    """Return what a job tells; every reply is to go on."""
    events: list[Event] = []
    run_job(job, events.append, lambda: True)
    return events


def test_what_does_not_run_in_8_bits_keeps_its_other_points(tmp_path: Path) -> None:
    """The job goes on, and says why of each; in the first way it fails, as the search would hear nothing."""
    plan = planned(objectives=OBJECTIVES, fit={"epochs": 1}, models=[PLAIN])
    job = job_of(plan, tmp_path)
    lost = replace(job, ways=(job.ways[0], replace(job.ways[1], runtime="eager")))
    events = told(lost)
    (found,) = [each for each in events if isinstance(each, Measured) and each.reason]
    assert (1, "target") == (found.way, found.reason.kind if found.reason else "")
    assert isinstance(events[-1], Done)
    assert [0, 0] == [each.column for each in told(job) if isinstance(each, Quantised)] * 2
    (failed,) = [each for each in told(replace(lost, optional=())) if isinstance(each, Failed)]
    assert "target" == failed.reason.kind


def test_a_seed_has_the_layers_in_float32_that_were_measured(tmp_path: Path) -> None:
    """Its file is quantised without them, and their weights take more bytes."""
    plan = planned(objectives=OBJECTIVES, fit={"epochs": 1}, models=[PLAIN])
    job = job_of(plan, tmp_path)
    assert job.quantise is not None
    alone = replace(job, ways=(), optional=(), quantise=replace(job.quantise, layers=((1, (("stem.conv",),)),)))
    (one,) = [each for each in told(alone) if isinstance(each, Quantised)]
    assert (("stem.conv",), None, True) == (one.float_layers, one.reason, one.float_bytes > 0)
    with eight_bits.file(*trained(plan), 0, Context(0, "cpu", 1, 1), frozenset({"stem.conv"})) as small:
        said = {each.key: each.value for each in onnx.load(small.path).metadata_props}
    assert "stem.conv" == said["archcost.float_layers"]


def trained(plan: StudyPlan) -> tuple[nn.Module, Dataset]:
    """Return the study's first network, as it is made, and its data."""
    model = drawn(plan)
    assert isinstance(model, Model)
    return build(model.graph), images()
