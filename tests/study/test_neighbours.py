"""A study whose file is at a URL: what it needs is copied, what it makes is in the current folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from commands import refused, run

from archcost.errors import InputError
from archcost.study.code import neighbours
from archcost.study.records.source import is_storage
from archcost.study.spec import load_study
from archcost.study.workers.engines.command import Asked, command

STUDY = """
models:
  - {family: hornn, order: 1, hidden: 4}
  - {family: module, factory: "mynet:Small", args: {width: {choice: [2, 3]}}}
data: {name: sequences, path: ../waves.npz}
objectives: [{error: min}, {latency: min, target: fake, threads: 1}]
fit: {epochs: 1, rungs: [1]}
search: {trials: 2, sampler: random, start: [known.yaml]}
confirm: {members: 1, seeds: 1}
weights: second
"""
NET = """
import torch
from parts.layers import last

class Small(torch.nn.Module):
    def __init__(self, classes, input, width=2):
        super().__init__()
        self.first, self.last = torch.nn.Linear(input["features"], width), torch.nn.Linear(width, classes)

    def forward(self, x):
        return self.last(last(self.first(x)))
"""
FILES = {
    "mine/study.yaml": STUDY,
    "mine/known.yaml": "{family: module, factory: 'mynet:Small', args: {width: 3}}\n",
    "mine/mynet.py": NET,
    "mine/parts/layers.py": "def last(x):\n    return x[:, -1]\n",
    "mine/notes.txt": "not needed",
    "mine/old-results/other.py": "raise RuntimeError\n",
}


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of the study's folder; the current folder is another one, as is the cache."""
    for name, text in FILES.items():
        path = tmp_path / "there" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    x, y = np.random.default_rng(0).normal(size=(20, 3, 2)), np.arange(20) % 2
    np.savez(tmp_path / "there" / "waves.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return f"file://{tmp_path}/there/mine"


def copied(there: str) -> set[str]:
    """Return which files of the study's folder are in the cache."""
    folder = Path(neighbours.local(neighbours.read(f"{there}/study.yaml")).file).parent
    return {
        each.relative_to(folder).as_posix() for each in folder.rglob("*") if each.is_file() and each.suffix != ".pyc"
    }


def test_a_study_at_a_url_runs_and_is_read(there: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With its data, code and first network; storage and weights are here, and its second place is there."""
    url = f"{there}/study.yaml"
    code, _, err = run(capsys, "study", "run", url, "--workers", "1", "--allow-code")
    assert 0 == code, err
    assert {"study.yaml", "known.yaml", "mynet.py", "parts/layers.py"} == copied(there)
    assert {"study.db", "study.db.weights"} <= {each.name for each in Path().iterdir()}
    folder = Path(there.removeprefix("file://"))
    assert {"second"} == {each.name for each in folder.iterdir()} - {name.split("/")[1] for name in FILES}
    code, out, _ = run(capsys, "study", "status", url, "--json")
    status = json.loads(out)
    assert (0, "mine", 2) == (code, status["study"], status["counted"])
    code, out, _ = run(capsys, "choose", url, "--json")
    take = json.loads(out)
    assert (0, True) == (code, f"archcost export {url} --trial {take['take']}" in take["export"])
    (folder / "study.yaml").write_text(STUDY.replace("epochs: 1", "epochs: 2").replace("[1]}", "[2]}"), "utf-8")
    assert "which says otherwise of 'fit'" in run(capsys, "study", "front", url)[2]


def test_a_network_of_a_study_at_a_url_is_exported(there: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Its data and code are those there, with consent."""
    url = f"{there}/study.yaml"
    only = ("--set", "search.start=[]", "--set", "models.1.factory=mynet:Small")
    assert 0 == run(capsys, "study", "run", url, "--workers", "1", "--allow-code", *only)[0]
    (member, *_) = json.loads(run(capsys, "study", "front", url, "--json")[1])["members"]
    given = ("export", url, "--trial", member["trial"], "--to", "onnx", "-o", "net.onnx", "--allow-code")
    code, _, said = run(capsys, *given)
    assert (0, True) == (code, Path("net.onnx").is_file()), said
    assert 0 == run(capsys, "report", url, "-o", "report.html")[0]


def test_code_is_copied_with_consent_alone(there: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Without it nothing but the study's file is, and the mistake names that by its URL."""
    err = refused(capsys, "study", "run", f"{there}/study.yaml")
    assert f"{there}/study.yaml:4:22: models.1.factory: 'mynet:Small' is code" in err
    assert {"study.yaml"} == copied(there)


def test_a_mistake_in_a_study_at_a_url_names_the_url(there: str, capsys: pytest.CaptureFixture[str]) -> None:
    """As what was typed: in the file, in what it names, and if it is not there."""
    file = Path(there.removeprefix("file://")) / "study.yaml"
    assert f"cannot read '{there}/no.yaml': there is no such file" in refused(
        capsys, "study", "run", f"{there}/no.yaml"
    )
    file.write_text(STUDY.replace("known.yaml", "other.yaml"), "utf-8")
    err = refused(capsys, "study", "run", f"{there}/study.yaml", "--allow-code")
    assert f"{there}/study.yaml:8:46: search.start.0: given 'other.yaml'; allowed: a model.yaml" in err
    file.write_text(STUDY.replace("waves", "gone"), "utf-8")
    err = refused(capsys, "study", "run", f"{there}/study.yaml", "--allow-code")
    above = there.rpartition("/")[0]
    assert f"{there}/study.yaml:5:31: data.path: cannot read '{above}/gone.npz': there is no such file" in err
    file.write_text(STUDY.replace("epochs: 1", "epochs: x"), "utf-8")
    assert f"{there}/study.yaml:7:15: fit.epochs: given 'x'" in refused(capsys, "study", "run", f"{there}/study.yaml")


JOINED = {
    "x.npz": "s3://bucket/a/x.npz",
    "./b/../x.npz": "s3://bucket/a/x.npz",
    "../../../x": "s3://x",
    "/data/x": "/data/x",
    "gs://other/x": "gs://other/x",
}


@pytest.mark.parametrize("name", JOINED)
def test_names_begin_at_the_folder_of_the_url(name: str) -> None:
    """As paths do in a folder; a URL, and an absolute path, is what it is."""
    assert JOINED[name] == neighbours.joined("s3://bucket/a", name)
    assert "file:///a/x" == neighbours.joined("file:///a/b", "../x")


TYPED = {
    "s3://bucket/study.yaml": False,
    "https://host/STUDY.YML": False,
    "postgresql+psycopg://host/study.yaml": True,
    "sqlite:///study.yaml": True,
    "s3://bucket/study.db": True,
    "study.yaml": False,
    "study.db": True,
}


@pytest.mark.parametrize("typed", TYPED)
def test_a_url_of_yaml_is_a_study_and_no_storage(typed: str) -> None:
    """But of a database, which may be called anything."""
    assert TYPED[typed] == is_storage(typed)


def test_what_is_no_study_at_a_url_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """A storage is a file here or a database, and a study's file ends as YAML does."""
    for typed in ("s3://bucket/study", "https://host/study.db"):
        err = refused(capsys, "study", "status", typed)
        assert f"given '{typed}'; allowed: the URL of a database, or for a study that of its file, which ends in" in err


def test_a_folder_that_is_too_large_is_not_looked_through(there: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A study at the root of a bucket is refused, if it names code."""
    monkeypatch.setattr(neighbours, "_LISTED", 5)
    with pytest.raises(InputError, match="more than 5 files to look at; allowed: a study with code in a"):
        neighbours.code(there)


def test_workers_of_an_engine_get_the_url(there: str) -> None:
    """And no path of the machine that starts them."""
    from archcost.study.code.consent import NONE
    from archcost.study.options import Wanted
    from archcost.study.records.source import address_of

    url = f"{there}/study.yaml"
    kept = address_of(load_study(url), Path("nowhere"))
    found = command(Asked(url), kept, Wanted(), NONE).arguments
    assert (url, str(Path("study.db").resolve())) == (found[4], found[6])
