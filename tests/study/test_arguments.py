"""Arguments of a factory in study.yaml: what is mistyped is said at its own key, all of it at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import refused
from own_code import STUDY, written

from archcost.study.code import answers
from archcost.study.spec import load_study
from archcost.study.workers.tasks import Code

FACTORIES = """
from torch import nn


def plain(width, depth=1, *, act="relu", classes=10):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.Linear(width, classes))


def other(hidden=4, classes=10):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, classes))


def anything(**options):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


made = other()
"""
TEMPLATE = """
models:
  - family: module
    factory: FACTORY
    args:
ARGS
"""
OWN = "fine:plain"
BOTH = "{choice: ['fine:plain', 'fine:other']}"
WRONG = {
    "a mistyped one": (
        OWN, ["widht: 3", "width: 4"],
        ["6:7: models.0.args.widht: no argument of 'fine:plain' (did you mean 'width'?); allowed: 'width', 'depth'"],
    ),
    "several": (
        OWN, ["width: 4", "dept: {int: [1, 2]}", "atc: relu"], ["7:7: models.0.args.dept", "8:7: models.0.args.atc"],
    ),
    "one that is missing": (OWN, ["depth: 2"], ["5:5: models.0.args: missing 'width', which 'fine:plain' needs"]),
    "both": (OWN, ["widht: 3"], ["6:7: models.0.args.widht", "5:5: models.0.args: missing 'width'"]),
    "a domain": ("fine:other", ["hiden: {int: [2, 4]}"], ["6:7: models.0.args.hiden: no argument of 'fine:other'"]),
    "of two factories none": (BOTH, ["widt: 3"], ["6:7: models.0.args.widt: no argument of 'fine:plain' or"]),
}  # fmt: skip


def study(folder: Path, factory: str, args: list[str]) -> Path:
    file = written(folder, STUDY)
    (folder / "fine.py").write_text(FACTORIES, "utf-8")
    text = file.read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("models:")]
    body = TEMPLATE.strip().replace("FACTORY", factory).replace("ARGS", "\n".join(f"      {each}" for each in args))
    file.write_text("# one's own\n" + body + "\n" + "\n".join(lines) + "\n", "utf-8")
    return file


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_is_at_its_key(capsys: pytest.CaptureFixture[str], tmp_path: Path, case: str) -> None:
    """With its line and column, what was meant, and what is allowed; nothing is tried."""
    factory, args, messages = WRONG[case]
    file = study(tmp_path, factory, args)
    said = refused(capsys, "study", "run", str(file), "--allow-code", "--dry-run")
    for message in messages:
        assert f"{file.name}:{message}" in said
    assert len(messages) == said.count(f"{file.name}:")
    assert not (tmp_path / "study.db").exists()


CALLED = {
    "data": ("data: {name: digits, examples: 200}", "data: {code: 'mydata:splits', args: {from: tensors}}",
             "data.args.from: no argument of 'mydata:splits' (did you mean 'form'?)"),
    "training": ("fit: {epochs: 2, rungs: [1, 2]}", "fit: {epochs: 2, code: 'mytrain:fit', args: {rate: 1}}",
                 "fit.args.rate: no argument of 'mytrain:fit'"),
    "what training is given anyway": (
        "fit: {epochs: 2, rungs: [1, 2]}", "fit: {epochs: 2, code: 'mytrain:fit', args: {network: 1}}",
        "fit.args.network: no argument of 'mytrain:fit'"),
}  # fmt: skip


@pytest.mark.parametrize("case", CALLED)
def test_data_and_training_are_looked_at_too(capsys: pytest.CaptureFixture[str], tmp_path: Path, case: str) -> None:
    """Before anything is made or trained."""
    before, after, message = CALLED[case]
    file = written(tmp_path, STUDY.replace(before, after))
    assert message in refused(capsys, "study", "run", str(file), "--allow-code")
    assert not (tmp_path / "study.db").exists()


@pytest.mark.parametrize(
    "text",
    ["'fine:anything', args: {width: 3}", "'fine:made'", "'fine:other', args: {choice: [{hidden: 3}, {hidden: 4}]}"],
)
def test_what_cannot_be_known_is_left_to_the_call(tmp_path: Path, text: str) -> None:
    """Any keywords, a module that exists, arguments that are drawn as a whole."""
    (tmp_path / "fine.py").write_text(FACTORIES, "utf-8")
    template = "'mynet:Small', args: {width: {int: [2, 6]}}"
    file = written(tmp_path, STUDY.replace(template, text))
    spec = load_study(file)
    assert answers.imported(spec, Code(str(tmp_path))).files
